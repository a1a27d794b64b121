//! One file from one source: streamed, counted, hashed, resumed, retried.

use std::io::{Read, Write as _};
use std::time::Duration;

use super::http::{Http, HttpError};
use super::progress::Progress;
use super::snapshot::SnapshotError;
use crate::digest::Sha256;
use crate::file;
use crate::length::Length;
use crate::lock::Input;
use crate::store::{BlobWriter, Store, StoreError, VerifiedBlob};

/// Bytes read at a time.
const PIECE_BYTES: usize = 64 << 10;

/// How often and when to try one source again. No randomness: the same failures give the same waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Failures in a row, at least 1; one that brought new bytes begins the row anew.
    pub attempts: u32,
    /// Tries in all, for a source that breaks off after a few bytes each time.
    pub total: u32,
    /// The wait before the second try; it doubles with each further one.
    pub wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 4,
            total: 100,
            wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(8),
        }
    }
}

impl Retry {
    /// The wait after that many failures in a row, `failures >= 1`.
    #[must_use]
    pub fn wait_after(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.wait.saturating_mul(factor).min(self.longest_wait)
    }
}

/// Why one source did not give the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TryError {
    /// The request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The snapshot archive does not help.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A local file cannot be read.
    #[error("cannot read: {0}")]
    Local(std::io::Error),
    /// The file has another size than locked.
    #[error("has {} bytes, expected {expected}", at_least(*.actual, *.complete))]
    Size {
        /// Size in the lock, or a bound on it.
        expected: Length,
        /// Size said or seen.
        actual: u64,
        /// Whether `actual` is the whole size, or only what was read before giving up.
        complete: bool,
    },
    /// The connection ended before the file did.
    #[error("ended after {actual} of {expected} bytes")]
    Short {
        /// Size in the lock.
        expected: u64,
        /// What came.
        actual: u64,
    },
    /// The bytes have another digest than locked.
    #[error("has sha256 {actual}, expected {expected}")]
    Digest {
        /// Digest in the lock.
        expected: Sha256,
        /// Digest of what came.
        actual: Sha256,
    },
}

fn at_least(actual: u64, complete: bool) -> String {
    if complete {
        actual.to_string()
    } else {
        format!("more than {actual}")
    }
}

impl TryError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            Self::Short { .. } => true,
            _ => false,
        }
    }
}

/// One file on its way into the store.
#[derive(Clone, Copy)]
pub struct Download<'a> {
    /// Where it goes.
    pub store: &'a Store,
    /// The client.
    pub http: &'a Http,
    /// What it is.
    pub input: Input<'a>,
    /// How often and when to try again.
    pub retry: Retry,
    /// Who is told.
    pub progress: &'a dyn Progress,
}

/// The outer error is the store's and ends everything, the inner one is this source's.
type Outcome<T> = Result<Result<T, TryError>, StoreError>;

impl Download<'_> {
    /// Fetches from one URL, with retries.
    ///
    /// # Errors
    /// Outer: [`StoreError`], the store cannot be written. Inner: [`TryError`], this source does not have it.
    pub fn from_url(&self, url: &str) -> Outcome<VerifiedBlob> {
        let mut writer = self.writer()?;
        let (mut failures, mut furthest) = (0, 0);
        for _ in 0..self.retry.total.max(1) {
            let error = match self.once(&mut writer, url)? {
                Ok(()) => return self.commit(writer),
                Err(error) => error,
            };
            failures = if writer.written() > furthest {
                1
            } else {
                failures + 1
            };
            furthest = furthest.max(writer.written());
            if !error.is_transient() || failures >= self.retry.attempts {
                self.give_up(&writer);
                return Ok(Err(error));
            }
            let wait = self.retry.wait_after(failures);
            self.progress
                .note(&format!("{}: {error}; trying again", self.input.label()));
            std::thread::sleep(wait);
        }
        let error = TryError::Short {
            expected: self.input.length().most(),
            actual: furthest,
        };
        self.give_up(&writer);
        Ok(Err(error))
    }

    /// Takes the bytes from a reader instead, such as a local file.
    ///
    /// # Errors
    /// As [`Download::from_url`].
    pub fn from_reader(&self, reader: &mut dyn Read) -> Outcome<VerifiedBlob> {
        let mut writer = self.writer()?;
        match self.copy(&mut writer, reader, self.input.length(), TryError::Local)? {
            Ok(()) => self.commit(writer),
            Err(error) => {
                self.give_up(&writer);
                Ok(Err(error))
            }
        }
    }

    fn writer(&self) -> Result<BlobWriter, StoreError> {
        self.store
            .blob_writer(&self.input.label(), self.input.sha256(), self.input.length())
    }

    fn give_up(&self, writer: &BlobWriter) {
        self.progress.rewind(writer.written());
    }

    fn commit(&self, writer: BlobWriter) -> Outcome<VerifiedBlob> {
        let written = writer.written();
        match writer.commit() {
            Ok(blob) => {
                self.progress.finished(&self.input.label());
                Ok(Ok(blob))
            }
            Err(StoreError::Mismatch { expected, actual, .. }) => {
                self.progress.rewind(written);
                Ok(Err(TryError::Digest { expected, actual }))
            }
            Err(other) => Err(other),
        }
    }

    /// One request: from where the last one stopped to the end of the file.
    fn once(&self, writer: &mut BlobWriter, url: &str) -> Outcome<()> {
        let mut answer = match self.http.get(url, writer.written()) {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error.into())),
        };
        if answer.from != writer.written() {
            self.progress.rewind(writer.written());
            writer.restart()?;
        }
        let total = answer.length.map(|length| answer.from.saturating_add(length));
        if let Some(actual) = total
            && !self.input.length().admits(actual)
        {
            return Ok(Err(TryError::Size {
                expected: self.input.length(),
                actual,
                complete: true,
            }));
        }
        // What the server says to be the whole is held against what comes, where the lock has only a bound.
        let length = total.map_or_else(|| self.input.length(), Length::Exact);
        self.copy(writer, &mut answer.body, length, |e| HttpError::Body(e).into())
    }

    /// Copies to the end of `reader`, which must be the end of the file.
    fn copy(
        &self,
        writer: &mut BlobWriter,
        reader: &mut dyn Read,
        length: Length,
        failed: impl Fn(std::io::Error) -> TryError,
    ) -> Outcome<()> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let count = match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Err(failed(error))),
            };
            let read = piece.get(..count).unwrap_or_default();
            if read.len() as u64 > length.most() - writer.written() {
                return Ok(Err(TryError::Size {
                    expected: length,
                    actual: length.most(),
                    complete: false,
                }));
            }
            writer
                .write_all(read)
                .map_err(file::failed("write to the store under", self.store.root()))
                .map_err(StoreError::from)?;
            self.progress.advance(read.len() as u64);
        }
        if let Length::Exact(expected) = length
            && writer.written() < expected
        {
            let actual = writer.written();
            return Ok(Err(TryError::Short { expected, actual }));
        }
        Ok(Ok(()))
    }
}

impl core::fmt::Debug for Download<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Download")
            .field("input", &self.input)
            .finish_non_exhaustive()
    }
}
