//! From a lock to checked bytes in the store. Only this module and those below it use the network.
//!
//! Every file is tried at each of its mirrors, then at the snapshot archive. What breaks off is resumed where
//! it stopped; what is too long, too short or has another digest is thrown away and the next source tried.
//! Nothing enters the store that is not exactly what the lock names.
//!
//! - [`http`]: GET with limits
//! - [`snapshot`]: the archive of all versions
//! - [`progress`]: telling a person how it goes
//! - [`download`]: one file from one source, with retries

pub mod download;
pub mod http;
pub mod progress;
pub mod snapshot;

use core::cmp::Reverse;
use core::fmt;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::digest::Sha256;
use crate::fetch::download::{Download, Retry, TryError};
use crate::fetch::http::Http;
use crate::fetch::progress::Progress;
use crate::length::Length;
use crate::lock::Input;
use crate::mirror::{MirrorError, Mirrors};
use crate::store::{Store, StoreError, VerifiedBlob};

/// Downloads at a time, unless told otherwise: enough to hide latency, few enough for a public mirror.
pub const DEFAULT_PARALLEL: usize = 6;

/// Everything that fetching needs besides the lock.
pub struct Fetcher<'a> {
    /// The client.
    pub http: &'a Http,
    /// Where to look.
    pub mirrors: &'a Mirrors,
    /// Files that the user has already: name of a download to its path. Checked like everything else.
    pub local: BTreeMap<String, PathBuf>,
    /// Downloads at a time, at least 1.
    pub parallel: usize,
    /// How often and when to try again.
    pub retry: Retry,
    /// Who is told.
    pub progress: &'a dyn Progress,
}

/// Fetched inputs, by digest.
#[derive(Clone, Debug, Default)]
pub struct Blobs(BTreeMap<Sha256, VerifiedBlob>);

/// Why not everything could be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The store cannot be written, for example because the disk is full. Nothing further was tried.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Files that no source gave as locked.
    #[error("{}", summary(.0))]
    Failed(Vec<Failure>),
    /// Inputs that are not in the store, where nothing may be fetched.
    #[error("not in the store, and fetching is not allowed:{}", .0.iter().map(|l| format!("\n  {l}")).collect::<Vec<_>>().concat())]
    Offline(Vec<String>),
    /// A recipe asks for an input that was not among those fetched.
    #[error("the input with sha256 {0} was not fetched")]
    NotFetched(Sha256),
}

/// A file that no source gave, and why each did not.
#[derive(Debug)]
pub struct Failure {
    /// The input's name.
    pub label: String,
    /// Its size in the lock, or a bound on it.
    pub length: Length,
    /// Its digest in the lock.
    pub sha256: Sha256,
    /// Every source tried, with the reason. Empty when there was none to try.
    pub tries: Vec<(String, TryError)>,
    /// What to set when there was no source.
    pub no_mirror: Option<MirrorError>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, sha256 {})", self.label, self.length, self.sha256)?;
        for (url, error) in &self.tries {
            write!(f, "\n    {url}: {error}")?;
        }
        if let Some(error) = &self.no_mirror {
            write!(f, "\n    {error}")?;
        }
        Ok(())
    }
}

fn summary(failures: &[Failure]) -> String {
    let list: Vec<_> = failures.iter().map(|f| format!("\n  {f}")).collect();
    let files = if failures.len() == 1 { "file" } else { "files" };
    format!(
        "{} {files} could not be fetched:{}",
        failures.len(),
        list.concat()
    )
}

impl Blobs {
    /// The inputs as the store has them, checked. Fetches nothing.
    ///
    /// # Errors
    /// [`FetchError::Offline`] with all that are missing.
    pub fn from_store<'i>(
        store: &Store,
        inputs: impl IntoIterator<Item = Input<'i>>,
    ) -> Result<Self, FetchError> {
        let (blobs, missing) = present(store, inputs)?;
        if missing.is_empty() {
            return Ok(Self(blobs));
        }
        Err(FetchError::Offline(missing.iter().map(Input::label).collect()))
    }

    /// The blob with this digest.
    ///
    /// # Errors
    /// [`FetchError::NotFetched`].
    pub fn get(&self, sha256: Sha256) -> Result<&VerifiedBlob, FetchError> {
        self.0.get(&sha256).ok_or(FetchError::NotFetched(sha256))
    }
}

impl Fetcher<'_> {
    /// Makes sure that all inputs are in the store, whole and checked, fetching what is missing.
    ///
    /// # Errors
    /// [`FetchError::Failed`] lists every file that could not be had; those that could are in the store.
    pub fn fetch<'i>(
        &self,
        store: &Store,
        inputs: impl IntoIterator<Item = Input<'i>>,
    ) -> Result<Blobs, FetchError> {
        let (mut blobs, mut missing) = present(store, inputs)?;
        if missing.is_empty() {
            return Ok(Blobs(blobs));
        }
        // The largest first, so that none is left running alone at the end.
        missing.sort_by_key(|i| (Reverse(i.length().most()), i.sha256()));
        self.progress
            .begin(missing.len(), missing.iter().map(|i| i.length().most()).sum());
        let results = self.fetch_parallel(store, &missing);
        self.progress.end();
        let mut failures = Vec::new();
        for result in results {
            match result {
                Ok(blob) => drop(blobs.insert(blob.sha256(), blob)),
                Err(Stop::Store(error)) => return Err(error.into()),
                Err(Stop::Failed(failure)) => failures.push(*failure),
            }
        }
        if failures.is_empty() {
            return Ok(Blobs(blobs));
        }
        failures.sort_by(|a, b| a.label.cmp(&b.label));
        Err(FetchError::Failed(failures))
    }

    fn fetch_parallel(&self, store: &Store, missing: &[Input<'_>]) -> Vec<Result<VerifiedBlob, Stop>> {
        let next = AtomicUsize::new(0);
        let broken = AtomicBool::new(false);
        let results = Mutex::new(Vec::with_capacity(missing.len()));
        std::thread::scope(|scope| {
            for _ in 0..self.parallel.clamp(1, missing.len()) {
                scope.spawn(|| {
                    while let Some(input) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if broken.load(Ordering::Relaxed) {
                            return;
                        }
                        let result = self.fetch_one(store, *input);
                        if matches!(result, Err(Stop::Store(_))) {
                            broken.store(true, Ordering::Relaxed);
                        }
                        results
                            .lock()
                            .unwrap_or_else(std::sync::PoisonError::into_inner)
                            .push(result);
                    }
                });
            }
        });
        results
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn fetch_one(&self, store: &Store, input: Input<'_>) -> Result<VerifiedBlob, Stop> {
        let download = Download {
            store,
            http: self.http,
            input,
            retry: self.retry,
            progress: self.progress,
        };
        let mut tries = Vec::new();
        if let Some(path) = self.local_path(input) {
            let result = match File::open(path) {
                Ok(mut file) => download.from_reader(&mut file)?,
                Err(error) => Err(TryError::Local(error)),
            };
            return result.or_else(|error| {
                tries.push((path.display().to_string(), error));
                self.failure(input, tries)
            });
        }
        for url in self.mirrors.urls(input) {
            match download.from_url(&url)? {
                Ok(blob) => return Ok(blob),
                Err(error) => tries.push((url, error)),
            }
        }
        let snapshot = self
            .mirrors
            .snapshot()
            .and_then(|base| Some((base, snapshot::query_url(base, input)?)));
        if let Some((base, query)) = snapshot {
            match snapshot::find(self.http, base, input) {
                Err(error) => tries.push((query, error.into())),
                Ok(urls) => {
                    for url in urls {
                        match download.from_url(&url)? {
                            Ok(blob) => return Ok(blob),
                            Err(error) => tries.push((url, error)),
                        }
                    }
                }
            }
        }
        self.failure(input, tries)
    }

    fn local_path(&self, input: Input<'_>) -> Option<&PathBuf> {
        match input {
            Input::Download(d) => self.local.get(&d.name),
            _ => None,
        }
    }

    fn failure(&self, input: Input<'_>, tries: Vec<(String, TryError)>) -> Result<VerifiedBlob, Stop> {
        let archive = match input {
            Input::Package(p) => Some(p.archive),
            Input::Source(s) => Some(s.archive),
            Input::Download(_) => None,
        };
        Err(Stop::Failed(Box::new(Failure {
            label: input.label(),
            length: input.length(),
            sha256: input.sha256(),
            tries,
            no_mirror: archive.and_then(|a| self.mirrors.of(a).err()),
        })))
    }
}

type Present<'i> = (BTreeMap<Sha256, VerifiedBlob>, Vec<Input<'i>>);

/// Parts the inputs into those that the store has and those that it has not, each once.
fn present<'i>(
    store: &Store,
    inputs: impl IntoIterator<Item = Input<'i>>,
) -> Result<Present<'i>, StoreError> {
    let mut blobs = BTreeMap::new();
    let mut missing: BTreeMap<Sha256, Input<'i>> = BTreeMap::new();
    for input in inputs {
        let sha256 = input.sha256();
        if blobs.contains_key(&sha256) || missing.contains_key(&sha256) {
            continue;
        }
        match store.blob(sha256, input.length())? {
            Some(blob) => drop(blobs.insert(sha256, blob)),
            None => drop(missing.insert(sha256, input)),
        }
    }
    Ok((blobs, missing.into_values().collect()))
}

impl fmt::Debug for Fetcher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("mirrors", &self.mirrors)
            .field("parallel", &self.parallel)
            .finish_non_exhaustive()
    }
}

/// Why a file was given up.
enum Stop {
    /// The store is broken: no file will succeed.
    Store(StoreError),
    /// This file cannot be had.
    Failed(Box<Failure>),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
