//! Programs that others wrote, set on the server: Lodestar's client of external signers, schemathesis with Web3Signer's
//! published interface file, `py_ecc` on a signature. `scripts/with-clients.sh` installs them.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{PUBLIC, SECRET, Server, data, key_folder, raw_key};

fn tool(name: &str) -> OsString {
    std::env::var_os(name).unwrap_or_else(|| {
        panic!("{name} is not set: run scripts/with-stores.sh scripts/with-clients.sh cargo test --package web3signer-rs")
    })
}

fn checked(command: &mut Command) -> String {
    let output: Output = command.output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

#[test]
fn lodestar_gets_keys_and_valid_signatures_of_every_type() {
    let keys = key_folder(&[raw_key(SECRET)]);
    let server = Server::plain(keys.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/lodestar.mjs");
    let mut command = Command::new("timeout");
    command
        .args(["120", "node"])
        .arg(script)
        .arg(tool("NITRO_TEST_NODE"));
    command.args([format!("http://127.0.0.1:{}", server.port), PUBLIC.to_owned()]);
    let text = checked(&mut command);
    assert_eq!(
        text.lines().filter(|line| line.ends_with(" ok")).count(),
        13,
        "{text}"
    );
}

/// schemathesis against the published file. `more` narrows or widens the checks.
fn schemathesis(server: &Server, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command
        .args(["240"])
        .arg(tool("NITRO_TEST_PYTHON"))
        .args(["-m", "schemathesis.cli", "run"]);
    command.arg(data("openapi/web3signer.yaml"));
    command.args(["--url", &format!("http://127.0.0.1:{}", server.port)]);
    command.args([
        "--max-examples",
        "60",
        "--seed",
        "4",
        "--generation-deterministic",
        "--request-timeout",
        "20",
    ]);
    command
        .args(["--phases", "examples,coverage,fuzzing", "--no-color"])
        .args(more);
    let text = checked(command.current_dir(folder.path()));
    assert!(
        text.contains("Test cases:") && text.contains("Selected:"),
        "{text}"
    );
    text
}

#[test]
fn the_published_interface_holds_against_generated_requests() {
    // The key that the file's examples name, so that they are signed and not only looked up.
    let example = "0x3ee2224386c82ffea477e2adf28a2929f5c349165a4196158c7f3a2ecca40f35";
    let keys = key_folder(&[raw_key(SECRET), raw_key(example)]);
    let journal = format!(
        "--memory-slashing-journal={}",
        keys.path().join("journal").display()
    );
    let server = Server::start(keys.path(), &[], &["--key-manager-api-enabled=true", &journal]);
    let documented = "status_code_conformance,response_schema_conformance,content_type_conformance";
    let text = schemathesis(&server, &["--checks", documented, "--mode", "positive"]);
    assert!(text.contains("Tested: 10"), "{text}");
    assert!(
        server.log().contains("prevented by slashing protection"),
        "no duty reached slashing protection"
    );
    // A sign request with another root than its own, or without its object, is a 500 by contract; everything else never is.
    schemathesis(
        &server,
        &[
            "--checks",
            "not_a_server_error",
            "--mode",
            "all",
            "--exclude-operation-id",
            "SIGN",
        ],
    );
    let log = server.log();
    assert!(
        !log.contains("signing thread failed") && !log.contains("panicked"),
        "{log}"
    );
    assert_eq!(server.get("/upcheck").text(), "OK");
}

#[test]
fn py_ecc_verifies_a_signature() {
    let keys = key_folder(&[raw_key(SECRET)]);
    let server = Server::plain(keys.path());
    let body = serde_json::json!({"type": "RANDAO_REVEAL", "randao_reveal": {"epoch": "200000"}, "fork_info": {
        "fork": {"previous_version": "0x02000000", "current_version": "0x03000000", "epoch": "194048"},
        "genesis_validators_root": "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"}});
    let answer = server.sign(PUBLIC, &body);
    let signature = answer.json()["signature"].as_str().unwrap().to_owned();
    // The root is made in Python as well: two hashes and a number.
    let program = r#"
import sys, hashlib
from py_ecc.bls import G2ProofOfPossession as bls
h = lambda b: hashlib.sha256(b).digest()
key, signature = (bytes.fromhex(a[2:]) for a in sys.argv[1:3])
genesis = bytes.fromhex("4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95")
domain = bytes.fromhex("02000000") + h(bytes.fromhex("03000000").ljust(32, b"\0") + genesis)[:28]
root = h((200000).to_bytes(8, "little").ljust(32, b"\0") + domain)
assert bls.Verify(key, root, signature)
assert not bls.Verify(key, h(root), signature)
print("ok")
"#;
    let mut command = Command::new(tool("NITRO_TEST_PYTHON"));
    assert_eq!(
        checked(command.args(["-c", program, PUBLIC, &signature])).trim(),
        "ok"
    );
}
