//! What is in a folder, as sorted data with one digest: how folders enter keys and how built parts are recorded.
//!
//! Owners and times are left out: a user's clock and name must not change a key.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::{Hasher, Sha256};

/// Every entry below a folder by its relative path, `/`-separated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Listing(BTreeMap<String, Entry>);

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Entry {
    /// A folder.
    Dir,
    /// A regular file.
    File {
        /// Size in bytes.
        size: u64,
        /// SHA-256 of the bytes.
        sha256: Sha256,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symbolic link with its target, unresolved.
    Link(String),
}

/// Why a folder could not be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListingError {
    /// Reading failed.
    #[error("cannot read {}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// A name or link target that is not UTF-8.
    #[error("{}: its name or target is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
    /// A socket, device or the like.
    #[error("{} is neither a file nor a folder nor a link", .0.display())]
    Special(PathBuf),
}

impl Listing {
    /// Reads everything below `dir`.
    ///
    /// # Errors
    /// [`ListingError`].
    pub fn of_dir(dir: &Path) -> Result<Self, ListingError> {
        let mut listing = Self::default();
        listing.add_dir(dir, "")?;
        Ok(listing)
    }

    fn add_dir(&mut self, dir: &Path, prefix: &str) -> Result<(), ListingError> {
        let read = |source| ListingError::Read {
            path: dir.to_path_buf(),
            source,
        };
        #[expect(clippy::disallowed_methods, reason = "the entries go into a sorted map")]
        for entry in fs::read_dir(dir).map_err(read)? {
            let path = entry.map_err(read)?.path();
            let text = |bytes: Option<&str>| {
                bytes
                    .map(str::to_owned)
                    .ok_or_else(|| ListingError::NotUtf8(path.clone()))
            };
            let name = text(path.file_name().and_then(|n| n.to_str()))?;
            let name = format!("{prefix}{name}");
            let read = |source| ListingError::Read {
                path: path.clone(),
                source,
            };
            let meta = fs::symlink_metadata(&path).map_err(read)?;
            let entry = if meta.is_dir() {
                self.add_dir(&path, &format!("{name}/"))?;
                Entry::Dir
            } else if meta.is_symlink() {
                Entry::Link(text(fs::read_link(&path).map_err(read)?.to_str())?)
            } else if meta.is_file() {
                let (sha256, size) = File::open(&path)
                    .and_then(|mut f| Sha256::of_reader(&mut f))
                    .map_err(read)?;
                Entry::File {
                    size,
                    sha256,
                    executable: meta.permissions().mode() & 0o100 != 0,
                }
            } else {
                return Err(ListingError::Special(path));
            };
            self.0.insert(name, entry);
        }
        Ok(())
    }

    /// The entry at a relative path.
    #[must_use]
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.0.get(path)
    }

    /// All entries by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// SHA-256 over every path and entry.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        let mut hasher = Hasher::new();
        for (path, entry) in &self.0 {
            hasher.field(path.as_bytes());
            match entry {
                Entry::Dir => hasher.field(b"dir"),
                Entry::File {
                    sha256, executable, ..
                } => {
                    hasher.field(if *executable { b"program" } else { b"file" });
                    hasher.field(sha256.as_bytes());
                }
                Entry::Link(target) => {
                    hasher.field(b"link");
                    hasher.field(target.as_bytes());
                }
            }
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn everything_but_owner_and_time_counts() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let digest = || Listing::of_dir(dir.path()).unwrap().digest();
        let mut seen = vec![digest()];
        let mut changed = |what: &str| {
            let now = digest();
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        fs::write(at("a"), "1").unwrap();
        changed("a file");
        fs::write(at("a"), "2").unwrap();
        changed("its content");
        fs::set_permissions(at("a"), fs::Permissions::from_mode(0o755)).unwrap();
        changed("its mode");
        fs::rename(at("a"), at("b")).unwrap();
        changed("its name");
        fs::create_dir(at("d")).unwrap();
        changed("an empty folder");
        fs::rename(at("b"), at("d/b")).unwrap();
        changed("its place");
        symlink("x", at("l")).unwrap();
        changed("a link");
        fs::remove_file(at("l")).unwrap();
        symlink("y", at("l")).unwrap();
        changed("its target");
        let before = digest();
        File::options()
            .write(true)
            .open(at("d/b"))
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        assert_eq!(before, digest(), "the time does not count");
    }

    #[test]
    fn what_has_no_content_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _socket = UnixListener::bind(dir.path().join("s")).unwrap();
        assert!(
            matches!(Listing::of_dir(dir.path()), Err(ListingError::Special(path)) if path.ends_with("s"))
        );
        assert!(matches!(
            Listing::of_dir(&dir.path().join("none")),
            Err(ListingError::Read { .. })
        ));
    }
}
