//! The watchdog's enclave: from the tables to signatures, and back to service after each fault.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::audited::Auditor;
use rustix::process::Signal;
use serde_json::{Value, json};

use e2e::service::client::Client;
use e2e::service::imds::Imds;
use e2e::service::moto::{Moto, exchange};
use e2e::service::parent::{Parent, Program, Settings, until};
use e2e::service::postgres::Database;
use e2e::service::signing::{Attestation, block, verify};
use e2e::service::watchdog::{Watching, kill};
use e2e::service::world::{CLIENTS_VERSION, KEYS, World};

/// The watchdog and everything around it.
struct Watched<'a> {
    world: &'a World,
    database: &'a Database,
    moto: &'a Moto,
    parent: &'a Parent,
    client: Client,
    sockets: &'a Path,
}

/// One enclave, from its start to its end.
pub(crate) fn run(world: &World) {
    let database = Database::new("watched");
    let moto = Moto::new("service");
    let imds = Imds::start(moto.address());
    let dir = tempfile::tempdir().unwrap();
    let sockets = dir.path().join("enclave");
    std::fs::create_dir(&sockets).unwrap();
    let console = dir.path().join("console.log");
    for (name, text) in [
        ("probe.pem", &world.client.pem),
        ("probe.key", &world.client.key_pem),
        ("signer.pem", &world.server.pem),
    ] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let watching = Watching {
        image: &world.image,
        deployment: &world.deployment(&database),
        routes: &world.routes(&database),
        moto: &moto,
        imds: &imds,
        dir: dir.path(),
        sockets: &sockets,
        console: &console,
    };
    let sections = watching.sections();
    let settings = Settings {
        sockets: &sockets,
        sections: &sections,
    };
    let parent = Parent::new(dir.path(), &settings);
    let watched = Watched {
        world,
        database: &database,
        moto: &moto,
        parent: &parent,
        client: Client::new(parent.https, &world.server, Some(&world.client)),
        sockets: &sockets,
    };

    let tunnels = parent.start("vsock-proxy");
    let https = parent.start("https-proxy");
    let watchdog = parent.start("watchdog");
    let began = Instant::now();
    watched.waits_for_its_tables(&watchdog);
    watched.fill_the_tables();
    // The key's policy still demands the first enclave's config.
    watchdog.says("kms-denied", 0);
    world.kms.demand(&world.measurements, &world.pcr16(&database));
    until("ready", || parent.number("parent_serving") == Some(1));
    println!("from an empty table to a serving signer: {:?}", began.elapsed());

    watched.credentials_are_renewed(&imds, &watchdog);
    watched.serves_every_key();
    watched.strangers_get_nothing();
    watched.the_signer_comes_back();
    watched.the_agent_comes_back();
    drop(https);
    let https = watched.the_proxy_comes_back();
    watched.signs_without_kms(tunnels);
    let tunnels = parent.start("vsock-proxy");
    watched.stands_a_crowd();
    watched.follows_its_tables(&watchdog);
    watched.shows_its_status();
    watched.an_auditor_asks();
    watched.an_auditor_verifies();

    let processes = arguments();
    for (place, text) in [
        ("the console", std::fs::read_to_string(&console).unwrap()),
        ("the watchdog's log", watchdog.said()),
        ("the https-proxy's log", https.said()),
        ("the vsock-proxy's log", tunnels.said()),
        ("a command line", processes),
    ] {
        assert!(!text.is_empty(), "{place} is empty");
        world.assert_clean(place, &text, &database);
    }
    assert_eq!(watchdog.end(), Some(0));
    assert_eq!(https.end(), Some(0));
    assert_eq!(tunnels.end(), Some(0));
}

#[expect(clippy::disallowed_methods, reason = "the order of processes does not matter")]
/// Command lines of all processes of this machine that can be seen.
fn arguments() -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        for file in ["cmdline", "environ"] {
            if let Ok(bytes) = std::fs::read(path.join(file)) {
                // The tests themselves hold nothing there.
                text.push_str(&String::from_utf8_lossy(&bytes).replace('\0', " "));
                text.push('\n');
            }
        }
    }
    text
}

impl Watched<'_> {
    /// An empty table, and one with an item that is not active: nothing is started in vain, and it is said why.
    fn waits_for_its_tables(&self, watchdog: &Program) {
        watchdog.says("has no item with key_id 1", 0);
        let operator = self.world.operator();
        let credential = operator.credential(&self.database.credential(1));
        let clients = operator.clients(CLIENTS_VERSION, &[&self.world.client]);
        self.moto.put_tls(
            &operator.tls(&self.world.server),
            &self.world.server.pem,
            &clients,
            &credential,
        );
        let inactive = e2e::service::artefacts::validator(200);
        self.moto.put_key(
            &inactive.public,
            &operator.key(&inactive),
            &json!({ "BOOL": false }),
        );
        watchdog.says(
            "has no active key for the configured web3signer_uuids (1 inactive)",
            0,
        );
        assert_eq!(self.parent.healthz(), 503);
    }

    fn fill_the_tables(&self) {
        let operator = self.world.operator();
        let forms = [json!({ "BOOL": true }), json!({ "S": "true" })];
        for (validator, form) in self.world.validators.iter().zip(forms.iter().cycle()) {
            self.moto
                .put_key(&validator.public, &operator.key(validator), form);
        }
    }

    fn public_keys(&self) -> Vec<String> {
        let answer = self.client.get("/api/v1/eth2/publicKeys");
        assert_eq!(answer.status, 200, "{answer:?}");
        let mut keys: Vec<String> = serde_json::from_str(&answer.body).unwrap();
        keys.sort_unstable();
        keys
    }

    fn expected_keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.world.validators.iter().map(|v| v.public.clone()).collect();
        keys.sort_unstable();
        keys
    }

    fn serves_every_key(&self) {
        assert_eq!(self.client.get("/upcheck").body.trim(), "OK");
        assert_eq!(self.public_keys().len(), usize::from(KEYS));
        assert_eq!(self.public_keys(), self.expected_keys());
        until("healthy for load balancers", || self.parent.healthz() == 200);
        let attestation = Attestation::new(1, 2, 1);
        for validator in &self.world.validators[..2] {
            let answer = self.client.sign(&validator.public, &attestation.request());
            assert_eq!(answer.status, 200, "{answer:?}");
            verify(
                &validator.public,
                answer.json()["signature"].as_str().unwrap(),
                &attestation,
            );
        }
        let rows = self.database.ask("SELECT count(*) FROM signed_attestations");
        assert_eq!(rows, "2", "each is on record");
    }

    fn strangers_get_nothing(&self) {
        let world = self.world;
        // The same name with another key, and none at all.
        for own in [Some(&world.stranger), None] {
            let client = Client::new(self.parent.https, &world.server, own);
            let error = client.ask("GET", "/upcheck", "").unwrap_err();
            println!("a stranger gets: {error}");
        }
        for bytes in [
            &b"{\"operation\":\"status\"}"[..],
            b"{\"operation\":\"init_state\"}",
            b"GET /upcheck HTTP/1.1\r\n\r\n",
            b"\0\0",
        ] {
            let mut stream = TcpStream::connect(self.parent.https).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            stream.write_all(bytes).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).ok();
            assert_eq!(answer, b"", "{bytes:?}");
        }
    }

    fn answers(&self) -> bool {
        self.client
            .ask("GET", "/upcheck", "")
            .is_ok_and(|answer| answer.status == 200)
    }

    /// What was signed before may be signed again, and nothing that contradicts it.
    fn the_signer_comes_back(&self) {
        let key = &self.world.validators[0].public;
        let signed = self.client.sign(key, &block(7, 1));
        assert_eq!(signed.status, 200, "{signed:?}");
        kill(self.sockets, 7001, "web3signer");
        until("signer is back", || self.answers());
        assert_eq!(self.public_keys(), self.expected_keys());
        assert_eq!(self.client.sign(key, &block(7, 1)).body, signed.body);
        assert_eq!(
            self.client.sign(key, &block(7, 2)).status,
            412,
            "another block for the slot"
        );
        assert_eq!(
            self.client.sign(key, &Attestation::new(1, 2, 2).request()).status,
            412
        );
        assert_eq!(self.client.sign(key, &block(8, 2)).status, 200);
    }

    fn the_agent_comes_back(&self) {
        let before = self.status();
        kill(self.sockets, 7002, "agent");
        until("agent is back", || self.answers());
        assert_eq!(self.public_keys(), self.expected_keys());
        until("agent knows everything again", || {
            let after = self.status();
            after["phase"] == before["phase"]
                && after["keys"] == before["keys"]
                && after["certificate"] == before["certificate"]
                && after["config_sha384"] == before["config_sha384"]
        });
    }

    fn status(&self) -> Value {
        let output = self.parent.status();
        serde_json::from_slice(&output.stdout).map_or(Value::Null, |report: Value| report["enclave"].clone())
    }

    fn the_proxy_comes_back(&self) -> Program {
        assert!(!self.answers());
        let https = self.parent.start("https-proxy");
        until("https-proxy is back", || self.answers());
        https
    }

    /// Without KMS and without its database there are no new keys and no signatures; with them back all goes on.
    fn signs_without_kms(&self, tunnels: Program) {
        let key = &self.world.validators[1].public;
        tunnels.kill();
        let refused = self.client.sign(key, &block(20, 1));
        assert_eq!(refused.status, 500, "no record, no signature: {refused:?}");
        let tunnels = self.parent.start("vsock-proxy");
        until("signing goes on", || {
            self.client.sign(key, &block(21, 1)).status == 200
        });
        drop(tunnels);
    }

    /// 200 connections that say nothing, and 200 that say TLS and no more.
    fn stands_a_crowd(&self) {
        let crowd: Vec<TcpStream> = (0..200)
            .map(|n| {
                let mut stream = TcpStream::connect(self.parent.https).unwrap();
                if n % 2 == 0 {
                    stream.write_all(b"\x16\x03\x01\x02").unwrap();
                }
                stream
            })
            .collect();
        for _ in 0..5 {
            assert!(self.answers(), "served beside the crowd");
        }
        drop(crowd);
        assert!(self.answers());
    }

    /// A key that becomes inactive is taken away, and given back.
    fn follows_its_tables(&self, watchdog: &Program) {
        let operator = self.world.operator();
        let gone = &self.world.validators[3];
        let put = |active: bool| {
            self.moto
                .put_key(&gone.public, &operator.key(gone), &json!({ "BOOL": active }));
            watchdog.signal(Signal::HUP);
        };
        put(false);
        until("key is gone", || !self.public_keys().contains(&gone.public));
        assert_eq!(self.client.sign(&gone.public, &block(30, 1)).status, 404);
        put(true);
        until("key is back", || self.public_keys() == self.expected_keys());
        assert_eq!(self.client.sign(&gone.public, &block(30, 1)).status, 200);
    }

    fn shows_its_status(&self) {
        let output = self.parent.status();
        assert_eq!(output.status.code(), Some(0), "{}", e2e::said(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["not_ready"], Value::Null, "{report}");
        assert_eq!(report["service"]["upcheck"], true, "{report}");
        assert_eq!(
            report["service"]["public_keys"].as_array().unwrap().len(),
            usize::from(KEYS)
        );
        assert_eq!(report["enclave"]["keys"], KEYS, "{report}");
    }

    /// Through the relay: nothing but a nonce gets in.
    fn an_auditor_asks(&self) {
        let ask = |query: &str| {
            let request = format!("GET /attest?{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            exchange(self.parent.attest, request.as_bytes())
        };
        let answer = ask("nonce=00ff");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("attestation_document"), "{answer}");
        for query in ["nonce=00ff&public_key=30", "public_key=30", "nonce="] {
            let answer = ask(query);
            assert!(answer.starts_with("HTTP/1.1 4"), "{query}: {answer}");
        }
    }

    fn an_auditor_verifies(&self) {
        let measurements = self.world.measurements.to_str().unwrap();
        let config = self.world.deployment(self.database);
        Auditor::new(self.parent, measurements, &config, &self.expected_keys()).run();
    }

    /// The first credentials end in five minutes: the watchdog hands new ones to the enclave at once.
    fn credentials_are_renewed(&self, imds: &Imds, watchdog: &Program) {
        imds.lives(Duration::from_hours(6));
        watchdog.says("credentials-refreshed", 0);
        let answer = self.client.ask("GET", "/upcheck", "");
        assert!(
            answer.as_ref().is_ok_and(|answer| answer.status == 200),
            "{answer:?}"
        );
    }
}
