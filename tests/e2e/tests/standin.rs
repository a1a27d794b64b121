//! The image `standin`: the whole path of the image `web3signer` with a real Java program in the place of upstream's. The release is
//! unpacked and checked, Java comes up under its filter, user and limits with what `provision` decrypted, answers over TLS, is
//! started again when it dies, and takes another list of clients by a new start.
//!
//! What the stand-in is, and what it cannot show: `tests/standin/README.md`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use e2e::service::artefacts::{Certificate, Operator, REGION, SERVER, STACK, Validator, validator};
use e2e::service::client::Client;
use e2e::service::kms::Kms;
use e2e::service::parent::{Parent, Settings};
use e2e::{Booted, boot, eif_builder, pcrs, place, said, top};
use serde_json::json;

/// The tarball of the stand-in, as the manifest names it.
const TARBALL: &str = "web3signer-standin.tar.gz";
/// How long a step of Java may take on an emulated machine.
const PATIENCE: Duration = Duration::from_mins(4);
const KEYS: u8 = 3;

fn build() -> std::path::PathBuf {
    let (out, top) = (place("NITRO_OUT_DIR"), top());
    let made = eif_builder(&["recipe", "standin", "--tree", top.to_str().unwrap()]);
    assert!(made.status.success(), "{}", said(&made));
    let folder = String::from_utf8(made.stdout).unwrap();
    let manifest = top.join("rootfs/standin/image.toml");
    let built = eif_builder(&[
        "build",
        manifest.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--download",
        &format!("{TARBALL}={}/{TARBALL}", folder.trim()),
    ]);
    assert!(built.status.success(), "{}", said(&built));
    out
}

#[test]
fn java_serves_what_provision_decrypted() {
    let out = build();
    let measurements = out.join("standin.pcrs.json");
    let kms = Kms::start(&measurements);
    let world = World {
        operator: Operator { kms: &kms },
        validators: (1..=KEYS).map(validator).collect(),
        server: Certificate::new(SERVER),
        client: Certificate::new("validator-client-1"),
        other: Certificate::new("validator-client-2"),
    };
    let booted = boot(&out.join("standin.eif"));
    let dir = tempfile::tempdir().unwrap();
    let port = kms.address().port();
    let sections = format!(
        "[vsock_proxy]\n[[vsock_proxy.route]]\nvsock_port = 8000\nhost = \"127.0.0.1\"\nport = {port}\n"
    );
    let settings = Settings {
        sockets: booted.dir(),
        sections: &sections,
    };
    let parent = Parent::new(dir.path(), &settings);
    let (to_kms, https) = (parent.start("vsock-proxy"), parent.start("https-proxy"));

    world.bootstrap(&booted, &kms, &measurements);
    let client = Client::new(parent.https, &world.server, Some(&world.client));
    let other = Client::new(parent.https, &world.server, Some(&world.other));
    assert_eq!(client.get("/upcheck").body, "OK");
    let mut expected: Vec<&str> = world.validators.iter().map(|v| v.public.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(client.get("/api/v1/eth2/publicKeys").json(), json!(expected));
    let stranger = other.ask("GET", "/upcheck", "");
    assert!(stranger.is_err(), "{stranger:?}");
    let process = confined(&booted);
    no_shell(&booted);

    // It dies and comes back, as another process, with the same keys.
    assert_eq!(probe(&booted, "kill java"), "ok 1");
    until("Java is back", || {
        client.ask("GET", "/upcheck", "").is_ok_and(|a| a.status == 200)
    });
    assert_eq!(client.get("/api/v1/eth2/publicKeys").json(), json!(expected));
    assert_ne!(confined(&booted), process, "another process");

    // Upstream reads its list of clients once, so it is started again for a new one.
    let list = world.operator.clients(3, &[&world.client, &world.other]);
    let message = json!({ "operation": "set_clients", "encrypted_clients": { "ciphertext": list } });
    let answer = booted.control(&message.to_string());
    assert_eq!(answer["status"], 200, "{answer}");
    until("the second client", || {
        other.ask("GET", "/upcheck", "").is_ok_and(|a| a.status == 200)
    });

    let console = booted.enclave.record().console_lines().join("\n");
    for validator in &world.validators {
        assert!(!console.contains(&validator.secret), "a secret is on the console");
    }
    assert_eq!((to_kms.end(), https.end()), (Some(0), Some(0)));
    booted.enclave.stop().unwrap();
}

struct World<'a> {
    operator: Operator<'a>,
    validators: Vec<Validator>,
    server: Certificate,
    client: Certificate,
    other: Certificate,
}

impl World<'_> {
    /// `configure` and `init`. The stand-in asks no database, so none is there: what provision writes about it is only read.
    fn bootstrap(&self, booted: &Booted, kms: &Kms, measurements: &Path) {
        let config = json!({
            "schema": 1, "region": REGION, "network": "hoodi", "kms_key_arn": kms.key(), "stacks": [STACK],
            "client_authentication": "known-clients",
            "slashing_store": { "kind": "postgresql", "host": "slashing.example.org", "port": 5432, "database": "slashing" },
            "outbound": [{ "name": "slashing.example.org", "port": 5432, "vsock_port": 8101 }],
            "artefact_versions": { "tls_key": 0, "clients": 2, "slashing_credential": 0 },
        });
        let message = json!({ "operation": "configure", "config": config });
        let answer = booted.control(&message.to_string());
        assert_eq!(answer["status"], 200, "{answer}");
        kms.demand(measurements, answer["body"]["pcr16"].as_str().unwrap());
        let credential = json!({ "version": 1, "postgresql": {
            "username": "signer", "password": "planted-password", "ca_pem": self.server.pem,
        } });
        let mut message = self
            .operator
            .init(&self.server, (2, &self.client), &self.validators);
        let credential = self.operator.credential(&credential);
        message["encrypted_slashing_credential"] = json!({ "ciphertext": credential });
        let mut stream = booted.connect(abi::vsock::SERVICE_PORT);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(message.to_string().as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let console = || booted.enclave.record().console_lines().join("\n");
        let status = || booted.control(r#"{"operation":"status"}"#);
        assert!(
            answer.contains(r#""init_state":true"#),
            "{answer}\n{}\n{}",
            status(),
            console()
        );
        let status = status();
        assert_eq!(status["body"]["signer"]["state"], "healthy", "{status}");
        assert_eq!(status["body"]["keys"], KEYS, "{status}");
        // What is measured is what was built.
        let [pcr0, ..] = pcrs(measurements);
        let decrypted = kms.entries().into_iter().filter(|entry| entry.pcr0.is_some());
        for entry in decrypted {
            assert_eq!(entry.pcr0.as_deref().map(str::to_lowercase), Some(pcr0.clone()));
        }
    }
}

/// Asks the probe that runs as the signer's user.
fn probe(booted: &Booted, question: &str) -> String {
    String::from_utf8_lossy(&e2e::probe::ask(booted.connect(7001), question, b"")).into_owned()
}

/// Finds Java among the processes that its user sees, and looks at what it may do. Gives its number.
fn confined(booted: &Booted) -> u32 {
    let java = (2..400).find_map(|pid| {
        let status = probe(booted, &format!("read /proc/{pid}/status"));
        status.contains("Name:\tjava\n").then_some((pid, status))
    });
    let (pid, status) = java.unwrap_or_else(|| panic!("no process named java"));
    for line in [
        "Uid:\t102\t102\t102\t102\n",
        "Gid:\t102\t102\t102\t102\n",
        "CapEff:\t0000000000000000\n",
        "CapBnd:\t0000000000000000\n",
        "NoNewPrivs:\t1\n",
        "Seccomp:\t2\n",
    ] {
        assert!(status.contains(line), "{line:?} in {status}");
    }
    let words = probe(booted, &format!("read /proc/{pid}/cmdline"));
    for secret in ["planted", "0x11"] {
        assert!(!words.contains(secret), "{words}");
    }
    assert!(words.contains("-XX:MaxRAMPercentage=50"), "{words}");
    pid
}

/// Nothing that a script would need.
fn no_shell(booted: &Booted) {
    for path in [
        "/bin/sh",
        "/usr/bin/sh",
        "/usr/bin/bash",
        "/usr/bin/env",
        "/opt/web3signer/bin/web3signer",
    ] {
        let answer = probe(booted, &format!("meta {path}"));
        assert!(answer.starts_with("errno"), "{path}: {answer}");
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(500));
    }
}
