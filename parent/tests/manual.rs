//! `parent completions` and `parent man`, judged by their readers. They need no configuration: they run where packages are built.

#[path = "../../crates/manual/tests/judge/mod.rs"]
mod judge;

use judge::Program;

const PROGRAM: Program<'_> = Program {
    name: "parent",
    exe: env!("CARGO_BIN_EXE_parent"),
    before: &["--config", "/nonexistent"],
};

#[test]
fn shells_complete_it() {
    PROGRAM.completes(&["status", "--j"], &["--json"]);
}

#[test]
fn its_pages_are_clean() {
    let commands = [
        "watchdog",
        "https-proxy",
        "vsock-proxy",
        "status",
        "check-config",
        "completions",
        "man",
    ];
    PROGRAM.explains(&commands, &[("watchdog", "SIGHUP: read the tables again")]);
}
