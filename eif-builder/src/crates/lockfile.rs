//! `Cargo.lock`: reading it, and the part of it that a set of packages can reach.
//!
//! What can be reached is taken from the lock's own edges, so it may hold packages that the reduced workspace
//! needs no more (other members may have asked for features that pulled them in). That is enough for a key and
//! as a start for cargo, which drops them and changes no version.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Deserialize;

/// The form of `Cargo.lock` that is read and written.
const VERSION: u32 = 4;

/// The packages of a lock, sorted by name, version and source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CargoLock {
    packages: Vec<Package>,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it comes from; none for members of the workspace.
    pub source: Option<String>,
    /// SHA-256 of the published archive, as hex.
    pub checksum: Option<String>,
    /// `name`, `name version` or `name version (source)`, as short as it is unique.
    #[serde(default)]
    pub dependencies: Vec<String>,
}

/// Why a `Cargo.lock` is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LockfileError {
    /// Not TOML or not of the known form.
    #[error("Cargo.lock is not valid: {0}")]
    Toml(#[from] toml::de::Error),
    /// Another version of the format.
    #[error("Cargo.lock has format {actual}, this program reads {VERSION}")]
    Version {
        /// What the file says.
        actual: u32,
    },
    /// An edge to a package that is not there or not unique.
    #[error("Cargo.lock has no single package for the dependency `{0}`; run `cargo generate-lockfile`")]
    Dangling(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: u32,
    #[serde(default)]
    package: Vec<Package>,
}

impl CargoLock {
    /// Reads a lock file.
    ///
    /// # Errors
    /// [`LockfileError`].
    pub fn parse(text: &str) -> Result<Self, LockfileError> {
        let Raw { version, mut package } = toml::from_str(text)?;
        if version != VERSION {
            return Err(LockfileError::Version { actual: version });
        }
        package.sort();
        Ok(Self { packages: package })
    }

    /// All packages, sorted.
    #[must_use]
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// The part that `members` reach. Each member keeps only the edges to the names that it is given with
    /// (its normal and build dependencies); every other package keeps all of its edges.
    ///
    /// # Errors
    /// [`LockfileError::Dangling`] when a member, a dependency of it or an edge cannot be found.
    pub fn reachable(&self, members: &BTreeMap<String, BTreeSet<String>>) -> Result<Self, LockfileError> {
        let mut kept = BTreeSet::new();
        let mut todo: Vec<(&Package, Vec<&str>)> = Vec::new();
        for (member, names) in members {
            let package = self.find(member, true)?;
            let mut edges = Vec::new();
            for name in names {
                let edge = package.dependencies.iter().find(|d| name_of(d) == name);
                edges.push(
                    edge.ok_or_else(|| LockfileError::Dangling(name.clone()))?
                        .as_str(),
                );
            }
            todo.push((package, edges));
        }
        while let Some((package, edges)) = todo.pop() {
            let mut short = package.clone();
            short.dependencies = edges.iter().map(|&edge| edge.to_owned()).collect();
            if !kept.insert(short) {
                continue;
            }
            for edge in edges {
                let next = self.find(edge, false)?;
                if next.source.is_some() || !members.contains_key(&next.name) {
                    todo.push((next, next.dependencies.iter().map(String::as_str).collect()));
                }
            }
        }
        Ok(Self {
            packages: kept.into_iter().collect(),
        })
    }

    fn find(&self, edge: &str, local: bool) -> Result<&Package, LockfileError> {
        let mut words = edge.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        let source = words.next().map(|s| s.trim_matches(['(', ')']));
        let mut found = self.packages.iter().filter(|p| {
            p.name == name
                && version.is_none_or(|v| v == p.version)
                && source.is_none_or(|s| Some(s) == p.source.as_deref())
                && (!local || p.source.is_none())
        });
        match (found.next(), found.next()) {
            (Some(package), None) => Ok(package),
            _ => Err(LockfileError::Dangling(edge.to_owned())),
        }
    }

    /// The text of the lock file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("version = {VERSION}\n");
        for package in &self.packages {
            let mut line = |key: &str, value: Option<&String>| {
                // Writing to a string cannot fail.
                value
                    .map_or(Ok(()), |value| writeln!(text, "{key} = \"{value}\""))
                    .ok()
            };
            line("\n[[package]]\nname", Some(&package.name));
            line("version", Some(&package.version));
            line("source", package.source.as_ref());
            line("checksum", package.checksum.as_ref());
            if !package.dependencies.is_empty() {
                text.push_str("dependencies = [\n");
                for edge in &package.dependencies {
                    text.push_str(" \"");
                    text.push_str(edge);
                    text.push_str("\",\n");
                }
                text.push_str("]\n");
            }
        }
        text
    }
}

fn name_of(edge: &str) -> &str {
    edge.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = [
 "both 1.0.0",
 "lib",
 "tester",
]

[[package]]
name = "both"
version = "1.0.0"
source = "registry+x"
checksum = "aa"
dependencies = [
 "deep",
]

[[package]]
name = "both"
version = "2.0.0"
source = "registry+x"
checksum = "bb"

[[package]]
name = "deep"
version = "1.0.0"
source = "registry+x"
checksum = "cc"

[[package]]
name = "lib"
version = "0.1.0"
dependencies = [
 "deep",
 "tester",
]

[[package]]
name = "tester"
version = "1.0.0"
source = "registry+x"
checksum = "dd"
dependencies = [
 "both 2.0.0",
]
"#;

    fn members(list: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let set = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
        list.iter()
            .map(|&(name, deps)| (name.to_owned(), set(deps)))
            .collect()
    }

    #[test]
    fn text_is_as_cargo_writes_it() {
        assert_eq!(CargoLock::parse(LOCK).unwrap().to_text(), LOCK);
    }

    #[test]
    fn only_what_is_reached_stays() {
        let lock = CargoLock::parse(LOCK).unwrap();
        let names = |list: &[(&str, &[&str])]| {
            let reached = lock.reachable(&members(list)).unwrap();
            reached
                .packages
                .iter()
                .map(|p| format!("{} {}", p.name, p.version))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&[("lib", &["deep"])]), ["deep 1.0.0", "lib 0.1.0"]);
        assert_eq!(
            names(&[("app", &["both", "lib"]), ("lib", &["deep"])]),
            ["app 0.1.0", "both 1.0.0", "deep 1.0.0", "lib 0.1.0"]
        );
        let app = lock
            .reachable(&members(&[("app", &["lib"]), ("lib", &[])]))
            .unwrap();
        assert!(
            !app.to_text().contains("tester"),
            "development dependencies are dropped"
        );
        assert_eq!(
            names(&[("lib", &["tester"])]),
            ["both 2.0.0", "lib 0.1.0", "tester 1.0.0"]
        );
    }

    #[test]
    fn gaps_and_other_forms_are_errors() {
        let lock = CargoLock::parse(LOCK).unwrap();
        for (member, names) in [("none", &[][..]), ("lib", &["missing"]), ("tester", &[])] {
            let error = lock.reachable(&members(&[(member, names)])).unwrap_err();
            assert!(matches!(error, LockfileError::Dangling(_)), "{error}");
        }
        let ambiguous = LOCK.replace("\"both 1.0.0\"", "\"both\"");
        let error = CargoLock::parse(&ambiguous)
            .unwrap()
            .reachable(&members(&[("app", &["both"])]))
            .unwrap_err();
        assert_eq!(error, LockfileError::Dangling("both".to_owned()));
        let old = CargoLock::parse(&LOCK.replace("version = 4", "version = 3"));
        assert_eq!(old, Err(LockfileError::Version { actual: 3 }));
        assert!(matches!(
            CargoLock::parse("version = 4\nextra = 1"),
            Err(LockfileError::Toml(_))
        ));
    }
}
