//! The completions and man pages of this program, judged by the programs that read them: bash, zsh and mandoc.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn eif_builder(args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_eif-builder"))
        .args(args)
        .env_clear()
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// What a checker says about a file; nothing when all is well.
fn judged(program: &str, args: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(args).arg(file).output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e}; `make test-deps` installs it"));
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn shells_read_the_completions() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh"] {
        let script = eif_builder(&["completions", shell]).stdout;
        let file = dir.path().join(shell);
        fs::write(&file, &script).unwrap();
        assert_eq!(judged(shell, &["-n"], &file), "", "{shell}");
        let text = String::from_utf8(script).unwrap();
        for flag in ["--danger-admit-debug", "--ramdisk"] {
            assert!(text.contains(flag), "{shell} does not know {flag}");
        }
    }
}

/// Bash itself completes: the words that a user is offered after `eif-builder describe --`.
#[test]
fn bash_completes_a_flag() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("completions");
    fs::write(&file, eif_builder(&["completions", "bash"]).stdout).unwrap();
    let ask = "source \"$1\"; COMP_WORDS=(eif-builder describe --); COMP_CWORD=2; \
               _eif__builder eif-builder -- describe; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = Command::new("bash")
        .args(["-c", ask, "bash"])
        .arg(&file)
        .output()
        .unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        words.lines().collect::<Vec<_>>(),
        ["--json", "--help", "--version"]
    );
}

#[test]
fn mandoc_has_nothing_to_say_about_the_pages() {
    let dir = tempfile::tempdir().unwrap();
    let listed = eif_builder(&["man", dir.path().to_str().unwrap()]).stdout;
    let listed = String::from_utf8(listed).unwrap();
    assert!(listed.lines().count() > 10, "{listed}");
    for page in listed.lines() {
        let said = judged("mandoc", &["-T", "lint", "-W", "warning"], Path::new(page));
        // The generator parts paragraphs with .br before .sp, which readers skip; and a date would change with every build.
        let known = ["skipping paragraph macro: br", "missing date"];
        let said: Vec<&str> = said
            .lines()
            .filter(|line| !known.iter().any(|known| line.contains(known)))
            .collect();
        assert!(said.is_empty(), "{said:#?}");
    }
    let shown = judged(
        "mandoc",
        &["-T", "utf8"],
        &dir.path().join("eif-builder-attest-verify.1"),
    );
    assert!(shown.contains("Refuse documents older than this"), "{shown}");
}
