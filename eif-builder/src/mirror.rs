//! Where inputs may be fetched from.
//!
//! In this order: the mirrors that the user named (`DEBIAN_MIRROR`, `DEBIAN_SECURITY_MIRROR`), else those of
//! the machine's own apt configuration, if the machine is plain Debian; then the public snapshot archive,
//! which keeps every version that Debian ever published. None of them is trusted: what they send is checked
//! against the lock, and indices against the archive keys.
//! Source: `sources.list(5)`; <https://salsa.debian.org/snapshot-team/snapshot/-/raw/master/API>.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::debian::stanza::stanzas;
use crate::lock::{Archive, Input};

/// The public archive of all versions.
pub const SNAPSHOT: &str = "https://snapshot.debian.org";

/// What the user or the machine says about mirrors. Nothing of it was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrors {
    main: Vec<String>,
    security: Vec<String>,
    snapshot: Option<String>,
}

/// Values that `main` passes in from the user.
#[derive(Clone, Debug, Default)]
pub struct MirrorOptions {
    /// `DEBIAN_MIRROR`: base URL of the main archive, instead of apt's.
    pub debian: Option<String>,
    /// `DEBIAN_SECURITY_MIRROR`: base URL of the security archive, instead of apt's.
    pub security: Option<String>,
    /// Base URL of the snapshot archive; [`SNAPSHOT`] unless told otherwise, empty for none.
    pub snapshot: Option<String>,
}

/// Why no mirror can be named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// A value from the user that is no URL.
    #[error("{variable} is `{value}`, which is not an http:// or https:// URL")]
    NotUrl {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// A file of apt's configuration cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// Nothing is configured.
    #[error(
        "no mirror of the archive `{archive}` is known: this machine's apt configuration names none; set {variable} to the base URL of one"
    )]
    None {
        /// Which archive.
        archive: Archive,
        /// `DEBIAN_MIRROR` or `DEBIAN_SECURITY_MIRROR`.
        variable: &'static str,
    },
}

impl Mirrors {
    /// Gathers what is known. `etc` is the machine's `/etc`.
    ///
    /// # Errors
    /// [`MirrorError::NotUrl`], [`MirrorError::Read`]. That nothing was found is no error yet.
    pub fn discover(options: &MirrorOptions, etc: &Path) -> Result<Self, MirrorError> {
        let apt = if is_plain_debian(etc)? {
            read_apt(etc)?
        } else {
            Self::default()
        };
        let main = named(options.debian.as_deref(), "DEBIAN_MIRROR")?;
        let security = named(options.security.as_deref(), "DEBIAN_SECURITY_MIRROR")?;
        let snapshot = named(
            Some(options.snapshot.as_deref().unwrap_or(SNAPSHOT)),
            "the snapshot archive",
        )?;
        Ok(Self {
            main: main.map_or(apt.main, |url| vec![url]),
            security: security.map_or(apt.security, |url| vec![url]),
            snapshot,
        })
    }

    /// Base URLs of the mirrors of an archive, the preferred one first, without a trailing slash.
    ///
    /// # Errors
    /// [`MirrorError::None`] when there are none, saying what to set.
    pub fn of(&self, archive: Archive) -> Result<&[String], MirrorError> {
        let (list, variable) = match archive {
            Archive::Debian => (&self.main, "DEBIAN_MIRROR"),
            Archive::DebianSecurity => (&self.security, "DEBIAN_SECURITY_MIRROR"),
        };
        if list.is_empty() {
            return Err(MirrorError::None { archive, variable });
        }
        Ok(list)
    }

    /// The URLs to try for an input, the preferred one first. May be empty.
    #[must_use]
    pub fn urls(&self, input: Input<'_>) -> Vec<String> {
        let (archive, path) = match input {
            Input::Package(p) => (p.archive, &p.path),
            Input::Source(s) => (s.archive, &s.path),
            Input::Download(d) => return vec![d.url.clone()],
        };
        let bases = self.of(archive).unwrap_or_default();
        bases
            .iter()
            .map(|base| format!("{base}/{}", escape(path, "/")))
            .collect()
    }

    /// Base URL of the snapshot archive, if it may be asked.
    #[must_use]
    pub fn snapshot(&self) -> Option<&str> {
        self.snapshot.as_deref()
    }
}

/// Percent-encodes everything that is neither unreserved (RFC 3986, 2.3) nor in `keep`.
#[must_use]
pub fn escape(text: &str, keep: &str) -> String {
    use core::fmt::Write as _;
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut out, byte| {
            let plain =
                byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.as_bytes().contains(&byte);
            if plain {
                out.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                write!(out, "%{byte:02X}").unwrap_or_default();
            }
            out
        })
}

fn named(value: Option<&str>, variable: &'static str) -> Result<Option<String>, MirrorError> {
    let Some(value) = value.map(str::trim).filter(|v| !v.is_empty()) else {
        return Ok(None);
    };
    base_url(value).map(Some).ok_or_else(|| MirrorError::NotUrl {
        variable,
        value: value.to_owned(),
    })
}

fn base_url(text: &str) -> Option<String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))?;
    let sound = !rest.trim_matches('/').is_empty() && rest.bytes().all(|b| b.is_ascii_graphic());
    sound.then(|| text.trim_end_matches('/').to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn etc(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    const DEBIAN: (&str, &str) = ("os-release", "PRETTY_NAME=\"x\"\nID=debian\n");

    #[test]
    fn both_styles_of_apts_configuration_are_read_in_order() {
        let etc = etc(&[
            DEBIAN,
            (
                "apt/sources.list",
                "# deb http://off.test/debian trixie main\ndeb [arch=amd64 signed-by=/k] http://one.test/debian/ trixie main contrib\n\
                 deb-src http://src.test/debian trixie main\ndeb http://third.test/x stable stable\ndeb http://pg.test trixie-pgdg main\n\
                 deb cdrom:[Debian]/ trixie main\n",
            ),
            (
                "apt/sources.list.d/b.sources",
                "Types: deb deb-src\n# comment\nURIs: http://two.test/debian http://one.test/debian\nSuites: trixie trixie-updates\nComponents: main\n\n\
                 Types: deb\nURIs: https://sec.test/debian-security\nSuites: trixie-security\nComponents: main\n\n\
                 Types: deb\nEnabled: no\nURIs: http://no.test/debian\nSuites: trixie\nComponents: main\n",
            ),
            (
                "apt/sources.list.d/a.list",
                "deb http://sec2.test/s bookworm-security main\n",
            ),
            (
                "apt/sources.list.d/c.list.disabled",
                "deb http://no.test/debian trixie main\n",
            ),
        ]);
        let mirrors = Mirrors::discover(&MirrorOptions::default(), etc.path()).unwrap();
        assert_eq!(
            mirrors.of(Archive::Debian).unwrap(),
            ["http://one.test/debian", "http://two.test/debian"]
        );
        assert_eq!(
            mirrors.of(Archive::DebianSecurity).unwrap(),
            ["http://sec2.test/s", "https://sec.test/debian-security"]
        );
        assert_eq!(mirrors.snapshot(), Some(SNAPSHOT));
    }

    #[test]
    fn a_list_of_mirrors_in_a_file_of_its_own() {
        let etc = etc(&[
            DEBIAN,
            (
                "apt/mirrors/debian.list",
                "https://a.test/debian\thost:x\nhttps://b.test/debian\n",
            ),
            (
                "apt/sources.list.d/debian.sources",
                "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: trixie\nComponents: main\n",
            ),
        ]);
        let mirrors = Mirrors::discover(&MirrorOptions::default(), etc.path()).unwrap();
        assert_eq!(
            mirrors.of(Archive::Debian).unwrap(),
            ["https://a.test/debian", "https://b.test/debian"]
        );
    }

    #[test]
    fn a_derivative_is_not_asked_and_the_error_says_what_to_set() {
        let etc = etc(&[
            ("os-release", "ID=ubuntu\nID_LIKE=debian\n"),
            ("apt/sources.list", "deb http://ubuntu.test/ubuntu stable main\n"),
        ]);
        let mirrors = Mirrors::discover(&MirrorOptions::default(), etc.path()).unwrap();
        let text = mirrors.of(Archive::DebianSecurity).unwrap_err().to_string();
        assert!(text.contains("DEBIAN_SECURITY_MIRROR"), "{text}");
        let options = MirrorOptions {
            debian: Some("http://mine.test/debian/".into()),
            snapshot: Some(String::new()),
            ..MirrorOptions::default()
        };
        let mirrors = Mirrors::discover(&options, etc.path()).unwrap();
        assert_eq!(mirrors.of(Archive::Debian).unwrap(), ["http://mine.test/debian"]);
        assert_eq!(mirrors.snapshot(), None);
        for bad in ["mine.test", "ftp://x", "http://", "http://a b"] {
            let options = MirrorOptions {
                debian: Some(bad.into()),
                ..MirrorOptions::default()
            };
            assert!(
                matches!(
                    Mirrors::discover(&options, etc.path()),
                    Err(MirrorError::NotUrl { .. })
                ),
                "{bad}"
            );
        }
    }

    #[test]
    fn escaping() {
        assert_eq!(
            escape("pool/main/g/gcc_1%3a2+b~1.deb", "/"),
            "pool/main/g/gcc_1%253a2%2Bb~1.deb"
        );
    }
}
