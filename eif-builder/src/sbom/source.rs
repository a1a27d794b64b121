//! Which source package a Debian package was built from. Debian's security data is kept by source package, and many binary
//! packages have another name, or after a rebuild another version, than their source.
//!
//! A lock does not say it; the control file in each locked archive does. Source: Debian Policy 4.7, section 5.6.1.

use core::fmt;
use std::collections::BTreeMap;

use crate::debian::stanza::{StanzaError, stanzas};
use crate::debian::version::Version;
use crate::digest::Sha256;
use crate::fetch::{Blobs, FetchError};
use crate::lock::LockedPackage;
use crate::store::StoreError;
use crate::unpack::{UnpackError, control};

/// Why it cannot be said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// An archive was not fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// An archive is not there any more.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An archive cannot be read.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// A control file is malformed.
    #[error("{package}: its control file cannot be read")]
    Stanza {
        /// The package, with its version.
        package: String,
        /// What is wrong.
        #[source]
        source: StanzaError,
    },
    /// A field of a control file is not what it must be.
    #[error("{package}: `{field}` of its control file is {actual:?}: expected {expected}")]
    Field {
        /// The package, with its version.
        package: String,
        /// Which field.
        field: &'static str,
        /// Its value, shortened; empty when it is absent.
        actual: String,
        /// What it must be.
        expected: String,
    },
}

/// A source package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl fmt::Display for SourcePackage {
    /// `glibc 2.41-12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

impl SourcePackage {
    /// From the control file of the package that `locked` names.
    ///
    /// # Errors
    /// [`OriginError::Stanza`]; [`OriginError::Field`] when the file is about another package or names no possible source.
    pub fn of(locked: &LockedPackage, control: &str) -> Result<Self, OriginError> {
        let package = || format!("{} {}", locked.name, locked.version);
        let field = |field, actual: Option<&str>, expected: &str| OriginError::Field {
            package: package(),
            field,
            actual: actual.unwrap_or_default().chars().take(120).collect(),
            expected: expected.to_owned(),
        };
        let picked = stanzas(control)
            .next()
            .map(|stanza| stanza.pick(["Package", "Version", "Source"]));
        let [name, version, source] =
            picked
                .transpose()
                .map(Option::unwrap_or_default)
                .map_err(|source| OriginError::Stanza {
                    package: package(),
                    source,
                })?;
        if name != Some(&locked.name) {
            return Err(field("Package", name, &locked.name));
        }
        if version != Some(&locked.version) {
            return Err(field("Version", version, &locked.version));
        }
        let Some(text) = source else {
            return Ok(Self {
                name: locked.name.clone(),
                version: locked.version.clone(),
            });
        };
        let parsed = parse(text, &locked.version);
        parsed.ok_or_else(|| field("Source", source, "NAME or NAME (VERSION)"))
    }
}

/// `NAME`, whose version is then `binary`, or `NAME (VERSION)`.
fn parse(text: &str, binary: &str) -> Option<SourcePackage> {
    let (name, version) = match text.split_once(" (") {
        Some((name, rest)) => (name, rest.strip_suffix(')')?),
        None => (text, binary),
    };
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
    let named = name.len() >= 2 && name.bytes().all(allowed);
    (named && Version::parse(version).is_ok()).then(|| SourcePackage {
        name: name.to_owned(),
        version: version.to_owned(),
    })
}

/// Source packages by the digest of the archive that was built from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<Sha256, SourcePackage>);

impl Origins {
    /// Reads the control files of `packages`, which must all be among `blobs`.
    ///
    /// # Errors
    /// [`OriginError`].
    pub fn read<'p>(
        packages: impl IntoIterator<Item = &'p LockedPackage>,
        blobs: &Blobs,
    ) -> Result<Self, OriginError> {
        let mut origins = Self::default();
        for locked in packages {
            let name = format!("{} {}", locked.name, locked.version);
            let text = control::read(&name, blobs.get(locked.sha256)?.open()?)?;
            origins.insert(locked, SourcePackage::of(locked, &text)?);
        }
        Ok(origins)
    }

    /// Adds one.
    pub fn insert(&mut self, locked: &LockedPackage, source: SourcePackage) {
        self.0.insert(locked.sha256, source);
    }

    /// What the package was built from; `None` when its control file was not read.
    #[must_use]
    pub fn of(&self, locked: &LockedPackage) -> Option<&SourcePackage> {
        self.0.get(&locked.sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked() -> LockedPackage {
        LockedPackage {
            name: "libx1".to_owned(),
            version: "1:2-3+b1".to_owned(),
            architecture: "amd64".to_owned(),
            archive: crate::lock::Archive::Debian,
            path: "pool/x.deb".to_owned(),
            size: 1,
            sha256: Sha256::of(b"deb"),
        }
    }

    fn of(rest: &str) -> Result<String, String> {
        let control = format!("Package: libx1\nVersion: 1:2-3+b1\n{rest}");
        SourcePackage::of(&locked(), &control)
            .map(|source| source.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_field_is_read_in_its_three_forms() {
        assert_eq!(of("").unwrap(), "libx1 1:2-3+b1");
        assert_eq!(of("Source: xx\n").unwrap(), "xx 1:2-3+b1");
        assert_eq!(of("Source: xx (1:2-3)\nTag: a\n").unwrap(), "xx 1:2-3");
        assert_eq!(
            of("Source: libsigc++-2.0 (2.12.1)\n").unwrap(),
            "libsigc++-2.0 2.12.1"
        );
    }

    #[test]
    fn what_names_no_source_is_refused() {
        for bad in [
            "", "XX", "xx ()", "xx (1:)", "xx (1) y", "xx yy", "xx (1", "xx(1)", "x/x (1)",
        ] {
            let error = of(&format!("Source: {bad}\n")).unwrap_err();
            assert!(
                error.contains("expected NAME or NAME (VERSION)"),
                "{bad}: {error}"
            );
        }
        assert!(
            of("Source: xx\nSource: yy\n")
                .unwrap_err()
                .contains("cannot be read")
        );
    }

    #[test]
    fn a_control_file_of_another_package_is_refused() {
        for (control, said) in [
            ("", "`Package` of its control file is \"\": expected libx1"),
            ("Package: liby1\nVersion: 1:2-3+b1\n", "\"liby1\": expected libx1"),
            ("Package: libx1\nVersion: 1:2-4\n", "\"1:2-4\": expected 1:2-3+b1"),
        ] {
            let error = SourcePackage::of(&locked(), control).unwrap_err().to_string();
            assert!(
                error.starts_with("libx1 1:2-3+b1: ") && error.contains(said),
                "{error}"
            );
        }
    }
}
