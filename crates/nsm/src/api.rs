//! What a program may ask of the module: the traits, their answers and their errors. No system call is made here.
//!
//! Source: AWS Nitro Enclaves NSM API, request and response enums of `aws-nitro-enclaves-nsm-api` 0.5.2.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use crate::pcr::{Pcr, PcrIndex};

/// Longest `user_data` and longest `nonce` that are sent, bytes each. AWS documents both 512 and 1024; 512 always fits.
pub const MAX_DATA_BYTES: usize = 512;
/// Longest `public_key` that is sent, bytes.
pub const MAX_PUBLIC_KEY_BYTES: usize = 1024;
/// Most random bytes in one answer.
pub const MAX_RANDOM_BYTES: usize = 256;

/// Requests that any program in the enclave may make.
///
/// There is no way here to put a public key into an attestation document: see [`RecipientNsm`].
pub trait Nsm {
    /// What the module is and which registers are locked.
    ///
    /// # Errors
    /// [`NsmError`], as for every method of this trait.
    fn describe(&self) -> Result<Description, NsmError>;

    /// A register's value, and whether it is locked.
    ///
    /// # Errors
    /// [`NsmError`].
    fn describe_pcr(&self, index: PcrIndex) -> Result<PcrState, NsmError>;

    /// Sets a register to SHA-384(old value ‖ `data`) and returns the new value.
    ///
    /// # Errors
    /// [`NsmError::Refused`] with [`ErrorCode::ReadOnlyIndex`] when it is locked; else as above.
    fn extend_pcr(&self, index: PcrIndex, data: &[u8]) -> Result<Pcr, NsmError>;

    /// Locks one register until the enclave ends.
    ///
    /// # Errors
    /// [`NsmError`].
    fn lock_pcr(&self, index: PcrIndex) -> Result<(), NsmError>;

    /// Locks the registers `0..=last`.
    ///
    /// # Errors
    /// [`NsmError`].
    fn lock_pcrs_through(&self, last: PcrIndex) -> Result<(), NsmError>;

    /// An attestation document (untagged `COSE_Sign1` bytes) whose `public_key` is null.
    /// `user_data` and `nonce` are at most [`MAX_DATA_BYTES`] each.
    ///
    /// # Errors
    /// [`NsmError::TooLong`] before anything is sent; else as above.
    fn attest(&self, user_data: Option<&[u8]>, nonce: Option<&[u8]>) -> Result<Vec<u8>, NsmError>;

    /// 1 to [`MAX_RANDOM_BYTES`] random bytes.
    ///
    /// # Errors
    /// [`NsmError::BadAnswer`] when there are none or too many; else as above.
    fn random(&self) -> Result<Zeroizing<Vec<u8>>, NsmError>;
}

/// The request that only a KMS client may make.
///
/// AWS KMS encrypts what it answers to the public key of the document. Whoever can have a key of his own choice attested
/// can decrypt everything that the enclave can, so the only caller is the KMS client, with a key that it has just made.
pub trait RecipientNsm: Nsm {
    /// An attestation document that carries `public_key` (DER `SubjectPublicKeyInfo`, 1 to [`MAX_PUBLIC_KEY_BYTES`]
    /// bytes), without user data and nonce.
    ///
    /// # Errors
    /// [`NsmError::TooLong`] or [`NsmError::NoKey`] before anything is sent; else as for [`Nsm`].
    fn attest_for_recipient(&self, public_key: &[u8]) -> Result<Vec<u8>, NsmError>;
}

/// What the module says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Major, minor and patch version of the module's interface.
    pub version: (u16, u16, u16),
    /// Identity of the module: the parent's instance id, `-enc`, the enclave's number.
    pub module_id: String,
    /// Number of registers; [`crate::PCR_COUNT`] at most.
    pub max_pcrs: u16,
    /// The registers that can no longer change.
    pub locked_pcrs: BTreeSet<PcrIndex>,
}

/// A register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcrState {
    /// It can no longer change.
    pub locked: bool,
    /// Its value.
    pub value: Pcr,
}

/// Why the module did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NsmError {
    /// The device could not be opened; holds the error number, 0 when there is none.
    #[error("cannot open {}: error number {errno}", crate::DEVICE)]
    Open {
        /// `errno`.
        errno: i32,
    },
    /// The module answered with an error code.
    #[error("NSM refused {request}: {code:?}")]
    Refused {
        /// Name of the request.
        request: &'static str,
        /// The module's code.
        code: ErrorCode,
    },
    /// The answer belongs to another request.
    #[error("NSM answered {request} with the answer to another request")]
    Mismatch {
        /// Name of the request.
        request: &'static str,
    },
    /// A part of the answer is not what it must be.
    #[error("NSM answered {request} with a bad {what}: expected {expected}, found {actual}")]
    BadAnswer {
        /// Name of the request.
        request: &'static str,
        /// Which part.
        what: &'static str,
        /// What it must be.
        expected: &'static str,
        /// Its length or number.
        actual: usize,
    },
    /// An argument is too long; nothing was sent.
    #[error("{what} has {actual} bytes, expected at most {max}")]
    TooLong {
        /// Which argument.
        what: &'static str,
        /// The limit.
        max: usize,
        /// Its length.
        actual: usize,
    },
    /// The public key is empty; nothing was sent.
    #[error("the public key for a KMS recipient is empty")]
    NoKey,
}

/// The module's own error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorCode {
    /// An error answer that says success.
    Success,
    /// An argument is invalid.
    InvalidArgument,
    /// No such register.
    InvalidIndex,
    /// The answer does not match the request.
    InvalidResponse,
    /// The register is locked.
    ReadOnlyIndex,
    /// The module cannot do this.
    InvalidOperation,
    /// The answer does not fit.
    BufferTooSmall,
    /// The request is too large.
    InputTooLarge,
    /// The module failed. The library gives this code too when the `ioctl` fails or its answer is no valid CBOR.
    InternalError,
}
