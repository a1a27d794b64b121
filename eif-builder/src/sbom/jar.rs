//! What a Java archive says about itself: the Maven coordinates of each `pom.properties`, and its manifest.
//!
//! Only those few members are read, each within bounds. Source: the JAR file specification; Maven's archiver.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use zip::ZipArchive;
use zip::result::ZipError;

/// Longest member that is read.
const MAX_MEMBER_BYTES: u64 = 1 << 20;
/// Most `pom.properties` that are read: an archive that bundles others has some hundred.
const MAX_POMS: usize = 2000;
const MANIFEST: &str = "META-INF/MANIFEST.MF";

/// Maven coordinates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coordinates {
    /// `groupId`
    pub group: String,
    /// `artifactId`
    pub artifact: String,
    /// `version`
    pub version: String,
}

/// What an archive says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Every `pom.properties`, sorted; more than one where an archive bundles others.
    pub coordinates: Vec<Coordinates>,
    /// The main section of its manifest.
    pub manifest: BTreeMap<String, String>,
}

/// Why an archive says nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JarError {
    /// It is not a zip archive, or one that is damaged.
    #[error("it is not a sound zip archive")]
    Form(#[from] ZipError),
    /// One of the members that are read is longer than any of its kind.
    #[error("its member `{0}` has more than {MAX_MEMBER_BYTES} bytes")]
    TooLong(String),
    /// More others are bundled in it than anybody bundles.
    #[error("it bundles more than {MAX_POMS} others")]
    TooMany,
}

/// Reads the facts of an archive.
///
/// # Errors
/// [`JarError`].
pub fn read(archive: impl Read + Seek) -> Result<Facts, JarError> {
    let mut archive = ZipArchive::new(archive)?;
    let mut poms = Vec::new();
    for name in archive.file_names() {
        let name = name?;
        if name.starts_with("META-INF/maven/") && name.ends_with("/pom.properties") {
            poms.push(name.into_owned());
        }
    }
    if poms.len() > MAX_POMS {
        return Err(JarError::TooMany);
    }
    let mut facts = Facts::default();
    if archive.index_for_name(MANIFEST).is_some() {
        facts.manifest = manifest(&content(&mut archive, MANIFEST)?);
    }
    for pom in &poms {
        facts
            .coordinates
            .extend(coordinates(&content(&mut archive, pom)?));
    }
    facts.coordinates.sort();
    facts.coordinates.dedup();
    Ok(facts)
}

fn content(archive: &mut ZipArchive<impl Read + Seek>, name: &str) -> Result<String, JarError> {
    let mut bytes = Vec::new();
    let member = archive.by_name(name)?;
    member
        .take(MAX_MEMBER_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(ZipError::Io)?;
    if bytes.len() as u64 > MAX_MEMBER_BYTES {
        return Err(JarError::TooLong(name.to_owned()));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The main section: `Name: value`, lines that begin with a blank continue the one before.
fn manifest(text: &str) -> BTreeMap<String, String> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if line.is_empty() {
            break;
        }
        match (line.strip_prefix(' '), fields.last_mut()) {
            (Some(more), Some((_, value))) => value.push_str(more),
            _ => fields.extend(
                line.split_once(": ")
                    .map(|(name, value)| (name.to_owned(), value.to_owned())),
            ),
        }
    }
    fields.into_iter().collect()
}

/// All three coordinates, or nothing.
fn coordinates(text: &str) -> Option<Coordinates> {
    let value = |wanted: &str| {
        let mut found = text.lines().filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == wanted && !value.trim().is_empty()).then(|| value.trim().to_owned())
        });
        found.next()
    };
    Some(Coordinates {
        group: value("groupId")?,
        artifact: value("artifactId")?,
        version: value("version")?,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// `python3 -m zipfile` made it; see `tests/data/README.md`.
    const JAR: &[u8] = include_bytes!("../../tests/data/sbom/example.jar");

    #[test]
    fn coordinates_and_manifest() {
        let facts = read(Cursor::new(JAR)).unwrap();
        let all: Vec<_> = facts
            .coordinates
            .iter()
            .map(|c| format!("{}:{}:{}", c.group, c.artifact, c.version))
            .collect();
        assert_eq!(all, ["org.example:bundled:0.9", "org.example:example:1.2.3"]);
        assert_eq!(facts.manifest["Implementation-Version"], "1.2.3");
        assert_eq!(
            facts.manifest["Bundle-License"],
            "https://www.apache.org/licenses/LICENSE-2.0.txt"
        );
    }

    #[test]
    fn cut_and_damaged_archives_are_errors() {
        for length in 0..JAR.len() {
            let cut = &JAR[..length];
            assert!(read(Cursor::new(cut)).is_err(), "{length} bytes");
        }
        for at in 0..JAR.len() {
            for bit in 0..8 {
                let mut damaged = JAR.to_vec();
                damaged[at] ^= 1 << bit;
                // Never a panic; what is not looked at may well be damaged.
                drop(read(Cursor::new(damaged)));
            }
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let error = read(Cursor::new(include_bytes!("../../tests/data/sbom/bomb.jar"))).unwrap_err();
        assert!(matches!(error, JarError::TooLong(_)), "{error}");
    }
}
