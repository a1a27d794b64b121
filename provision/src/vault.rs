//! Generations of files on the signer's memory file system, one of them in use, swapped in one step.
//!
//! ```text
//! ROOT/current -> g7           a link; what the signer reads
//! ROOT/g7/...                  the generation in use, folders 0700, files 0600
//! ROOT/g8/...                  one that is being written, or was when its writer was killed: wiped by the next job
//! ROOT/slashing/...            the signer's journal; never touched
//! ```
//! Wiped means overwritten with zeros and then unlinked, so nothing stays in memory that was given back.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::generation::{Files, names};

/// The link.
const CURRENT: &str = "current";
/// The link before it takes its place.
const NEXT: &str = "next";
/// The signer's own folder.
const JOURNALS: &str = "slashing";
/// Longest file that is read back, bytes.
const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;

/// What could not be done, and where.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} {}", path.display())]
pub struct VaultError {
    step: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl VaultError {
    fn new(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { step, path, source }
    }
}

/// The folder.
#[derive(Debug)]
pub struct Vault {
    root: PathBuf,
}

/// A swap that can still be undone.
#[derive(Debug)]
#[must_use = "keep it or undo it"]
pub struct Swap {
    old: Option<u64>,
    new: u64,
}

impl Vault {
    /// The folder at `root`, which is there.
    #[must_use]
    pub const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The link's path.
    #[must_use]
    pub fn current(&self) -> PathBuf {
        self.root.join(CURRENT)
    }

    /// Wipes all but the generation in use and the signer's journal.
    ///
    /// # Errors
    /// [`VaultError`], after everything was tried.
    pub fn clean(&self) -> Result<(), VaultError> {
        let used = self.used()?.map(folder);
        let keep = |name: &OsStr| {
            name == JOURNALS
                || used
                    .as_ref()
                    .is_some_and(|used| name == CURRENT || name == used.as_str())
        };
        self.wipe_but(&keep)
    }

    /// Wipes all but the signer's journal.
    ///
    /// # Errors
    /// [`VaultError`], after everything was tried.
    pub fn wipe_all(&self) -> Result<(), VaultError> {
        // The link first: what it leads to is no longer whole.
        self.unlink(CURRENT)?;
        self.wipe_but(&|name| name == JOURNALS)
    }

    /// The files of the generation in use.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn read(&self) -> Result<Option<Files>, VaultError> {
        let Some(number) = self.used()? else {
            return Ok(None);
        };
        let folder = self.root.join(folder(number));
        let mut files = Files::new();
        for name in names::ALL {
            let path = folder.join(name);
            match read_file(&path) {
                Ok(bytes) => {
                    files.insert(name, bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(VaultError::new("read", &path)(error)),
            }
        }
        Ok(Some(files))
    }

    /// Writes a new generation and makes it the one in use. What was written is wiped when that fails.
    ///
    /// # Errors
    /// [`VaultError`]; the generation in use is the same as before.
    pub fn swap(&self, files: &Files) -> Result<Swap, VaultError> {
        let old = self.used()?;
        let new = old.unwrap_or(0) + 1;
        let done = self.write(new, files).and_then(|()| self.link(new));
        match done {
            Ok(()) => Ok(Swap { old, new }),
            Err(error) => {
                // The first error is the one that tells; the next job wipes what this could not.
                self.wipe_generation(new).unwrap_or_default();
                self.unlink(NEXT).unwrap_or_default();
                Err(error)
            }
        }
    }

    /// The old generation is wiped.
    ///
    /// # Errors
    /// [`VaultError`]; the new one is in use all the same, and the next job wipes again.
    pub fn keep(&self, swap: &Swap) -> Result<(), VaultError> {
        swap.old.map_or(Ok(()), |old| self.wipe_generation(old))
    }

    /// The old generation is in use again, and the new one is wiped.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn undo(&self, swap: &Swap) -> Result<(), VaultError> {
        match swap.old {
            Some(old) => self.link(old)?,
            None => self.unlink(CURRENT)?,
        }
        self.wipe_generation(swap.new)
    }

    /// The signer's folder for its journal, which outlives generations.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn make_journal_folder(&self) -> Result<(), VaultError> {
        let path = self.root.join(JOURNALS);
        match make_folder(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(VaultError::new("make", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// The number of the generation in use.
    fn used(&self) -> Result<Option<u64>, VaultError> {
        let path = self.current();
        let target = match fs::read_link(&path) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(VaultError::new("read the link", &path)(error)),
        };
        let number = target
            .to_str()
            .and_then(|name| name.strip_prefix('g')?.parse().ok());
        Ok(number.filter(|_| self.root.join(&target).is_dir()))
    }

    fn write(&self, number: u64, files: &Files) -> Result<(), VaultError> {
        let folder = self.root.join(folder(number));
        for path in [folder.clone(), folder.join(names::KEYS_FOLDER)] {
            make_folder(&path).map_err(VaultError::new("make", &path))?;
        }
        for (name, bytes) in files {
            let path = folder.join(name);
            write_file(&path, bytes).map_err(VaultError::new("write", &path))?;
        }
        Ok(())
    }

    fn link(&self, number: u64) -> Result<(), VaultError> {
        let (next, current) = (self.root.join(NEXT), self.current());
        self.unlink(NEXT)?;
        symlink(folder(number), &next).map_err(VaultError::new("link", &next))?;
        fs::rename(&next, &current).map_err(VaultError::new("replace", &current))
    }

    fn unlink(&self, name: &str) -> Result<(), VaultError> {
        let path = self.root.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(VaultError::new("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    fn wipe_generation(&self, number: u64) -> Result<(), VaultError> {
        wipe(&self.root.join(folder(number)))
    }

    fn wipe_but(&self, keep: &dyn Fn(&OsStr) -> bool) -> Result<(), VaultError> {
        let mut done = Ok(());
        for path in list(&self.root)? {
            if !path.file_name().is_some_and(keep) {
                let wiped = wipe(&path);
                done = done.and(wiped);
            }
        }
        done
    }
}

fn folder(number: u64) -> String {
    format!("g{number}")
}

/// What is in a folder, sorted.
#[expect(clippy::disallowed_methods, reason = "sorted here")]
fn list(folder: &Path) -> Result<Vec<PathBuf>, VaultError> {
    let entries: Result<Vec<_>, io::Error> =
        fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths = entries.map_err(VaultError::new("list", folder))?;
    paths.sort();
    Ok(paths)
}

/// Zeros over what is there, then it is gone; folders with all they have. Links are not followed.
fn wipe(path: &Path) -> Result<(), VaultError> {
    let kind = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(VaultError::new("look at", path)(error)),
    };
    if kind.is_dir() {
        let mut done = Ok(());
        for path in list(path)? {
            let wiped = wipe(&path);
            done = done.and(wiped);
        }
        let removed = fs::remove_dir(path).map_err(VaultError::new("remove", path));
        return done.and(removed);
    }
    let overwritten = if kind.is_file() {
        zero(path, kind.len()).map_err(VaultError::new("overwrite", path))
    } else {
        Ok(())
    };
    // Gone it must be, whether or not it could be overwritten.
    let removed = fs::remove_file(path).map_err(VaultError::new("remove", path));
    overwritten.and(removed)
}

fn zero(path: &Path, length: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    io::copy(&mut io::repeat(0).take(length), &mut file)?;
    Ok(())
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}

fn read_file(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let size = usize::try_from(length).ok().filter(|_| length <= MAX_FILE_BYTES);
    let mut bytes = Zeroizing::new(vec![0; size.ok_or(io::ErrorKind::FileTooLarge)?]);
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "vault/tests.rs"]
mod tests;
