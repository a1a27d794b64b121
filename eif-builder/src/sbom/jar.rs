//! What a Java archive says about itself: the Maven coordinates of each `pom.properties`, and its manifest.
//!
//! Only the central directory and those few members are read, all within bounds: the archive may be anyone's.
//! Source: PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.16; the JAR file specification.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use flate2::read::DeflateDecoder;

/// An end record with the longest comment.
const MAX_END_BYTES: u64 = 22 + 0xffff;
/// Longest central directory: some 400,000 members.
const MAX_DIRECTORY_BYTES: u64 = 32 << 20;
/// Longest member that is read.
const MAX_MEMBER_BYTES: u64 = 1 << 20;
/// Most `pom.properties` that are read: an archive that bundles others has some hundred.
const MAX_POMS: usize = 2000;

const END: [u8; 4] = *b"PK\x05\x06";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

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
    /// It cannot be read, or ends too early.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// It is not a zip archive, or one that is damaged.
    #[error("it is not a sound zip archive: {0}")]
    Form(&'static str),
}

/// Reads the facts of an archive.
///
/// # Errors
/// [`JarError`].
pub fn read(archive: &mut (impl Read + Seek)) -> Result<Facts, JarError> {
    let mut facts = Facts::default();
    for member in members(archive)? {
        if member.name == b"META-INF/MANIFEST.MF" {
            facts.manifest = manifest(&content(archive, &member)?);
        } else if member.name.starts_with(b"META-INF/maven/") && member.name.ends_with(b"/pom.properties") {
            if facts.coordinates.len() == MAX_POMS {
                return Err(JarError::Form("it bundles too many others"));
            }
            facts.coordinates.extend(coordinates(&content(archive, &member)?));
        }
    }
    facts.coordinates.sort();
    facts.coordinates.dedup();
    Ok(facts)
}

struct Member {
    name: Vec<u8>,
    method: u16,
    packed: u64,
    at: u64,
}

/// The members that could be of interest: those below `META-INF/`.
fn members(archive: &mut (impl Read + Seek)) -> Result<Vec<Member>, JarError> {
    let length = archive.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(MAX_END_BYTES);
    let end = bytes(archive, from, length - from)?;
    let at = end.windows(4).rposition(|window| window == END);
    let end = at
        .and_then(|at| end.get(at..)?.get(..22))
        .ok_or(JarError::Form("it has no end record"))?;
    let size = u64::from(u32_at(end, 12)?);
    let start = u64::from(u32_at(end, 16)?);
    if size > MAX_DIRECTORY_BYTES {
        return Err(JarError::Form("its directory is too long"));
    }
    if start.saturating_add(size) > length {
        return Err(JarError::Form("its directory is not within it"));
    }
    let directory = bytes(archive, start, size)?;
    let mut rest = directory.as_slice();
    let mut found = Vec::new();
    while !rest.is_empty() {
        if rest.get(..4) != Some(&CENTRAL) {
            return Err(JarError::Form("its directory has another record"));
        }
        let name_length = usize::from(u16_at(rest, 28)?);
        let after = 46 + name_length + usize::from(u16_at(rest, 30)?) + usize::from(u16_at(rest, 32)?);
        let name = rest
            .get(46..46 + name_length)
            .ok_or(JarError::Form("its directory is cut off"))?;
        if name.starts_with(b"META-INF/") {
            found.push(Member {
                name: name.to_vec(),
                method: u16_at(rest, 10)?,
                packed: u32_at(rest, 20)?.into(),
                at: u32_at(rest, 42)?.into(),
            });
        }
        rest = rest
            .get(after..)
            .ok_or(JarError::Form("its directory is cut off"))?;
    }
    Ok(found)
}

fn content(archive: &mut (impl Read + Seek), member: &Member) -> Result<String, JarError> {
    let header = bytes(archive, member.at, 30)?;
    if header.get(..4) != Some(&LOCAL) {
        return Err(JarError::Form("a member is not where the directory says"));
    }
    let skip = 30 + u64::from(u16_at(&header, 26)?) + u64::from(u16_at(&header, 28)?);
    archive.seek(SeekFrom::Start(member.at + skip))?;
    let packed = archive.take(member.packed);
    let mut content = Vec::new();
    match member.method {
        STORED => packed.take(MAX_MEMBER_BYTES + 1).read_to_end(&mut content)?,
        DEFLATED => DeflateDecoder::new(packed)
            .take(MAX_MEMBER_BYTES + 1)
            .read_to_end(&mut content)?,
        _ => return Err(JarError::Form("a member is compressed in another way")),
    };
    if content.len() as u64 > MAX_MEMBER_BYTES {
        return Err(JarError::Form("a member is too long"));
    }
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// `size` bytes from `at`; `size` has been bounded.
fn bytes(archive: &mut (impl Read + Seek), at: u64, size: u64) -> Result<Vec<u8>, JarError> {
    archive.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    archive.take(size).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != size {
        return Err(JarError::Form("it is cut off"));
    }
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, JarError> {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
    found
        .map(|bytes| u16::from_le_bytes(*bytes))
        .ok_or(JarError::Form("a record is cut off"))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, JarError> {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
    found
        .map(|bytes| u32::from_le_bytes(*bytes))
        .ok_or(JarError::Form("a record is cut off"))
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
        let facts = read(&mut Cursor::new(JAR)).unwrap();
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
            assert!(read(&mut Cursor::new(cut)).is_err(), "{length} bytes");
        }
        for at in 0..JAR.len() {
            for bit in 0..8 {
                let mut damaged = JAR.to_vec();
                damaged[at] ^= 1 << bit;
                // Never a panic; what is not looked at may well be damaged.
                drop(read(&mut Cursor::new(damaged)));
            }
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let error = read(&mut Cursor::new(include_bytes!("../../tests/data/sbom/bomb.jar"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it is not a sound zip archive: a member is too long"
        );
    }
}
