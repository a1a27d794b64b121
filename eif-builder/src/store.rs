//! The content-addressed cache of fetched inputs ("blobs") and built directories ("parts").
//!
//! ```text
//! ROOT/blobs/ab/ab12…   a fetched file, named by the SHA-256 of its bytes, read-only
//! ROOT/parts/KEY/       a built directory, named by the SHA-256 of everything that went into it
//! ROOT/locks/KEY        held (flock) while a part with that key is being built
//! ROOT/tmp/XXXX/        scratch of one running build; its `alive` file is locked while it runs
//! ```
//!
//! Everything is written under `tmp` and renamed into place when it is whole, so a killed build leaves
//! nothing half-made where another could read it, and two builds at once do each thing once or twice,
//! never wrongly. What a killed build left in `tmp` is removed by the next one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::digest::{Hasher, Sha256};
use crate::file::{FileError, failed};
use crate::length::Length;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// Bytes that were to become a blob are not the expected ones.
    #[error("{name}: expected sha256 {expected} ({expected_bytes}), got {actual} ({actual_bytes} bytes)")]
    Mismatch {
        /// The name under which the caller knows the input.
        name: String,
        /// SHA-256 in the lock.
        expected: Sha256,
        /// Size in the lock, or a bound on it.
        expected_bytes: Length,
        /// SHA-256 of what came.
        actual: Sha256,
        /// Size of what came.
        actual_bytes: u64,
    },
}

/// A handle on a store. Cheap to clone; may be used from several threads.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    scratch: Arc<Scratch>,
}

/// This process's folder under `tmp`, removed when the last handle goes.
#[derive(Debug)]
struct Scratch {
    path: PathBuf,
    next: AtomicU64,
    /// Locked while this process lives: tells other processes to leave `path` alone.
    _alive: File,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left-overs are removed by the next `Store::open`, so a failure here loses nothing.
        drop(remove_tree(&self.path));
    }
}

/// A blob whose bytes were checked against this digest and size after the caller asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBlob {
    path: PathBuf,
    sha256: Sha256,
    size: u64,
}

impl VerifiedBlob {
    /// Where the bytes are. The file is read-only and must stay so.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the bytes.
    #[must_use]
    pub const fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// Number of bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Opens the blob for reading.
    ///
    /// # Errors
    /// [`StoreError::File`] when the file has gone since it was checked.
    pub fn open(&self) -> Result<File, StoreError> {
        Ok(File::open(&self.path).map_err(failed("open", &self.path))?)
    }
}

impl Store {
    /// Opens the store at `root`, making it if it is not there, and clears what killed builds left.
    ///
    /// # Errors
    /// [`StoreError::File`] when the folder cannot be made, written or locked.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        for name in ["blobs", "parts", "locks", "tmp"] {
            make_dir(&root.join(name))?;
        }
        let root = root.canonicalize().map_err(failed("resolve", root))?;
        let tmp = root.join("tmp");
        // Whoever holds this lock may create and clear scratch folders: closes the race between the two.
        let gate = lock_file(&root.join("locks/tmp"))?;
        clear_dead(&tmp)?;
        let scratch = new_scratch(&tmp)?;
        drop(gate);
        Ok(Self {
            root,
            scratch: Arc::new(scratch),
        })
    }

    /// The store's folder, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path in this process's scratch folder that nothing else uses; nothing is made there.
    #[must_use]
    pub fn scratch_path(&self) -> PathBuf {
        let n = self.scratch.next.fetch_add(1, Ordering::Relaxed);
        self.scratch.path.join(n.to_string())
    }

    fn blob_path(&self, sha256: Sha256) -> PathBuf {
        let name = sha256.to_string();
        let shard = name.get(..2).unwrap_or_default();
        self.root.join("blobs").join(shard).join(&name)
    }

    /// Whether a blob of that digest and size is present, without reading it.
    #[must_use]
    pub fn has_blob(&self, sha256: Sha256, size: u64) -> bool {
        fs::metadata(self.blob_path(sha256)).is_ok_and(|m| m.is_file() && m.len() == size)
    }

    /// The blob, its bytes checked now. `None` when it is absent; one whose bytes have rotted is removed
    /// and counts as absent.
    ///
    /// # Errors
    /// [`StoreError::File`] when the file cannot be read.
    pub fn blob(
        &self,
        sha256: Sha256,
        length: impl Into<Length>,
    ) -> Result<Option<VerifiedBlob>, StoreError> {
        let path = self.blob_path(sha256);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open", &path)(error).into()),
        };
        let (actual, size) = Sha256::of_reader(&mut file).map_err(failed("read", &path))?;
        if actual == sha256 && length.into().admits(size) {
            return Ok(Some(VerifiedBlob { path, sha256, size }));
        }
        fs::remove_file(&path).map_err(failed("remove the damaged", &path))?;
        Ok(None)
    }

    /// Begins a blob that must turn out to have this digest and size. `name` is used in errors.
    ///
    /// # Errors
    /// [`StoreError::File`] when the temporary file cannot be made.
    pub fn blob_writer(
        &self,
        name: &str,
        sha256: Sha256,
        length: impl Into<Length>,
    ) -> Result<BlobWriter, StoreError> {
        let path = self.scratch_path();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed("create", &path))?;
        Ok(BlobWriter {
            store: self.clone(),
            name: name.to_owned(),
            expected: sha256,
            expected_bytes: length.into(),
            hasher: Hasher::new(),
            written: 0,
            path,
            file,
        })
    }

    /// Where the part with this key is, or `None` when it has not been built.
    #[must_use]
    pub fn part(&self, key: Sha256) -> Option<PathBuf> {
        let path = self.root.join("parts").join(key.to_string());
        path.is_dir().then_some(path)
    }

    /// The part with this key; `build` fills its (empty) folder when it does not exist yet.
    ///
    /// Of several processes that want the same part one builds, the others wait and take the result.
    /// A part is whole or absent: when `build` fails or is killed, nothing is left under the key.
    ///
    /// # Errors
    /// Whatever `build` fails with, or [`StoreError::File`].
    pub fn part_or_build<E: From<StoreError>>(
        &self,
        key: Sha256,
        build: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        if let Some(path) = self.part(key) {
            return Ok(path);
        }
        let guard = lock_file(&self.root.join("locks").join(key.to_string()))?;
        if let Some(path) = self.part(key) {
            return Ok(path);
        }
        let scratch = self.scratch_path();
        make_dir(&scratch).map_err(StoreError::from)?;
        if let Err(error) = build(&scratch) {
            drop(remove_tree(&scratch));
            return Err(error);
        }
        let path = self.root.join("parts").join(key.to_string());
        fs::rename(&scratch, &path)
            .map_err(failed("rename into place", &path))
            .map_err(StoreError::from)?;
        drop(guard);
        Ok(path)
    }

    /// A named folder that parts may share between builds (a compiler's cache). Its content is never
    /// trusted to be right for a key; whoever uses it must take [`Store::lock`] on the same name.
    ///
    /// # Errors
    /// [`StoreError::File`] when it cannot be made.
    pub fn shared_dir(&self, name: &str) -> Result<PathBuf, StoreError> {
        let path = self.root.join("shared").join(name);
        make_dir(&path)?;
        Ok(path)
    }

    /// Waits for and holds the store-wide lock of that name until the file is dropped.
    ///
    /// # Errors
    /// [`StoreError::File`] when the lock file cannot be made or locked.
    pub fn lock(&self, name: &str) -> Result<File, StoreError> {
        lock_file(&self.root.join("locks").join(name))
    }
}

/// Bytes on their way to becoming a blob. Dropped without [`BlobWriter::commit`], they are removed.
#[derive(Debug)]
pub struct BlobWriter {
    store: Store,
    name: String,
    expected: Sha256,
    expected_bytes: Length,
    hasher: Hasher,
    written: u64,
    path: PathBuf,
    file: File,
}

impl BlobWriter {
    /// Number of bytes written so far: where a broken download resumes.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Forgets what was written, to begin again from another source.
    ///
    /// # Errors
    /// [`StoreError::File`] when the temporary file cannot be cut.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        self.file.set_len(0).map_err(failed("truncate", &self.path))?;
        io::Seek::rewind(&mut self.file).map_err(failed("rewind", &self.path))?;
        self.hasher = Hasher::new();
        self.written = 0;
        Ok(())
    }

    /// Checks size and digest and moves the bytes into the store.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] with expected and actual; [`StoreError::File`].
    pub fn commit(self) -> Result<VerifiedBlob, StoreError> {
        let actual = self.hasher.clone().finish();
        if actual != self.expected || !self.expected_bytes.admits(self.written) {
            return Err(StoreError::Mismatch {
                name: self.name.clone(),
                expected: self.expected,
                expected_bytes: self.expected_bytes,
                actual,
                actual_bytes: self.written,
            });
        }
        let target = self.store.blob_path(self.expected);
        if let Some(shard) = target.parent() {
            make_dir(shard)?;
        }
        self.file
            .set_permissions(fs::Permissions::from_mode(0o444))
            .map_err(failed("protect", &self.path))?;
        self.file.sync_all().map_err(failed("write", &self.path))?;
        fs::rename(&self.path, &target).map_err(failed("rename into place", &target))?;
        Ok(VerifiedBlob {
            path: target,
            sha256: self.expected,
            size: self.written,
        })
    }
}

impl Write for BlobWriter {
    /// Refuses to grow past the expected size, so that a source cannot fill the disk.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.expected_bytes.most().saturating_sub(self.written);
        if bytes.len() as u64 > room {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{}: more than the expected {}", self.name, self.expected_bytes),
            ));
        }
        let count = self.file.write(bytes)?;
        let (written, _) = bytes.split_at(count);
        self.hasher.update(written);
        self.written += written.len() as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        // After `commit` the file has moved and this finds nothing.
        drop(fs::remove_file(&self.path));
    }
}

fn make_dir(path: &Path) -> Result<(), FileError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(failed("create", path))
}

fn lock_file(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(failed("create", path))?;
    file.lock().map_err(failed("lock", path))?;
    Ok(file)
}

fn new_scratch(tmp: &Path) -> Result<Scratch, StoreError> {
    let mut n = 0_u64;
    loop {
        let path = tmp.join(format!("{}-{n}", std::process::id()));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {
                let alive = lock_file(&path.join("alive"))?;
                return Ok(Scratch {
                    path,
                    next: AtomicU64::new(0),
                    _alive: alive,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => n += 1,
            Err(error) => return Err(failed("create", &path)(error).into()),
        }
    }
}

/// Removes the scratch folders whose process has gone. The caller holds the gate.
#[expect(
    clippy::disallowed_methods,
    reason = "every dead folder is removed, in whatever order"
)]
fn clear_dead(tmp: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(tmp).map_err(failed("list", tmp))? {
        let path = entry.map_err(failed("list", tmp))?.path();
        let dead = match File::open(path.join("alive")) {
            Ok(alive) => alive.try_lock().is_ok(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if dead {
            remove_tree(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

/// Removes a tree, also one with folders that their owner may not write (an extracted root has some).
///
/// # Errors
/// The operating system's reason; what could be removed is gone.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "every folder is changed, in whatever order"
)]
fn open_up(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
