//! The secret key of a validator: one place in memory, wiped when dropped, never shown.

use std::fmt;

use blst::min_pk;
use zeroize::Zeroizing;

use crate::{CIPHER_SUITE, PublicKey, Signature};

/// Why 32 bytes are not a secret key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretKeyError {
    /// All bytes are zero. The public key would be the point at infinity, for which every signature is the same.
    #[error("the secret key is zero; no validator has such a key")]
    Zero,
    /// The number is not below the order of the group.
    #[error(
        "the secret key is not below the order of the BLS12-381 group; it is not a BLS key (a SECP256K1 key?)"
    )]
    NotBelowOrder,
}

/// A BLS12-381 secret key: a number from 1 to r - 1, where r is the order of the group.
///
/// It lives on the heap, so moving the value copies a pointer and not the secret. It is wiped when dropped, has no
/// `Clone`, no comparison and no serde, and `Debug` shows nothing. Share it with an `Arc`.
pub struct SecretKey(Box<min_pk::SecretKey>);

impl SecretKey {
    /// From 32 bytes, big-endian, as in EIP-2335 keystores and `privateKey` members. The caller wipes its own copy.
    ///
    /// # Errors
    /// [`SecretKeyError::Zero`] for zero, [`SecretKeyError::NotBelowOrder`] for anything from r up.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SecretKeyError> {
        if bytes.iter().fold(0, |all, byte| all | byte) == 0 {
            return Err(SecretKeyError::Zero);
        }
        min_pk::SecretKey::from_bytes(bytes)
            .map(|key| Self(Box::new(key)))
            .map_err(|_| SecretKeyError::NotBelowOrder)
    }

    /// The number as 32 bytes, big-endian, for whoever must write the key down encrypted.
    #[must_use]
    pub fn expose_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key. It costs a scalar multiplication (about a tenth of a millisecond): keep the result.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_secret(&self.0)
    }

    /// Signs `message` under [`CIPHER_SUITE`]. Validators sign 32-byte signing roots; any length is possible.
    ///
    /// What may be signed is decided by the caller, before.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature::from_point(&self.0.sign(message, CIPHER_SUITE, &[]))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let mut bytes = [0; 32];
        bytes[31] = 5;
        let key = SecretKey::from_bytes(&bytes).unwrap();
        assert_eq!(
            format!("{key:?} {:#?}", Some(&key)),
            "SecretKey(..) Some(\n    SecretKey(..),\n)"
        );
        assert_eq!(*key.expose_bytes(), bytes);
    }

    #[test]
    fn the_range_is_one_to_order_less_one() {
        let order = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
        let mut bytes: [u8; 32] = hex::decode(order).unwrap().try_into().unwrap();
        assert_eq!(
            SecretKey::from_bytes(&bytes).unwrap_err(),
            SecretKeyError::NotBelowOrder
        );
        bytes[31] = 0;
        assert_eq!(*SecretKey::from_bytes(&bytes).unwrap().expose_bytes(), bytes);
        assert_eq!(
            SecretKey::from_bytes(&[0xff; 32]).unwrap_err(),
            SecretKeyError::NotBelowOrder
        );
        assert_eq!(SecretKey::from_bytes(&[0; 32]).unwrap_err(), SecretKeyError::Zero);
    }
}
