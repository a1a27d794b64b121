//! The fuzz targets are outside of the workspace, so cargo does not hold them to it. This does.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a manifest that cannot be read is a failed test"
)]

use std::collections::BTreeSet;
use std::path::Path;

use repo::{files, fuzz_package, read_toml, top};

fn targets() -> BTreeSet<String> {
    let manifest = fuzz_package().manifest;
    let bins = manifest["bin"].as_array().unwrap();
    let name = |bin: &toml::Value| bin["name"].as_str().unwrap().to_owned();
    bins.iter().map(name).collect()
}

/// Names in this folder of `fuzz`, each once.
fn names_in(folder: &str) -> BTreeSet<String> {
    let first = |file: &Path| {
        let name = file.components().next().unwrap().as_os_str();
        name.to_str().unwrap().trim_end_matches(".rs").to_owned()
    };
    let files = files();
    let inside = files.iter().filter_map(|file| file.strip_prefix(folder).ok());
    inside.map(first).filter(|name| name != "README.md").collect()
}

#[test]
fn every_target_has_a_program_and_seeds() {
    let targets = targets();
    assert!(targets.len() >= 4, "{targets:?}");
    assert_eq!(targets, names_in("fuzz/fuzz_targets"));
    assert_eq!(targets, names_in("fuzz/seeds"));
    for text in ["fuzz/README.md", "fuzz/seeds/README.md"] {
        let text = std::fs::read_to_string(top().join(text)).unwrap();
        for target in &targets {
            assert!(text.contains(&format!("`{target}`")), "no row for {target}");
        }
    }
}

/// What is fuzzed is what is shipped: the same versions, and besides them only what drives the fuzzing.
#[test]
fn the_lock_agrees_with_the_workspace() {
    let versions = |lock: &str| -> BTreeSet<(String, String)> {
        let lock = read_toml(&top().join(lock));
        let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap().to_owned();
        let packages = lock["package"].as_array().unwrap().iter();
        packages.map(|p| (text(p, "name"), text(p, "version"))).collect()
    };
    let (ours, theirs) = (versions("Cargo.lock"), versions("fuzz/Cargo.lock"));
    let only: BTreeSet<_> = theirs.difference(&ours).map(|(name, _)| name.as_str()).collect();
    let drivers = BTreeSet::from(["arbitrary", "fuzz", "libfuzzer-sys"]);
    assert!(only.is_subset(&drivers), "fuzz/Cargo.lock alone has {only:?}");
}
