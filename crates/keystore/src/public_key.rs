//! The public key of a validator, as the 48 bytes that name it everywhere. Only valid ones can be made.

use std::fmt;
use std::str::FromStr;

use blst::{BLST_ERROR, min_pk};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::hex_text::{self, HexError};

/// Why something is not a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// The text is not 96 hexadecimal digits.
    #[error("a public key is 48 bytes in hexadecimal text")]
    Hex(#[source] HexError),
    /// The bytes are no compressed point of the curve.
    #[error("the 48 bytes are not a compressed point of the BLS12-381 curve")]
    NotAPoint,
    /// The point at infinity: the public key of the secret zero.
    #[error("the public key is the point at infinity, which no validator has")]
    Infinity,
    /// A point of the curve, but outside the group of prime order.
    #[error("the public key is a point outside the prime-order group G1")]
    NotInGroup,
}

/// A compressed point of G1, checked: on the curve, in the prime-order group, not infinity.
///
/// Ordered by its bytes. As text and in serde it is `0x` and 96 lower-case digits; reading also takes upper case and
/// text without `0x`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 48]);

impl PublicKey {
    /// From the compressed form: 48 bytes, big-endian x with three flag bits on top.
    ///
    /// # Errors
    /// Every variant of [`PublicKeyError`] but [`PublicKeyError::Hex`].
    pub fn from_bytes(bytes: &[u8; 48]) -> Result<Self, PublicKeyError> {
        match min_pk::PublicKey::key_validate(bytes) {
            Ok(_) => Ok(Self(*bytes)),
            Err(BLST_ERROR::BLST_PK_IS_INFINITY) => Err(PublicKeyError::Infinity),
            Err(BLST_ERROR::BLST_POINT_NOT_IN_GROUP) => Err(PublicKeyError::NotInGroup),
            Err(_) => Err(PublicKeyError::NotAPoint),
        }
    }

    /// The compressed form.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 48] {
        self.0
    }

    /// The compressed form, by reference.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 48] {
        &self.0
    }

    /// A secret key is never zero, so its point is in the group and not infinity.
    pub(crate) fn from_secret(secret: &min_pk::SecretKey) -> Self {
        Self(secret.sk_to_pk().compress())
    }

    /// The point, for a verification. The bytes were checked when this value was made.
    pub(crate) fn point(&self) -> Option<min_pk::PublicKey> {
        min_pk::PublicKey::uncompress(&self.0).ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex_text::write(f, &self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_bytes(&hex_text::fixed(text).map_err(PublicKeyError::Hex)?)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = PublicKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a BLS public key: 48 bytes in hexadecimal text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PublicKey, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}
