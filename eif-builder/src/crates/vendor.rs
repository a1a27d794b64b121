//! The published crates that a reduced workspace needs, as a folder that cargo can build from without network.
//!
//! The host's own cargo decides and downloads (`cargo fetch`, so its configured registry or mirror is used);
//! what it says and brings is then held against the repository's `Cargo.lock`: every version must be in it,
//! and every archive must have its checksum there. The folder is unpacked from those checked archives here.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use super::lockfile::{CargoLock, LockfileError, Package};
use super::reduced::Reduced;
use crate::compression::Compression;
use crate::digest::{Hasher, NotSha256, Sha256};
use crate::file::{self, FileError, failed};
use crate::store::{Store, StoreError, remove_tree};
use crate::unpack::dir::DirSink;
use crate::unpack::{self, Limits, SinkError, UnpackError};

/// Form of vendor folders. Changes when the same lock would give another folder.
const FORM: &[u8] = b"nitro-web3signer vendor, form 3";
/// The time of every file and folder, in seconds since 1970. Cargo compares it with that of a build script's last run
/// where the script names its inputs, as those of crates with C code do; so it must not be the time of unpacking.
const FIXED_TIME: u64 = 1;

/// Why the crates cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VendorError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// Cargo could not be started.
    #[error("cannot start {}", cargo.display())]
    Start {
        /// The program.
        cargo: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// Cargo failed.
    #[error("`cargo fetch` failed:\n{0}")]
    Fetch(String),
    /// Cargo wrote a lock that is not understood.
    #[error(transparent)]
    Lock(#[from] LockfileError),
    /// Cargo wants a package that the repository's lock does not have.
    #[error("{name} {version} is needed, but Cargo.lock does not have it; run `cargo update --workspace`")]
    NotLocked {
        /// The package.
        name: String,
        /// Its version.
        version: String,
    },
    /// A package without a checksum: from git, or from another registry.
    #[error("{name} {version} does not come from a registry with checksums")]
    NoChecksum {
        /// The package.
        name: String,
        /// Its version.
        version: String,
    },
    /// A checksum that is none.
    #[error(transparent)]
    Checksum(#[from] NotSha256),
    /// The archive is not in cargo's cache, or only with other bytes.
    #[error("{archive} with sha256 {sha256} is not in {}, though `cargo fetch` succeeded", cache.display())]
    NoArchive {
        /// File name of the archive.
        archive: String,
        /// From the lock.
        sha256: Sha256,
        /// Where cargo keeps archives.
        cache: PathBuf,
    },
    /// An archive cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The folder cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// The host's cargo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCargo {
    /// The program.
    pub program: PathBuf,
    /// Its home (`$CARGO_HOME`, or `.cargo` in the user's home), where downloaded archives are.
    pub home: PathBuf,
}

/// A folder of crates in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vendored {
    /// One folder per crate, `NAME-VERSION`.
    pub crates: PathBuf,
    /// `Cargo.lock` of the reduced workspace.
    pub lock: String,
}

/// The digest that the crates of a reduced workspace are kept under.
#[must_use]
pub fn key(reduced: &Reduced) -> Sha256 {
    let mut hasher = Hasher::new();
    hasher.field(FORM);
    hasher.field(reduced.needs_digest().as_bytes());
    hasher.finish()
}

/// The crates of a reduced workspace: found in the store, or fetched and unpacked. `full` is the lock of the
/// whole repository.
///
/// # Errors
/// [`VendorError`]; then nothing is left under the key.
pub fn provide(
    store: &Store,
    cargo: &HostCargo,
    reduced: &Reduced,
    full: &CargoLock,
) -> Result<Vendored, VendorError> {
    let dir = store.part_or_build(key(reduced), |dir| {
        let work = store.scratch_path();
        let fetched = fetch(cargo, reduced, &work);
        drop(remove_tree(&work));
        let text = fetched?;
        let lock = CargoLock::parse(&text)?;
        let crates = dir.join("crates");
        fill(&crates, cargo, &lock, full)?;
        normalise(&crates).map_err(failed("set times and modes below", &crates))?;
        Ok::<_, VendorError>(file::write(&dir.join("Cargo.lock"), text.as_bytes())?)
    })?;
    let path = dir.join("Cargo.lock");
    Ok(Vendored {
        crates: dir.join("crates"),
        lock: fs::read_to_string(&path).map_err(failed("read", &path))?,
    })
}

/// Lets cargo fetch what the workspace needs; gives the lock that it then has.
fn fetch(cargo: &HostCargo, reduced: &Reduced, work: &Path) -> Result<String, VendorError> {
    reduced.write(work, &reduced.lock.to_text())?;
    let output = Command::new(&cargo.program)
        .args(["fetch", "--quiet"])
        .current_dir(work)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| VendorError::Start {
            cargo: cargo.program.clone(),
            source,
        })?;
    if !output.status.success() {
        return Err(VendorError::Fetch(
            String::from_utf8_lossy(&output.stderr).trim_end().to_owned(),
        ));
    }
    let path = work.join("Cargo.lock");
    Ok(fs::read_to_string(&path).map_err(failed("read", &path))?)
}

/// Checks and unpacks every package of `lock` into `dir`.
fn fill(dir: &Path, cargo: &HostCargo, lock: &CargoLock, full: &CargoLock) -> Result<(), VendorError> {
    // Also when it stays empty: a program may need no published crate.
    fs::create_dir_all(dir).map_err(failed("create", dir))?;
    let caches = cache_dirs(&cargo.home.join("registry/cache"))?;
    for package in lock.packages().iter().filter(|p| p.source.is_some()) {
        let Package {
            name,
            version,
            source,
            checksum,
            ..
        } = package;
        let same = |p: &&Package| p.name == *name && p.version == *version && p.source == *source;
        let known = full
            .packages()
            .iter()
            .find(same)
            .ok_or_else(|| VendorError::NotLocked {
                name: name.clone(),
                version: version.clone(),
            })?;
        let checksum = checksum.as_ref().filter(|_| known.checksum == *checksum);
        let sha256: Sha256 = checksum
            .ok_or_else(|| VendorError::NoChecksum {
                name: name.clone(),
                version: version.clone(),
            })?
            .parse()?;
        let crate_name = format!("{name}-{version}");
        let archive = format!("{crate_name}.crate");
        let path = find_archive(&caches, &archive, sha256)?.ok_or_else(|| VendorError::NoArchive {
            archive: archive.clone(),
            sha256,
            cache: cargo.home.join("registry/cache"),
        })?;
        let target = dir.join(&crate_name);
        fs::create_dir_all(&target).map_err(failed("create", &target))?;
        let file = File::open(&path).map_err(failed("open", &path))?;
        let mut sink = DirSink::open(&target)?;
        unpack::tarball(&archive, file, Compression::Gzip, 1, Limits::default(), &mut sink)?;
        // Cargo asks for this file; the digests of single files are optional, and the archive's was checked.
        let sums = format!("{{\"files\":{{}},\"package\":\"{sha256}\"}}");
        file::write(&target.join(".cargo-checksum.json"), sums.as_bytes())?;
    }
    Ok(())
}

/// Sets the time of everything below `dir` to [`FIXED_TIME`], folders after what is in them, and the modes to what a checkout
/// has: archives carry those of their makers, who may have kept a file to themselves.
#[expect(
    clippy::disallowed_methods,
    reason = "every entry gets the same, in whatever order"
)]
fn normalise(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            normalise(&entry.path())?;
        } else if kind.is_file() {
            let runs = entry.metadata()?.permissions().mode() & 0o111 != 0;
            normalise_one(&entry.path(), if runs { 0o755 } else { 0o644 })?;
        }
    }
    normalise_one(dir, 0o755)
}

fn normalise_one(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    File::open(path)?.set_modified(UNIX_EPOCH + Duration::from_secs(FIXED_TIME))
}

/// One folder per registry that cargo has used, sorted.
fn cache_dirs(cache: &Path) -> Result<Vec<PathBuf>, VendorError> {
    #[expect(clippy::disallowed_methods, reason = "sorted below")]
    let entries = match fs::read_dir(cache) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed("list", cache))?,
    };
    let dirs = entries
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<Vec<_>, _>>();
    let mut dirs = dirs.map_err(failed("list", cache))?;
    dirs.sort();
    Ok(dirs)
}

/// The first archive of that name with those bytes.
fn find_archive(caches: &[PathBuf], archive: &str, sha256: Sha256) -> Result<Option<PathBuf>, VendorError> {
    for dir in caches {
        let path = dir.join(archive);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(failed("open", &path))?,
        };
        if Sha256::of_reader(&mut file).map_err(failed("read", &path))?.0 == sha256 {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
