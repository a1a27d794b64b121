//! The signer's whole program on the files that provision wrote: it starts with the configuration file alone, lets in whom it should,
//! and reads a new generation when it is told to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::provision::{State, Work};
use e2e::service::artefacts::{Certificate, hex};
use e2e::service::client::Client;
use serde_json::json;
use web3signer_rs::clock::Clock;
use web3signer_rs::start::{Outside, run};

use crate::world::{NOW_S, World, credential, public};

#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now(&self) -> u64 {
        NOW_S * 1000
    }
}

/// Starts the program on the folder; it ends with the tests. Any free port in place of 9000, told through `--data-path`.
fn start(world: &World) -> SocketAddr {
    let data = world.dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let config = world.signer().join("current/config.yaml");
    let words = [
        format!("--config-file={}", config.display()),
        format!("--data-path={}", data.display()),
        "--http-listen-port=0".to_owned(),
        "eth2".to_owned(),
    ];
    let out: Arc<Mutex<Vec<u8>>> = Arc::default();
    let stdout = Arc::clone(&out);
    let thread = std::thread::spawn(move || {
        let mut stderr = Vec::new();
        run(Outside {
            words: &words,
            environment: &BTreeMap::new(),
            stdout,
            stderr: &mut stderr,
            clock: Arc::new(Standing),
        });
        panic!("the signer ended: {}", String::from_utf8_lossy(&stderr));
    });
    let ports = data.join("web3signer.ports");
    let started = Instant::now();
    loop {
        if let Some(port) = port(&ports) {
            return ([127, 0, 0, 1], port).into();
        }
        assert!(
            !thread.is_finished() && started.elapsed() < Duration::from_mins(1),
            "{}",
            String::from_utf8_lossy(&out.lock().unwrap())
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn port(file: &Path) -> Option<u16> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("http-port=")?.parse().ok())
}

/// The certificate that the agent is given.
fn health(state: &State) -> Certificate {
    Certificate {
        name: "health".to_owned(),
        pem: String::new(),
        der: STANDARD.decode(state.health.certificate.as_str()).unwrap(),
        key_pem: String::new(),
        key_der: STANDARD.decode(&*state.health.private_key).unwrap(),
    }
}

fn keys(client: &Client) -> Vec<String> {
    let mut keys: Vec<String> = serde_json::from_value(client.get("/api/v1/eth2/publicKeys").json()).unwrap();
    keys.sort();
    keys
}

fn names(state: &State) -> Vec<String> {
    state.public_keys.iter().map(ToString::to_string).collect()
}

#[test]
fn the_signer_starts_with_what_provision_wrote() {
    let world = World::new();
    let state = world.done(world.init(world.artefacts(5)));
    assert_eq!(
        STANDARD.decode(state.tls.certificate.as_str()).unwrap(),
        world.server.der
    );
    assert_eq!(state.tls.sha256.as_str(), world.server.sha256());
    let address = start(&world);
    let agent = Client::new(address, &world.server, Some(&health(&state)));
    assert_eq!(
        (agent.get("/upcheck").status, agent.get("/upcheck").body.as_str()),
        (200, "OK")
    );
    assert_eq!(agent.get("/healthcheck").status, 200);
    assert_eq!(keys(&agent), names(&state));
    let client = Client::new(address, &world.server, Some(&world.client));
    assert_eq!(keys(&client), names(&state));
    let stranger = Certificate::new(&world.client.name);
    Client::new(address, &world.server, Some(&stranger))
        .ask("GET", "/upcheck", "")
        .unwrap_err();
    Client::new(address, &world.server, None)
        .ask("GET", "/upcheck", "")
        .unwrap_err();

    let added = world.done(world.add(vec![world.compact(0, 77)]));
    reload(&agent);
    assert_eq!(keys(&agent), names(&added));
    let removed = world.done(Work::RemoveKeys {
        public_keys: vec![public(0), public(77)],
    });
    reload(&agent);
    assert_eq!(keys(&agent), names(&removed));

    let list =
        json!({"version": 3, "known_clients": [{"name": stranger.name, "sha256": hex(&sha256(&stranger))}]});
    let artefact = world.sealed(control::artefact::Kind::Clients, &list.to_string());
    world.done(Work::SetClients {
        credential: credential("ASIA1"),
        artefact,
    });
    reload(&agent);
    assert_eq!(
        Client::new(address, &world.server, Some(&stranger))
            .get("/upcheck")
            .status,
        200
    );
    client.ask("GET", "/upcheck", "").unwrap_err();
    assert_eq!(agent.get("/healthcheck").status, 200);
}

fn sha256(certificate: &Certificate) -> Vec<u8> {
    use sha2::Digest as _;
    sha2::Sha256::digest(&certificate.der).to_vec()
}

/// The same as SIGHUP.
fn reload(client: &Client) {
    assert_eq!(client.ask("POST", "/reload", "").unwrap().status, 202);
    let started = Instant::now();
    loop {
        let answer = client.get("/reload").json();
        match answer["status"].as_str().unwrap() {
            "running" => assert!(started.elapsed() < Duration::from_mins(1)),
            "completed" => return,
            other => panic!("{other}: {answer}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
