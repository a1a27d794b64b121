//! A BLS signature as the 96 bytes that go over the wire.

use std::fmt;
use std::str::FromStr;

use blst::{BLST_ERROR, Pairing, blst_p1_affine, blst_p2_affine, min_pk};

use crate::hex_text::{self, HexError};
use crate::{CIPHER_SUITE, PublicKey};

/// Why something is not a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The text is not 192 hexadecimal digits.
    #[error("a signature is 96 bytes in hexadecimal text")]
    Hex(#[source] HexError),
    /// The bytes are no compressed point of the twisted curve.
    #[error("the 96 bytes are not a compressed point of the BLS12-381 twist")]
    NotAPoint,
    /// A point of the curve, but outside the group of prime order.
    #[error("the signature is a point outside the prime-order group G2")]
    NotInGroup,
}

/// A compressed point of G2. The point at infinity is a signature that verifies under no [`PublicKey`].
///
/// As text it is `0x` and 192 lower-case digits; reading also takes upper case and text without `0x`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 96]);

impl Signature {
    /// From the compressed form: 96 bytes, big-endian, three flag bits on top.
    ///
    /// # Errors
    /// [`SignatureError::NotAPoint`], [`SignatureError::NotInGroup`].
    pub fn from_bytes(bytes: &[u8; 96]) -> Result<Self, SignatureError> {
        match min_pk::Signature::sig_validate(bytes, false) {
            Ok(_) => Ok(Self(*bytes)),
            Err(BLST_ERROR::BLST_POINT_NOT_IN_GROUP) => Err(SignatureError::NotInGroup),
            Err(_) => Err(SignatureError::NotAPoint),
        }
    }

    /// The compressed form.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 96] {
        self.0
    }

    /// Whether `key` signed `message` under [`CIPHER_SUITE`].
    #[must_use]
    pub fn verify(&self, message: &[u8], key: &PublicKey) -> bool {
        let (Some(key), Ok(signature)) = (key.point(), min_pk::Signature::uncompress(&self.0)) else {
            return false;
        };
        // One pairing check on this thread. blst's own `verify` would start a pool of threads and keep it.
        let mut pairing = Pairing::new(true, CIPHER_SUITE);
        let (key, signature) = (blst_p1_affine::from(key), blst_p2_affine::from(signature));
        if pairing.aggregate(&key, false, &signature, false, message, &[]) != BLST_ERROR::BLST_SUCCESS {
            return false;
        }
        pairing.commit();
        pairing.finalverify(None)
    }

    pub(crate) fn from_point(point: &min_pk::Signature) -> Self {
        Self(point.compress())
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex_text::write(f, &self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_bytes(&hex_text::fixed(text).map_err(SignatureError::Hex)?)
    }
}
