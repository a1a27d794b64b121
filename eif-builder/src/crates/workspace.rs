//! The smallest workspace that still builds one member: that member, the members it needs, and nothing of
//! tests, benches, examples, lints or the other members.
//!
//! So a change elsewhere in the repository leaves a program's key alone. A member that needs a file outside
//! `src/` and its build script says so: `[package.metadata.build-root] files = ["data"]`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use toml::{Table, Value};

use super::lockfile::{CargoLock, LockfileError};
use super::reduced::Reduced;

/// Tables of dependencies that reach the program. `dev-dependencies` do not.
const KINDS: [&str; 2] = ["dependencies", "build-dependencies"];
/// What is taken out of a member's manifest.
const DROPPED: [&str; 5] = ["dev-dependencies", "bench", "example", "test", "lints"];

/// Why a workspace cannot be reduced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// A manifest is not TOML.
    #[error("{} is not valid", path.display())]
    Toml {
        /// Which.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: toml::de::Error,
    },
    /// A manifest says something that is not understood here.
    #[error("{}: {what}", path.display())]
    Manifest {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// No member has that name.
    #[error("the workspace has no member `{0}`")]
    NoMember(String),
    /// A dependency is taken from the workspace, which does not have it.
    #[error("`{member}` takes `{dependency}` from the workspace, which does not name it")]
    NoDependency {
        /// Who needs it.
        member: String,
        /// What it needs.
        dependency: String,
    },
    /// The lock file is not understood.
    #[error(transparent)]
    Lock(#[from] LockfileError),
    /// A reduced manifest cannot be written as TOML.
    #[error("cannot write the manifest of `{member}`")]
    Write {
        /// Whose.
        member: String,
        /// Why.
        #[source]
        source: toml::ser::Error,
    },
}

/// A cargo workspace on disk, read.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
    manifest: Table,
    members: BTreeMap<String, Member>,
    lock: CargoLock,
}

#[derive(Clone, Debug)]
struct Member {
    /// Relative to the workspace, `/`-separated.
    dir: String,
    manifest: Table,
}

impl Workspace {
    /// Reads the manifests and the lock of the workspace at `root`.
    ///
    /// # Errors
    /// [`WorkspaceError`]; patterns in `members` and members outside the workspace are not understood.
    pub fn open(root: &Path) -> Result<Self, WorkspaceError> {
        let path = root.join("Cargo.toml");
        let manifest = read_toml(&path)?;
        let bad = |what| WorkspaceError::Manifest {
            path: path.clone(),
            what,
        };
        let list = manifest
            .get("workspace")
            .and_then(|w| w.get("members"))
            .and_then(Value::as_array);
        let mut members = BTreeMap::new();
        for dir in list.ok_or_else(|| bad("it has no list of members"))? {
            let dir = dir
                .as_str()
                .filter(|d| !d.contains('*'))
                .ok_or_else(|| bad("a member is not a plain path"))?;
            let path = root.join(dir).join("Cargo.toml");
            let manifest = read_toml(&path)?;
            let name = manifest
                .get("package")
                .and_then(|p| p.get("name"))
                .and_then(Value::as_str);
            let name = name.ok_or(WorkspaceError::Manifest {
                path,
                what: "it has no package name",
            })?;
            let dir = dir.to_owned();
            members.insert(name.to_owned(), Member { dir, manifest });
        }
        let lock = CargoLock::parse(&read_text(&root.join("Cargo.lock"))?)?;
        Ok(Self {
            root: root.to_path_buf(),
            manifest,
            members,
            lock,
        })
    }

    /// The lock of the whole workspace.
    #[must_use]
    pub const fn lock(&self) -> &CargoLock {
        &self.lock
    }

    /// The workspace that builds `package` and nothing else.
    ///
    /// # Errors
    /// [`WorkspaceError`].
    pub fn reduce(&self, package: &str) -> Result<Reduced, WorkspaceError> {
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut inherited = BTreeSet::new();
        let mut todo = vec![package.to_owned()];
        while let Some(name) = todo.pop() {
            if edges.contains_key(&name) {
                continue;
            }
            let member = self.member(&name)?;
            let mut names = BTreeSet::new();
            for (key, spec) in dependencies(&member.manifest) {
                let spec = if flag(spec, "workspace") {
                    inherited.insert(key.clone());
                    self.workspace_dependency(&name, key)?
                } else {
                    spec
                };
                let real = spec.get("package").and_then(Value::as_str).unwrap_or(key);
                names.insert(real.to_owned());
                if spec.get("path").is_some() {
                    todo.push(real.to_owned());
                }
            }
            edges.insert(name, names);
        }
        let mut files = BTreeMap::new();
        let dirs = edges
            .keys()
            .map(|name| Ok(self.member(name)?.dir.clone()))
            .collect::<Result<Vec<_>, WorkspaceError>>()?;
        files.insert("Cargo.toml".to_owned(), self.root_manifest(dirs, &inherited)?);
        for name in edges.keys() {
            self.add_files(name, &mut files)?;
        }
        Ok(Reduced {
            package: package.to_owned(),
            bins: self.bins(package, &files)?,
            members: edges.keys().cloned().collect(),
            lock: self.lock.reachable(&edges)?,
            files,
        })
    }

    fn member(&self, name: &str) -> Result<&Member, WorkspaceError> {
        self.members
            .get(name)
            .ok_or_else(|| WorkspaceError::NoMember(name.to_owned()))
    }

    fn workspace_dependency(&self, member: &str, key: &str) -> Result<&Value, WorkspaceError> {
        let table = self.manifest.get("workspace").and_then(|w| w.get("dependencies"));
        table
            .and_then(|t| t.get(key))
            .ok_or_else(|| WorkspaceError::NoDependency {
                member: member.to_owned(),
                dependency: key.to_owned(),
            })
    }

    /// The manifest at the top: these members, the dependencies that they inherit, the release profile.
    fn root_manifest(
        &self,
        mut dirs: Vec<String>,
        inherited: &BTreeSet<String>,
    ) -> Result<Vec<u8>, WorkspaceError> {
        dirs.sort();
        let mut workspace = Table::new();
        let old = self
            .manifest
            .get("workspace")
            .and_then(Value::as_table)
            .cloned()
            .unwrap_or_default();
        for (key, value) in old {
            let value = match key.as_str() {
                "resolver" | "package" => value,
                "members" => Value::Array(dirs.iter().cloned().map(Value::String).collect()),
                "dependencies" => {
                    let all = value.as_table().cloned().unwrap_or_default();
                    Value::Table(
                        all.into_iter()
                            .filter(|(name, _)| inherited.contains(name))
                            .collect(),
                    )
                }
                _ => continue,
            };
            workspace.insert(key, value);
        }
        let mut manifest = Table::new();
        manifest.insert("workspace".to_owned(), Value::Table(workspace));
        if let Some(release) = self.manifest.get("profile").and_then(|p| p.get("release")) {
            let profile = Table::from_iter([("release".to_owned(), release.clone())]);
            manifest.insert("profile".to_owned(), Value::Table(profile));
        }
        to_bytes("the workspace", &manifest)
    }

    fn add_files(&self, name: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), WorkspaceError> {
        let member = self.member(name)?;
        let package = member.manifest.get("package");
        let mut manifest = member.manifest.clone();
        for key in DROPPED {
            manifest.remove(key);
        }
        if let Some(targets) = manifest.get_mut("target").and_then(Value::as_table_mut) {
            for (_, target) in targets.iter_mut() {
                target.as_table_mut().map(|t| t.remove("dev-dependencies"));
            }
        }
        files.insert(format!("{}/Cargo.toml", member.dir), to_bytes(name, &manifest)?);
        let mut wanted = vec!["src"];
        match package.and_then(|p| p.get("build")) {
            Some(build) => wanted.extend(build.as_str()),
            None => wanted.extend(
                self.root
                    .join(&member.dir)
                    .join("build.rs")
                    .exists()
                    .then_some("build.rs"),
            ),
        }
        let extra = package
            .and_then(|p| p.get("metadata"))
            .and_then(|m| m.get("build-root"))
            .and_then(|b| b.get("files"));
        wanted.extend(
            extra
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str),
        );
        for relative in wanted {
            let plain = Path::new(relative)
                .components()
                .all(|c| matches!(c, Component::Normal(_)));
            if !plain {
                return Err(WorkspaceError::Manifest {
                    path: self.root.join(&member.dir).join("Cargo.toml"),
                    what: "a file for the build root is not a plain path below the member",
                });
            }
            self.add_path(&format!("{}/{relative}", member.dir), files)?;
        }
        Ok(())
    }

    fn add_path(&self, relative: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), WorkspaceError> {
        let path = self.root.join(relative);
        let fail = |source| WorkspaceError::Read {
            path: path.clone(),
            source,
        };
        if !path.is_dir() {
            files.insert(relative.to_owned(), fs::read(&path).map_err(fail)?);
            return Ok(());
        }
        #[expect(clippy::disallowed_methods, reason = "the files go into a sorted map")]
        for entry in fs::read_dir(&path).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            let name = name.to_str().ok_or_else(|| WorkspaceError::Manifest {
                path: path.clone(),
                what: "a file name is not UTF-8",
            })?;
            self.add_path(&format!("{relative}/{name}"), files)?;
        }
        Ok(())
    }

    /// The programs of a member: those that it names, and those that cargo finds by their place.
    fn bins(&self, package: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<String>, WorkspaceError> {
        let member = self.member(package)?;
        let mut bins = BTreeSet::new();
        if files.contains_key(&format!("{}/src/main.rs", member.dir)) {
            bins.insert(package.to_owned());
        }
        let prefix = format!("{}/src/bin/", member.dir);
        let found = files
            .keys()
            .filter_map(|f| f.strip_prefix(&prefix)?.strip_suffix(".rs"));
        bins.extend(found.filter(|name| !name.contains('/')).map(str::to_owned));
        for bin in member
            .manifest
            .get("bin")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let name = bin.get("name").and_then(Value::as_str).unwrap_or_default();
            if bin.get("path").and_then(Value::as_str) == Some("src/main.rs") {
                bins.remove(package);
            }
            bins.insert(name.to_owned());
        }
        Ok(bins.into_iter().collect())
    }
}

/// Normal and build dependencies of a member, those of its targets too.
fn dependencies(manifest: &Table) -> impl Iterator<Item = (&String, &Value)> {
    let targets = manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flatten();
    let tables = core::iter::once(manifest).chain(targets.filter_map(|(_, target)| target.as_table()));
    tables.flat_map(|table| {
        KINDS
            .iter()
            .filter_map(|kind| table.get(*kind)?.as_table())
            .flatten()
    })
}

fn flag(spec: &Value, key: &str) -> bool {
    spec.get(key).and_then(Value::as_bool) == Some(true)
}

fn read_text(path: &Path) -> Result<String, WorkspaceError> {
    fs::read_to_string(path).map_err(|source| WorkspaceError::Read {
        path: path.to_path_buf(),
        source,
    })
}

fn read_toml(path: &Path) -> Result<Table, WorkspaceError> {
    toml::from_str(&read_text(path)?).map_err(|source| WorkspaceError::Toml {
        path: path.to_path_buf(),
        source,
    })
}

fn to_bytes(member: &str, table: &Table) -> Result<Vec<u8>, WorkspaceError> {
    let text = toml::to_string(table).map_err(|source| WorkspaceError::Write {
        member: member.to_owned(),
        source,
    })?;
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests;
