//! Operations on whole files, with errors that say what was tried on which.

use std::fs::File;
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
pub fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> FileError + use<'a> {
    move |source| FileError {
        action,
        path: path.to_path_buf(),
        source,
    }
}

/// SHA-256 of the file's content.
///
/// # Errors
/// [`FileError`] when it cannot be opened or read.
pub fn digest(path: &Path) -> Result<Sha256, FileError> {
    let mut file = File::open(path).map_err(failed("open", path))?;
    Ok(Sha256::of_reader(&mut file).map_err(failed("read", path))?.0)
}
