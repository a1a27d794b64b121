//! The crates that are really compiled into a program: not all that `Cargo.lock` reaches, but what cargo resolves for the
//! program's target and features, without build scripts, procedural macros and tests.
//!
//! Cargo of the build root says it, from the same reduced workspace and crates that the program is compiled from. The
//! answer is a part of the store; it depends on the manifests and the lock alone, so a change to a source file keeps it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::licence::Licence;
use crate::crates::reduced::Reduced;
use crate::crates::{CrateError, CrateShop, TARGET, vendor};
use crate::digest::Sha256;
use crate::part::{Part, PartFile, Source};
use crate::store::remove_tree;

const SCRIPT: &str = include_str!("closure.sh");
const OUTPUT: &str = "crates";
/// Longest answer.
const MAX_BYTES: u64 = 4 << 20;

/// One crate in a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Used {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// It is a member of the workspace, not a published crate.
    pub member: bool,
    /// What its manifest says about its licence.
    pub licence: String,
    /// Features that it is compiled with, sorted by cargo.
    pub features: String,
}

impl Used {
    /// Its licence as an expression.
    #[must_use]
    pub fn licence(&self) -> Licence {
        Licence::of_crate(&self.licence)
    }
}

/// Why the crates of a program cannot be said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClosureError {
    /// The workspace cannot be reduced, the crates cannot be had, or cargo failed.
    #[error(transparent)]
    Crates(#[from] CrateError),
    /// Cargo answered something else.
    #[error("cargo's list of the crates of `{package}` has the line `{line}`, which is not understood")]
    Line {
        /// The program's package.
        package: String,
        /// The line, shortened.
        line: String,
    },
}

/// The crates of the programs of `package`, sorted; the package itself is among them.
///
/// # Errors
/// [`ClosureError`].
pub fn of(shop: &CrateShop<'_>, package: &str) -> Result<Vec<Used>, ClosureError> {
    let reduced = shop.workspace.reduce(package).map_err(CrateError::from)?;
    let file = list(shop, &reduced)?;
    let mut text = String::new();
    let read = File::open(&file.path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
    read.map_err(|source| CrateError::Read {
        path: file.path.clone(),
        source,
    })?;
    parse(package, &text)
}

/// Digest of everything that decides the answer, without asking for it.
///
/// # Errors
/// [`ClosureError::Crates`].
pub fn key(shop: &CrateShop<'_>, package: &str) -> Result<Sha256, ClosureError> {
    let reduced = shop.workspace.reduce(package).map_err(CrateError::from)?;
    let name = name(&reduced);
    Ok(part(shop, &reduced, &name, Path::new(""), Path::new(""))
        .recipe()
        .key())
}

fn list(shop: &CrateShop<'_>, reduced: &Reduced) -> Result<PartFile, CrateError> {
    let name = name(reduced);
    // Where things are is not in the key, so the empty paths do for looking.
    let looked = part(shop, reduced, &name, Path::new(""), Path::new(""));
    if let Some(built) = shop.workshop.built(&looked)? {
        return Ok(built.file(OUTPUT)?);
    }
    let store = shop.workshop.store;
    let vendored = vendor::provide(store, shop.cargo, reduced, shop.workspace.lock());
    let vendored = vendored.map_err(|source| CrateError::Vendor {
        package: reduced.package.clone(),
        source: Box::new(source),
    })?;
    let source = store.scratch_path();
    let written = reduced.write(&source, &vendored.lock);
    let built = written.map_err(CrateError::from).and_then(|()| {
        let part = part(shop, reduced, &name, &source, &vendored.crates);
        Ok(shop.workshop.build(&part)?)
    });
    drop(remove_tree(&source));
    Ok(built?.file(OUTPUT)?)
}

fn name(reduced: &Reduced) -> String {
    format!("crates-of-{}", reduced.package)
}

fn part<'a>(
    shop: &CrateShop<'a>,
    reduced: &Reduced,
    name: &'a str,
    source: &Path,
    crates: &Path,
) -> Part<'a> {
    let dir = |host: &Path, digest| Source::Dir {
        host: host.to_path_buf(),
        digest,
    };
    Part {
        name,
        root: shop.root,
        inputs: BTreeMap::from([
            // The other files are there for cargo to find, and say nothing about crates.
            ("/src".to_owned(), dir(source, reduced.needs_digest())),
            ("/vendor".to_owned(), dir(crates, vendor::key(reduced))),
        ]),
        caches: BTreeMap::new(),
        script: SCRIPT,
        env: BTreeMap::from([
            ("PACKAGE".to_owned(), reduced.package.clone()),
            ("TARGET".to_owned(), TARGET.to_owned()),
        ]),
        outputs: vec![OUTPUT.to_owned()],
    }
}

fn parse(package: &str, text: &str) -> Result<Vec<Used>, ClosureError> {
    let mut all = Vec::new();
    for line in text.lines() {
        let used = one(line).ok_or_else(|| ClosureError::Line {
            package: package.to_owned(),
            line: line.chars().take(200).collect(),
        })?;
        all.push(used);
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// `name v1.0.0|MIT|default,std`, `name v0.1.0 (/src/name)||`.
fn one(line: &str) -> Option<Used> {
    let mut columns = line.split('|');
    let (who, licence, features) = (columns.next()?, columns.next()?, columns.next()?);
    if columns.next().is_some() {
        return None;
    }
    let (name, rest) = who.split_once(" v")?;
    let (version, place) = rest.split_once(' ').unwrap_or((rest, ""));
    let member = place.starts_with("(/src/") && place.ends_with(')');
    if name.is_empty() || version.is_empty() || !(member || place.is_empty()) {
        return None;
    }
    Some(Used {
        name: name.to_owned(),
        version: version.to_owned(),
        member,
        licence: licence.to_owned(),
        features: features.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_cargo() {
        let text = "agent v0.1.0 (/src/agent)|MIT|\nserde v1.0.0|MIT OR Apache-2.0|alloc,std\n";
        let used = parse("agent", text).unwrap();
        assert_eq!(used.len(), 2);
        assert!(used[0].member && !used[1].member);
        assert_eq!(
            (used[1].name.as_str(), used[1].version.as_str()),
            ("serde", "1.0.0")
        );
        assert_eq!(used[1].licence().expression(), Some("MIT OR Apache-2.0"));
        assert_eq!(used[1].features, "alloc,std");
    }

    #[test]
    fn other_lines_are_errors() {
        for line in [
            "",
            "serde",
            "serde v1|MIT",
            "serde v1 (proc-macro)|MIT|",
            "serde v1 (*)|MIT|",
            "a v1|b|c|d",
            " v1|a|b",
        ] {
            let error = parse("agent", &format!("{line}\n")).unwrap_err();
            assert!(error.to_string().contains(line), "{error}");
        }
    }
}
