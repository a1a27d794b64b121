//! `nitro-operator completions` and `nitro-operator man`, judged by their readers.

#[path = "../../crates/manual/tests/judge/mod.rs"]
mod judge;

use judge::Program;

const PROGRAM: Program<'_> = Program {
    name: "nitro-operator",
    exe: env!("CARGO_BIN_EXE_nitro-operator"),
    before: &[],
};

#[test]
fn shells_complete_it() {
    PROGRAM.completes(&["keys", "l"], &["load", "list"]);
}

#[test]
fn its_pages_are_clean() {
    let commands = [
        "keys",
        "keys-load",
        "keys-list",
        "keys-activate",
        "keys-deactivate",
        "tls",
        "tls-create",
        "tls-request",
        "tls-import",
        "clients",
        "clients-set",
        "slashing",
        "slashing-init",
        "slashing-export",
        "slashing-credential",
        "slashing-credential-set",
        "config",
        "config-hash",
        "config-show",
        "policy",
        "policy-check",
        "completions",
        "man",
    ];
    PROGRAM.explains(&commands, &[("keys-load", "Keystores that are opened at once")]);
}
