//! A workspace reduced to what one program needs: its files, its digests, and writing it down.
//!
//! [`Workspace::reduce`](super::workspace::Workspace::reduce) makes one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::lockfile::CargoLock;
use crate::digest::{Hasher, Sha256};
use crate::file::{FileError, failed};

/// A workspace reduced to what one program needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduced {
    /// The member that is to be built.
    pub package: String,
    /// Its programs.
    pub bins: Vec<String>,
    /// Names of all members in it.
    pub members: Vec<String>,
    /// Every file by its path, without `Cargo.lock`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The part of `Cargo.lock` that it may need.
    pub lock: CargoLock,
}

impl Reduced {
    /// SHA-256 over every file and the lock.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        self.digest_of(|_| true)
    }

    /// SHA-256 over what decides which packages are needed: the manifests and the lock.
    #[must_use]
    pub fn needs_digest(&self) -> Sha256 {
        self.digest_of(|path| path == "Cargo.toml" || path.ends_with("/Cargo.toml"))
    }

    fn digest_of(&self, counts: impl Fn(&str) -> bool) -> Sha256 {
        let mut hasher = Hasher::new();
        for (path, bytes) in self.files.iter().filter(|(path, _)| counts(path)) {
            hasher.field(path.as_bytes());
            hasher.field(bytes);
        }
        hasher.field(b"Cargo.lock");
        hasher.field(self.lock.to_text().as_bytes());
        hasher.finish()
    }

    /// Writes the files below `dir`, with `lock` as `Cargo.lock`.
    ///
    /// # Errors
    /// [`FileError`]: the first file that cannot be written.
    pub fn write(&self, dir: &Path, lock: &str) -> Result<(), FileError> {
        let lock = [("Cargo.lock", lock.as_bytes())];
        let files = self
            .files
            .iter()
            .map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
        for (path, bytes) in files.chain(lock) {
            let path = dir.join(path);
            let parent = path.parent().unwrap_or(dir);
            fs::create_dir_all(parent)
                .and_then(|()| fs::write(&path, bytes))
                .map_err(failed("write", &path))?;
        }
        Ok(())
    }
}
