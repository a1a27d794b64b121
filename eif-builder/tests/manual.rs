//! `eif-builder completions` and `eif-builder man`, judged by their readers.

#[path = "../../crates/manual/tests/judge/mod.rs"]
mod judge;

use judge::Program;

const PROGRAM: Program<'_> = Program {
    name: "eif-builder",
    exe: env!("CARGO_BIN_EXE_eif-builder"),
    before: &[],
};

#[test]
fn shells_complete_it() {
    PROGRAM.completes(&["describe", "--"], &["--json", "--help", "--version"]);
    PROGRAM.completes(&["attest", "verify", "--danger"], &["--danger-admit-debug"]);
}

#[test]
fn its_pages_are_clean() {
    let commands = [
        "build",
        "lock",
        "recipe",
        "assemble",
        "describe",
        "extract",
        "diff",
        "sbom",
        "sign",
        "verify",
        "report",
        "policy",
        "policy-lint",
        "attest",
        "attest-verify",
        "attest-show",
        "doctor",
        "completions",
        "man",
    ];
    let texts = [("attest-verify", "Refuse documents older than this")];
    PROGRAM.explains(&commands, &texts);
}
