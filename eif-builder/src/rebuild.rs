//! Building an image again, from nothing but the source and the locked inputs, to compare it with what was published.
//!
//! ```text
//! source tree (clean, its commit named) --> a store of its own: inputs taken over by link and hashed again when they are used,
//!                                           no built part taken over --> EIF, PCRs
//! reproducible/published/IMAGE.pcrs.json  = SHA-256 of the EIF, each PCR, the trust switches
//! ```
//!
//! This file judges and prepares; the building is the pipeline's, as for every image.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::verdict::Verdict;

/// Folder of the published measurements, below the top of the source tree.
pub const PUBLISHED: &str = "reproducible/published";
/// Most changed files that are named.
const MOST_NAMED: usize = 8;

/// What git says about a source tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A checkout of this commit, with its tags, and these files changed.
    Checkout {
        /// The commit, hex.
        commit: String,
        /// Tags that name it.
        tags: Vec<String>,
        /// Files that differ from it or are not in it.
        changed: Vec<String>,
    },
    /// Not a checkout, or git is not here.
    Unknown,
}

/// Asks git about the tree at `top`.
#[must_use]
pub fn source(top: &Path) -> Source {
    let git = |args: &[&str]| -> Option<String> {
        let output = Command::new("git").arg("-C").arg(top).args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then_some(text)
    };
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let asked = git(&["rev-parse", "HEAD"])
        .zip(git(&["status", "--porcelain", "--untracked-files=all"]))
        .zip(git(&["tag", "--points-at", "HEAD"]));
    match asked {
        Some(((commit, changed), tags)) => Source::Checkout {
            commit: commit.trim().to_owned(),
            tags: lines(tags),
            changed: lines(changed)
                .iter()
                .map(|line| line.get(3..).unwrap_or_default().to_owned())
                .collect(),
        },
        None => Source::Unknown,
    }
}

/// Judges which source it was. A changed file is a failure unless `allow_changed`: else the commit would be praised for bytes that
/// it does not give.
pub fn judge_source(source: &Source, allow_changed: bool, verdict: &mut Verdict) {
    match source {
        Source::Unknown => {
            let text = "which commit this source is: it is no git checkout, or git is not here";
            verdict.not_proven.push(text.to_owned());
        }
        Source::Checkout {
            commit,
            tags,
            changed,
        } => {
            let tags = if tags.is_empty() {
                "no tag".to_owned()
            } else {
                tags.join(", ")
            };
            verdict.fact("source", format!("commit {commit} ({tags})"));
            if changed.is_empty() {
                verdict.holds("source", "clean: exactly that commit");
                return;
            }
            let shown: Vec<String> = changed
                .iter()
                .take(MOST_NAMED)
                .map(|name| name.escape_debug().to_string())
                .collect();
            let text = format!(
                "{} files differ from the commit: {}",
                changed.len(),
                shown.join(", ")
            );
            if allow_changed {
                verdict
                    .not_proven
                    .push(format!("that the commit gives this image: {text}"));
            } else {
                verdict.fails(
                    "source",
                    format!("{text}; --changed-source to judge them all the same"),
                );
            }
        }
    }
}

/// Compares measurements: what was published, and what the rebuild gave. Both are the JSON of `NAME.pcrs.json`.
pub fn judge_measurements(published: &Value, rebuilt: &Value, verdict: &mut Verdict) {
    let text = |value: &Value, pointer: &str| {
        let found = value.pointer(pointer).map(|value| match value {
            Value::String(text) => text.escape_debug().to_string(),
            other => other.to_string(),
        });
        found.unwrap_or_else(|| "absent".to_owned())
    };
    let mut compare = |name: &str, pointer: &str| {
        verdict.same(name, &text(published, pointer), &text(rebuilt, pointer));
    };
    compare("EIF SHA-256", "/EifSha256");
    for name in ["PCR0", "PCR1", "PCR2"] {
        compare(name, &format!("/Measurements/{name}"));
    }
    let has = |value: &Value, pointer: &str| value.pointer(pointer).is_some();
    for (name, pointer) in [("PCR8", "/Measurements/PCR8"), ("weakened", "/WeakenedTrust")] {
        if has(published, pointer) || has(rebuilt, pointer) {
            compare(name, pointer);
        }
    }
}

/// Where two files differ first; `None` when their bytes are the same.
///
/// # Errors
/// When one cannot be read.
pub fn first_difference(one: &Path, other: &Path) -> io::Result<Option<u64>> {
    use std::io::{BufRead as _, BufReader};
    let open = |path: &Path| Ok::<_, io::Error>(BufReader::with_capacity(1 << 16, fs::File::open(path)?));
    let (mut one, mut other) = (open(one)?, open(other)?);
    let mut at = 0;
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let length = left.len().min(right.len());
        let same = left.iter().zip(right).take_while(|(a, b)| a == b).count();
        let place = at + same as u64;
        if same < length {
            return Ok(Some(place));
        }
        if length == 0 {
            return Ok((left.len() != right.len()).then_some(place));
        }
        one.consume(length);
        other.consume(length);
        at = place;
    }
}

/// Makes a store in the folder `fresh` that has the inputs of `store` and nothing that was built.
///
/// Inputs are linked, or copied where links cannot be; a store hashes them again whenever they are used, so nothing is believed.
///
/// # Errors
/// When a folder cannot be made or an input cannot be taken over.
pub fn seed_store(store: &Path, fresh: &Path) -> io::Result<()> {
    let blobs = store.join("blobs");
    for shard in sorted(&blobs)? {
        let into = fresh.join("blobs").join(shard.file_name().unwrap_or_default());
        fs::create_dir_all(&into)?;
        for blob in sorted(&shard)? {
            let to = into.join(blob.file_name().unwrap_or_default());
            if fs::hard_link(&blob, &to).is_err() {
                fs::copy(&blob, &to)?;
            }
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "sorted here")]
fn sorted(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests;
