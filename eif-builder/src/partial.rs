//! A file that is whole or not there: written beside its place under another name, and renamed at the end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::file::{FileError, failed};

/// Why the file beside the output could not be made or renamed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartialError {
    /// The output's path does not end in a file name.
    #[error("the output {} is not a file name", output.display())]
    NoFileName {
        /// The path.
        output: PathBuf,
    },
    /// It cannot be created, written or renamed.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The file beside the output; removed unless it was renamed.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    /// Open for reading and writing, empty at first.
    pub file: File,
    renamed: bool,
}

/// A name beside `output` that no other call in this or another process takes.
///
/// # Errors
/// [`PartialError::NoFileName`].
pub(crate) fn beside(output: &Path) -> Result<PathBuf, PartialError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let Some(name) = output.file_name() else {
        return Err(PartialError::NoFileName {
            output: output.to_owned(),
        });
    };
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let (name, process) = (name.to_string_lossy(), std::process::id());
    Ok(output.with_file_name(format!(".{name}.{process}-{number}.partial")))
}

impl Partial {
    /// A new file beside `output`.
    ///
    /// # Errors
    /// [`PartialError`].
    pub fn beside(output: &Path) -> Result<Self, PartialError> {
        let path = beside(output)?;
        let mut options = File::options();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(failed("create", &path))?;
        Ok(Self {
            path,
            file,
            renamed: false,
        })
    }

    /// Puts the file in its place; what was there is replaced.
    ///
    /// # Errors
    /// [`PartialError::File`]; the output is then as it was.
    pub fn rename_to(mut self, output: &Path) -> Result<(), PartialError> {
        fs::rename(&self.path, output).map_err(failed("replace", output))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.renamed {
            // The error that led here is the one to report.
            drop(fs::remove_file(&self.path));
        }
    }
}
