//! What the key manager does: import a keystore, delete a key. Both are on the disk before they count.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystore::{Keystore, Password, PublicKey};

use super::decrypt::{self, KeyError};
use super::entry::{LoadedKey, Origin};
use super::file::Stamp;
use super::load::UsedFile;
use super::registry::{Held, Keys};
use super::settings::ImportStorage;
use super::store::{self, Names, StoreError};

/// A keystore that opened, and is not yet anyone's key.
pub struct PendingImport {
    key: LoadedKey,
    json: Box<[u8]>,
    password: Password,
}

impl PendingImport {
    /// The key, proven.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }
}

impl std::fmt::Debug for PendingImport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingImport")
            .field("key", self.public_key())
            .finish_non_exhaustive()
    }
}

/// What became of a keystore that was to be opened.
#[derive(Debug)]
pub enum Opened {
    /// The key is loaded already; the keystore was not decrypted.
    Duplicate(PublicKey),
    /// It may be imported.
    Pending(Box<PendingImport>),
}

/// What became of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportOutcome {
    /// The key signs from now on.
    Imported,
    /// Someone else was faster; nothing was written.
    Duplicate,
}

/// Why a keystore was not imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The keystore or its password was refused.
    #[error("the keystore cannot be imported")]
    Key(#[from] KeyError),
    /// The files could not be written. The key is not active.
    #[error("the keystore cannot be stored")]
    Store(#[from] StoreError),
}

/// What became of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// The key signs no more, and will not after a restart.
    Deleted,
    /// No such key is loaded.
    NotLoaded,
}

/// Why a key was not deleted. It still signs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteError {
    /// The key is a `file-raw` entry.
    #[error("the key is read-only: it stands in {}; remove it there and reload", file.display())]
    ReadOnly {
        /// The configuration file.
        file: PathBuf,
    },
    /// The key also stands in a file that the key manager does not own, and would come back.
    #[error("the key stands in {}, which is not the key manager's to change; remove it there and reload", file.display())]
    Elsewhere {
        /// The configuration file or keystore.
        file: PathBuf,
    },
    /// The files could not be removed.
    #[error("the files of the key cannot be removed")]
    Store(#[from] StoreError),
}

impl Keys {
    /// Parses and decrypts a keystore. Nothing changes yet.
    ///
    /// # Errors
    /// [`ImportError::Key`].
    pub fn open_import(&self, keystore: &[u8], password: &str) -> Result<Opened, ImportError> {
        let kitchen = self.kitchen();
        let parsed = Keystore::parse_within(keystore, kitchen.limits).map_err(KeyError::from)?;
        if self.snapshot().get(parsed.public_key()).is_some() {
            return Ok(Opened::Duplicate(*parsed.public_key()));
        }
        let password = Password::new(password).map_err(KeyError::from)?;
        let key = decrypt::open(&parsed, &password, Origin::Imported, kitchen).map_err(KeyError::from)?;
        Ok(Opened::Pending(Box::new(PendingImport {
            key,
            json: keystore.into(),
            password,
        })))
    }

    /// Stores the keystore, as [`ImportStorage`] has it, and publishes the key.
    ///
    /// The password is written in the normal form of EIP-2335 (NFKD, no control codes), which opens the keystore just
    /// as well and always fits on the one line that is read again.
    ///
    /// # Errors
    /// [`ImportError::Store`]; then nothing has changed.
    pub fn import(&self, pending: PendingImport) -> Result<ImportOutcome, ImportError> {
        let PendingImport { key, json, password } = pending;
        let mut held = self.writer();
        let snapshot = self.snapshot();
        if snapshot.get(key.public_key()).is_some() {
            return Ok(ImportOutcome::Duplicate);
        }
        let name = *key.public_key();
        let key = match self.settings.import {
            ImportStorage::MemoryOnly => {
                let key = Arc::new(key);
                held.memory.insert(name, Arc::clone(&key));
                key
            }
            ImportStorage::ConfigFolder => {
                let folder = &self.settings.config.path;
                let names = store::write(&name, folder, &json, password.expose())?;
                let file: Arc<Path> = Arc::from(names.config.as_path());
                let key = Arc::new(key.with_file(Some(Arc::clone(&file))));
                // A file whose stamp cannot be taken is read again at the next reload; no more than that.
                let stamps = [names.config, names.keystore, names.password]
                    .into_iter()
                    .filter_map(|path| Stamp::now(&path).map(|stamp| (Arc::from(path), stamp)))
                    .collect();
                held.config.insert(
                    file,
                    UsedFile {
                        keys: vec![Arc::clone(&key)],
                        stamps,
                    },
                );
                key
            }
        };
        self.publish(snapshot.with(key));
        Ok(ImportOutcome::Imported)
    }

    /// Deletes a key that the key manager may delete: one that it imported, or that stands in `<pubkey>.yaml` alone.
    ///
    /// Only files named by the key are removed. When this returns, no new lookup finds the key; whoever looked it up
    /// before may still be signing, so disable it in slashing protection before the protection data is exported.
    ///
    /// # Errors
    /// Every variant of [`DeleteError`]. The key still signs then, even if some of its files are gone.
    pub fn delete(&self, key: &PublicKey) -> Result<DeleteOutcome, DeleteError> {
        let mut held = self.writer();
        let snapshot = self.snapshot();
        let Some(loaded) = snapshot.get(key) else {
            return Ok(DeleteOutcome::NotLoaded);
        };
        if loaded.origin() == Origin::RawConfig {
            let file = loaded.file().map(ToOwned::to_owned).unwrap_or_default();
            return Err(DeleteError::ReadOnly { file });
        }
        let folder = &self.settings.config.path;
        let names = Names::of(key, folder);
        if let Some(file) = held.elsewhere(key, &names) {
            return Err(DeleteError::Elsewhere { file });
        }
        if held.config.contains_key(names.config.as_path()) {
            store::remove(&names, folder)?;
            held.config.remove(names.config.as_path());
        }
        held.memory.remove(key);
        self.publish(snapshot.without(key));
        Ok(DeleteOutcome::Deleted)
    }
}

impl Held {
    /// A file that has the key and is not the key manager's, or that has other keys as well.
    fn elsewhere(&self, key: &PublicKey, names: &Names) -> Option<PathBuf> {
        self.config
            .iter()
            .chain(&self.bulk)
            .filter(|(path, used)| path.as_ref() != names.config.as_path() || used.keys.len() > 1)
            .find(|(_, used)| used.keys.iter().any(|k| k.public_key() == key))
            .map(|(path, _)| path.to_path_buf())
    }
}
