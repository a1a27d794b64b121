//! The command whole: places, files, exit codes. The clock is the time when the made-up certificates are valid.

use std::fs;
use std::path::Path;

use clap::Parser as _;
use eif_builder::cli::Cli;
use eif_builder::commands::{self, Outcome};
use eif_builder::host::Host;
use rustls::version;
use serde_json::{Value, json};

use super::enclave::{CONFIG, Enclave, IMAGE, NOW, synthetic};
use super::servers::{Mood, agent, relay};
use super::{running, tls};

fn host() -> Host {
    Host::new("/nonexistent".into(), NOW.as_millis() / 1000, false, |_| None)
}

/// Files of an auditor.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pcr = |n: usize| hex::encode(IMAGE[n]);
        let pcrs = json!({"Measurements": {"HashAlgorithm": "Sha384 { ... }", "PCR0": pcr(0), "PCR1": pcr(1), "PCR2": pcr(2)}});
        fs::write(dir.path().join("pcrs"), pcrs.to_string()).unwrap();
        fs::write(dir.path().join("config"), CONFIG).unwrap();
        let keys = format!("{}\n0x{} # the second\n", "a0".repeat(48), "b0".repeat(48));
        fs::write(dir.path().join("keys"), keys).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn verify(&self, more: &[&str]) -> (anyhow::Result<Outcome>, String) {
        let (pcrs, root) = (self.path("pcrs"), synthetic("root.der").display().to_string());
        let mut line = vec!["eif-builder", "verify", "--pcrs", &pcrs, "--danger-root", &root];
        line.extend(more);
        let cli = Cli::try_parse_from(line).unwrap();
        let mut out = Vec::new();
        let outcome = commands::run(&cli.command, &host(), &mut out);
        (outcome, String::from_utf8(out).unwrap())
    }
}

#[test]
fn everything_through_the_relay() {
    let desk = Desk::new();
    let (certificate, spki) = tls::hashes();
    let enclave = Enclave::running(&certificate, &spki);
    let live = format!("http://{}", relay(enclave, Mood::Good, 1));
    let server = tls::serve(&[&version::TLS13], true).to_string();
    let (config, keys) = (desk.path("config"), desk.path("keys"));
    let (outcome, out) = desk.verify(&[
        "--live", &live, "--config", &config, "--keys", &keys, "--tls", &server, "--json",
    ]);
    assert_eq!(outcome.unwrap(), Outcome::Done, "{out}");
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["live"]["good"], true);
    assert_eq!(value["live"]["facts"]["asked"], format!("{live}/attest"));
    assert_eq!(
        value["live"]["dangers"].as_array().unwrap().len(),
        1,
        "the test root is said"
    );
    assert!(value["live"]["evidence"]["attestation_document"].is_string());
}

#[test]
fn another_server_with_a_good_document_is_refused() {
    let desk = Desk::new();
    let live = format!("http://{}", relay(running(), Mood::Good, 1));
    let server = tls::serve(&[&version::TLS13], false).to_string();
    let (outcome, out) = desk.verify(&["--live", &live, "--tls", &server]);
    assert_eq!(outcome.unwrap(), Outcome::Refused, "{out}");
    assert!(out.contains("certificate    FAILED"), "{out}");
}

#[test]
fn the_agent_itself_is_asked() {
    let desk = Desk::new();
    for (name, hello) in [("plain", false), ("vsock", true)] {
        let socket = desk.path(name);
        agent(Path::new(&socket), running(), Mood::Good, hello);
        let place = if hello {
            format!("unix:{socket}:5001")
        } else {
            format!("unix:{socket}")
        };
        let (outcome, out) = desk.verify(&["--live", &place]);
        assert_eq!(outcome.unwrap(), Outcome::Done, "{out}");
    }
}

#[test]
fn another_image_ends_with_3() {
    let desk = Desk::new();
    let enclave = running().with_pcr(2, [1; 48]);
    let live = format!("http://{}", relay(enclave, Mood::Good, 1));
    let (outcome, out) = desk.verify(&["--live", &live]);
    assert_eq!(outcome.unwrap() as u8, 3, "{out}");
    assert!(out.contains("PCR2           FAILED"), "{out}");
}

/// Nothing was judged, so nothing was found wrong: exit code 1, with the reason.
#[test]
fn what_cannot_be_asked_is_no_refusal() {
    let desk = Desk::new();
    let gone = format!("unix:{}", desk.path("absent"));
    let refusing = format!("http://{}", relay(running(), Mood::Refuses, 1));
    let endless = format!("http://{}", relay(running(), Mood::Endless, 1));
    let (busy, long) = (desk.path("busy"), desk.path("long"));
    agent(Path::new(&busy), running(), Mood::Refuses, false);
    agent(Path::new(&long), running(), Mood::Endless, false);
    let (busy, long) = (format!("unix:{busy}"), format!("unix:{long}"));
    for (place, reason) in [
        (gone.as_str(), "cannot ask the agent"),
        (&refusing, "404"),
        (&endless, "larger than"),
        (&busy, "not-now"),
        (&long, "long"),
    ] {
        let (outcome, out) = desk.verify(&["--live", place]);
        let error = format!("{:#}", outcome.unwrap_err());
        assert!(error.contains(reason), "{place}: {error}");
        assert_eq!(out, "", "{place}");
    }
}

#[test]
fn files_that_make_no_sense_are_refused_before_anything_is_asked() {
    let desk = Desk::new();
    for (name, text) in [("bad-config", r#"{"schema":1}"#), ("bad-keys", "0x12\n")] {
        fs::write(desk.dir.path().join(name), text).unwrap();
    }
    // Nobody listens there: an error about it would show that it was asked.
    let live = ["--live", "unix:/nonexistent/socket"];
    for (flag, name) in [
        ("--config", "bad-config"),
        ("--keys", "bad-keys"),
        ("--keys", "absent"),
    ] {
        let (outcome, _) = desk.verify(&[&live[..], &[flag, &desk.path(name)]].concat());
        let error = format!("{:#}", outcome.unwrap_err());
        assert!(error.contains(name), "{error}");
    }
    let zero = "00".repeat(48);
    let pcrs = json!({"HashAlgorithm": "Sha384 { ... }", "PCR0": zero, "PCR1": zero, "PCR2": zero});
    fs::write(desk.dir.path().join("pcrs"), pcrs.to_string()).unwrap();
    let (outcome, _) = desk.verify(&live);
    let error = format!("{:#}", outcome.unwrap_err());
    assert!(error.contains("debug mode"), "{error}");
}

#[test]
fn flags_that_do_nothing_are_usage_errors() {
    let parse = |line: &str| Cli::try_parse_from(format!("eif-builder verify {line}").split_whitespace());
    for wrong in [
        "",
        "--tls h:1",
        "--config f",
        "--keys f",
        "--danger-root f",
        "--reuse-parts",
        "--changed-source",
        "image.eif --live unix:/s",
        "image.eif --rebuild",
        "--live nowhere",
        "--live unix:/s --tls h",
        "--rebuild --image ../x",
    ] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
    for good in [
        "image.eif",
        "--rebuild",
        "--live unix:/s",
        "--rebuild --live unix:/s --tls h:1 --image web3signer",
    ] {
        assert!(parse(good).is_ok(), "{good:?}");
    }
}
