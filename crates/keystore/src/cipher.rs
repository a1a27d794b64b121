//! The checksum and the cipher of EIP-2335: SHA-256 over half of the derived key and the cipher text, AES-128 in
//! counter mode with the other half.

use aws_lc_rs::cipher::{
    AES_128, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::{constant_time, digest, iv::FixedLength};
use zeroize::Zeroizing;

use crate::{PublicKey, SecretKeyError};

/// Why a keystore could not be opened with a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// The checksum over derived key and cipher text is another one. EIP-2335 cannot tell the two causes apart.
    #[error("the checksum does not match: the password is wrong, or the keystore was altered")]
    WrongPassword,
    /// The password is right, but what it protects is no BLS key.
    #[error("the keystore opens, but holds no BLS secret key")]
    NotAKey(#[source] SecretKeyError),
    /// The password is right, but the key is not the one that `pubkey` names.
    #[error(
        "the keystore opens, but holds the key of {actual}, while its pubkey is {stated}; do not use it before you know which one is meant"
    )]
    AnotherKey {
        /// The member `pubkey`.
        stated: Box<PublicKey>,
        /// The public key of the secret.
        actual: Box<PublicKey>,
    },
    /// The cryptographic library failed on inputs that were checked.
    #[error("the cryptographic library refused to {step}")]
    Library {
        /// What it was asked to do.
        step: &'static str,
    },
}

/// What is kept in `crypto.checksum` and `crypto.cipher`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// SHA-256 of derived-key bytes 16..32 and the cipher text.
    pub(crate) checksum: [u8; 32],
    /// The first counter block. A shorter one was padded with zeros on the right, where the counter is.
    pub(crate) iv: [u8; 16],
    /// The encrypted secret.
    pub(crate) cipher_text: [u8; 32],
}

impl Sealed {
    /// Seals a secret. The iv must not repeat under one derived key; a fresh salt sees to that.
    pub(crate) fn seal(derived: &[u8; 32], iv: [u8; 16], secret: &[u8; 32]) -> Result<Self, DecryptError> {
        let (aes, _) = halves(derived);
        let mut cipher_text = *secret;
        EncryptingKey::ctr(key(aes)?)
            .and_then(|key| {
                key.less_safe_encrypt(&mut cipher_text, EncryptionContext::Iv128(FixedLength::from(&iv)))
            })
            .map_err(|_| DecryptError::Library { step: "encrypt" })?;
        Ok(Self {
            checksum: checksum(derived, &cipher_text),
            iv,
            cipher_text,
        })
    }

    /// Compares the checksum in constant time, then decrypts.
    pub(crate) fn open(&self, derived: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, DecryptError> {
        constant_time::verify_slices_are_equal(&checksum(derived, &self.cipher_text), &self.checksum)
            .map_err(|_| DecryptError::WrongPassword)?;
        let (aes, _) = halves(derived);
        let mut secret = Zeroizing::new(self.cipher_text);
        DecryptingKey::ctr(key(aes)?)
            .and_then(|key| {
                let context = DecryptionContext::Iv128(FixedLength::from(&self.iv));
                key.decrypt(secret.as_mut_slice(), context).map(|_| ())
            })
            .map_err(|_| DecryptError::Library { step: "decrypt" })?;
        Ok(secret)
    }
}

/// The AES key and the half that the checksum covers.
fn halves(derived: &[u8; 32]) -> (&[u8], &[u8]) {
    derived.split_at(16)
}

fn key(aes: &[u8]) -> Result<UnboundCipherKey, DecryptError> {
    UnboundCipherKey::new(&AES_128, aes).map_err(|_| DecryptError::Library {
        step: "take an AES key",
    })
}

fn checksum(derived: &[u8; 32], cipher_text: &[u8; 32]) -> [u8; 32] {
    let (_, covered) = halves(derived);
    let mut sha256 = digest::Context::new(&digest::SHA256);
    sha256.update(covered);
    sha256.update(cipher_text);
    let mut out = [0; 32];
    // SHA-256 has 32 bytes; zip cannot panic.
    out.iter_mut()
        .zip(sha256.finish().as_ref())
        .for_each(|(to, from)| *to = *from);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NIST SP 800-38A, F.5.1: AES-128 in counter mode, first two blocks.
    #[test]
    fn counter_mode_is_the_standard_one() {
        let derived: [u8; 32] =
            hex::decode("2b7e151628aed2a6abf7158809cf4f3c00000000000000000000000000000000")
                .unwrap()
                .try_into()
                .unwrap();
        let iv: [u8; 16] = hex::decode("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
            .unwrap()
            .try_into()
            .unwrap();
        let plain: [u8; 32] = hex::decode("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
            .unwrap()
            .try_into()
            .unwrap();
        let sealed = Sealed::seal(&derived, iv, &plain).unwrap();
        assert_eq!(
            hex::encode(sealed.cipher_text),
            "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
        );
        assert_eq!(*sealed.open(&derived).unwrap(), plain);
    }
}
