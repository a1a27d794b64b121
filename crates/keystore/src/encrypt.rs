//! Making a keystore: encryption with given randomness, and the JSON text that other tools read.

use serde_json::json;

use crate::cipher::Sealed;
use crate::kdf::{Kdf, KdfError, Limits};
use crate::{DecryptError, Keystore, Password, SecretKey};

/// The random bytes of one keystore. Make them anew for each, from the machine's own generator.
#[derive(Debug, Clone, Copy)]
pub struct Randomness {
    /// Salt of the key derivation.
    pub salt: [u8; 32],
    /// First counter block of the cipher.
    pub iv: [u8; 16],
    /// Becomes a version 4 UUID.
    pub uuid: [u8; 16],
}

/// What a keystore says about itself in the open.
#[derive(Debug, Clone, Copy, Default)]
pub struct Description<'a> {
    /// The derivation path (EIP-2334); empty for a key that was not derived.
    pub path: &'a str,
    /// A note for people.
    pub description: Option<&'a str>,
}

/// Why a keystore could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// The key derivation would be refused by every reader.
    #[error("the key derivation was refused")]
    Kdf(#[from] KdfError),
    /// The cryptographic library failed.
    #[error("the secret could not be encrypted")]
    Cipher(#[source] DecryptError),
}

impl Keystore {
    /// Encrypts a secret key. Use [`Kdf::SCRYPT`] unless the reader cannot spare 256 MiB, then [`Kdf::PBKDF2`].
    ///
    /// # Errors
    /// [`EncryptError::Kdf`] for parameters beyond [`Limits::default`]: whoever reads it under those could not open it.
    pub fn encrypt(
        secret: &SecretKey,
        password: &Password,
        kdf: Kdf,
        random: &Randomness,
        description: Description<'_>,
    ) -> Result<Self, EncryptError> {
        kdf.check(&Limits::default())?;
        let derived =
            kdf.derive(password, &random.salt)
                .ok_or(EncryptError::Cipher(DecryptError::Library {
                    step: "derive a key",
                }))?;
        let sealed =
            Sealed::seal(&derived, random.iv, &secret.expose_bytes()).map_err(EncryptError::Cipher)?;
        Ok(Self {
            kdf,
            salt: random.salt.to_vec(),
            sealed,
            public_key: secret.public_key(),
            path: description.path.to_owned(),
            uuid: uuid_v4(random.uuid),
            description: description.description.map(ToOwned::to_owned),
        })
    }

    /// The keystore as JSON text, as EIP-2335 writes it: hexadecimal without `0x`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let salt = hex::encode(&self.salt);
        let (function, params) = match self.kdf {
            Kdf::Scrypt { n, r, p } => (
                "scrypt",
                json!({"dklen": 32, "n": n, "r": r, "p": p, "salt": salt}),
            ),
            Kdf::Pbkdf2 { c } => (
                "pbkdf2",
                json!({"dklen": 32, "c": c, "prf": "hmac-sha256", "salt": salt}),
            ),
        };
        let mut root = json!({
            "crypto": {
                "kdf": {"function": function, "params": params, "message": ""},
                "checksum": {"function": "sha256", "params": {}, "message": hex::encode(self.sealed.checksum)},
                "cipher": {
                    "function": "aes-128-ctr",
                    "params": {"iv": hex::encode(self.sealed.iv)},
                    "message": hex::encode(self.sealed.cipher_text),
                },
            },
            "pubkey": hex::encode(self.public_key.as_bytes()),
            "path": self.path,
            "uuid": self.uuid,
            "version": 4,
        });
        if let (Some(description), Some(members)) = (&self.description, root.as_object_mut()) {
            members.insert("description".to_owned(), description.as_str().into());
        }
        format!("{root:#}\n")
    }
}

/// RFC 9562, section 5.4: version 4 in the seventh byte, variant 10 in the ninth.
fn uuid_v4(random: [u8; 16]) -> String {
    let number = u128::from_be_bytes(random);
    let number = number & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let digits = format!("{number:032x}");
    let mut text = String::with_capacity(36);
    for (index, digit) in digits.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_version_and_variant() {
        assert_eq!(uuid_v4([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid_v4([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
