//! `eif-builder attest` as a pipeline calls it: exit codes, streams, standard input.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

const PRODUCTION: &str = "nitro/valid/anjuna_prod_2021_rsa2048_pubkey.cbor";
const AT: [&str; 2] = ["--at", "2021-03-24T16:10:42Z"];

fn sample(file: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/attest/tests/data");
    folder.join(file).to_str().unwrap().to_owned()
}

fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_eif-builder"))
        .arg("attest")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments reads no input.
    child.stdin.take().unwrap().write_all(input).ok();
    child.wait_with_output().unwrap()
}

fn code(arguments: &[&str]) -> Option<i32> {
    run(arguments, b"").status.code()
}

#[test]
fn exit_codes() {
    let (good, garbage) = (sample(PRODUCTION), sample("nitro/invalid/z_one_byte.cbor"));
    let [at, time] = AT;
    for (arguments, expected) in [
        (vec!["verify", &good, at, time], 0),
        (vec!["verify", &good, at, time, "--max-age", "5m"], 0),
        (vec!["verify", &good, at, "1616602242000", "--max-age", "1s"], 0),
        (vec!["verify", &good, at, "2021-03-24T16:10:41.734000+00:00"], 0),
        (vec!["show", &good], 0),
        // The certificates have long expired.
        (vec!["verify", &good], 3),
        (vec!["verify", &good, at, time, "--nonce", "00"], 3),
        (
            vec!["verify", &good, at, "2021-03-24T16:20:42Z", "--max-age", "5m"],
            3,
        ),
        (vec!["verify", &garbage], 3),
        (vec!["show", &garbage], 3),
        (vec!["verify", &good, "--nonce", "0"], 2),
        (vec!["verify", &good, "--max-age", "5"], 2),
        (vec!["verify", &good, "--at", "now"], 2),
        (vec!["verify", &good, "--at", ""], 2),
        (vec!["verify", &good, "--at", "99999999999999999999"], 2),
        (vec!["verify", &good, "--root", &garbage], 2),
        (vec!["verify", &good, "--public-key", "00"], 2),
        (vec!["verify"], 2),
        (vec!["verify", "/nonexistent"], 1),
        (vec!["verify", &good, "--root", "/nonexistent"], 1),
    ] {
        assert_eq!(code(&arguments), Some(expected), "{arguments:?}");
    }
}

#[test]
fn the_verdict_is_on_standard_output_and_nothing_else_is() {
    let document = std::fs::read(sample(PRODUCTION)).unwrap();
    let text = BASE64_STANDARD.encode(&document);
    let [at, time] = AT;
    for input in [&document, text.as_bytes()] {
        let output = run(&["verify", "-", at, time, "--json"], input);
        assert_eq!(
            (output.status.code(), output.stderr.as_slice()),
            (Some(0), &b""[..])
        );
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report.get("verified"), Some(&Value::Bool(true)));
    }
    let refused = run(&["verify", "-"], &document);
    assert!(refused.stdout.starts_with(b"REFUSED\n"));
    let usage = run(&["verify", "-", "--nonce", "0"], &document);
    assert_eq!(usage.stdout, b"");
    let said = String::from_utf8(usage.stderr).unwrap();
    assert_eq!(
        said,
        "eif-builder: --nonce \"0\" is not an even number of hex digits\n"
    );
    let empty = run(&["show", "-"], b"");
    assert_eq!(
        (empty.status.code(), empty.stdout.as_slice()),
        (Some(3), &b""[..])
    );
    assert!(!empty.stderr.is_empty());
}
