//! `bench-service`: from the start of an enclave to its first signature with 100 keys, by stage, beside what the published solution waits
//! and does: 10 s for the enclave, one `kmstool_enclave_cli` for each key, 5 s for the signer.
//!
//! ```text
//! scripts/with-enclave.sh scripts/with-stores.sh cargo run --release --package e2e --bin bench-service
//! ```
//! Everything runs in one emulated enclave, so the figures of one run compare with each other and with nothing else.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark that cannot measure stops"
)]

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use abi::events::{Event, Key, Kind};
use e2e::service::artefacts::{Certificate, Operator, REGION, SERVER, STACK, Validator, validator};
use e2e::service::client::Client;
use e2e::service::kms::{CREDENTIALS, Kms};
use e2e::service::postgres::{Database, HOST, VSOCK_PORT};
use e2e::service::signing::Attestation;
use e2e::{Booted, boot, build_image, probe, top};
use serde_json::{Value, json};
use simulator::enclave::connect;

const KEYS: u8 = 100;
/// Runs of the tool for one key, in the same enclave.
const SINGLE: u32 = 5;
/// What the published solution waits for its enclave and for its signer.
const FIXED: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(5)];
/// Probes of the test image: as the signer's user, as the agent's.
const PROBES: [u32; 2] = [7001, 7002];

fn main() {
    let out = build_image(&top().join("rootfs/service/image.toml"));
    let kms = Kms::start(&out.join("service.pcrs.json"));
    let database = Database::new("bench");
    let validators: Vec<Validator> = (1..=KEYS).map(validator).collect();
    let (server, client) = (Certificate::new(SERVER), Certificate::new("bench"));
    let operator = Operator { kms: &kms };
    let mut init = operator.init(&server, (1, &client), &validators);
    let credential = operator.credential(&database.credential(1));
    init["encrypted_slashing_credential"] = json!({ "ciphertext": credential });
    let keys = init["encrypted_validator_keys"].as_array().unwrap();
    let config = json!({ "operation": "configure", "config": {
        "schema": 1, "region": REGION, "network": "hoodi", "kms_key_arn": kms.key(), "stacks": [STACK],
        "client_authentication": "known-clients",
        "slashing_store": { "kind": "postgresql", "host": HOST, "port": database.port, "database": database.name },
        "outbound": [{ "name": HOST, "port": database.port, "vsock_port": VSOCK_PORT }],
        "artefact_versions": { "tls_key": 0, "clients": 1, "slashing_credential": 0 },
    } })
    .to_string();

    let mut laps = Laps::new();
    let booted = boot(&out.join("service.eif"));
    laps.lap("start to PID 1's services (kernel, boot ramdisk, heartbeat)");
    forward(&booted, 8000, kms.address());
    forward(&booted, VSOCK_PORT, ([127, 0, 0, 1], database.port).into());
    let status = booted.control(r#"{"operation":"status"}"#);
    laps.lap("first answer of the agent");
    assert_eq!(booted.control(&config)["status"], 200);
    laps.lap("configure: the config into PCR16, PCRs locked");
    let provision = follow_provision(&booted);
    let answer = booted.service(init.to_string().as_bytes());
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["status"], 200, "{answer}");
    laps.lap("init: 100 keys decrypted, files, signer healthy");
    let https = listen(&booted);
    let client = Client::new(https, &server, Some(&client));
    let signed = client.sign(&validators[0].public, &Attestation::new(1, 2, 1).request());
    assert_eq!(signed.status, 200, "{signed:?}");
    laps.lap("first signature over TLS");
    let cpu = look(&booted);

    show_boot(&status);
    println!("stages, milliseconds of the host's clock:");
    for (name, time) in &laps.laps {
        println!("  {:>7}  {name}", time.as_millis());
    }
    println!(
        "CPU time in the guest until then, milliseconds, and peak memory, KiB (that of provision is not seen):"
    );
    println!("  {:>7}  {:>8}  provision", provision.join().unwrap(), "");
    for (name, used) in &cpu {
        println!("  {:>7}  {:>8}  {name}", used.cpu_ms, used.peak_kib);
    }
    let single = one_tool_a_key(&booted, &kms, keys);
    let ours = laps.total();
    let theirs = FIXED.iter().sum::<Duration>() + single * u32::from(KEYS);
    println!(
        "one kmstool_enclave_cli in this enclave: {} ms",
        single.as_millis()
    );
    println!(
        "enclave start to first signature, {KEYS} keys: {:.1} s; published solution in the same enclave, {} s of waiting and one tool \
         a key: {:.1} s; {:.1} times as fast",
        ours.as_secs_f64(),
        FIXED.iter().sum::<Duration>().as_secs(),
        theirs.as_secs_f64(),
        theirs.as_secs_f64() / ours.as_secs_f64()
    );
    booted.enclave.stop().unwrap();
}

fn show_boot(status: &Value) {
    println!("boot stages, milliseconds of the guest's clock:");
    for stage in status["body"]["boot"].as_array().unwrap() {
        println!(
            "  {:>7}  {}",
            stage["uptime_ms"],
            stage["stage"].as_str().unwrap()
        );
    }
}

struct Laps {
    last: Instant,
    laps: Vec<(&'static str, Duration)>,
}

impl Laps {
    fn new() -> Self {
        Self {
            last: Instant::now(),
            laps: Vec::new(),
        }
    }

    fn lap(&mut self, name: &'static str) {
        self.laps.push((name, self.last.elapsed()));
        self.last = Instant::now();
    }

    fn total(&self) -> Duration {
        self.laps.iter().map(|(_, time)| *time).sum()
    }
}

#[derive(Clone, Copy, Default)]
struct Used {
    cpu_ms: u64,
    peak_kib: u64,
}

/// Waits until PID 1 starts `provision`, and for its end: its CPU time in milliseconds. `provision` hides from `ps`, and is gone when
/// `init` is answered.
fn follow_provision(booted: &Booted) -> JoinHandle<u64> {
    let record = Arc::clone(booted.enclave.record());
    let sockets = booted.dir().join("vsock.sock");
    let started = |line: &String| {
        let event = Event::parse(line).ok()?;
        let ours = event.kind == Kind::Started && event.field(Key::Service) == Some("provision");
        event.field(Key::Pid).filter(|_| ours).map(str::to_owned)
    };
    std::thread::spawn(move || {
        loop {
            if let Some(pid) = record.console_lines().iter().find_map(started) {
                let stream = connect(&sockets, PROBES[1]).unwrap();
                return probe::told(stream, &format!("follow {pid}")).parse().unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    })
}

/// The processes of both probes' users, by name.
fn look(booted: &Booted) -> BTreeMap<String, Used> {
    let mut seen = BTreeMap::<String, Used>::new();
    for process in PROBES
        .into_iter()
        .flat_map(|port| probe::processes(booted.connect(port)))
    {
        let used = seen.entry(process.name).or_default();
        used.cpu_ms += process.cpu_ms;
        used.peak_kib = used.peak_kib.max(process.peak_kib);
    }
    seen
}

/// The published way: one process, one key pair, one TLS session for each key.
fn one_tool_a_key(booted: &Booted, kms: &Kms, keys: &[Value]) -> Duration {
    let authority = std::fs::read_to_string(top().join("tests/e2e/data/kms-ca/ca.pem")).unwrap();
    let file = "/run/signer/bench-ca.pem";
    let ask = |question: &str, input: &str| {
        let answer = probe::ask(booted.connect(PROBES[0]), question, input.as_bytes());
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert!(ask(&format!("write {file}"), &authority).starts_with("ok"));
    let [id, secret, token] = CREDENTIALS;
    let credentials = json!({ "AccessKeyId": id, "SecretAccessKey": secret, "Token": token }).to_string();
    let started = Instant::now();
    for (n, key) in keys.iter().enumerate().take(SINGLE.try_into().unwrap()) {
        let public = validator(u8::try_from(n + 1).unwrap()).public;
        let words = [
            "kmstool decrypt",
            "--region",
            REGION,
            "--proxy-port",
            "8000",
            "--ca-file",
            file,
            "--credentials",
            "fd:0",
            "--key-id",
            kms.key(),
            "--ciphertext",
            key["ciphertext"].as_str().unwrap(),
            "--encryption-context",
            "nitro-web3signer:kind=validator-key",
            "--encryption-context",
            &format!("nitro-web3signer:pubkey={public}"),
            "--encryption-context",
            &format!("nitro-web3signer:stack={STACK}"),
        ];
        let answer = ask(&words.join("\t"), &credentials);
        assert!(answer.starts_with("ok 0 "), "{answer}");
    }
    started.elapsed() / SINGLE
}

/// Connections of the enclave to vsock port `port` go to `address`, as `parent vsock-proxy` carries them.
fn forward(booted: &Booted, port: u32, address: SocketAddr) {
    let listener = booted.enclave.listen(port).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Ok(upstream) = TcpStream::connect(address) {
                carry(stream, upstream);
            }
        }
    });
}

fn carry(one: UnixStream, other: TcpStream) {
    let (mut from, mut to) = (one.try_clone().unwrap(), other.try_clone().unwrap());
    std::thread::spawn(move || {
        std::io::copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Write).ok();
    });
    let (mut from, mut to) = (other, one);
    std::thread::spawn(move || {
        std::io::copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Write).ok();
    });
}

/// A TCP address that leads to the enclave's service port.
fn listen(booted: &Booted) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sockets = booted.dir().join("vsock.sock");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let service = connect(&sockets, abi::vsock::SERVICE_PORT).unwrap();
            carry(service, stream);
        }
    });
    address
}
