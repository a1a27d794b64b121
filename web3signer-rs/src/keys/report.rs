//! What a load found: counts for the health check, faults and duplicates for the log, changes for slashing protection.

use std::fmt;
use std::path::PathBuf;

use keystore::PublicKey;

use super::config_file::ConfigFileError;
use super::decrypt::KeyError;
use super::file::FileError;

/// What one source gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceCount {
    /// Distinct keys.
    pub keys_loaded: usize,
    /// Files that could not be used, or 1 for a folder that could not be read.
    pub error_count: usize,
}

/// The sub-checks of the health check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// `config-files-loading`.
    pub config: SourceCount,
    /// `keystores-bulk-loading`; `None` where no folder of keystores is configured.
    pub bulk: Option<SourceCount>,
}

/// What is about to change, or has changed. Sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Keys that were not there before.
    pub added: Vec<PublicKey>,
    /// Keys that will no longer be there.
    pub removed: Vec<PublicKey>,
}

/// How far a load has come. Units of work are files that are read and keys that are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Finished units.
    pub done: usize,
    /// All units known so far. It grows when files turn out to hold keys.
    pub total: usize,
}

/// A file or folder that could not be used. None of its keys is loaded.
#[derive(Debug)]
pub struct Problem {
    /// Which one.
    pub path: PathBuf,
    /// Why.
    pub error: SourceError,
}

/// Why a file or folder could not be used. Never with a secret in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no key configuration file, or one that cannot be used here.
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    /// A document of a configuration file gives no key.
    #[error("document {document}")]
    Document {
        /// One-based.
        document: usize,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// A keystore of the folder of keystores gives no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Neither password option was given.
    #[error("keystores need --keystores-passwords-path or --keystores-password-file; neither is given")]
    NoPasswords,
}

/// One key in two places. The first is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// Which key.
    pub public_key: PublicKey,
    /// The file that it is taken from; `None` for an import that was not stored.
    pub kept: Option<PathBuf>,
    /// The file that is ignored for this key.
    pub ignored: Option<PathBuf>,
}

/// The outcome of a load that was published.
#[derive(Debug, Default)]
pub struct LoadReport {
    /// What the health check says from now on.
    pub counts: Counts,
    /// Keys that are loaded now, from all sources.
    pub keys: usize,
    /// Files that had not changed and were not read again.
    pub unchanged_files: usize,
    /// Everything that could not be used, sorted by path within each source.
    pub problems: Vec<Problem>,
    /// Keys that stand in more than one place.
    pub duplicates: Vec<Duplicate>,
    /// Against what was loaded before.
    pub changes: Changes,
}

/// One line, with all causes.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)?;
        let mut cause = std::error::Error::source(&self.error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// One line.
impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |path: &Option<PathBuf>| match path {
            Some(path) => path.display().to_string(),
            None => "an import that was not stored".to_owned(),
        };
        write!(
            f,
            "key {} is defined twice: taken from {}, ignored in {}",
            self.public_key,
            name(&self.kept),
            name(&self.ignored)
        )
    }
}
