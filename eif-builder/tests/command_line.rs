//! The program as people call it: exit codes, and where its words go. What each command does is tested in the library.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in `dir` with neither home nor store of its own.
fn run(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eif-builder"))
        .args(args)
        .current_dir(dir)
        .env_remove("HOME")
        .env_remove("XDG_CACHE_HOME")
        .output()
        .unwrap()
}

/// The exit code; what was said on the stream that belongs to it.
fn said(output: &Output) -> (i32, String) {
    let code = output.status.code().unwrap();
    let (told, quiet) = if code == 0 {
        (&output.stdout, &output.stderr)
    } else {
        (&output.stderr, &output.stdout)
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert!(quiet.is_empty(), "also said: {}", text(quiet));
    (code, text(told))
}

/// A folder with the parts of an image and the image.
fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("kernel"), vec![7; 5000]).unwrap();
    fs::write(dir.path().join("ramdisk"), b"").unwrap();
    let args = [
        "assemble",
        "--kernel",
        "kernel",
        "--cmdline",
        "quiet",
        "--ramdisk",
        "ramdisk",
        "--output",
        "a.eif",
    ];
    let (code, text) = said(&run(dir.path(), &args));
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("PCR0 ") && text.contains("\nPCR2 "), "{text}");
    dir
}

#[test]
fn every_command_explains_itself() {
    let dir = tempfile::tempdir().unwrap();
    for command in [
        &[][..],
        &["build"],
        &["lock"],
        &["recipe"],
        &["assemble"],
        &["describe"],
        &["policy"],
        &["policy", "lint"],
        &["verify"],
        &["sign"],
        &["diff"],
        &["extract"],
        &["attest"],
        &["attest", "verify"],
        &["attest", "show"],
    ] {
        let (code, text) = said(&run(dir.path(), &[command, &["--help"]].concat()));
        assert_eq!(code, 0, "{command:?}");
        assert!(text.contains("Usage: eif-builder"), "{command:?}: {text}");
    }
}

#[test]
fn a_wrong_command_line_is_2_and_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["bogus"][..],
        &["build"],
        &["build", "image.toml", "--jobs", "0"],
        &["build", "image.toml", "--nsm-module", "nsm.ko"],
        &["build", "image.toml", "--download", "no-equals-sign"],
        &["lock"],
        &["describe"],
        &["assemble", "--kernel", "k", "--cmdline", "", "--output", "o"],
        &["recipe", "everything"],
    ] {
        let (code, text) = said(&run(dir.path(), args));
        assert_eq!(code, 2, "{args:?}: {text}");
        assert!(text.contains("--help"), "{args:?}: {text}");
    }
    // A folder that is empty can be removed.
    fs::remove_dir(dir.path()).unwrap();
    fs::create_dir(dir.path()).unwrap();
}

#[test]
fn what_cannot_be_done_is_1_and_names_the_file() {
    let dir = place();
    for (args, words) in [
        (&["describe", "none.eif"][..], "none.eif"),
        (&["describe", "."], "not a regular file"),
        (&["build", "none.toml"], "none.toml"),
        (&["policy", "--pcrs", "none.json"], "none.json"),
        (&["policy", "--pcrs", "kernel"], "measurements of kernel"),
        (&["attest", "show", "none.doc"], "none.doc"),
        (&["recipe", "kernel"], "Cargo.lock"),
    ] {
        let (code, text) = said(&run(dir.path(), args));
        assert_eq!(code, 1, "{args:?}: {text}");
        assert!(
            text.starts_with("eif-builder: ") && text.contains(words),
            "{args:?}: {text}"
        );
    }
}

#[test]
fn a_failed_check_is_3() {
    let dir = place();
    let whole = fs::read(dir.path().join("a.eif")).unwrap();
    fs::write(dir.path().join("cut.eif"), &whole[..whole.len() - 1]).unwrap();
    let (code, text) = said(&run(dir.path(), &["describe", "cut.eif"]));
    assert_eq!(code, 3, "{text}");
    assert!(
        text.starts_with("eif-builder: cut.eif is not a valid image: "),
        "{text}"
    );

    // Well-formed but damaged: described, and refused.
    let mut flipped = whole;
    flipped[600] ^= 1;
    fs::write(dir.path().join("flipped.eif"), flipped).unwrap();
    for json in [&[][..], &["--json"]] {
        let output = run(dir.path(), &[&["describe", "flipped.eif"], json].concat());
        assert_eq!(output.status.code(), Some(3));
        assert!(String::from_utf8(output.stdout).unwrap().contains("PCR0"));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.to_lowercase().contains("crc"), "{error}");
    }

    // Without a lock beside it a manifest does not match; what is wrong is the report itself.
    fs::write(dir.path().join("root.toml"), "[inputs]\nsuite = \"trixie\"\n").unwrap();
    let output = run(dir.path(), &["lock", "--check", "root.toml"]);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("root.toml: ") && text.contains("make lock"),
        "{text}"
    );
}

/// What a script reads is JSON, whole, on the one stream.
#[test]
fn json_is_json() {
    let dir = place();
    let (code, text) = said(&run(dir.path(), &["describe", "a.eif", "--json"]));
    assert_eq!(code, 0, "{text}");
    let image: serde_json::Value = serde_json::from_str(&text).unwrap();
    let args = [
        "assemble",
        "--kernel",
        "kernel",
        "--cmdline",
        "quiet",
        "--ramdisk",
        "ramdisk",
        "--output",
        "b.eif",
        "--json",
    ];
    let (_, text) = said(&run(dir.path(), &args));
    let made: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(made["Measurements"]["PCR0"], image["Measurements"]["PCR0"]);
    fs::write(dir.path().join("a.pcrs.json"), text).unwrap();
    let (code, policy) = said(&run(dir.path(), &["policy", "--pcrs", "a.pcrs.json"]));
    assert_eq!(code, 0, "{policy}");
    let policy: serde_json::Value = serde_json::from_str(&policy).unwrap();
    assert!(policy["Statement"].is_array());
}
