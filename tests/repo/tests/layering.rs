//! Dependencies go one way: the table of `docs/architecture.md` is the law, and it is complete.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a table that cannot be read is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use repo::{files, packages, top};

/// Package -> packages of ours that it may use, as the table says. `None` stands for "all".
fn law() -> BTreeMap<String, Option<BTreeSet<String>>> {
    let text = fs::read_to_string(top().join("docs/architecture.md")).unwrap();
    let rows = text
        .lines()
        .skip_while(|l| !l.starts_with("| package "))
        .skip(2)
        .take_while(|l| l.starts_with('|'));
    let mut law = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let quoted = |cell: &str| -> BTreeSet<String> {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(|n| n.trim_start_matches("crates/").to_owned())
                .collect()
        };
        for name in quoted(cells[0]) {
            law.insert(name, (cells[2] != "all").then(|| quoted(cells[2])));
        }
    }
    law
}

#[test]
fn every_edge_is_in_the_table() {
    let law = law();
    assert!(law.len() >= 8, "the table was not found");
    let packages = packages();
    for (name, package) in &packages {
        let tests = package.folder.starts_with("tests/") || package.folder.starts_with("bench/");
        if tests {
            continue;
        }
        let allowed = law
            .get(name)
            .unwrap_or_else(|| panic!("docs/architecture.md does not name `{name}`"));
        let Some(allowed) = allowed else { continue };
        let used = package.dependencies(&["dependencies", "build-dependencies"]);
        for ours in used.iter().filter(|used| packages.contains_key(*used)) {
            assert!(
                allowed.contains(ours),
                "`{name}` uses `{ours}`, which docs/architecture.md does not allow"
            );
        }
    }
}

#[test]
fn no_product_package_knows_the_simulator_or_the_tests() {
    let packages = packages();
    let outside =
        |folder: &str| folder.starts_with("tests/") || folder.starts_with("bench/") || folder == "simulator";
    for (name, package) in packages.iter().filter(|(_, p)| !outside(&p.folder)) {
        for used in package.dependencies(&["dependencies", "build-dependencies", "dev-dependencies"]) {
            if let Some(other) = packages.get(&used) {
                assert!(!outside(&other.folder), "`{name}` uses `{used}`");
            }
        }
    }
}

/// What believes documents that nobody signed is for the simulator and tests; see `crates/attest/src/danger.rs`.
#[test]
fn no_product_file_names_the_dangerous_module() {
    let needles = ["attest::danger", "UnsignedSimulator", "danger_believe_documents"];
    let allowed = ["crates/attest/", "simulator/", "tests/", "bench/", "fuzz/"];
    let is_product = |file: &PathBuf| !allowed.iter().any(|folder| file.starts_with(folder));
    for file in files()
        .into_iter()
        .filter(|f| f.extension().is_some_and(|e| e == "rs"))
        .filter(is_product)
    {
        let text = fs::read_to_string(top().join(&file)).unwrap();
        for needle in needles {
            assert!(!text.contains(needle), "{} names {needle}", file.display());
        }
    }
}

/// `cargo build` and `cargo test` at the top skip the benchmarks and nothing else.
#[test]
fn all_members_but_benchmarks_are_default_members() {
    let manifest: toml::Table = fs::read_to_string(top().join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let list = |key: &str| -> Vec<&str> {
        let members = manifest["workspace"][key].as_array().unwrap();
        members.iter().filter_map(toml::Value::as_str).collect()
    };
    let mut expected = list("members");
    expected.retain(|member| !member.starts_with("bench/") && *member != "tests/differential");
    assert_eq!(list("default-members"), expected);
}

#[test]
fn a_package_is_named_as_its_folder() {
    for (name, package) in packages() {
        assert!(
            package.folder == name || package.folder.ends_with(&format!("/{name}")),
            "{name}"
        );
    }
}
