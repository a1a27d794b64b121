//! Releases of other projects: a locked tarball, unpacked, and held against a second hash of what came out.
//!
//! The tarball's SHA-256 is in the manifest and its lock. A NAR hash beside it is checked on the unpacked files ([`crate::nar`]): two
//! projects that publish the two hashes have seen the same release.

use crate::compression::Compression;
use crate::digest::Hasher;
use crate::fetch::{FetchError, Fetcher};
use crate::lock::{Input, LockError, Locked};
use crate::manifest::Tarball;
use crate::nar::{self, NarError, NarHash};
use crate::part::Root;
use crate::store::{Store, StoreError};
use crate::unpack::dir::DirSink;
use crate::unpack::{self, Limits, SinkError, UnpackError};

/// Form of unpacked releases. Changes when the same tarball would give other files.
const FORM: &[u8] = b"nitro-web3signer release, form 1";

/// Why a release cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// It could not be fetched, and nobody gave a file.
    #[error(
        "cannot get {download}: where it cannot be fetched, give the file with `--download {download}=FILE` (make: `WEB3SIGNER_TARBALL=FILE`)"
    )]
    Absent {
        /// Its name in the manifest's `[inputs]`.
        download: String,
        /// What was tried; names the size and the hash that are wanted.
        #[source]
        source: FetchError,
    },
    /// The lock does not have it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its name does not tell how it is packed.
    #[error("{0}: expected a name that ends in .tar, .tar.gz, .tar.xz or .tar.zst")]
    Name(String),
    /// It cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The folder cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// What came out cannot be hashed.
    #[error(transparent)]
    Nar(#[from] NarError),
    /// What came out is not what the second source says.
    #[error("{download}: its files have the NAR hash {actual}, the manifest expects {expected}")]
    Files {
        /// Its name in the manifest's `[inputs]`.
        download: String,
        /// In the manifest.
        expected: NarHash,
        /// Of the files.
        actual: NarHash,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The unpacked release: found, or fetched, unpacked and checked.
///
/// # Errors
/// [`UpstreamError`]; then nothing is left under its key.
pub fn provide(
    store: &Store,
    locked: &Locked,
    tarball: &Tarball,
    fetcher: &Fetcher<'_>,
) -> Result<Root, UpstreamError> {
    let download = locked.download(&tarball.download)?;
    let packing = Compression::from_name(&download.name);
    let packing = packing.ok_or_else(|| UpstreamError::Name(download.name.clone()))?;
    let mut key = Hasher::new();
    key.field(FORM);
    key.field(download.sha256.as_bytes());
    key.field(&(tarball.strip as u64).to_be_bytes());
    key.field(
        tarball
            .nar
            .map(|nar| nar.to_string())
            .unwrap_or_default()
            .as_bytes(),
    );
    let key = key.finish();
    let path = store.part_or_build(key, |dir| {
        let blobs = fetcher.fetch(store, [Input::Download(download)]);
        let blob = blobs.and_then(|blobs| blobs.get(download.sha256).cloned());
        let blob = blob.map_err(|source| UpstreamError::Absent {
            download: download.name.clone(),
            source,
        })?;
        let mut sink = DirSink::open(dir)?;
        let (name, limits) = (&download.name, Limits::default());
        unpack::tarball(name, blob.open()?, packing, tarball.strip, limits, &mut sink)?;
        match tarball.nar {
            Some(expected) => {
                let actual = nar::hash(dir)?;
                if actual != expected {
                    return Err(UpstreamError::Files {
                        download: download.name.clone(),
                        expected,
                        actual,
                    });
                }
                Ok(())
            }
            None => Ok(()),
        }
    })?;
    Ok(Root { path, key })
}
