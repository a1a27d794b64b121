//! `scripts/published.sh`: a PCR that moves without a change of `reproducible/published/` is seen, named and explained.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const BUILT: &str = r#"{
  "EifSha256": "ee11",
  "Measurements": {
    "HashAlgorithm": "Sha384 { ... }",
    "PCR0": "aa00",
    "PCR1": "bb11",
    "PCR2": "cc22"
  }
}
"#;

/// A source tree of the script alone.
fn tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/published.sh");
    for folder in ["scripts", "out"] {
        fs::create_dir(tree.path().join(folder)).unwrap();
    }
    fs::copy(script, tree.path().join("scripts/published.sh")).unwrap();
    fs::write(tree.path().join("out/native.pcrs.json"), BUILT).unwrap();
    tree
}

fn run(tree: &Path, args: &[&str]) -> Output {
    Command::new(tree.join("scripts/published.sh"))
        .args(args)
        .output()
        .unwrap()
}

fn code_and_words(tree: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = run(tree, args);
    let words = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(words).unwrap())
}

#[test]
fn what_is_published_is_what_was_built() {
    let tree = tree();
    let (code, words) = code_and_words(tree.path(), &["check", "native"]);
    assert_eq!(code, Some(3), "nothing is published yet: {words}");
    assert!(words.contains("make publish IMAGE=native"), "{words}");
    assert_eq!(code_and_words(tree.path(), &["write", "native"]).0, Some(0));
    let published = tree.path().join("reproducible/published/native.pcrs.json");
    assert_eq!(fs::read_to_string(published).unwrap(), BUILT);
    let (code, words) = code_and_words(tree.path(), &["check", "native"]);
    assert_eq!((code, words.as_str()), (Some(0), "native: built as published\n"));
}

#[test]
fn each_value_that_moved_is_named_and_no_other() {
    let tree = tree();
    assert_eq!(code_and_words(tree.path(), &["write", "native"]).0, Some(0));
    for (from, to, name) in [
        ("aa00", "aa01", "PCR0"),
        ("bb11", "bb12", "PCR1"),
        ("cc22", "dc22", "PCR2"),
        ("ee11", "ee1", "EifSha256"),
        (
            "    \"PCR2\": \"cc22\"\n",
            "    \"PCR2\": \"cc22\",\n    \"PCR8\": \"dd88\"\n",
            "PCR8",
        ),
    ] {
        fs::write(tree.path().join("out/native.pcrs.json"), BUILT.replace(from, to)).unwrap();
        let (code, words) = code_and_words(tree.path(), &["check", "native"]);
        assert_eq!(code, Some(3), "{words}");
        assert!(words.contains(&format!("{name} moved: ")), "{words}");
        assert_eq!(words.matches(" moved: ").count(), 1, "{words}");
        assert!(words.contains("make publish IMAGE=native"), "{words}");
    }
    // A weaker image with the same PCRs cannot be; a file that claims so is seen all the same.
    let weak = BUILT.replace("\n}\n", ",\n  \"WeakenedTrust\": [\n    \"any-client\"\n  ]\n}\n");
    fs::write(tree.path().join("out/native.pcrs.json"), weak).unwrap();
    assert_eq!(code_and_words(tree.path(), &["check", "native"]).0, Some(3));
}

#[test]
fn what_is_not_there_is_no_success() {
    let tree = tree();
    assert_eq!(code_and_words(tree.path(), &["check", "other"]).0, Some(1));
    for wrong in [
        &["check"][..],
        &["check", "../x"],
        &["check", ""],
        &["look", "native"],
    ] {
        assert_eq!(code_and_words(tree.path(), wrong).0, Some(2), "{wrong:?}");
    }
}
