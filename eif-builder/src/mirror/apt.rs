//! The mirrors that apt is configured with, in both styles of its source lists.
//!
//! Source: `sources.list(5)`, `apt-transport-mirror(1)`, `os-release(5)`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{MirrorError, Mirrors, base_url};
use crate::debian::stanza::stanzas;
use crate::lock::Archive;

/// The mirrors of the machine with this `/etc`; none if it is not plain Debian.
///
/// # Errors
/// [`MirrorError::Read`].
pub(super) fn discover(etc: &Path) -> Result<Mirrors, MirrorError> {
    if is_plain_debian(etc)? {
        read_apt(etc)
    } else {
        Ok(Mirrors::default())
    }
}

/// Derivatives name Debian in `ID_LIKE` and have mirrors of their own, so only `ID` counts.
fn is_plain_debian(etc: &Path) -> Result<bool, MirrorError> {
    let text = read(&etc.join("os-release"))?.unwrap_or_default();
    let id = text.lines().find_map(|line| line.strip_prefix("ID="));
    Ok(id.is_some_and(|id| id.trim_matches(['"', '\'']) == "debian"))
}

fn read_apt(etc: &Path) -> Result<Mirrors, MirrorError> {
    let mut found = Mirrors::default();
    let apt = etc.join("apt");
    if let Some(text) = read(&apt.join("sources.list"))? {
        found.add_lines(&text, etc)?;
    }
    let parts = apt.join("sources.list.d");
    for path in list(&parts)? {
        let extension = path.extension().and_then(|e| e.to_str());
        match (extension, read(&path)?) {
            (Some("list"), Some(text)) => found.add_lines(&text, etc)?,
            (Some("sources"), Some(text)) => found.add_stanzas(&text, etc)?,
            _ => {}
        }
    }
    Ok(found)
}

impl Mirrors {
    /// The one-line style: `deb [options] URI SUITE COMPONENT...`.
    fn add_lines(&mut self, text: &str, etc: &Path) -> Result<(), MirrorError> {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let Some(rest) = line
                .trim_start()
                .strip_prefix("deb")
                .filter(|r| r.starts_with([' ', '\t']))
            else {
                continue;
            };
            let rest = rest.trim_start();
            let rest = match rest.strip_prefix('[') {
                Some(options) => options.split_once(']').map_or("", |(_, after)| after),
                None => rest,
            };
            let mut words = rest.split_ascii_whitespace();
            if let (Some(uri), Some(suite)) = (words.next(), words.next()) {
                self.add(uri, suite, &words.collect::<Vec<_>>(), etc)?;
            }
        }
        Ok(())
    }

    /// The paragraph style. A malformed paragraph is apt's business: it is left out here.
    fn add_stanzas(&mut self, text: &str, etc: &Path) -> Result<(), MirrorError> {
        for stanza in stanzas(text) {
            let wanted = ["Types", "URIs", "Suites", "Components", "Enabled"];
            let Ok([Some(types), Some(uris), Some(suites), components, enabled]) = stanza.pick(wanted) else {
                continue;
            };
            let words =
                |text: &'_ str| -> Vec<String> { text.split_ascii_whitespace().map(str::to_owned).collect() };
            if enabled == Some("no") || !words(types).iter().any(|t| t == "deb") {
                continue;
            }
            let components: Vec<_> = components.unwrap_or_default().split_ascii_whitespace().collect();
            for uri in words(uris) {
                for suite in words(suites) {
                    self.add(&uri, &suite, &components, etc)?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, uri: &str, suite: &str, components: &[&str], etc: &Path) -> Result<(), MirrorError> {
        let Some(archive) = archive_of(suite).filter(|_| components.contains(&"main")) else {
            return Ok(());
        };
        let mut bases = Vec::new();
        if let Some(path) = uri.strip_prefix("mirror+file:") {
            // Debian's cloud images keep their mirrors in a list of their own, with options after a tab.
            let path = path.trim_start_matches('/');
            let path = path
                .strip_prefix("etc/")
                .map_or_else(|| Path::new("/").join(path), |p| etc.join(p));
            let text = read(&path)?.unwrap_or_default();
            bases.extend(
                text.lines()
                    .filter_map(|l| base_url(l.split_ascii_whitespace().next()?)),
            );
        } else {
            // What is not fetched over HTTP (`cdrom:`, `file:`) is of no use here.
            bases.extend(base_url(uri));
        }
        let list = match archive {
            Archive::Debian => &mut self.main,
            Archive::DebianSecurity => &mut self.security,
        };
        for base in bases {
            if !list.contains(&base) {
                list.push(base);
            }
        }
        Ok(())
    }
}

/// Which archive a suite of that name is in. Suites of other archives that people add to apt have other names;
/// one that has not only costs a failed request, since nothing from it would pass the checks.
fn archive_of(suite: &str) -> Option<Archive> {
    let names = [
        "oldoldstable",
        "oldstable",
        "stable",
        "testing",
        "unstable",
        "sid",
        "bullseye",
        "bookworm",
        "trixie",
        "forky",
        "duke",
    ];
    let (name, kind) = suite.split_once(['-', '/']).unwrap_or((suite, ""));
    if !names.contains(&name) {
        return None;
    }
    match kind {
        "" | "updates" => (!suite.contains('/')).then_some(Archive::Debian),
        "security" => Some(Archive::DebianSecurity),
        _ => None,
    }
}

/// The text of a file; `None` when there is none.
fn read(path: &Path) -> Result<Option<String>, MirrorError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::IsADirectory
            ) =>
        {
            Ok(None)
        }
        Err(source) => Err(MirrorError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The files of a folder, sorted by name; none when it does not exist.
#[expect(clippy::disallowed_methods, reason = "sorted below")]
fn list(dir: &Path) -> Result<Vec<PathBuf>, MirrorError> {
    let refuse = |source| MirrorError::Read {
        path: dir.to_owned(),
        source,
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(refuse(error)),
    };
    let mut paths: Vec<_> = entries
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<_, _>>()
        .map_err(refuse)?;
    paths.sort();
    Ok(paths)
}
