//! Operations on whole files, with errors that say what was tried on which.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Sha256;

/// A file operation failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    /// What was tried, as a verb.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// The operating system's reason.
    #[source]
    pub source: io::Error,
}

/// For `map_err`: the error of trying `action` on `path`.
pub fn failed<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> FileError + Copy + use<'a> {
    move |source| FileError {
        action,
        path: path.to_path_buf(),
        source,
    }
}

/// Why a file cannot be used as an input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is not there, or may not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The path leads to a folder, a pipe or a device.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
}

/// Opens a regular file for reading. Looked at before it is opened: opening a pipe would wait for a writer.
///
/// # Errors
/// [`OpenError`].
pub fn open_regular(path: &Path) -> Result<File, OpenError> {
    if !fs::metadata(path).map_err(failed("open", path))?.is_file() {
        return Err(OpenError::NotAFile(path.to_owned()));
    }
    Ok(File::open(path).map_err(failed("open", path))?)
}

/// Writes a whole file, over what is there.
///
/// # Errors
/// [`FileError`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    fs::write(path, bytes).map_err(failed("write", path))
}

/// SHA-256 of the file's content.
///
/// # Errors
/// [`FileError`] when it cannot be opened or read.
pub fn digest(path: &Path) -> Result<Sha256, FileError> {
    let mut file = File::open(path).map_err(failed("open", path))?;
    Ok(Sha256::of_reader(&mut file).map_err(failed("read", path))?.0)
}
