//! The commands `simulator kms` and `simulator kms-control`, as a script uses them.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use attest::UnixMs;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use simulator::kms::clock::Clock;

use crate::client::{Answer, Connection, Signer, trusting};
use crate::setup::{base64, policy, unbase64};

const PROGRAM: &str = env!("CARGO_BIN_EXE_simulator");

/// A running `simulator kms`.
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
    ready: Value,
}

fn start(state: &Path, flags: &[&str]) -> Running {
    let mut child = Command::new(PROGRAM)
        .args(["kms", "--json", "--state"])
        .arg(state)
        .args(flags)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
    assert_eq!(ready["kind"], "ready");
    Running { child, lines, ready }
}

impl Running {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(self.ready[name].as_str().unwrap())
    }

    fn call(&self, profile: &str, operation: &str, body: &Value) -> Answer {
        let tls = trusting(&std::fs::read_to_string(self.path("ca")).unwrap());
        let address = self.ready["endpoint"].as_str().unwrap();
        let address = address.strip_prefix("https://").unwrap().parse().unwrap();
        let signer = signer(&self.path("credentials"), profile, Clock::system().now());
        Connection::tcp(address, &tls, "localhost").call(&signer, operation, body)
    }

    /// The log line of the next call.
    fn next_line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Ctrl-C, and that it ends well.
    fn interrupt(mut self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).unwrap();
        assert!(self.child.wait().unwrap().success());
        assert!(!self.path("control").exists());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Reads a profile as the AWS CLI does.
fn signer(credentials: &Path, profile: &str, now: UnixMs) -> Signer {
    let text = std::fs::read_to_string(credentials).unwrap();
    let start = format!("[{profile}]");
    let mut signer = Signer::new("", None, now);
    let lines = text.lines().skip_while(|line| **line != start);
    for line in lines.skip(1).take_while(|line| !line.is_empty()) {
        let (key, value) = line.split_once(" = ").unwrap();
        match key {
            "aws_access_key_id" => value.clone_into(&mut signer.access_key),
            "aws_secret_access_key" => value.clone_into(&mut signer.secret),
            _ => signer.token = Some(value.to_owned()),
        }
    }
    signer
}

fn control(state: &Path, words: &str) -> Output {
    Command::new(PROGRAM)
        .args(["kms-control", "--state"])
        .arg(state)
        .args(words.split(' '))
        .output()
        .unwrap()
}

#[test]
fn keys_and_trust_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let file = dir.path().join("policy.json");
    std::fs::write(&file, policy().to_string()).unwrap();
    let flags = ["--key-policy", file.to_str().unwrap()];

    let mut first = start(&state, &flags);
    let (key, ca) = (
        first.ready["key"].clone(),
        std::fs::read(first.path("ca")).unwrap(),
    );
    let body = json!({"KeyId": "alias/simulator", "Plaintext": base64(b"PLANTED")});
    let encrypted = first.call("admin", "Encrypt", &body).json();
    assert_eq!(encrypted["KeyId"], key);
    let line = first.next_line();
    assert_eq!(
        (&line["kind"], &line["operation"], &line["error"]),
        (&json!("call"), &json!("Encrypt"), &Value::Null)
    );
    assert!(
        line["text"].as_str().unwrap().contains("ok, allowed by Admin"),
        "{line}"
    );
    assert!(!line.to_string().contains("PLANTED") && !line.to_string().contains(&base64(b"PLANTED")));
    first.interrupt();

    let second = start(&state, &flags);
    assert_eq!(
        (&second.ready["key"], std::fs::read(second.path("ca")).unwrap()),
        (&key, ca)
    );
    let decrypted = second.call(
        "admin",
        "Decrypt",
        &json!({"CiphertextBlob": encrypted["CiphertextBlob"]}),
    );
    assert_eq!(unbase64(&decrypted.json()["Plaintext"]), b"PLANTED");
    let refused = second.call(
        "enclave",
        "Decrypt",
        &json!({"CiphertextBlob": encrypted["CiphertextBlob"]}),
    );
    assert_eq!(refused.error(), "AccessDeniedException");
    second.interrupt();
}

#[test]
fn a_running_kms_is_asked_and_upset() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let running = start(&state, &["--root", "danger-unsigned-simulator"]);
    let trust = running.ready["trust"].as_str().unwrap();
    assert!(
        trust.starts_with("DANGER") && trust.contains("NOBODY SIGNED"),
        "{trust}"
    );
    let random = || {
        running
            .call("admin", "GenerateRandom", &json!({"NumberOfBytes": 1}))
            .error()
    };
    assert_eq!(random(), "");
    assert!(
        control(&state, "fault throttle --operation GenerateRandom --count 2")
            .status
            .success()
    );
    assert_eq!(
        (random().as_str(), random().as_str(), random().as_str()),
        ("ThrottlingException", "ThrottlingException", "")
    );
    assert!(control(&state, "fault internal").status.success());
    assert!(control(&state, "clear").status.success());
    assert_eq!(random(), "");
    let counts: Value = serde_json::from_slice(&control(&state, "counts").stdout).unwrap();
    assert_eq!(counts["calls"], json!({"GenerateRandom": 5}));
    assert_eq!(counts["answers"], json!({"ThrottlingException": 2, "ok": 3}));
    for wrong in ["fault nonsense", "fault slow", "fault throttle --ms 5"] {
        assert_eq!(control(&state, wrong).status.code(), Some(2), "{wrong}");
    }
    running.interrupt();
    let gone = control(&state, "counts");
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("is it running?"));
}

#[test]
fn a_given_certificate_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let (cert_file, key_file) = (dir.path().join("cert"), dir.path().join("key"));
    std::fs::write(&cert_file, cert.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let state = dir.path().join("state");
    let flags = [
        "--tls-cert",
        cert_file.to_str().unwrap(),
        "--tls-key",
        key_file.to_str().unwrap(),
    ];
    let mut running = start(&state, &flags);
    assert_eq!(running.ready["ca"], Value::Null);
    assert!(!state.join("ca.pem").exists());
    assert!(
        !std::fs::read_to_string(running.path("env"))
            .unwrap()
            .contains("AWS_CA_BUNDLE")
    );
    running.ready["ca"] = json!(cert_file);
    assert_eq!(
        running
            .call("admin", "GenerateRandom", &json!({"NumberOfBytes": 1}))
            .status,
        200
    );
    running.interrupt();
}

#[test]
fn wrong_flags_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let bad = dir.path().join("bad");
    std::fs::write(&bad, "{").unwrap();
    let bad = bad.to_str().unwrap();
    for (flags, code, word) in [
        (vec!["--listen", "0.0.0.0:0"], 2, "0.0.0.0"),
        (vec!["--root", "nowhere"], 1, "cannot read nowhere"),
        (vec!["--root", bad], 1, "cannot use --root"),
        (vec!["--principals", bad], 1, "cannot use"),
        (vec!["--key-policy", bad], 1, "cannot use"),
        (vec!["--tls-cert", bad, "--tls-key", bad], 1, "PEM"),
        (vec!["--unix", bad], 1, "in use"),
    ] {
        let output = Command::new(PROGRAM)
            .args(["kms", "--state"])
            .arg(&state)
            .args(&flags)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {said}");
        assert!(said.contains(word), "{flags:?}: {said}");
    }
}
