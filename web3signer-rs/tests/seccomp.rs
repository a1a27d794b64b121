//! Everything that the signer does in the images is done under its system call filter: TLS with listed clients, signatures,
//! reloads, PostgreSQL over TLS, faults, and the end. `slashing_program.rs` does the same with a table of `DynamoDB`. What the
//! filter may allow is in `tests/repo`.
#![expect(
    clippy::unwrap_used,
    clippy::format_push_string,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests: what cannot be done is a failed test"
)]

use std::path::PathBuf;
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use serde_json::json;
use tokio_postgres::NoTls;

mod filtered;
#[path = "server/secure.rs"]
#[expect(dead_code, reason = "shared with the tests of the server")]
mod secure;
#[path = "server/support.rs"]
#[expect(dead_code, reason = "shared with the tests of the server")]
mod support;

use filtered::Filtered;
use secure::{ask, client, identity};
use support::{PUBLIC, SECRET, data, raw_key};

/// The database's schema.
const SCHEMA: &str = include_str!("data/postgres/schema.sql");

fn postgres() -> PathBuf {
    let folder = std::env::var_os("NITRO_TEST_POSTGRES");
    folder
        .unwrap_or_else(|| {
            panic!(
                "NITRO_TEST_POSTGRES is not set: run scripts/with-stores.sh cargo test --package web3signer-rs"
            )
        })
        .into()
}

/// Makes a database with the schema and gives its URL and password.
fn database() -> (String, String) {
    let folder = postgres();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let (port, password) = (read("port"), read("password"));
    let name = format!("filtered_{}", std::process::id());
    let connect = async |database: &str| {
        let (client, driver) = tokio_postgres::Config::new()
            .host_path(&folder)
            .port(port.parse().unwrap())
            .user("postgres")
            .password(&password)
            .dbname(database)
            .connect(NoTls)
            .await
            .unwrap();
        tokio::spawn(driver);
        client
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let admin = connect("postgres").await;
        admin
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        connect(&name).await.batch_execute(SCHEMA).await.unwrap();
    });
    let ca = folder.join("ca.pem").to_str().unwrap().replace('%', "%25");
    // An address, no name: the resolver of a dynamic libc loads libraries, that of the images' static one does not.
    let url = format!("jdbc:postgresql://127.0.0.1:{port}/{name}?sslmode=verify-full&sslrootcert={ca}");
    (url, password)
}

fn block(slot: u64, root: &str) -> Vec<u8> {
    let header = json!({
        "slot": slot.to_string(), "proposer_index": "1", "parent_root": root, "state_root": root, "body_root": root,
    });
    let fork = json!({"previous_version": "0x04000000", "current_version": "0x05000000", "epoch": "364032"});
    let genesis = "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95";
    let body = json!({
        "type": "BLOCK_V2",
        "fork_info": {"fork": fork, "genesis_validators_root": genesis},
        "beacon_block": {"version": "ELECTRA", "block_header": header},
    });
    body.to_string().into_bytes()
}

#[test]
fn everything_is_done_under_the_filter() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("keys")).unwrap();
    std::fs::write(path("keys/key.yaml"), raw_key(SECRET)).unwrap();
    std::fs::copy(data("tls/known_clients.txt"), path("clients")).unwrap();
    let (url, password) = database();
    let config = json!({
        "http-listen-host": "127.0.0.1",
        "http-host-allowlist": "*",
        "key-config-path": path("keys"),
        "tls-keystore-file": data("tls/server_openssl3_default.p12"),
        "tls-keystore-password-file": data("tls/server.password"),
        "tls-known-clients-file": path("clients"),
        "eth2.network": "mainnet",
        "eth2.slashing-protection-db-url": url,
        "eth2.slashing-protection-db-username": "postgres",
        "eth2.slashing-protection-db-password": password,
    });
    // JSON is YAML.
    std::fs::write(path("config.yaml"), config.to_string()).unwrap();
    let signer = Filtered::start(|port| {
        let config = format!("--config-file={}", path("config.yaml").display());
        vec![config, format!("--http-listen-port={port}"), "eth2".to_owned()]
    });
    let known = client("server", Some(&identity("client1")), &[&TLS13]);
    let older = client("server", Some(&identity("client1")), &[&TLS12]);
    let unknown = client("server", Some(&identity("client2")), &[&TLS13]);
    let sign = format!("/api/v1/eth2/sign/{PUBLIC}");
    let (one, two) = (format!("0x{}", "01".repeat(32)), format!("0x{}", "02".repeat(32)));
    let get =
        |config: &Arc<_>, path: &str| ask(signer.port, config, "GET", path, b"").map(|answer| answer.status);
    assert_eq!(get(&known, "/upcheck"), Some(200));
    assert_eq!(get(&older, "/healthcheck"), Some(200), "{}", signer.said());
    assert_eq!(get(&known, "/api/v1/eth2/publicKeys"), Some(200));
    assert_eq!(get(&unknown, "/upcheck"), None);
    assert_eq!(get(&known, "/nowhere"), Some(404));
    let post = |body: &[u8]| ask(signer.port, &known, "POST", &sign, body).unwrap().status;
    // The first one sets the floor.
    assert_eq!(post(&block(12_000_000, &one)), 200);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (post, one) = (&post, &one);
            scope.spawn(move || {
                for slot in 0..10 {
                    assert_eq!(post(&block(12_000_001 + thread * 10 + slot, one)), 200);
                }
            });
        }
    });
    assert_eq!(post(&block(12_000_000, &two)), 412, "a second block");
    assert_eq!(post(b"{"), 400);
    assert_eq!(post(&vec![b'x'; 11 << 20]), 413);
    // Garbage, a port scan, a client that leaves.
    drop(support::raw(signer.port, b"GET / HTTP/1.1\r\n\r\n"));
    drop(std::net::TcpStream::connect(("127.0.0.1", signer.port)).unwrap());
    // The list of clients changes, in both ways of saying so.
    let clients = std::fs::read_to_string(data("tls/known_clients_mixed_form.txt")).unwrap();
    std::fs::write(path("clients"), clients).unwrap();
    Filtered::signal("HUP");
    signer.until("the second client", |_| get(&unknown, "/upcheck") == Some(200));
    assert_eq!(
        ask(signer.port, &known, "POST", "/reload", b"").unwrap().status,
        202
    );
    std::fs::write(path("keys/bad.yaml"), "type: file-raw\nprivateKey: nonsense\n").unwrap();
    Filtered::signal("HUP");
    signer.until("a bad key", |said| said.contains("bad.yaml"));
    // Old watermarks are pruned at intervals; idle connections end.
    let said = signer.stop();
    assert!(said.contains("stopped"), "{said}");
    assert!(!said.contains(SECRET.trim_start_matches("0x")), "{said}");
}
