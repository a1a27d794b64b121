//! Rules that a reviewer would otherwise have to remember.
#![expect(clippy::panic, reason = "a repository that cannot be read is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use repo::{files, fuzz_package, packages, top};

fn text(file: &Path) -> String {
    fs::read_to_string(top().join(file)).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

fn rust_files() -> impl Iterator<Item = std::path::PathBuf> {
    files()
        .into_iter()
        .filter(|f| f.extension().is_some_and(|e| e == "rs"))
}

#[test]
fn every_package_has_the_lints_of_the_workspace() {
    for (name, package) in packages() {
        let lints = package
            .manifest
            .get("lints")
            .and_then(|l| l.get("workspace"))
            .and_then(toml::Value::as_bool);
        assert_eq!(lints, Some(true), "{name}: [lints] workspace = true is missing");
        assert!(
            !package.manifest.contains_key("features"),
            "{name}: cargo features hide code paths from tests"
        );
    }
}

#[test]
fn unsafe_is_in_one_package_only() {
    for (name, package) in packages() {
        if name == "nsm" {
            continue;
        }
        for root in ["src/lib.rs", "src/main.rs"] {
            let file = Path::new(&package.folder).join(root);
            if top().join(&file).is_file() {
                assert!(
                    text(&file).contains("#![forbid(unsafe_code)]"),
                    "{}: no forbid(unsafe_code)",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for file in rust_files() {
        assert!(
            text(&file).starts_with("//!"),
            "{} does not open with //!",
            file.display()
        );
    }
}

/// Files grow a second idea long before they are this long.
#[test]
fn no_file_is_a_giant() {
    for file in rust_files() {
        let lines = text(&file).lines().count();
        assert!(
            lines <= 500,
            "{} has {lines} lines; is there a second idea in it?",
            file.display()
        );
    }
}

#[test]
fn every_third_party_crate_is_explained() {
    let explained = text(Path::new("docs/dependencies.md"));
    let rows: BTreeSet<&str> = explained
        .lines()
        .filter_map(|l| l.strip_prefix("| "))
        .filter_map(|l| l.split(" |").next())
        .collect();
    let packages = packages();
    let mut used = BTreeSet::new();
    for package in packages.values() {
        used.extend(package.dependencies(&["dependencies", "build-dependencies", "dev-dependencies"]));
    }
    used.extend(fuzz_package().dependencies(&["dependencies"]));
    used.retain(|name| !packages.contains_key(name));
    for name in &used {
        assert!(
            rows.contains(name.as_str()),
            "docs/dependencies.md has no row for `{name}`"
        );
    }
    for row in rows.iter().filter(|row| !["crate"].contains(row)) {
        assert!(
            used.contains(*row),
            "docs/dependencies.md explains `{row}`, which nothing uses"
        );
    }
}

/// Mirrors come from the machine or the user; the only Debian host a file may name is the snapshot archive.
#[test]
fn no_mirror_is_written_down() {
    let needles = ["deb.", "security.", "ftp."].map(|host| format!("{host}{}", "debian.org"));
    for file in files() {
        let Ok(text) = fs::read_to_string(top().join(&file)) else {
            continue;
        };
        for needle in &needles {
            assert!(!text.contains(needle), "{} names a mirror", file.display());
        }
    }
}

#[test]
fn shell_scripts_are_short_and_strict() {
    for file in files()
        .into_iter()
        .filter(|f| f.extension().is_some_and(|e| e == "sh"))
    {
        let text = text(&file);
        let lines = text.lines().count();
        assert!(lines <= 80, "{} has {lines} lines", file.display());
        assert!(
            text.lines().any(|l| l.starts_with("set -e")),
            "{} does not stop at errors",
            file.display()
        );
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for file in files()
        .into_iter()
        .filter(|f| f.extension().is_some_and(|e| e == "md"))
    {
        let text = text(&file);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|t| !t.contains("://") && !t.starts_with('#')) {
            let path = top()
                .join(file.parent().unwrap())
                .join(target.split('#').next().unwrap());
            assert!(
                path.exists(),
                "{} links to {target}, which does not exist",
                file.display()
            );
        }
    }
}
