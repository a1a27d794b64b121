//! What the tests of this package read: the workspace's own manifests and sources. Not part of any product.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a repository that cannot be read is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The top of the source tree.
#[must_use]
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/repo is two levels down")
        .to_path_buf()
}

/// Every file that git tracks or would track, relative to the top, sorted.
#[must_use]
pub fn files() -> BTreeSet<PathBuf> {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(top())
        .output()
        .expect("git is needed");
    assert!(listing.status.success(), "git ls-files failed");
    let text = String::from_utf8(listing.stdout).expect("file names are UTF-8");
    text.split('\0')
        .filter(|f| !f.is_empty())
        .map(PathBuf::from)
        .filter(|f| top().join(f).is_file())
        .collect()
}

/// A package of the workspace.
#[derive(Debug)]
pub struct Package {
    /// Its folder, relative to the top.
    pub folder: String,
    /// Its `Cargo.toml`.
    pub manifest: toml::Table,
}

impl Package {
    /// Names in the given dependency tables.
    #[must_use]
    pub fn dependencies(&self, tables: &[&str]) -> BTreeSet<String> {
        let names = |table: &&str| {
            let table = self.manifest.get(*table).and_then(toml::Value::as_table);
            table
                .map(|t| t.keys().cloned().collect::<Vec<_>>())
                .unwrap_or_default()
        };
        tables.iter().flat_map(names).collect()
    }
}

/// A `Cargo.toml`, parsed.
#[must_use]
pub fn read_toml(path: &Path) -> toml::Table {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every package of the workspace by name.
#[must_use]
pub fn packages() -> BTreeMap<String, Package> {
    let root = read_toml(&top().join("Cargo.toml"));
    let members = root["workspace"]["members"].as_array().unwrap().clone();
    let package = |member: toml::Value| {
        let folder = member
            .as_str()
            .expect("members are listed one by one, without patterns")
            .to_owned();
        let manifest = read_toml(&top().join(&folder).join("Cargo.toml"));
        (
            manifest["package"]["name"].as_str().unwrap().to_owned(),
            Package { folder, manifest },
        )
    };
    members.into_iter().map(package).collect()
}

/// The fuzz targets: a package outside of the workspace, compiled differently.
#[must_use]
pub fn fuzz_package() -> Package {
    Package {
        folder: "fuzz".to_owned(),
        manifest: read_toml(&top().join("fuzz/Cargo.toml")),
    }
}
