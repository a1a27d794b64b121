//! What an operator learns from an import or a registration.

use std::collections::BTreeSet;

use super::key::ValidatorKey;
use super::refusal::StoreError;
use crate::duty::Root;

/// What an import did. Validators fail one by one; the rest of the file is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Validators whose history was taken over.
    pub imported: BTreeSet<ValidatorKey>,
    /// Validators that were left as they were, with the reason.
    pub skipped: Vec<(ValidatorKey, String)>,
    /// What is odd in the file, and was taken all the same or left out.
    pub warnings: Vec<String>,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file is of another chain.
    #[error(
        "the file is for genesis validators root 0x{}, the store for 0x{}; nothing was imported",
        hex::encode(actual),
        hex::encode(expected)
    )]
    GenesisValidatorsRoot {
        /// The store's.
        expected: Root,
        /// The file's.
        actual: Root,
    },
    /// The store failed. What was imported before stays; importing again does no harm.
    #[error("the import stopped")]
    Store(#[from] StoreError),
}

/// What a store said about keys that were loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// Without a record: they will not sign slashable duties until their history is imported.
    pub unknown: Vec<ValidatorKey>,
    /// With a record that says they must not sign.
    pub disabled: Vec<ValidatorKey>,
}
