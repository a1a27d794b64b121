//! `simulator completions` and `simulator man`, judged by their readers. What is for the program itself has no page.

#[path = "../../crates/manual/tests/judge/mod.rs"]
mod judge;

use judge::Program;

const PROGRAM: Program<'_> = Program {
    name: "simulator",
    exe: env!("CARGO_BIN_EXE_simulator"),
    before: &[],
};

#[test]
fn shells_complete_it() {
    PROGRAM.completes(&["run", "--em"], &["--emulator"]);
}

#[test]
fn its_pages_are_clean() {
    let commands = [
        "run",
        "kms",
        "kms-control",
        "kms-control-fault",
        "kms-control-clear",
        "kms-control-counts",
        "completions",
        "man",
    ];
    PROGRAM.explains(&commands, &[("run", "vsock_PORT")]);
}
