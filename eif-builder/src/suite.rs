//! A Debian suite as it is now: its signed indices, fetched and checked. Used by locking only.
//!
//! ```text
//! InRelease --archive key--> size and SHA-256 of Packages.xz --checked--> unpacked, bounded, checked again
//! ```
//!
//! Whatever mirror the bytes come from, nothing is believed that an archive key did not sign.

use std::io::Read as _;

use crate::compression::{Compression, Limited};
use crate::debian::clearsign::{self, ClearsignError};
use crate::debian::index::{self, IndexError, Package, Source};
use crate::debian::keyring::Keyring;
use crate::debian::release::{IndexFile, MAX_INDEX_BYTES, Release, ReleaseError};
use crate::digest::Sha256;
use crate::fetch::http::{Http, HttpError};
use crate::fetch::progress::Progress;
use crate::lock::Archive;
use crate::mirror::{MirrorError, Mirrors};

/// Where suites come from, and who vouches for them.
pub struct SuiteSource<'a> {
    /// The client.
    pub http: &'a Http,
    /// Where to look.
    pub mirrors: &'a Mirrors,
    /// The archive keys.
    pub keyring: &'a Keyring,
    /// The time, in seconds since 1970, at which keys and release files must be valid.
    pub now: u64,
    /// Who is told.
    pub progress: &'a dyn Progress,
}

/// The checked indices of a suite, its updates and its security updates.
#[derive(Debug)]
pub struct Suite {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    archive: Archive,
    name: String,
    packages: String,
    sources: Option<String>,
}

/// Why a suite cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuiteError {
    /// No mirror is known.
    #[error(transparent)]
    NoMirror(#[from] MirrorError),
    /// No mirror gave this part of the suite; each with its reason.
    #[error("no mirror gave a valid index of {suite}:{}", list(.tries))]
    Unavailable {
        /// The suite, such as `trixie-security`.
        suite: String,
        /// URL and reason.
        tries: Vec<(String, PartError)>,
    },
    /// An index, though well signed, makes no sense.
    #[error("the index of {suite} is not valid")]
    Index {
        /// The suite.
        suite: String,
        /// What is wrong with it.
        #[source]
        source: IndexError,
    },
}

fn list(tries: &[(String, PartError)]) -> String {
    let lines: Vec<_> = tries
        .iter()
        .map(|(url, error)| {
            format!(
                "
  {url}: {error}"
            )
        })
        .collect();
    lines.concat()
}

/// Why one mirror did not give one part of a suite.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// The request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The release file is not signed as it must be.
    #[error(transparent)]
    Signature(#[from] ClearsignError),
    /// The release file is signed, but not acceptable.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// An index file is not the one that the release file vouches for.
    #[error(
        "{path}: expected sha256 {expected} ({expected_bytes} bytes), got {actual} ({actual_bytes} bytes)"
    )]
    Mismatch {
        /// Path below `dists/SUITE/`.
        path: String,
        /// SHA-256 in the release file.
        expected: Sha256,
        /// Size in the release file.
        expected_bytes: u64,
        /// SHA-256 of what came.
        actual: Sha256,
        /// Size of what came.
        actual_bytes: u64,
    },
    /// An index file is larger than any should be.
    #[error("{path}: {actual} bytes, more than the {MAX_INDEX_BYTES} accepted")]
    TooLarge {
        /// Path below `dists/SUITE/`.
        path: String,
        /// Its size.
        actual: u64,
    },
    /// An index file cannot be unpacked.
    #[error("{path}: {source}")]
    Unpack {
        /// Path below `dists/SUITE/`.
        path: String,
        /// The decoder's reason.
        source: std::io::Error,
    },
}

impl Suite {
    /// The binary packages of all parts; the main archive's first.
    ///
    /// # Errors
    /// [`SuiteError::Index`].
    pub fn packages(&self) -> Result<Vec<Package<'_>>, SuiteError> {
        let mut all = Vec::new();
        for part in &self.parts {
            all.extend(index::packages(&part.packages, part.archive).map_err(|e| part.invalid(e))?);
        }
        Ok(all)
    }

    /// The source packages with these names, in all parts, if the suite was loaded with its sources.
    ///
    /// # Errors
    /// [`SuiteError::Index`].
    pub fn sources(&self, wanted: &[&str]) -> Result<Vec<Source<'_>>, SuiteError> {
        let mut all = Vec::new();
        for part in &self.parts {
            let text = part.sources.as_deref().unwrap_or_default();
            all.extend(index::sources(text, part.archive, wanted).map_err(|e| part.invalid(e))?);
        }
        Ok(all)
    }
}

impl Part {
    fn invalid(&self, source: IndexError) -> SuiteError {
        SuiteError::Index {
            suite: self.name.clone(),
            source,
        }
    }
}

impl SuiteSource<'_> {
    /// Fetches and checks a suite; `with_sources` also its source packages.
    ///
    /// # Errors
    /// [`SuiteError`].
    pub fn load(&self, suite: &str, with_sources: bool) -> Result<Suite, SuiteError> {
        let wanted = [
            (Archive::Debian, suite.to_owned()),
            (Archive::Debian, format!("{suite}-updates")),
            (Archive::DebianSecurity, format!("{suite}-security")),
        ];
        let load = |(archive, name): (Archive, String)| self.load_part(archive, name, with_sources);
        let parts = wanted.into_iter().map(load).collect::<Result<_, _>>()?;
        Ok(Suite { parts })
    }

    fn load_part(&self, archive: Archive, name: String, with_sources: bool) -> Result<Part, SuiteError> {
        self.progress.note(&format!("reading the index of {name}"));
        let mut tries = Vec::new();
        for base in self.mirrors.of(archive)? {
            let dist = format!("{base}/dists/{name}");
            let indices = self.release(&dist, &name).and_then(|release| {
                let packages = self.index(&dist, &release, "main/binary-amd64/Packages")?;
                let sources = with_sources.then(|| self.index(&dist, &release, "main/source/Sources"));
                Ok((packages, sources.transpose()?))
            });
            match indices {
                Ok((packages, sources)) => {
                    return Ok(Part {
                        archive,
                        name,
                        packages,
                        sources,
                    });
                }
                Err(error) => tries.push((dist, error)),
            }
        }
        Err(SuiteError::Unavailable { suite: name, tries })
    }

    fn release(&self, dist: &str, codename: &str) -> Result<Release, PartError> {
        let bytes = self
            .http
            .get_bytes(&format!("{dist}/InRelease"), clearsign::MAX_BYTES as u64)?;
        let signed = clearsign::verify(&bytes, self.keyring, self.now)?;
        Ok(Release::parse(&signed, codename, self.now)?)
    }

    fn index(&self, dist: &str, release: &Release, path: &str) -> Result<String, PartError> {
        let plain = bounded(release.file(path)?)?;
        let packed = bounded(release.file(&format!("{path}.xz"))?)?;
        let by_hash = release.by_hash().then(|| {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{dist}/{folder}/by-hash/SHA256/{}", packed.sha256)
        });
        let by_name = format!("{dist}/{}", packed.path);
        let bytes = match by_hash.map(|url| self.http.get_bytes(&url, packed.size)) {
            Some(Ok(bytes)) => bytes,
            // A mirror that does not keep them by digest may have them by name.
            _ => self.http.get_bytes(&by_name, packed.size)?,
        };
        matches(packed, &bytes)?;
        unpack(plain, &bytes)
    }
}

fn bounded(file: &IndexFile) -> Result<&IndexFile, PartError> {
    if file.size > MAX_INDEX_BYTES {
        return Err(PartError::TooLarge {
            path: file.path.clone(),
            actual: file.size,
        });
    }
    Ok(file)
}

fn matches(file: &IndexFile, bytes: &[u8]) -> Result<(), PartError> {
    let (actual, actual_bytes) = (Sha256::of(bytes), bytes.len() as u64);
    if actual == file.sha256 && actual_bytes == file.size {
        return Ok(());
    }
    Err(PartError::Mismatch {
        path: file.path.clone(),
        expected: file.sha256,
        expected_bytes: file.size,
        actual,
        actual_bytes,
    })
}

fn unpack(file: &IndexFile, packed: &[u8]) -> Result<String, PartError> {
    let refuse = |source| PartError::Unpack {
        path: file.path.clone(),
        source,
    };
    let reader = Compression::Xz.reader(packed).map_err(refuse)?;
    let mut bytes = Vec::new();
    Limited::new(reader, file.size)
        .read_to_end(&mut bytes)
        .map_err(refuse)?;
    matches(file, &bytes)?;
    String::from_utf8(bytes).map_err(|e| {
        refuse(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            e.utf8_error(),
        ))
    })
}

impl core::fmt::Debug for SuiteSource<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SuiteSource")
            .field("mirrors", &self.mirrors)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}
