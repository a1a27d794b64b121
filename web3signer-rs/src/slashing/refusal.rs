//! The two answers of slashing protection: a permit, or a refusal with the status that the HTTP service gives.

use super::dynamodb::DynamoDbError;
use super::key::ValidatorKey;
use super::memory::MemoryError;
use super::postgres::PostgresError;
use super::rules::Rule;

/// Proof that slashing protection permitted one duty, and that the decision is durable.
///
/// Only [`super::Protection::permit`] makes it. A signature of a slashable duty must not leave without one.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a signature may leave only with a permit"]
pub struct Permit(pub(super) ());

/// Why a duty may not be signed.
///
/// The contract also knows a 400 for arguments that are illegal in themselves. The types of a duty leave none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A rule forbids it: HTTP 412.
    #[error("prevented by slashing protection: {0}")]
    Prevented(Rule),
    /// The store has no record of the validator: HTTP 500.
    #[error("slashing protection has no record of validator {0}; {hint}", hint = UNKNOWN_HINT)]
    UnknownValidator(ValidatorKey),
    /// The store failed or did not answer in time; whether it noted the duty is not known: HTTP 500.
    #[error("slashing protection could not decide")]
    Store(#[from] StoreError),
}

impl From<MemoryError> for Refusal {
    fn from(error: MemoryError) -> Self {
        Self::Store(error.into())
    }
}

impl From<DynamoDbError> for Refusal {
    fn from(error: DynamoDbError) -> Self {
        Self::Store(error.into())
    }
}

impl From<PostgresError> for Refusal {
    fn from(error: PostgresError) -> Self {
        Self::Store(error.into())
    }
}

const UNKNOWN_HINT: &str = "import its history (an empty one for a new validator) before it may sign";

impl Refusal {
    /// The HTTP status of the contract (section 5.3).
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self {
            Self::Prevented(_) => 412,
            Self::UnknownValidator(_) | Self::Store(_) => 500,
        }
    }
}

/// A store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The journal of the memory store.
    #[error("the journal of slashing protection failed")]
    Memory(#[from] MemoryError),
    /// Amazon DynamoDB.
    #[error("slashing protection in DynamoDB failed")]
    DynamoDb(#[from] DynamoDbError),
    /// PostgreSQL.
    #[error("slashing protection in PostgreSQL failed")]
    Postgres(#[from] PostgresError),
    /// Slashing protection is off, so there is nothing to ask.
    #[error("slashing protection is off")]
    Off,
}
