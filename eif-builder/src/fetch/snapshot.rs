//! The public snapshot archive: finds a package file by name and version when no mirror has it any more.
//!
//! Its machine-readable interface names files by SHA-1, which is used as an address only: the bytes are
//! checked by the lock's SHA-256 like all others. No date is needed anywhere.
//! Source: the file `API` of the snapshot archive's own source.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::http::{Http, HttpError};
use crate::lock::Input;
use crate::mirror::escape;

/// The largest answer accepted, in bytes. Usual ones have a few kilobytes.
const MAX_ANSWER_BYTES: u64 = 4 << 20;

/// Why the archive does not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The answer is not what its interface promises.
    #[error("the snapshot archive's answer cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
    /// It does not have such a file.
    #[error("the snapshot archive knows no such file of {0} bytes")]
    Unknown(u64),
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Vec<Found>,
    #[serde(default)]
    fileinfo: BTreeMap<String, Vec<FileInfo>>,
}

#[derive(Deserialize)]
struct Found {
    hash: String,
    architecture: Option<String>,
}

#[derive(Deserialize)]
struct FileInfo {
    name: String,
    size: u64,
}

/// The URL that says which files the archive has for an input; `None` for what is not Debian's.
#[must_use]
pub fn query_url(base: &str, input: Input<'_>) -> Option<String> {
    let (kind, name, version, list) = match input {
        Input::Package(p) => ("binary", &p.name, &p.version, "binfiles"),
        Input::Source(s) => ("package", &s.package, &s.version, "srcfiles"),
        Input::Download(_) => return None,
    };
    Some(format!(
        "{base}/mr/{kind}/{}/{}/{list}?fileinfo=1",
        escape(name, ""),
        escape(version, "")
    ))
}

/// The URLs of the files that may be the input: right architecture or name, and right size.
///
/// # Errors
/// [`SnapshotError`].
pub fn find(http: &Http, base: &str, input: Input<'_>) -> Result<Vec<String>, SnapshotError> {
    let Some(url) = query_url(base, input) else {
        return Ok(Vec::new());
    };
    let answer = http.get_bytes(&url, MAX_ANSWER_BYTES)?;
    let hashes = pick(&serde_json::from_slice(&answer)?, input);
    if hashes.is_empty() {
        return Err(SnapshotError::Unknown(input.length().most()));
    }
    Ok(hashes
        .into_iter()
        .map(|hash| format!("{base}/file/{hash}"))
        .collect())
}

fn pick(answer: &Answer, input: Input<'_>) -> Vec<String> {
    let right_size = |f: &&FileInfo| input.length().admits(f.size);
    let suits = |found: &Found| {
        let mut info = answer
            .fileinfo
            .get(&found.hash)
            .into_iter()
            .flatten()
            .filter(right_size);
        match input {
            Input::Package(p) => {
                found.architecture.as_deref() == Some(&p.architecture) && info.next().is_some()
            }
            Input::Source(s) => info.any(|f| f.name == s.file),
            Input::Download(_) => false,
        }
    };
    let is_sha1 = |h: &str| h.len() == 40 && h.bytes().all(|b| b.is_ascii_hexdigit());
    let mut hashes: Vec<_> = answer
        .result
        .iter()
        .filter(|f| is_sha1(&f.hash) && suits(f))
        .map(|f| f.hash.clone())
        .collect();
    hashes.sort();
    hashes.dedup();
    hashes
}
