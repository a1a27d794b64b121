//! Which Debian package a file of an extracted root came from: the packages' own lists, read from the locked archives.

use std::collections::BTreeMap;

use crate::fetch::{Blobs, FetchError};
use crate::lock::LockedPackage;
use crate::unpack::{self, Entry, Kind, Limits, Sink, SinkError, UnpackError};

/// Folders that Debian merged into `/usr`; some packages still ship files under the old names.
const MERGED: [&str; 4] = ["/bin/", "/lib/", "/lib64/", "/sbin/"];

/// Why it cannot be said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnersError {
    /// An archive was not fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// An archive is not there any more.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// An archive cannot be read.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
}

/// Files and links of packages, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners(BTreeMap<String, usize>);

struct Names<'a> {
    owners: &'a mut Owners,
    package: usize,
}

impl Sink for Names<'_> {
    fn put(&mut self, entry: Entry<'_>) -> Result<(), SinkError> {
        if !matches!(entry.kind, Kind::Dir) {
            let path = merged(entry.path.as_str());
            self.owners.0.insert(path, self.package);
        }
        Ok(())
    }
}

impl Owners {
    /// Reads the lists of `packages`, which must all be among `blobs`.
    ///
    /// # Errors
    /// [`OwnersError`].
    pub fn read(packages: &[LockedPackage], blobs: &Blobs) -> Result<Self, OwnersError> {
        let mut owners = Self::default();
        for (package, locked) in packages.iter().enumerate() {
            let name = format!("{} {}", locked.name, locked.version);
            let file = blobs.get(locked.sha256)?.open()?;
            let mut names = Names {
                owners: &mut owners,
                package,
            };
            unpack::deb(&name, file, Limits::default(), &mut names)?;
        }
        Ok(owners)
    }

    /// From paths and the places of their packages in the list.
    #[must_use]
    pub fn from_paths<'a>(paths: impl IntoIterator<Item = (&'a str, usize)>) -> Self {
        let paths = paths.into_iter();
        Self(paths.map(|(path, package)| (merged(path), package)).collect())
    }

    /// Which package (its place in the list) has the file or link at `path`, with its leading `/`.
    #[must_use]
    pub fn of(&self, path: &str) -> Option<usize> {
        self.0.get(&merged(path)).copied()
    }

    /// Every path with its package, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0.iter().map(|(path, package)| (path.as_str(), *package))
    }
}

fn merged(path: &str) -> String {
    if MERGED.iter().any(|old| path.starts_with(old)) {
        return format!("/usr{path}");
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_folders_are_the_new_ones() {
        let owners = Owners::from_paths([("/usr/lib/x.so", 3)]);
        assert_eq!(owners.of("/lib/x.so"), Some(3));
        assert_eq!(owners.of("/usr/lib/x.so"), Some(3));
        assert_eq!(owners.of("/libx/x.so"), None);
    }
}
