//! `Packages` and `Sources`: what an archive holds.
//!
//! Everything is borrowed from the unpacked text. Whoever calls checked that text against a signed release
//! file, so these parsers guard against damage and surprise, not against forgery; still, no path or digest
//! leaves them unchecked. Source: the Debian wiki's `DebianRepository/Format`; Debian Policy 4.7, chapter 5.

use super::relation::is_package_name;
use super::stanza::{Stanza, StanzaError, stanzas};
use super::version::{NotVersion, Version};
use crate::digest::{NotSha256, Sha256};
use crate::lock::Archive;

/// A binary package of an archive.
#[derive(Clone, Debug)]
pub struct Package<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: Version<'a>,
    /// `amd64` or `all`.
    pub architecture: &'a str,
    /// Which archive has it.
    pub archive: Archive,
    /// Path of the `.deb` below the archive's root; see [`is_pool_path`].
    pub path: &'a str,
    /// Size of the `.deb` in bytes.
    pub size: u64,
    /// SHA-256 of the `.deb`.
    pub sha256: Sha256,
    /// `required` sorts before `important`, `standard`, `optional` and everything else.
    pub rank: u8,
    /// The relations, unparsed: most packages of an index are never looked at.
    pub relations: Relations<'a>,
}

/// The relation fields of a package, as written; empty where the field is absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Relations<'a> {
    /// `Pre-Depends`
    pub pre_depends: &'a str,
    /// `Depends`
    pub depends: &'a str,
    /// `Provides`
    pub provides: &'a str,
    /// `Conflicts`
    pub conflicts: &'a str,
    /// `Breaks`
    pub breaks: &'a str,
}

/// A source package: the files it is made of.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: Version<'a>,
    /// Which archive has it.
    pub archive: Archive,
    /// Folder of the files below the archive's root.
    pub directory: &'a str,
    /// The files: name, size in bytes, SHA-256.
    pub files: Vec<(&'a str, u64, Sha256)>,
}

/// Why an index is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// A field that every package has is missing.
    #[error("the index entry of `{package}` has no `{field}`")]
    Missing {
        /// The package, or `?`.
        package: String,
        /// The field.
        field: &'static str,
    },
    /// A field has a value that cannot be.
    #[error("the index entry of `{package}` has a malformed `{field}`: `{value}`")]
    Value {
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
        /// The value.
        value: String,
    },
    /// A malformed version.
    #[error("the index entry of `{package}` has a malformed version")]
    Version {
        /// The package.
        package: String,
        /// What is wrong with it.
        #[source]
        source: NotVersion,
    },
    /// A malformed digest.
    #[error("the index entry of `{package}` has a malformed digest")]
    Digest {
        /// The package.
        package: String,
        /// What is wrong with it.
        #[source]
        source: NotSha256,
    },
    /// The index is not made of fields.
    #[error("the index is malformed")]
    Malformed(#[from] StanzaError),
}

/// The binary packages of a `Packages` file.
///
/// # Errors
/// [`IndexError`] for the first malformed entry.
pub fn packages(text: &str, archive: Archive) -> Result<Vec<Package<'_>>, IndexError> {
    stanzas(text).map(|stanza| package(stanza, archive)).collect()
}

/// The source packages named in `wanted` of a `Sources` file; the others are not read.
///
/// # Errors
/// [`IndexError`] for the first malformed entry of those wanted.
pub fn sources<'a>(text: &'a str, archive: Archive, wanted: &[&str]) -> Result<Vec<Source<'a>>, IndexError> {
    let mut found = Vec::new();
    for stanza in stanzas(text) {
        let [name, version, directory, files, extra] = stanza.pick([
            "Package",
            "Version",
            "Directory",
            "Checksums-Sha256",
            "Extra-Source-Only",
        ])?;
        // Kept only because a binary package was built with it: not what the suite offers.
        if extra == Some("yes") || !name.is_some_and(|name| wanted.contains(&name)) {
            continue;
        }
        let name = require(name, "?", "Package")?;
        let directory = require(directory, name, "Directory")?;
        if !is_pool_path(directory) {
            return Err(value(name, "Directory", directory));
        }
        found.push(Source {
            name,
            version: parse_version(name, require(version, name, "Version")?)?,
            archive,
            directory,
            files: source_files(name, require(files, name, "Checksums-Sha256")?)?,
        });
    }
    Ok(found)
}

/// Whether a path stays below an archive's `pool/`, made of plain components that need no escaping in a URL.
#[must_use]
pub fn is_pool_path(path: &str) -> bool {
    let component = |c: &str| {
        !c.is_empty()
            && !c.starts_with('.')
            && c.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-._~%:".contains(&b))
    };
    path.len() <= 512 && path.starts_with("pool/") && path.split('/').all(component)
}

fn package(stanza: Stanza<'_>, archive: Archive) -> Result<Package<'_>, IndexError> {
    let [
        name,
        version,
        architecture,
        path,
        size,
        sha256,
        priority,
        pre_depends,
        depends,
        provides,
        conflicts,
        breaks,
    ] = stanza.pick([
        "Package",
        "Version",
        "Architecture",
        "Filename",
        "Size",
        "SHA256",
        "Priority",
        "Pre-Depends",
        "Depends",
        "Provides",
        "Conflicts",
        "Breaks",
    ])?;
    let name = require(name, "?", "Package")?;
    if !is_package_name(name) {
        return Err(value(name, "Package", name));
    }
    let architecture = require(architecture, name, "Architecture")?;
    if !matches!(architecture, "amd64" | "all") {
        return Err(value(name, "Architecture", architecture));
    }
    let path = require(path, name, "Filename")?;
    if !is_pool_path(path) {
        return Err(value(name, "Filename", path));
    }
    let size = require(size, name, "Size")?;
    let rank = ["required", "important", "standard", "optional"];
    let rank = rank
        .iter()
        .zip(0..)
        .find(|(p, _)| priority == Some(**p))
        .map_or(4, |(_, rank)| rank);
    Ok(Package {
        name,
        version: parse_version(name, require(version, name, "Version")?)?,
        architecture,
        archive,
        path,
        size: size.parse().map_err(|_| value(name, "Size", size))?,
        sha256: parse_digest(name, require(sha256, name, "SHA256")?)?,
        rank,
        relations: Relations {
            pre_depends: pre_depends.unwrap_or_default(),
            depends: depends.unwrap_or_default(),
            provides: provides.unwrap_or_default(),
            conflicts: conflicts.unwrap_or_default(),
            breaks: breaks.unwrap_or_default(),
        },
    })
}

fn source_files<'a>(name: &str, list: &'a str) -> Result<Vec<(&'a str, u64, Sha256)>, IndexError> {
    let parse = |line: &'a str| {
        let malformed = || value(name, "Checksums-Sha256", line);
        let mut words = line.split_ascii_whitespace();
        let (Some(sha256), Some(size), Some(file), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed());
        };
        if file.contains('/') || !is_pool_path(&format!("pool/{file}")) {
            return Err(malformed());
        }
        Ok((
            file,
            size.parse().map_err(|_| malformed())?,
            parse_digest(name, sha256)?,
        ))
    };
    list.lines().map(parse).collect()
}

fn require<'a>(field: Option<&'a str>, package: &str, name: &'static str) -> Result<&'a str, IndexError> {
    field.ok_or_else(|| IndexError::Missing {
        package: package.chars().take(80).collect(),
        field: name,
    })
}

fn value(package: &str, field: &'static str, value: &str) -> IndexError {
    IndexError::Value {
        package: package.chars().take(80).collect(),
        field,
        value: value.chars().take(200).collect(),
    }
}

fn parse_version<'a>(package: &str, text: &'a str) -> Result<Version<'a>, IndexError> {
    Version::parse(text).map_err(|source| IndexError::Version {
        package: package.to_owned(),
        source,
    })
}

fn parse_digest(package: &str, text: &str) -> Result<Sha256, IndexError> {
    text.parse().map_err(|source| IndexError::Digest {
        package: package.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(replace: &str, with: &str) -> String {
        let sha = Sha256::of(b"x");
        format!(
            "Package: libfoo1\nSource: foo (1.0)\nVersion: 1.0-1+b1\nArchitecture: amd64\nDepends: libc6 (>= 2.38),\n bar\n\
             Priority: required\nFilename: pool/main/f/foo/libfoo1_1.0-1+b1_amd64.deb\nSize: 42\nSHA256: {sha}\n"
        )
        .replace(replace, with)
    }

    #[test]
    fn a_package_is_read() {
        let text = entry("", "");
        let [package] = &packages(&text, Archive::Debian).unwrap()[..] else {
            panic!()
        };
        assert_eq!(
            (package.name, package.version.as_str(), package.size, package.rank),
            ("libfoo1", "1.0-1+b1", 42, 0)
        );
        assert_eq!(package.relations.depends, "libc6 (>= 2.38),\n bar");
        assert_eq!(package.relations.provides, "");
    }

    #[test]
    fn missing_and_malformed_fields_are_refused() {
        for (replace, with) in [
            ("Package: libfoo1\n", ""),
            ("Version: 1.0-1+b1\n", ""),
            ("Architecture: amd64\n", ""),
            ("Filename:", "X:"),
            ("Size: 42\n", ""),
            ("SHA256:", "SHA1:"),
            ("libfoo1\n", "Lib_foo\n"),
            ("amd64\n", "i386\n"),
            ("Version: 1", "Version: x"),
            ("42", "-42"),
            ("42", "99999999999999999999"),
            ("pool/main", "pool/../etc"),
            ("pool/main", "/pool/main"),
            ("pool/main", "pool//main"),
            ("pool/main", "pool/ma in"),
            ("pool/main", "pool/.hid"),
            ("SHA256: ", "SHA256: 0"),
        ] {
            let text = entry(replace, with);
            assert!(packages(&text, Archive::Debian).is_err(), "{with} for {replace}");
        }
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_list() {
        let text = format!("{}\n{}", entry("", ""), entry("libfoo1\n", "libfoo2\n"));
        for end in 0..text.len() {
            if let Ok(list) = packages(&text[..end], Archive::Debian) {
                assert!(list.len() <= 2);
            }
        }
    }

    #[test]
    fn wanted_sources_are_read_and_others_skipped() {
        let sha = Sha256::of(b"x");
        let text = format!(
            "Package: qemu\nVersion: 1:10.0\nDirectory: pool/main/q/qemu\nChecksums-Sha256:\n {sha} 7 qemu_10.0.orig.tar.xz\n\n\
             Package: qemu\nVersion: 1:9.0\nExtra-Source-Only: yes\nDirectory: pool/main/q/qemu\nChecksums-Sha256:\n {sha} 7 q\n\n\
             Package: other\n"
        );
        let found = sources(&text, Archive::Debian, &["qemu"]).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].files, [("qemu_10.0.orig.tar.xz", 7, sha)]);
        let hostile = text.replace(" 7 qemu_", " 7 ../qemu_");
        sources(&hostile, Archive::Debian, &["qemu"]).unwrap_err();
    }
}
