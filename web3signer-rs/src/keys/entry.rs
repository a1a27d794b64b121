//! One loaded key: its secret, its name, and where it came from.

use std::path::Path;
use std::sync::Arc;

use keystore::{PublicKey, SecretKey, Signature};

/// Where a key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A `file-raw` entry of a key configuration file.
    RawConfig,
    /// A `file-keystore` entry of a key configuration file.
    KeystoreConfig,
    /// The folder of keystores.
    Bulk,
    /// The key manager, in the life of this process. After a restart an import that was stored is a
    /// [`Origin::KeystoreConfig`].
    Imported,
}

/// A key that can sign. The secret cannot be taken out; it is wiped when the last snapshot that has the key is dropped.
#[derive(Debug)]
pub struct LoadedKey {
    secret: SecretKey,
    public_key: PublicKey,
    origin: Origin,
    file: Option<Arc<Path>>,
    derivation_path: Option<Box<str>>,
}

impl LoadedKey {
    /// `public_key` is that of `secret`; whoever calls has just computed or compared it.
    pub(super) fn new(secret: SecretKey, public_key: PublicKey, origin: Origin) -> Self {
        Self {
            secret,
            public_key,
            origin,
            file: None,
            derivation_path: None,
        }
    }

    pub(super) fn with_file(mut self, file: Option<Arc<Path>>) -> Self {
        self.file = file;
        self
    }

    pub(super) fn with_derivation_path(mut self, path: &str) -> Self {
        self.derivation_path = Some(path).filter(|path| !path.is_empty()).map(Into::into);
        self
    }

    /// The key's name: in URLs, lists and slashing protection.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Signs a signing root. Whether it may be signed is decided before, by the caller.
    #[must_use]
    pub fn sign(&self, signing_root: &[u8]) -> Signature {
        self.secret.sign(signing_root)
    }

    /// Where it came from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// What the key manager calls read-only: every key that is not from a keystore.
    #[must_use]
    pub fn readonly(&self) -> bool {
        self.origin == Origin::RawConfig
    }

    /// `path` of the keystore, if it has one: not proven, only what the file says.
    #[must_use]
    pub fn derivation_path(&self) -> Option<&str> {
        self.derivation_path.as_deref()
    }

    /// The configuration file or keystore that it came from; `None` for an import that was not stored.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}
