//! A keystore that was parsed: what it says in the open, and how it opens.

use crate::cipher::Sealed;
use crate::{DecryptError, Kdf, Password, PublicKey, SecretKey};

/// An EIP-2335 keystore, version 4, with every member checked that matters for opening it.
///
/// It holds no secret: everything in it stands in the file. Nothing in it is authenticated before
/// [`Keystore::decrypt`] has succeeded, and even then `path`, `uuid` and `description` are only what the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keystore {
    pub(crate) kdf: Kdf,
    pub(crate) salt: Vec<u8>,
    pub(crate) sealed: Sealed,
    pub(crate) public_key: PublicKey,
    pub(crate) path: String,
    pub(crate) uuid: String,
    pub(crate) description: Option<String>,
}

impl Keystore {
    /// The key that the file says it holds. [`Keystore::decrypt`] proves it.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// How the key is derived; [`Kdf::memory_bytes`] of it is what a decryption needs.
    #[must_use]
    pub fn kdf(&self) -> Kdf {
        self.kdf
    }

    /// The derivation path, such as `m/12381/3600/0/0/0`; empty where the file has none.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The UUID as text; empty where the file has none.
    #[must_use]
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// The note for people, if there is one.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Derives the key from the password, compares the checksum in constant time, decrypts, and compares the public key.
    ///
    /// It takes the time and [`Kdf::memory_bytes`] of the derivation, and blocks meanwhile.
    ///
    /// # Errors
    /// - [`DecryptError::WrongPassword`]: the checksum is another one
    /// - [`DecryptError::NotAKey`]: the secret is zero, or not below the order of the group
    /// - [`DecryptError::AnotherKey`]: the secret is not that of [`Keystore::public_key`]
    pub fn decrypt(&self, password: &Password) -> Result<SecretKey, DecryptError> {
        let derived = self
            .kdf
            .derive(password, &self.salt)
            .ok_or(DecryptError::Library { step: "derive a key" })?;
        let secret = SecretKey::from_bytes(&*self.sealed.open(&derived)?).map_err(DecryptError::NotAKey)?;
        let actual = secret.public_key();
        if actual != self.public_key {
            return Err(DecryptError::AnotherKey {
                stated: Box::new(self.public_key),
                actual: Box::new(actual),
            });
        }
        Ok(secret)
    }
}
