//! Where inputs may be fetched from.
//!
//! In this order: the mirrors that the user named (`DEBIAN_MIRROR`, `DEBIAN_SECURITY_MIRROR`), else those of
//! the machine's own apt configuration, if the machine is plain Debian; then the public snapshot archive,
//! which keeps every version that Debian ever published. None of them is trusted: what they send is checked
//! against the lock, and indices against the archive keys.

mod apt;

use std::io;
use std::path::{Path, PathBuf};

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
    /// `DEBIAN_SECURITY_MIRROR`: base URL of the security archive, instead of apt's and of the one beside the
    /// main archive (`URL-security`).
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
        let apt = apt::discover(etc)?;
        let main = named(options.debian.as_deref(), "DEBIAN_MIRROR")?;
        let security = named(options.security.as_deref(), "DEBIAN_SECURITY_MIRROR")?;
        let snapshot = named(
            Some(options.snapshot.as_deref().unwrap_or(SNAPSHOT)),
            "the snapshot archive",
        )?;
        // Mirrors that have both archives have them side by side. A wrong guess costs a failed request.
        let beside = main.as_ref().map(|url| format!("{url}-security"));
        Ok(Self {
            security: security.map_or_else(
                || apt.security.into_iter().chain(beside).collect(),
                |url| vec![url],
            ),
            main: main.map_or(apt.main, |url| vec![url]),
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

#[cfg(test)]
mod tests;
