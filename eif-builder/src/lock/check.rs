//! What makes a [`Lock`] a [`Locked`](super::Locked): sound entries, and exactly those that the request asks for.

use super::{Lock, LockError, LockedDownload};
use crate::debian::index::is_pool_path;
use crate::debian::version::Version;
use crate::request::{DownloadRequest, Request, SourceRequest, matches};

/// Every value can be one, and the entries are sorted without repetition.
pub(super) fn entries(lock: &Lock) -> Result<(), LockError> {
    let bad = |entry: &str, key| {
        Err(LockError::Value {
            entry: entry.to_owned(),
            key,
        })
    };
    let located = lock.packages.iter().map(|p| (&p.name, &p.version, &p.path));
    let located = located.chain(lock.sources.iter().map(|s| (&s.file, &s.version, &s.path)));
    for (entry, version, path) in located {
        if Version::parse(version).is_err() {
            return bad(entry, "version");
        }
        if !is_pool_path(path) {
            return bad(entry, "path");
        }
    }
    if let Some(package) = lock
        .packages
        .iter()
        .find(|p| !matches!(&*p.architecture, "amd64" | "all"))
    {
        return bad(&package.name, "architecture");
    }
    // Strictly rising keys: sorted, and nothing twice.
    let rising = |keys: Vec<(&String, &str)>| -> Result<(), LockError> {
        let wrong = keys.iter().zip(keys.iter().skip(1)).find(|(a, b)| a >= b);
        wrong.map_or(Ok(()), |(_, at)| Err(LockError::Order(at.0.clone())))
    };
    rising(lock.packages.iter().map(|p| (&p.name, "")).collect())?;
    rising(lock.sources.iter().map(|s| (&s.package, &*s.file)).collect())?;
    rising(lock.downloads.iter().map(|d| (&d.name, "")).collect())
}

/// Everything that the request names is in the lock, and nothing of a kind that it does not ask for.
pub(super) fn named(request: &Request, lock: &Lock) -> Result<(), LockError> {
    let differs = |what, name: &str| {
        Err(LockError::Differs {
            what,
            name: name.to_owned(),
        })
    };
    let names = || request.closure().iter().chain(request.exact());
    for name in names() {
        if !lock.packages.iter().any(|p| p.name == *name) {
            return differs("package", name);
        }
    }
    for package in &lock.packages {
        let foreign = request.closure().is_empty() && !request.exact().contains(&package.name);
        if foreign || request.exclude().contains(&package.name) {
            return differs("package", &package.name);
        }
    }
    for source in request.sources() {
        for pattern in &source.files {
            if !lock
                .sources
                .iter()
                .any(|s| s.package == source.package && matches(pattern, &s.file))
            {
                return differs("source file", pattern);
            }
        }
    }
    for locked in &lock.sources {
        let asked = |s: &&SourceRequest| {
            s.package == locked.package && s.files.iter().any(|f| matches(f, &locked.file))
        };
        if !request.sources().iter().any(|s| asked(&s)) {
            return differs("source file", &locked.file);
        }
    }
    let same = |a: &DownloadRequest, b: &LockedDownload| {
        let length = match a.most_bytes {
            Some(most) => b.at_most && b.size == most,
            None => !b.at_most && a.size.is_none_or(|s| s == b.size),
        };
        a.name == b.name && a.url == b.url && a.sha256 == b.sha256 && length
    };
    for download in request.downloads() {
        if !lock.downloads.iter().any(|d| same(download, d)) {
            return differs("download", &download.name);
        }
    }
    for locked in &lock.downloads {
        if !request.downloads().iter().any(|d| same(d, locked)) {
            return differs("download", &locked.name);
        }
    }
    Ok(())
}
