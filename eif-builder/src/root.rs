//! A root from a lock: the files of its packages, and the few things that their scripts would have made.
//!
//! No maintainer script runs. What they would have left is declared in the manifest:
//!
//! ```toml
//! [root]
//! ca-bundle = true                # /etc/ssl/certs/ca-certificates.crt from the package ca-certificates
//! [root.links]                    # symbolic links
//! "/usr/bin/sh" = "bash"
//! ```
//!
//! A root is kept in the store under the digest of its packages and these rules, and is whole or absent.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::digest::{Hasher, Sha256};
use crate::fetch::{Blobs, FetchError, Fetcher};
use crate::lock::{Input, Locked, LockedPackage};
use crate::part::Root;
use crate::request::{Request, RequestError};
use crate::store::{Store, StoreError};
use crate::tree::TreePath;
use crate::unpack::dir::DirSink;
use crate::unpack::{self, Limits, SinkError, UnpackError};

/// Form of extracted roots. Changes when the same lock and rules would give other files.
const FORM: &[u8] = b"nitro-web3signer root, form 1";
/// Ships `/bin -> usr/bin` and the like, which every other package relies on.
const FIRST: &str = "base-files";
/// Where the package ca-certificates has its certificates, and where programs look for all of them.
const CERTIFICATES: &str = "usr/share/ca-certificates/mozilla";
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// The manifest of a root: what it asks for, and the rules of this file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootManifest {
    /// What the lock beside it stands for.
    pub inputs: Request,
    /// What is made besides the packages' files.
    #[serde(default, rename = "root")]
    pub rules: Rules,
}

/// What is made in a root besides the packages' files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rules {
    /// Whether all certificates of ca-certificates are put together in one file.
    #[serde(default)]
    pub ca_bundle: bool,
    /// Symbolic links by path, with their targets.
    #[serde(default)]
    pub links: BTreeMap<TreePath, String>,
}

/// Why a root cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A package could not be fetched, or was not fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A package could not be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The folder cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A declared file or link cannot be made.
    #[error("cannot make {} in the root", path.display())]
    Make {
        /// Relative to the root.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// A bundle of certificates was asked for, and there are none.
    #[error("`ca-bundle` is set, but no package of the lock has certificates in /{CERTIFICATES}")]
    NoCertificates,
}

impl RootManifest {
    /// Reads a manifest. Unknown keys are errors.
    ///
    /// # Errors
    /// [`RequestError`]: not TOML, an unknown key, a path that is none.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        Ok(toml::from_str(text)?)
    }
}

/// The digest that a root of these packages and rules is kept under.
#[must_use]
pub fn key(packages: &[LockedPackage], rules: &Rules) -> Sha256 {
    let mut hasher = Hasher::new();
    hasher.field(FORM);
    hasher.field(&(packages.len() as u64).to_be_bytes());
    for package in packages {
        hasher.field(package.name.as_bytes());
        hasher.field(package.sha256.as_bytes());
    }
    hasher.field(if rules.ca_bundle { b"bundle" } else { b"" });
    for (path, target) in &rules.links {
        hasher.field(path.as_str().as_bytes());
        hasher.field(target.as_bytes());
    }
    hasher.finish()
}

/// The root of a lock's packages, if it has been extracted.
#[must_use]
pub fn find(store: &Store, locked: &Locked, rules: &Rules) -> Option<Root> {
    let key = key(locked.packages(), rules);
    let path = store.part(key)?;
    Some(Root { path, key })
}

/// The root of a lock's packages: found, or fetched and extracted.
///
/// # Errors
/// [`RootError`]; then nothing is left under its key.
pub fn provide(
    store: &Store,
    locked: &Locked,
    rules: &Rules,
    fetcher: &Fetcher<'_>,
) -> Result<Root, RootError> {
    if let Some(root) = find(store, locked, rules) {
        return Ok(root);
    }
    let blobs = fetcher.fetch(store, locked.packages().iter().map(Input::Package))?;
    extract(store, locked.packages(), rules, &blobs)
}

/// Extracts `packages`, which must all be among `blobs`.
///
/// # Errors
/// [`RootError`]; then nothing is left under its key.
pub fn extract(
    store: &Store,
    packages: &[LockedPackage],
    rules: &Rules,
    blobs: &Blobs,
) -> Result<Root, RootError> {
    let key = key(packages, rules);
    let path = store.part_or_build(key, |dir| fill(dir, packages, rules, blobs))?;
    Ok(Root { path, key })
}

fn fill(dir: &Path, packages: &[LockedPackage], rules: &Rules, blobs: &Blobs) -> Result<(), RootError> {
    let mut sink = DirSink::open(dir)?;
    let (first, others): (Vec<_>, Vec<_>) = packages.iter().partition(|p| p.name == FIRST);
    for package in first.into_iter().chain(others) {
        let name = format!("{} {}", package.name, package.version);
        unpack::deb(
            &name,
            blobs.get(package.sha256)?.open()?,
            Limits::default(),
            &mut sink,
        )?;
    }
    for (path, target) in &rules.links {
        make(dir, path.relative(), |path| symlink(target, path))?;
    }
    if rules.ca_bundle {
        let certificates = certificates(&dir.join(CERTIFICATES))?;
        make(dir, BUNDLE, |path| fs::write(path, &certificates))?;
    }
    Ok(())
}

/// Makes something at a path, with the folders that lead to it.
fn make(dir: &Path, path: &str, how: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), RootError> {
    let full = dir.join(path);
    let parent = full.parent().unwrap_or(dir);
    let made = fs::create_dir_all(parent).and_then(|()| how(&full));
    made.map_err(|source| RootError::Make {
        path: path.into(),
        source,
    })
}

/// Every certificate in a folder, in the order of their names, one after the other.
fn certificates(dir: &Path) -> Result<Vec<u8>, RootError> {
    let fail = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => RootError::NoCertificates,
        _ => RootError::Make {
            path: CERTIFICATES.into(),
            source,
        },
    };
    #[expect(clippy::disallowed_methods, reason = "sorted below")]
    let entries = fs::read_dir(dir).map_err(fail)?;
    let mut paths = entries
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(fail)?;
    paths.sort();
    let mut bundle = Vec::new();
    for path in paths.iter().filter(|p| p.extension().is_some_and(|e| e == "crt")) {
        bundle.extend(fs::read(path).map_err(fail)?);
        if !bundle.ends_with(b"\n") {
            bundle.push(b'\n');
        }
    }
    if bundle.is_empty() {
        return Err(RootError::NoCertificates);
    }
    Ok(bundle)
}

#[cfg(test)]
mod tests;
