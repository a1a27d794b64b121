//! Jars of an image: Java's class path written down, and single files taken out.
//!
//! A class path with a wildcard is expanded in whatever order the folder gives, so an image names each jar, in a file that
//! `java @FILE` reads. A library that a jar carries is taken out when the image is built: at run time nothing is unpacked, and no
//! writable place has to be executable.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use glob::Pattern;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::manifest::matches;
use crate::tree::{Content, Kind, Tree, TreePath};

/// Largest file taken out of an archive, bytes.
const MAX_MEMBER_BYTES: u64 = 256 << 20;

/// Why there is no class path or file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JarError {
    /// A pattern matches nothing.
    #[error("`{0}` matches no file of the image")]
    NoMatch(String),
    /// A pattern that names one archive matches more.
    #[error("`{pattern}` matches {first} and {second}, expected one archive")]
    Several {
        /// The pattern.
        pattern: String,
        /// The first match.
        first: TreePath,
        /// The second.
        second: TreePath,
    },
    /// A name that cannot stand in a class path.
    #[error("{0} cannot stand in a class path: expected letters, digits and `-._+/@~` only")]
    Name(TreePath),
    /// The archive is made by the builder itself.
    #[error("{0} is not a file that was unpacked")]
    Inline(TreePath),
    /// The archive cannot be opened.
    #[error("cannot read {}", path.display())]
    Open {
        /// Where it is.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The archive is damaged, or does not have the file.
    #[error("cannot take `{member}` out of {archive}")]
    Member {
        /// The archive.
        archive: TreePath,
        /// The file's name there.
        member: String,
        /// Why.
        #[source]
        source: ZipError,
    },
    /// The file is too large.
    #[error("`{member}` of {archive} has more than {MAX_MEMBER_BYTES} bytes")]
    TooLarge {
        /// The archive.
        archive: TreePath,
        /// The file's name there.
        member: String,
    },
}

fn found<'a>(tree: &'a Tree, pattern: &'a Pattern) -> impl Iterator<Item = (&'a TreePath, &'a Content)> {
    tree.iter().filter_map(|(path, node, _)| match &node.kind {
        Kind::File(content) if matches(pattern, path.as_str()) => Some((path, content)),
        _ => None,
    })
}

/// The text of an argument file: `-classpath`, and every file that a pattern matches, each once. Patterns keep their order.
///
/// # Errors
/// [`JarError::NoMatch`], [`JarError::Name`].
pub fn classpath(tree: &Tree, patterns: &[Pattern]) -> Result<String, JarError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._+/@~".contains(&b);
    let mut jars: Vec<&str> = Vec::new();
    for pattern in patterns {
        let mut any = false;
        for (path, _) in found(tree, pattern) {
            any = true;
            if !path.as_str().bytes().all(plain) {
                return Err(JarError::Name(path.clone()));
            }
            if !jars.contains(&path.as_str()) {
                jars.push(path.as_str());
            }
        }
        if !any {
            return Err(JarError::NoMatch(pattern.as_str().to_owned()));
        }
    }
    Ok(format!("-classpath\n{}\n", jars.join(":")))
}

/// The bytes of `member` in the one archive that `pattern` matches.
///
/// # Errors
/// [`JarError`].
pub fn member(tree: &Tree, pattern: &Pattern, member: &str) -> Result<Vec<u8>, JarError> {
    let mut archives = found(tree, pattern);
    let (archive, content) = archives
        .next()
        .ok_or_else(|| JarError::NoMatch(pattern.as_str().to_owned()))?;
    if let Some((second, _)) = archives.next() {
        return Err(JarError::Several {
            pattern: pattern.as_str().to_owned(),
            first: archive.clone(),
            second: second.clone(),
        });
    }
    let Content::File { path, .. } = content else {
        return Err(JarError::Inline(archive.clone()));
    };
    let file = File::open(path).map_err(|source| JarError::Open {
        path: path.clone(),
        source,
    })?;
    let refuse = |source| JarError::Member {
        archive: archive.clone(),
        member: member.to_owned(),
        source,
    };
    let mut zip = ZipArchive::new(file).map_err(refuse)?;
    let entry = zip.by_name(member).map_err(refuse)?;
    let mut bytes = Vec::new();
    let read = entry.take(MAX_MEMBER_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|e| refuse(ZipError::Io(e)))?;
    if bytes.len() as u64 > MAX_MEMBER_BYTES {
        return Err(JarError::TooLarge {
            archive: archive.clone(),
            member: member.to_owned(),
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
