//! Files with secrets: read with a bound, wiped, and recognized when they have not changed.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Why a file or folder could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system said no.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// It is larger than allowed.
    #[error("{} has more than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most it may have.
        limit: u64,
    },
}

impl FileError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// What tells one version of a file from another. A change of content changes the time of change (ctime) even where the
/// modification time was set back and the length is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of the file as it is now; `None` if it is not there or cannot be looked at.
    pub(super) fn now(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }

    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The whole file, at most `limit` bytes, and its stamp from before it was read. Follows links.
pub(super) fn read(path: &Path, limit: u64) -> Result<(Zeroizing<Vec<u8>>, Stamp), FileError> {
    // Before it is opened: opening a pipe waits for a writer.
    let found = fs::metadata(path).map_err(FileError::io("look at", path))?;
    if !found.is_file() {
        return Err(FileError::NotAFile {
            path: path.to_owned(),
        });
    }
    let file = File::open(path).map_err(FileError::io("open", path))?;
    let metadata = file.metadata().map_err(FileError::io("look at", path))?;
    let too_large = || FileError::TooLarge {
        path: path.to_owned(),
        limit,
    };
    if metadata.len() > limit {
        return Err(too_large());
    }
    // Room for all of it at once: a buffer that grows leaves copies of secrets behind. One byte more, so that the end
    // is seen without growing.
    let room = usize::try_from(metadata.len())
        .map_err(|_| too_large())?
        .saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    // A file that grows meanwhile must not be read for ever.
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(FileError::io("read", path))?;
    if u64::try_from(bytes.len()).map_or(true, |length| length > limit) {
        return Err(too_large());
    }
    Ok((bytes, Stamp::of(&metadata)))
}

/// The regular files of a folder whose name is wanted, sorted by name. Folders are passed over; a dangling link is not.
pub(super) fn list(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, FileError> {
    let error = || FileError::io("list", folder);
    #[expect(clippy::disallowed_methods, reason = "sorted below")]
    let entries = fs::read_dir(folder).map_err(error())?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(error())?;
        // A name that is not UTF-8 cannot end in a wanted extension that anyone typed; it is kept if it looks like it.
        if !wanted(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let path = entry.path();
        if !path.is_dir() {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}
