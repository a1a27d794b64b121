//! The simulated KMS, the two ways through it, and what is printed.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use attest::TrustRoot;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use simulator::kms::blob::EncryptionContext;
use simulator::kms::pki as tls;
use simulator::kms::principal::{Principal, Principals};
use simulator::kms::server::{Listen, Server};
use simulator::kms::service::{Kms, Settings};
use simulator::kms::store::Store;
use simulator::kms::trust::Trust;

use crate::module::PCR0;
use crate::parts;
use crate::pki::Pki;
use crate::tool::SOCKET;

const ITEMS: usize = 1000;
const PLAINTEXT_BYTES: usize = 2048;
const REGION: &str = "us-east-1";
const ROLE: &str = "arn:aws:iam::111122223333:role/enclave";
/// Id, secret and token of the role's session; the KMS checks them.
const CREDENTIALS: [&str; 3] = ["ASIABENCH", "bench-secret", "bench-token"];
const CREDENTIALS_FILE: &str = "credentials.json";
const CA_FILE: &str = "ca.pem";

/// Measures everything and prints it.
pub(crate) fn all() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let pki = Pki::make()?;
    pki.write(folder)?;
    let server = start(folder, &pki)?;
    let key = server.kms().add_key(&policy())?;
    let plaintexts: Vec<Vec<u8>> = (0..ITEMS).map(plaintext).collect();
    let ciphertexts = plaintexts
        .iter()
        .map(|text| {
            Ok(BASE64_STANDARD.encode(server.kms().encrypt(&key, text, &EncryptionContext::new())?))
        })
        .collect::<Result<Vec<_>>>()?;
    let bytes = BASE64_STANDARD
        .decode(ciphertexts.first().context("no item")?)?
        .len();
    println!("{ITEMS} ciphertexts of {bytes} bytes through the simulated KMS");

    let one = batch(folder, &key, &ciphertexts, &plaintexts, 1)?;
    let counts = server.kms().counts();
    println!(
        "  decrypt --batch                {:>8.2} s  {:>7.2} ms an item  peak {:>6} KiB  {} TLS session, {} document",
        one.time.as_secs_f64(),
        per_item(one.time),
        one.peak_kib,
        counts.tls_sessions,
        counts.distinct_documents,
    );
    let four = batch(folder, &key, &ciphertexts, &plaintexts, 4)?;
    println!(
        "  decrypt --batch --concurrency 4{:>8.2} s  {:>7.2} ms an item  peak {:>6} KiB",
        four.time.as_secs_f64(),
        per_item(four.time),
        four.peak_kib,
    );
    let alone = one_by_one(folder, &key, &ciphertexts, &plaintexts)?;
    println!(
        "  one process for each           {:>8.2} s  {:>7.2} ms an item  peak {:>6} KiB",
        alone.time.as_secs_f64(),
        per_item(alone.time),
        alone.peak_kib,
    );
    println!(
        "  ratio                          {:>8.1}",
        alone.time.as_secs_f64() / one.time.as_secs_f64()
    );
    parts::print(&server, Arc::new(pki), &folder.join(CA_FILE))
}

/// One way through the KMS.
struct Ran {
    time: Duration,
    peak_kib: u64,
}

fn per_item(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0 / f64::from(u32::try_from(ITEMS).unwrap_or(u32::MAX))
}

/// No two are alike, and each is as long as the others.
fn plaintext(number: usize) -> Vec<u8> {
    let mut text = format!("item {number:06} ").into_bytes();
    text.resize(PLAINTEXT_BYTES, b'.');
    text
}

/// Only an enclave with our PCR0 may decrypt.
fn policy() -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "AWS": ROLE },
            "Action": "kms:Decrypt",
            "Resource": "*",
            "Condition": {
                "StringEqualsIgnoreCase": { "kms:RecipientAttestation:PCR0": hex::encode(PCR0) }
            },
        }],
    })
    .to_string()
}

fn start(folder: &Path, pki: &Pki) -> Result<Server> {
    let root = pki.bundle.first().context("the bundle is empty")?;
    let [id, secret, token] = CREDENTIALS;
    let session = Principal::role_session(id, secret, token, ROLE, "i-1")?;
    let settings = Settings::new(
        REGION,
        "111122223333".parse()?,
        Principals::new([session])?,
        Trust::Root(TrustRoot::from_der(root)?),
    );
    let ca = tls::Ca::new()?;
    std::fs::write(folder.join(CA_FILE), ca.pem())?;
    let credentials = json!({ "AccessKeyId": id, "SecretAccessKey": secret, "Token": token });
    std::fs::write(folder.join(CREDENTIALS_FILE), credentials.to_string())?;
    let listen = Listen {
        unix: Some(folder.join(SOCKET)),
        ..Listen::default()
    };
    let kms = Kms::new(settings, Store::default());
    Ok(Server::start(kms, ca.identity(&tls::names(REGION))?, &listen)?)
}

/// The tool as a process, with what every call of it needs.
fn tool(folder: &Path, key: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(super::TOOL)
        .arg(folder)
        .args(["decrypt", "--region", REGION, "--key-id", key, "--credentials"])
        .arg(format!("file:{}", folder.join(CREDENTIALS_FILE).display()))
        .arg("--ca-file")
        .arg(folder.join(CA_FILE))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

fn batch(
    folder: &Path,
    key: &str,
    ciphertexts: &[String],
    plaintexts: &[Vec<u8>],
    sessions: u32,
) -> Result<Ran> {
    let lines: Vec<String> = ciphertexts
        .iter()
        .map(|ciphertext| json!({ "ciphertext": ciphertext }).to_string())
        .collect();
    let input = folder.join("items.ndjson");
    std::fs::write(&input, lines.join("\n"))?;
    let started = Instant::now();
    let output = tool(folder, key)?
        .args(["--batch", "--concurrency", &sessions.to_string()])
        .stdin(std::fs::File::open(&input)?)
        .output()?;
    let time = started.elapsed();
    let peak_kib = finished(&output)?;
    let answers = String::from_utf8(output.stdout)?;
    ensure!(answers.lines().count() == plaintexts.len(), "answers are missing");
    for (line, expected) in answers.lines().zip(plaintexts) {
        let answer: Value = serde_json::from_str(line)?;
        let found = answer
            .get("plaintext")
            .and_then(Value::as_str)
            .context("an item failed")?;
        ensure!(BASE64_STANDARD.decode(found)? == *expected, "a wrong plaintext");
    }
    Ok(Ran { time, peak_kib })
}

fn one_by_one(folder: &Path, key: &str, ciphertexts: &[String], plaintexts: &[Vec<u8>]) -> Result<Ran> {
    let (mut time, mut peak_kib) = (Duration::ZERO, 0);
    for (ciphertext, expected) in ciphertexts.iter().zip(plaintexts) {
        let started = Instant::now();
        let output = tool(folder, key)?
            .args(["--ciphertext", ciphertext])
            .stdin(Stdio::null())
            .output()?;
        time += started.elapsed();
        peak_kib = peak_kib.max(finished(&output)?);
        let line = String::from_utf8(output.stdout)?;
        ensure!(
            line == format!("PLAINTEXT: {}\n", BASE64_STANDARD.encode(expected)),
            "a wrong plaintext"
        );
    }
    Ok(Ran { time, peak_kib })
}

/// What the process said of its memory, once it has succeeded.
fn finished(output: &Output) -> Result<u64> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the tool failed: {said}");
    let peak = said.lines().find_map(|line| line.strip_prefix("peak "));
    let number = peak.and_then(|peak| peak.strip_suffix(" KiB"));
    Ok(number.context("no peak was said")?.parse()?)
}
