//! `eif-builder lock` and `lock --check`: from a manifest's `[inputs]` to the lock beside it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::debian::index::Source;
use crate::debian::resolve::{ResolveError, Universe};
use crate::fetch::http::HttpError;
use crate::fetch::{FetchError, Fetcher};
use crate::file::{FileError, failed};
use crate::lock::{Input, Lock, LockError, Locked, LockedDownload, LockedPackage, LockedSource};
use crate::partial::{Partial, PartialError};
use crate::request::{DownloadRequest, Request, RequestError, SourceRequest, matches};
use crate::store::Store;
use crate::suite::{Suite, SuiteError, SuiteSource};

/// The largest manifest or lock file read, in bytes. A lock of a thousand packages has 400 kB.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Makes locks. Keeps the indices of each suite, so that several manifests cost one download.
#[derive(Debug)]
pub struct Locker<'a> {
    suites: SuiteSource<'a>,
    fetcher: Fetcher<'a>,
    store: &'a Store,
    /// By name, and whether the source packages are in it.
    loaded: BTreeMap<(String, bool), Suite>,
}

/// What locking one manifest came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The lock file.
    pub path: PathBuf,
    /// Whether its content changed.
    pub changed: bool,
    /// Inputs in it.
    pub inputs: usize,
    /// Their size in all, in bytes.
    pub bytes: u64,
}

/// Why a lock cannot be made or does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockCmdError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The lock cannot be written.
    #[error(transparent)]
    Output(#[from] PartialError),
    /// There is no lock beside the manifest.
    #[error("{} does not exist; run `make lock`", .0.display())]
    NoLock(PathBuf),
    /// The manifest is not valid.
    #[error("{}", path.display())]
    Request {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: RequestError,
    },
    /// The lock is not valid or does not match.
    #[error("{}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: LockError,
    },
    /// The suite cannot be had.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// The names cannot be resolved.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A source package that the suite does not have.
    #[error("the request names the source package `{0}`, which the suite does not have")]
    NoSource(String),
    /// A pattern that does not name exactly one file of a source package.
    #[error("`{pattern}` matches {} of the files of {package}: {}", .found.len(), .found.join(" "))]
    Pattern {
        /// The source package and its version.
        package: String,
        /// The pattern.
        pattern: String,
        /// The files that match it, or, when none does, all.
        found: Vec<String>,
    },
    /// The size of a download is not known.
    #[error("the size of the download `{name}` cannot be learnt from its server; set `size` in the manifest")]
    Size {
        /// The download.
        name: String,
        /// The server's refusal, if it was one.
        #[source]
        source: Option<HttpError>,
    },
    /// A download is not what its digest says.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

/// The lock beside a manifest: the same name, with the extension `lock`.
#[must_use]
pub fn lock_path(manifest: &Path) -> PathBuf {
    manifest.with_extension("lock")
}

/// Reads a manifest and its lock and holds them against each other. Needs no network.
///
/// # Errors
/// [`LockCmdError`]: also what `lock --check` reports.
pub fn check(manifest: &Path) -> Result<Locked, LockCmdError> {
    let request = read_request(manifest)?;
    let path = lock_path(manifest);
    let text = match read(&path) {
        Err(LockCmdError::File(FileError { source, .. })) if source.kind() == io::ErrorKind::NotFound => {
            return Err(LockCmdError::NoLock(path));
        }
        other => other?,
    };
    Locked::parse(&request, &text).map_err(|source| LockCmdError::Lock { path, source })
}

/// Reads the `[inputs]` of a manifest.
///
/// # Errors
/// [`LockCmdError::File`], [`LockCmdError::Request`].
pub fn read_request(manifest: &Path) -> Result<Request, LockCmdError> {
    Request::from_manifest(&read(manifest)?).map_err(|source| LockCmdError::Request {
        path: manifest.to_owned(),
        source,
    })
}

impl<'a> Locker<'a> {
    /// A locker. Downloads whose size the manifest does not say go through `fetcher` into `store`.
    #[must_use]
    pub const fn new(suites: SuiteSource<'a>, fetcher: Fetcher<'a>, store: &'a Store) -> Self {
        Self {
            suites,
            fetcher,
            store,
            loaded: BTreeMap::new(),
        }
    }

    /// Makes the lock of a manifest anew and writes it beside it. The old one stays when anything fails.
    ///
    /// # Errors
    /// [`LockCmdError`].
    pub fn lock_file(&mut self, manifest: &Path) -> Result<Outcome, LockCmdError> {
        let request = read_request(manifest)?;
        let path = lock_path(manifest);
        let lock = self.lock(&request)?;
        let refuse = |source| LockCmdError::Lock {
            path: path.clone(),
            source,
        };
        let text = lock.to_text().map_err(refuse)?;
        // What is written must be what a build will accept.
        let locked = Locked::parse(&request, &text).map_err(refuse)?;
        let changed = fs::read(&path).ok().as_deref() != Some(text.as_bytes());
        if changed {
            write(&path, &text)?;
        }
        Ok(Outcome {
            inputs: locked.inputs().count(),
            bytes: locked.inputs().map(|i| i.length().most()).sum(),
            path,
            changed,
        })
    }

    /// The lock of a request, from the suite as it is now.
    ///
    /// # Errors
    /// [`LockCmdError`].
    pub fn lock(&mut self, request: &Request) -> Result<Lock, LockCmdError> {
        let mut packages = Vec::new();
        let mut sources = Vec::new();
        if !request.suite().is_empty() {
            let suite = self.suite(request.suite(), !request.sources().is_empty())?;
            let all = suite.packages()?;
            let universe = Universe::new(&all)?;
            let mut chosen = universe.closure(request.closure(), request.exclude())?;
            for name in request.exact() {
                chosen.push(universe.package(name)?);
            }
            packages.extend(chosen.into_iter().map(|p| LockedPackage {
                name: p.name.to_owned(),
                version: p.version.to_string(),
                architecture: p.architecture.to_owned(),
                archive: p.archive,
                path: p.path.to_owned(),
                size: p.size,
                sha256: p.sha256,
            }));
            sources = lock_sources(suite, request.sources())?;
        }
        let downloads = request
            .downloads()
            .iter()
            .map(|d| self.lock_download(d))
            .collect::<Result<_, _>>()?;
        Ok(Lock::new(request, packages, sources, downloads))
    }

    fn suite(&mut self, name: &str, with_sources: bool) -> Result<&Suite, LockCmdError> {
        let key = (name.to_owned(), with_sources);
        let suite = match self.loaded.remove(&key) {
            Some(suite) => suite,
            None => self.suites.load(name, with_sources)?,
        };
        Ok(self.loaded.entry(key).or_insert(suite))
    }

    fn lock_download(&self, request: &DownloadRequest) -> Result<LockedDownload, LockCmdError> {
        let locked = |size| LockedDownload {
            name: request.name.clone(),
            url: request.url.clone(),
            size,
            at_most: request.most_bytes.is_some(),
            sha256: request.sha256,
        };
        if let Some(most) = request.most_bytes {
            return Ok(locked(most));
        }
        if let Some(size) = request.size {
            return Ok(locked(size));
        }
        let unknown = |source| LockCmdError::Size {
            name: request.name.clone(),
            source,
        };
        let answer = self
            .fetcher
            .http
            .get(&request.url, 0)
            .map_err(|e| unknown(Some(e)))?;
        let claimed = locked(answer.length.ok_or_else(|| unknown(None))?);
        drop(answer);
        // The server's word for the size is held against the digest here.
        self.fetcher.fetch(self.store, [Input::Download(&claimed)])?;
        Ok(claimed)
    }
}

fn lock_sources(suite: &Suite, requests: &[SourceRequest]) -> Result<Vec<LockedSource>, LockCmdError> {
    let names: Vec<_> = requests.iter().map(|r| &*r.package).collect();
    let all = if names.is_empty() {
        Vec::new()
    } else {
        suite.sources(&names)?
    };
    let mut locked = Vec::new();
    for request in requests {
        let candidates = all.iter().filter(|s| s.name == request.package);
        // Of equal versions the first, which is the main archive's.
        let newest = candidates.reduce(|best, s| if s.version > best.version { s } else { best });
        let source = newest.ok_or_else(|| LockCmdError::NoSource(request.package.clone()))?;
        for pattern in &request.files {
            locked.push(lock_source(source, pattern)?);
        }
    }
    Ok(locked)
}

fn lock_source(source: &Source<'_>, pattern: &str) -> Result<LockedSource, LockCmdError> {
    let found: Vec<_> = source
        .files
        .iter()
        .filter(|(name, ..)| matches(pattern, name))
        .collect();
    let [(name, size, sha256)] = found.as_slice() else {
        let shown = if found.is_empty() {
            source.files.iter().collect()
        } else {
            found
        };
        return Err(LockCmdError::Pattern {
            package: format!("{} {}", source.name, source.version),
            pattern: pattern.to_owned(),
            found: shown.iter().map(|(name, ..)| (*name).to_owned()).collect(),
        });
    };
    Ok(LockedSource {
        package: source.name.to_owned(),
        version: source.version.to_string(),
        file: (*name).to_owned(),
        archive: source.archive,
        path: format!("{}/{name}", source.directory),
        size: *size,
        sha256: *sha256,
    })
}

fn read(path: &Path) -> Result<String, LockCmdError> {
    let size = fs::metadata(path).map_err(failed("read", path))?.len();
    if size > MAX_FILE_BYTES {
        return Err(failed("read", path)(io::ErrorKind::FileTooLarge.into()).into());
    }
    Ok(fs::read_to_string(path).map_err(failed("read", path))?)
}

/// Replaces a file as a whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), LockCmdError> {
    let mut partial = Partial::beside(path)?;
    partial
        .file
        .write_all(text.as_bytes())
        .map_err(failed("write", path))?;
    Ok(partial.rename_to(path)?)
}
