//! The shared sequences of requests with slashing protection in PostgreSQL, two servers on one data base, and the
//! sub-commands. `scripts/with-stores.sh` starts PostgreSQL.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::keymanager::{call, keystore};
use crate::support::{PUBLIC, SECRET, Server, data, key_folder, raw_key, run};

/// A data base of its own, with the tables of Web3Signer.
struct Database {
    flags: Vec<String>,
}

impl Database {
    fn make() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let folder = std::env::var_os("NITRO_TEST_POSTGRES").map(PathBuf::from);
        let folder = folder.unwrap_or_else(|| {
            panic!("NITRO_TEST_POSTGRES is not set: run scripts/with-stores.sh cargo test --package web3signer-rs")
        });
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let (port, password, ca) = (text("port"), text("password"), folder.join("ca.pem"));
        let name = format!(
            "server_{}_{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let psql = |database: &str, words: &[&str]| {
            let mut command = Command::new("psql");
            command.args([
                "--quiet",
                "--no-psqlrc",
                "--set=ON_ERROR_STOP=1",
                "--host=localhost",
                "--username=postgres",
            ]);
            command
                .args([&format!("--port={port}"), &format!("--dbname={database}")])
                .args(words);
            command
                .env("PGPASSWORD", &password)
                .env("PGSSLMODE", "verify-full")
                .env("PGSSLROOTCERT", &ca);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{output:?}");
        };
        psql("postgres", &["--command", &format!("CREATE DATABASE {name}")]);
        psql(
            &name,
            &["--file", &data("postgres/schema.sql").display().to_string()],
        );
        Self {
            flags: vec![
                format!(
                    "--slashing-protection-db-url=jdbc:postgresql://localhost:{port}/{name}?sslmode=verify-full&sslrootcert={}",
                    ca.display()
                ),
                "--slashing-protection-db-username=postgres".to_owned(),
                format!("--slashing-protection-db-password={password}"),
            ],
        }
    }

    fn server(&self, keys: &std::path::Path) -> Server {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        Server::start(keys, &[], &flags)
    }

    fn command(&self, words: &[&str]) -> std::process::Output {
        let all: Vec<&str> = ["eth2"]
            .into_iter()
            .chain(self.flags.iter().map(String::as_str))
            .chain(words.iter().copied())
            .collect();
        run(&all)
    }
}

#[derive(Deserialize)]
struct Cases {
    slashing_sequences: Vec<Sequence>,
}

#[derive(Deserialize)]
struct Sequence {
    name: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    path: String,
    body_json: Value,
    status: u16,
}

#[test]
fn every_shared_sequence() {
    let text = fs::read_to_string(data("http/http_cases.json")).unwrap();
    let cases: Cases = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.slashing_sequences.len(), 3);
    let keys = key_folder(&[raw_key(SECRET)]);
    for sequence in &cases.slashing_sequences {
        // The network of the sequences is mainnet, whose root is theirs.
        let database = Database::make();
        let server = database.server(keys.path());
        for (number, step) in sequence.steps.iter().enumerate() {
            let key = step.path.rsplit('/').next().unwrap();
            let answer = server.sign(key, &step.body_json);
            assert_eq!(
                answer.status,
                step.status,
                "{}: step {number}: {}",
                sequence.name,
                answer.text()
            );
        }
        assert!(!server.log().contains("0x8799"), "a signature is in the log");
    }
}

fn attestation(source: u64, target: u64, root: u8) -> Value {
    let filled = |byte: u8| format!("0x{}", hex::encode([byte; 32]));
    json!({
        "type": "ATTESTATION",
        "fork_info": {"fork": {"previous_version": "0x04000000", "current_version": "0x05000000", "epoch": "364032"},
            "genesis_validators_root": "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"},
        "attestation": {"slot": "1", "index": "0", "beacon_block_root": filled(root),
            "source": {"epoch": source.to_string(), "root": filled(1)}, "target": {"epoch": target.to_string(), "root": filled(2)}}
    })
}

#[test]
fn of_two_servers_on_one_data_base_exactly_one_signs() {
    let keys = key_folder(&[raw_key(SECRET)]);
    let database = Database::make();
    let servers = [database.server(keys.path()), database.server(keys.path())];
    for epoch in 10..30 {
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..6_u8)
                .map(|racer| {
                    let server = &servers[usize::from(racer % 2)];
                    scope.spawn(move || server.sign(PUBLIC, &attestation(epoch - 1, epoch, racer)).status)
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(
            statuses.iter().filter(|status| **status == 200).count(),
            1,
            "epoch {epoch}: {statuses:?}"
        );
        assert!(
            statuses.iter().all(|status| [200, 412].contains(status)),
            "{statuses:?}"
        );
    }
}

/// Deleting a key disables it in the data base; importing it again, history included, lets it sign what is new.
#[test]
fn a_key_that_is_imported_again_signs_again() {
    let keys = tempfile::tempdir().unwrap();
    let database = Database::make();
    let mut flags: Vec<&str> = database.flags.iter().map(String::as_str).collect();
    flags.push("--key-manager-api-enabled=true");
    let server = Server::start(keys.path(), &[], &flags);
    let (text, password, public) = keystore();
    let sign = |epoch: u64, root: u8| server.sign(&public, &attestation(epoch - 1, epoch, root)).status;

    let first = json!({"keystores": [text], "passwords": [password]});
    let (status, answer) = call(&server, "POST", &first);
    assert_eq!(
        (status, &answer["data"][0]["status"]),
        (200, &json!("imported")),
        "{answer}"
    );
    assert_eq!(sign(10, 1), 200);
    let (status, answer) = call(&server, "DELETE", &json!({"pubkeys": [public]}));
    assert_eq!(
        (status, &answer["data"][0]["status"]),
        (200, &json!("deleted")),
        "{answer}"
    );
    assert_eq!(sign(11, 1), 404);
    let again = json!({"keystores": [text], "passwords": [password], "slashing_protection": answer["slashing_protection"]});
    let (status, answer) = call(&server, "POST", &again);
    assert_eq!(
        (status, &answer["data"][0]["status"]),
        (200, &json!("imported")),
        "{answer}"
    );
    assert_eq!(sign(11, 1), 200);
    assert_eq!(sign(10, 2), 412, "what it signed before the deletion");
}

#[test]
fn watermarks_and_histories_go_in_and_out() {
    let keys = key_folder(&[raw_key(SECRET)]);
    let database = Database::make();
    let server = database.server(keys.path());
    assert_eq!(server.sign(PUBLIC, &attestation(10, 11, 1)).status, 200);
    assert_eq!(server.get("/api/v1/eth2/highWatermark").json(), json!({}));
    let done = |words: &[&str]| {
        let output = database.command(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
    };
    done(&[
        "watermark-repair",
        "--epoch=100",
        "--slot=3200",
        "--set-high-watermark=true",
    ]);
    assert_eq!(
        server.get("/api/v1/eth2/highWatermark").json(),
        json!({"epoch": "100", "slot": "3200"})
    );
    assert_eq!(server.sign(PUBLIC, &attestation(20, 100, 1)).status, 412);
    done(&["watermark-repair", "--remove-high-watermark=true"]);
    done(&["watermark-repair", "--epoch=50", "--slot=1600"]);
    assert_eq!(server.sign(PUBLIC, &attestation(20, 40, 1)).status, 412);
    assert_eq!(server.sign(PUBLIC, &attestation(60, 61, 1)).status, 200);
    let file = keys.path().join("history.json");
    done(&["export", &format!("--to={}", file.display())]);
    let exported: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(exported["data"][0]["pubkey"], PUBLIC);
    let elsewhere = Database::make();
    let output = elsewhere.command(&["import", &format!("--from={}", file.display())]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let other = elsewhere.server(keys.path());
    assert_eq!(other.sign(PUBLIC, &attestation(60, 61, 2)).status, 412);
    assert_eq!(other.sign(PUBLIC, &attestation(61, 62, 2)).status, 200);
    fs::write(&file, "{}").unwrap();
    let output = elsewhere.command(&["import", &format!("--from={}", file.display())]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
