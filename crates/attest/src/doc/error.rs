//! The keys of a payload, and what can be wrong with one.

use super::{DIGEST, MAX_BUNDLE, MAX_PCRS};
use crate::cbor::CborError;
use crate::cose::CoseError;

/// A key of the payload map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Field {
    /// `module_id`
    ModuleId,
    /// `digest`
    Digest,
    /// `timestamp`
    Timestamp,
    /// `pcrs`
    Pcrs,
    /// `certificate`
    Certificate,
    /// `cabundle`
    Cabundle,
    /// `public_key`
    PublicKey,
    /// `user_data`
    UserData,
    /// `nonce`
    Nonce,
}

impl Field {
    pub(super) const ALL: [Self; 9] = [
        Self::ModuleId,
        Self::Digest,
        Self::Timestamp,
        Self::Pcrs,
        Self::Certificate,
        Self::Cabundle,
        Self::PublicKey,
        Self::UserData,
        Self::Nonce,
    ];

    /// The key as it is in the map.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ModuleId => "module_id",
            Self::Digest => "digest",
            Self::Timestamp => "timestamp",
            Self::Pcrs => "pcrs",
            Self::Certificate => "certificate",
            Self::Cabundle => "cabundle",
            Self::PublicKey => "public_key",
            Self::UserData => "user_data",
            Self::Nonce => "nonce",
        }
    }
}

impl core::fmt::Display for Field {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a payload is not that of an attestation document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocError {
    /// Not the CBOR that documents use, or a key twice. Offsets count from the start of the payload.
    #[error("the payload is not well-formed CBOR")]
    Cbor(#[from] CborError),
    /// Not a map.
    #[error("the payload is {found}, expected a map")]
    NotMap {
        /// What it is.
        found: &'static str,
    },
    /// A key that is not a text string.
    #[error("the payload has a key that is {found}, expected a text string")]
    KeyType {
        /// What it is.
        found: &'static str,
    },
    /// A key that AWS does not document.
    #[error("the payload has the unknown key {key:?}")]
    UnknownKey {
        /// Its beginning.
        key: Box<str>,
    },
    /// A mandatory field is absent or null.
    #[error("the mandatory field {field} is absent or null")]
    Missing {
        /// Which.
        field: Field,
    },
    /// A field, or a value in it, has another CBOR type.
    #[error("{field} holds {found}, expected {expected}")]
    WrongType {
        /// Which.
        field: Field,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A field, or a value in it, has a length outside its limits.
    #[error("{field} holds a value of {len} bytes, expected {min} to {max}")]
    Length {
        /// Which.
        field: Field,
        /// Its length.
        len: usize,
        /// The least allowed.
        min: usize,
        /// The most allowed.
        max: usize,
    },
    /// `digest` is not SHA384.
    #[error("digest is not \"{DIGEST}\"")]
    Digest,
    /// `timestamp` is zero or negative.
    #[error("timestamp is not a positive number of milliseconds")]
    Timestamp,
    /// No PCRs, or more than 32.
    #[error("pcrs has {count} entries, expected 1 to {MAX_PCRS}")]
    PcrCount {
        /// How many; 33 stands for more than 32 when the length is indefinite.
        count: u64,
    },
    /// A PCR index outside 0 to 31.
    #[error("pcrs has the index {index}, expected 0 to 31")]
    PcrIndex {
        /// The index.
        index: i128,
    },
    /// No certificates in the bundle, or more than 16.
    #[error("cabundle has {count} entries, expected 1 to {MAX_BUNDLE}")]
    BundleCount {
        /// How many; 17 stands for more than 16.
        count: usize,
    },
}

/// Why bytes are not even an unverified document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnverifiedError {
    /// The envelope is malformed.
    #[error("the envelope is malformed")]
    Envelope(#[from] CoseError),
    /// The payload is malformed.
    #[error("the payload is malformed")]
    Payload(#[from] DocError),
}
