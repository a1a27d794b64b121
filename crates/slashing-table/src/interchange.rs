//! The slashing protection interchange format of EIP-3076, version "5": what signers hand to each other.
//!
//! Reading is strict and bounded: a wrong version, an unknown member, a number that is no `uint64`, a root of a wrong length
//! is an error, and nothing is imported. Writing gives one form: keys in order, numbers as decimal strings.
//!
//! Source: EIP-3076, "JSON Schema".

mod wire;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use super::key::ValidatorKey;
use crate::duty::Root;

/// The one version of the format that is read and written.
pub const FORMAT_VERSION: &str = "5";

/// Longest file that is read: 2 GiB. A complete history of 10,000 validators over 250 epochs is about 0.5 GB.
pub const MAX_FILE_BYTES: u64 = 2 << 30;

/// Most validators of one file.
pub const MAX_VALIDATORS: usize = 1 << 20;

/// A block that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedBlock {
    /// Its slot.
    pub slot: u64,
    /// Its signing root, where the exporting signer kept it.
    pub signing_root: Option<Root>,
}

/// A vote that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedAttestation {
    /// Source epoch.
    pub source: u64,
    /// Target epoch.
    pub target: u64,
    /// Its signing root, where the exporting signer kept it.
    pub signing_root: Option<Root>,
}

/// What one validator signed, complete or only the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Blocks, in the order of the file.
    pub blocks: Vec<SignedBlock>,
    /// Votes, in the order of the file.
    pub attestations: Vec<SignedAttestation>,
}

/// The content of an interchange file. A validator that the file names twice is one entry here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interchange {
    /// The chain that the duties belong to.
    pub genesis_validators_root: Root,
    /// By validator, in order of the key.
    pub validators: BTreeMap<ValidatorKey, History>,
}

/// Why a file is not an interchange file of version 5.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterchangeError {
    /// Reading failed, or it is no JSON of the format.
    #[error("not an EIP-3076 interchange file")]
    Json(#[source] serde_json::Error),
    /// The file is longer than the limit.
    #[error("the interchange file is longer than {limit} bytes; split it by validators")]
    TooLong {
        /// The limit, bytes.
        limit: u64,
    },
    /// The format version is not ours.
    #[error(
        "interchange_format_version is {found:?}, only \"5\" is known; export again with a current client"
    )]
    Version {
        /// What the file says.
        found: String,
    },
    /// The file names too many validators.
    #[error("the interchange file names more than {MAX_VALIDATORS} validators; split it")]
    TooMany,
}

impl Interchange {
    /// An interchange without validators.
    #[must_use]
    pub const fn empty(genesis_validators_root: Root) -> Self {
        Self {
            genesis_validators_root,
            validators: BTreeMap::new(),
        }
    }

    /// Reads a whole file of at most `limit` bytes (see [`MAX_FILE_BYTES`]).
    ///
    /// # Errors
    /// [`InterchangeError`]; nothing can be used of a file that does not end well.
    pub fn read(source: impl Read, limit: u64) -> Result<Self, InterchangeError> {
        let mut bounded = io::BufReader::new(source.take(limit.saturating_add(1)));
        let raw: Result<wire::File, _> = serde_json::from_reader(&mut bounded);
        if bounded.get_ref().limit() == 0 {
            return Err(InterchangeError::TooLong { limit });
        }
        raw.map_err(InterchangeError::Json)?.into_interchange()
    }

    /// Reads the text of a file, for the key manager.
    ///
    /// # Errors
    /// [`InterchangeError`].
    pub fn parse(text: &str) -> Result<Self, InterchangeError> {
        Self::read(text.as_bytes(), MAX_FILE_BYTES)
    }

    /// Writes the file, with a final newline.
    ///
    /// # Errors
    /// What `sink` says.
    pub fn write(&self, mut sink: impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut sink, &wire::Out(self)).map_err(io::Error::from)?;
        sink.write_all(b"\n")?;
        sink.flush()
    }

    /// The file as compact text, for the key manager.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Writing to memory cannot fail: every key is a string.
        serde_json::to_string(&wire::Out(self)).unwrap_or_default()
    }

    /// Leaves only `keys`.
    #[must_use]
    pub fn only(mut self, keys: &[ValidatorKey]) -> Self {
        self.validators.retain(|key, _| keys.contains(key));
        self
    }
}

#[cfg(test)]
mod tests;
