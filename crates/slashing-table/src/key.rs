//! The name under which slashing protection knows a validator.
//!
//! It is the compressed public key as 48 bytes. Records of keys that this signer does not hold pass through here too (an
//! interchange file names them), so nothing is said about whether the bytes are a point of the curve.

use std::fmt;
use std::str::FromStr;

/// A validator's compressed BLS12-381 public key: 48 bytes, not checked to be a point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValidatorKey([u8; ValidatorKey::LEN]);

/// The text is no public key: 96 hex digits, with or without `0x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a public key is 96 hex digits after an optional 0x, found {found} characters or something that is not hex"
)]
pub struct ValidatorKeyError {
    /// Length of the text, bytes.
    pub found: usize,
}

impl ValidatorKey {
    /// Length in bytes.
    pub const LEN: usize = 48;

    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The 48 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// `0x` and 96 lower-case hex digits.
impl fmt::Display for ValidatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for ValidatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ValidatorKey {
    type Err = ValidatorKeyError;

    fn from_str(text: &str) -> Result<Self, ValidatorKeyError> {
        let mut bytes = [0; Self::LEN];
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes)
            .map_err(|_| ValidatorKeyError { found: text.len() })?;
        Ok(Self(bytes))
    }
}

impl From<&keystore::PublicKey> for ValidatorKey {
    fn from(key: &keystore::PublicKey) -> Self {
        Self(*key.as_bytes())
    }
}
