//! Values that requests are made of, each within KMS's limits by construction.
//!
//! Source: AWS KMS API reference, request parameters of the operations in [`crate::ops`].

use std::collections::BTreeMap;

use serde::Serialize;

/// Longest ciphertext, bytes.
pub const MAX_CIPHERTEXT_BYTES: usize = 6144;
/// Most random bytes, and longest data key by length, bytes.
pub const MAX_RANDOM_BYTES: u16 = 1024;
/// Longest encryption context, bytes of names and values together.
pub const MAX_CONTEXT_BYTES: usize = 8192;

/// Why a request is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Not a key's name.
    #[error("the key id is not 1 to 2048 visible ASCII characters")]
    KeyId,
    /// Not base64 with padding in one line.
    #[error("Ciphertext not a base64 string")]
    Base64,
    /// Empty or too long.
    #[error("ciphertext of {0} bytes, expected 1 to 6144")]
    CiphertextLength(usize),
    /// Too many bytes, or none.
    #[error("{0} random bytes, expected 1 to 1024")]
    RandomLength(u16),
    /// An empty name, or too much text.
    #[error("the encryption context has an empty name, or more than 8192 bytes")]
    Context,
    /// A name that is no algorithm.
    #[error("Invalid encryption algorithm")]
    Algorithm,
    /// A name that cannot be a key pair spec.
    #[error("the key pair spec is not 1 to 64 upper-case letters, digits and underscores")]
    KeyPairSpec,
}

/// Names and values that KMS authenticates with a ciphertext. Not secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EncryptionContext(BTreeMap<String, String>);

impl EncryptionContext {
    /// Checks the names and the size.
    ///
    /// # Errors
    /// [`RequestError::Context`].
    pub fn new(pairs: BTreeMap<String, String>) -> Result<Self, RequestError> {
        let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > MAX_CONTEXT_BYTES || pairs.contains_key("") {
            return Err(RequestError::Context);
        }
        Ok(Self(pairs))
    }

    /// These pairs and `more`; none when both have a name with different values.
    ///
    /// # Errors
    /// [`RequestError::Context`] when they are too long together.
    pub fn and(&self, more: Self) -> Result<Option<Self>, RequestError> {
        let mut pairs = self.0.clone();
        for (name, value) in more.0 {
            if pairs.get(&name).is_some_and(|own| *own != value) {
                return Ok(None);
            }
            pairs.insert(name, value);
        }
        Self::new(pairs).map(Some)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How a ciphertext was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptionAlgorithm {
    /// Under a symmetric key.
    SymmetricDefault,
    /// RSAES-OAEP with SHA-1.
    RsaesOaepSha1,
    /// RSAES-OAEP with SHA-256.
    RsaesOaepSha256,
}

impl EncryptionAlgorithm {
    /// By KMS's name, exactly.
    ///
    /// # Errors
    /// [`RequestError::Algorithm`].
    pub fn from_name(name: &str) -> Result<Self, RequestError> {
        [Self::SymmetricDefault, Self::RsaesOaepSha1, Self::RsaesOaepSha256]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or(RequestError::Algorithm)
    }

    /// KMS's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SymmetricDefault => "SYMMETRIC_DEFAULT",
            Self::RsaesOaepSha1 => "RSAES_OAEP_SHA_1",
            Self::RsaesOaepSha256 => "RSAES_OAEP_SHA_256",
        }
    }
}

/// Length of a data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataKeySpec {
    /// 16 bytes.
    Aes128,
    /// 32 bytes.
    Aes256,
}
