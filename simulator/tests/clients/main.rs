//! The clients of AWS, unmodified, against `simulator kms`: boto3, the AWS CLI, and the README's lines.
//!
//! Needs `NITRO_AWS_CLIENTS`, the folder that `scripts/python-tool.sh aws-clients` prints; a test without it fails.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test needs and does not get is a failed test"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use attest::{Pcr, PcrSet};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use base64ct::{Base64, Encoding as _};
use serde_json::Value;
use simulator::kms::clock::Clock;
use simulator::kms::unsigned::Unsigned;

const PROGRAM: &str = env!("CARGO_BIN_EXE_simulator");

#[expect(
    clippy::disallowed_methods,
    reason = "tests are told where things are through the environment"
)]
fn clients() -> PathBuf {
    let value = std::env::var("NITRO_AWS_CLIENTS");
    PathBuf::from(value.unwrap_or_else(|_| {
        panic!("NITRO_AWS_CLIENTS is not set: run `make e2e`, or export it as $(scripts/python-tool.sh aws-clients)")
    }))
}

/// A running `simulator kms`, killed with the value.
struct Running {
    child: Child,
    state: PathBuf,
}

impl Running {
    fn start(state: &Path) -> Self {
        let child = Command::new(PROGRAM)
            .args(["kms", "--root", "danger-unsigned-simulator", "--state"])
            .arg(state)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let running = Self {
            child,
            state: state.to_owned(),
        };
        let start = Instant::now();
        while !running.state.join("env").exists() {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "the KMS does not start"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }

    /// Runs a program as somebody would who has sourced the `env` file, and nothing else of AWS.
    fn sourced(&self, program: &Path, words: &[&str]) -> Output {
        self.sh(r#"set -e; . "$1/env"; shift; exec "$@""#)
            .arg(&self.state)
            .arg(program)
            .args(words)
            .output()
            .unwrap()
    }

    fn sh(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "sh"])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.state)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    fn aws(&self, words: &[&str]) -> Output {
        self.sourced(&clients().join("bin/aws"), words)
    }

    fn aws_json(&self, words: &[&str]) -> Value {
        let output = self.aws(words);
        serde_json::from_slice(&good(&output).stdout).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn good(output: &Output) -> &Output {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    output
}

fn state() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    // A quote in the name: the env file must survive it.
    let state = dir.path().join("it's state");
    (dir, state)
}

#[test]
fn boto3_calls_everything() {
    let (dir, state) = state();
    let running = Running::start(&state);
    let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let mut pcrs = PcrSet::new();
    pcrs.insert(0, Pcr::from_bytes([1; 48])).unwrap();
    let public_key = key.public_key().as_der().unwrap();
    let document = Unsigned {
        timestamp: Clock::system().now(),
        pcrs: &pcrs,
        public_key: Some(public_key.as_ref()),
        user_data: None,
        nonce: None,
    };
    let document_file = dir.path().join("document");
    std::fs::write(&document_file, document.encode()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/boto3_calls.py");
    let output = running.sourced(
        &clients().join("bin/python"),
        &[script.to_str().unwrap(), document_file.to_str().unwrap()],
    );
    let answer: Value = serde_json::from_slice(&good(&output).stdout).unwrap();

    // And what came for the enclave, the enclave can read.
    let envelope = dir.path().join("envelope");
    std::fs::write(
        &envelope,
        Base64::decode_vec(answer["sealed"].as_str().unwrap()).unwrap(),
    )
    .unwrap();
    let key_file = dir.path().join("key");
    std::fs::write(&key_file, key.as_der().unwrap().as_ref()).unwrap();
    let opened = Command::new("openssl")
        .args(["cms", "-decrypt", "-inform", "DER", "-keyform", "DER", "-inkey"])
        .arg(&key_file)
        .arg("-in")
        .arg(&envelope)
        .output()
        .unwrap();
    assert_eq!(good(&opened).stdout, b"hello");
}

#[test]
fn the_aws_cli_encrypts_and_decrypts() {
    let (dir, state) = state();
    let running = Running::start(&state);
    let created = running.aws_json(&["kms", "create-key"]);
    let key = created["KeyMetadata"]["Arn"].as_str().unwrap();
    let file = |name: &str| dir.path().join(name);
    std::fs::write(file("plain"), "hello").unwrap();
    let plain = format!("fileb://{}", file("plain").display());
    let encrypted = running.aws_json(&[
        "kms",
        "encrypt",
        "--key-id",
        key,
        "--plaintext",
        &plain,
        "--encryption-context",
        "stack=a",
    ]);
    let blob = Base64::decode_vec(encrypted["CiphertextBlob"].as_str().unwrap()).unwrap();
    std::fs::write(file("blob"), blob).unwrap();
    let blob = format!("fileb://{}", file("blob").display());
    let decrypt = ["kms", "decrypt", "--ciphertext-blob", &blob];
    let decrypted = running.aws_json(&[&decrypt[..], &["--encryption-context", "stack=a"]].concat());
    assert_eq!(decrypted["Plaintext"], Base64::encode_string(b"hello"));

    let refused = running.aws(&decrypt);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("(InvalidCiphertextException)"),
        "{said}"
    );
    let data_key = running.aws_json(&[
        "kms",
        "generate-data-key",
        "--key-id",
        key,
        "--key-spec",
        "AES_128",
    ]);
    assert_eq!(
        Base64::decode_vec(data_key["Plaintext"].as_str().unwrap())
            .unwrap()
            .len(),
        16
    );
}

#[test]
fn the_aws_cli_administers_a_key() {
    let (dir, state) = state();
    let running = Running::start(&state);
    let created = running.aws_json(&["kms", "create-key", "--description", "of the CLI"]);
    let key = created["KeyMetadata"]["Arn"].as_str().unwrap();
    let file = |name: &str| dir.path().join(name);
    let policy = running.aws_json(&[
        "kms",
        "get-key-policy",
        "--key-id",
        key,
        "--policy-name",
        "default",
    ]);
    std::fs::write(file("policy"), policy["Policy"].as_str().unwrap()).unwrap();
    let policy = format!("file://{}", file("policy").display());
    let put = [
        "kms",
        "put-key-policy",
        "--key-id",
        key,
        "--policy-name",
        "default",
        "--policy",
    ];
    good(&running.aws(&[&put[..], &[&policy]].concat()));
    let locked = running.aws(&[&put[..], &["{\"Version\": \"2012-10-17\", \"Statement\": []}"]].concat());
    let said = String::from_utf8_lossy(&locked.stderr);
    assert!(said.contains("(MalformedPolicyDocumentException)"), "{said}");
    let stranger = running.aws(&["kms", "describe-key", "--key-id", key, "--profile", "enclave"]);
    let said = String::from_utf8_lossy(&stranger.stderr);
    assert!(
        said.contains("(AccessDeniedException)") && said.contains("is not authorized"),
        "{said}"
    );

    // As with a stated endpoint and CA, the name of this machine.
    let port = endpoint(&running).rsplit_once(':').unwrap().1.to_owned();
    let url = format!("https://localhost:{port}");
    let ca = running.state.join("ca.pem");
    let described = running.aws_json(&[
        "kms",
        "describe-key",
        "--key-id",
        key,
        "--endpoint-url",
        &url,
        "--ca-bundle",
        ca.to_str().unwrap(),
    ]);
    assert_eq!(described["KeyMetadata"]["Description"], "of the CLI");
    let counts = Command::new(PROGRAM)
        .args(["kms-control", "--state"])
        .arg(&running.state)
        .arg("counts")
        .output()
        .unwrap();
    let counts: Value = serde_json::from_slice(&good(&counts).stdout).unwrap();
    assert_eq!(
        (&counts["calls"]["PutKeyPolicy"], &counts["cleartext_connections"]),
        (&2.into(), &0.into())
    );
}

fn endpoint(running: &Running) -> String {
    let output = running.sourced(Path::new("printenv"), &["AWS_ENDPOINT_URL_KMS"]);
    String::from_utf8(good(&output).stdout.clone())
        .unwrap()
        .trim()
        .to_owned()
}

/// The lines that the README gives for use by hand work as they are.
#[test]
fn the_readme_is_right() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let lines = text
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .find(|block| block.contains("simulator kms "))
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let programs = Path::new(PROGRAM).parent().unwrap();
    let path = format!("{}:{}/bin:/usr/bin:/bin", programs.display(), clients().display());
    let output = Command::new("sh")
        .args(["-e", "-c", lines])
        .current_dir(dir.path())
        .env_clear()
        .env("PATH", path)
        .env("HOME", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&good(&output).stdout).into_owned();
    assert!(said.ends_with("a secret\n"), "{said}");
}
