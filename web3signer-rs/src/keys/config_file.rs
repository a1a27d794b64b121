//! A key configuration file: YAML text to what its documents ask for. One bad document spoils the whole file.

use std::path::Path;

use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};

use super::document::{Definition, Document, DocumentError};

/// Documents in one file. A file of the largest default size cannot hold more keys than this.
const MAX_DOCUMENTS: usize = 2_000_000;

/// Why a file was refused. Never with a piece of its text, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigFileError {
    /// Not YAML, or not a mapping with text members.
    #[error("not a YAML mapping of text members (line {line}, column {column})")]
    NotYaml {
        /// One-based; 0 where the parser does not say.
        line: u64,
        /// One-based; 0 where the parser does not say.
        column: u64,
    },
    /// The file is empty, or all its documents are.
    #[error("the file holds no document")]
    Empty,
    /// A document was refused.
    #[error("document {document}")]
    Document {
        /// One-based.
        document: usize,
        /// Why.
        #[source]
        source: DocumentError,
    },
}

/// How many keys a key configuration file asks for: the check without the load, for tools and fuzzers. No file that it
/// names is looked at, and no secret is checked beyond its text.
///
/// # Errors
/// Every variant of [`ConfigFileError`].
pub fn check_config_file(yaml: &[u8]) -> Result<usize, ConfigFileError> {
    parse(yaml, Path::new("")).map(|definitions| definitions.len())
}

/// What the documents ask for, each with its one-based number. Entries for SECP256K1 are left out.
///
/// Relative names in it are taken from `folder`.
pub(super) fn parse(yaml: &[u8], folder: &Path) -> Result<Vec<(usize, Definition)>, ConfigFileError> {
    let documents: Vec<Document> = serde_saphyr::from_slice_multiple_with_options(yaml, options(yaml.len()))
        .map_err(|e| not_yaml(&e))?;
    if documents.is_empty() {
        return Err(ConfigFileError::Empty);
    }
    let mut definitions = Vec::with_capacity(documents.len());
    for (document, text) in (1..).zip(documents) {
        let definition = text
            .definition(folder)
            .map_err(|source| ConfigFileError::Document { document, source })?;
        definitions.extend(definition.map(|definition| (document, definition)));
    }
    Ok(definitions)
}

/// Bounds that grow with the file and not with what it claims: no aliases, no merge keys, no snippets of the text in
/// errors. What is left are scalars, and there cannot be more of them than bytes.
fn options(length: usize) -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: MAX_DOCUMENTS,
            max_nodes: length.saturating_add(16),
            max_events: length.saturating_mul(4).saturating_add(64),
            max_total_scalar_bytes: length.saturating_add(16),
            max_depth: 16,
            max_aliases: 0,
            max_anchors: 0,
            max_merge_keys: 0,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        ignore_binary_tag_for_string: true,
        with_snippet: false,
    }
}

fn not_yaml(error: &serde_saphyr::Error) -> ConfigFileError {
    let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
    ConfigFileError::NotYaml { line, column }
}
