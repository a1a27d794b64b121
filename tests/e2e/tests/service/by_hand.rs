//! An enclave that is spoken to by hand: every refusal of the bootstrap leaves everything as before, then `init` is done once.

use std::io::{BufRead as _, BufReader};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Booted, Console, boot};
use serde_json::{Value, json};
use simulator::kms::fault::Kind as Fault;

use crate::refused::{Refused, word};
use crate::slow;
use e2e::service::artefacts::{corrupted, hex};
use e2e::service::client::Client;
use e2e::service::kms::{CREDENTIALS, EXPIRED};
use e2e::service::parent::{Parent, Settings};
use e2e::service::postgres::Database;
use e2e::service::world::{CLIENTS_VERSION, World};

/// Keys that `init` is given here.
const FEW: usize = 3;

/// One enclave, from its start to its end.
pub(crate) fn run(world: &World) {
    let database = Database::new("by_hand");
    let booted = boot(&world.image);
    let shown = Console(&booted);
    let log = Log::follow(&booted);
    let dir = tempfile::tempdir().unwrap();
    let sections = world.routes(&database);
    let settings = Settings {
        sockets: booted.dir(),
        sections: &sections,
    };
    let parent = Parent::new(dir.path(), &settings);
    let proxy = parent.start("vsock-proxy");
    let hand = Hand::new(world, &booted, &database);

    hand.nothing_before_the_config();
    hand.a_config_is_set();
    hand.what_is_no_message_is_refused();
    hand.a_bad_item_fails_the_whole();
    hand.kms_fails();
    proxy.end();
    hand.kms_is_gone();
    let proxy = parent.start("vsock-proxy");
    hand.another_config_is_refused();
    hand.init_is_done_once();
    hand.claims_are_true();
    hand.an_older_client_list_is_refused();
    hand.keys_come_and_go();
    let https = parent.start("https-proxy");
    let client = Client::new(parent.https, &world.server, Some(&world.client));
    slow::run(&booted, &client, &world.validators[0].public);
    assert_eq!(https.end(), Some(0));

    let console = booted.enclave.record().console_lines().join("\n");
    world.assert_clean("the console", &console, &database);
    world.assert_clean("the enclave's log", &log.said(), &database);
    world.assert_clean("the log of the vsock-proxy", &proxy.said(), &database);
    assert_eq!(proxy.end(), Some(0));
    drop(shown);
    booted.enclave.stop().unwrap();
}

/// What the enclave sends to its parent's log.
struct Log(Arc<Mutex<String>>);

impl Log {
    fn follow(booted: &Booted) -> Self {
        let listener = booted.enclave.listen(abi::vsock::LOG_PORT).unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&said);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let mut kept = kept.lock().unwrap();
                    kept.push_str(&line);
                    kept.push('\n');
                }
            }
        });
        Self(said)
    }

    fn said(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.said());
        }
    }
}

struct Hand<'a> {
    world: &'a World,
    booted: &'a Booted,
    config: Value,
    pcr16: String,
    tls: String,
    clients: String,
    credential: String,
    keys: Vec<Value>,
}

impl<'a> Hand<'a> {
    fn new(world: &'a World, booted: &'a Booted, database: &Database) -> Self {
        let operator = world.operator();
        let entry = |n: usize| {
            let validator = &world.validators[n];
            json!({ "ciphertext": operator.key(validator), "pubkey": validator.public })
        };
        Self {
            world,
            booted,
            config: world.deployment(database),
            pcr16: world.pcr16(database),
            tls: operator.tls(&world.server),
            clients: operator.clients(CLIENTS_VERSION, &[&world.client]),
            credential: operator.credential(&database.credential(1)),
            keys: (0..FEW).map(entry).collect(),
        }
    }

    /// A good `init`.
    fn message(&self) -> Value {
        let [id, secret, token] = CREDENTIALS;
        json!({
            "operation": "init",
            "credential": { "access_key_id": id, "secret_access_key": secret, "token": token },
            "encrypted_tls_key": { "ciphertext": self.tls },
            "encrypted_validator_keys": self.keys,
            "encrypted_clients": { "ciphertext": self.clients },
            "encrypted_slashing_credential": { "ciphertext": self.credential },
        })
    }

    fn init(&self, message: &Value) -> Value {
        let answer = self.booted.service(message.to_string().as_bytes());
        serde_json::from_slice(&answer)
            .unwrap_or_else(|e| panic!("{:?}: {e}", String::from_utf8_lossy(&answer)))
    }

    fn status(&self) -> Value {
        self.booted.control(r#"{"operation":"status"}"#)["body"].clone()
    }

    /// `init` with one change fails in this way and changes nothing.
    fn refuses(&self, what: &str, expected: &Refused<'_>, change: impl FnOnce(&mut Value)) {
        let mut message = self.message();
        change(&mut message);
        let answer = self.init(&message);
        expected.is(what, &answer);
        let state = self.booted.service(br#"{"operation":"init_state"}"#);
        assert_eq!(state, br#"{"body":{"init_state":false},"status":200}"#, "{what}");
        let status = self.status();
        assert_eq!(status["signer"]["state"], "absent", "{what}: {status}");
        assert_ne!(status["phase"], "initialised", "{what}");
        assert_eq!(
            self.booted.service(b"\x16\x03\x01"),
            b"",
            "{what}: TLS is not served"
        );
    }

    fn nothing_before_the_config(&self) {
        self.refuses(
            "init without a config",
            &Refused::whole(409, "not-configured"),
            |_| (),
        );
    }

    fn a_config_is_set(&self) {
        let answer = self
            .booted
            .control(&json!({ "operation": "configure", "config": self.config }).to_string());
        assert_eq!(answer["status"], 200, "{answer}");
        let pcr16 = answer["body"]["pcr16"].as_str().unwrap();
        assert_eq!(pcr16, self.pcr16, "as an auditor computes it");
        // From here on KMS wants this config.
        self.world.kms.demand(&self.world.measurements, pcr16);
    }

    fn what_is_no_message_is_refused(&self) {
        for (what, bytes) in [
            ("binary", &b"\0\xff\x01"[..]),
            ("HTTP", b"GET / HTTP/1.1\r\n\r\n"),
        ] {
            assert_eq!(self.booted.service(bytes), b"", "{what}");
        }
        let status = self.status();
        assert_eq!(status["phase"], "configured", "{status}");
    }

    fn a_bad_item_fails_the_whole(&self) {
        let world = self.world;
        let operator = world.operator();
        let bad = |index: u64, code| Refused::item("validator-key", index, code);
        let ciphertext = |n: usize| self.keys[n]["ciphertext"].clone();
        self.refuses("a corrupt ciphertext", &bad(1, "kms-ciphertext"), |message| {
            let text = corrupted(ciphertext(1).as_str().unwrap());
            message["encrypted_validator_keys"][1]["ciphertext"] = text.into();
        });
        let swapped = Refused::items(&[
            ("validator-key", 0, "kms-ciphertext"),
            ("validator-key", 1, "kms-ciphertext"),
        ]);
        self.refuses("two ciphertexts swapped", &swapped, |message| {
            message["encrypted_validator_keys"][0]["ciphertext"] = ciphertext(1);
            message["encrypted_validator_keys"][1]["ciphertext"] = ciphertext(0);
        });
        let first = &world.validators[0];
        self.refuses("another key of KMS", &bad(2, "kms-key"), |message| {
            let text = operator.key_as(
                &world.validators[2].secret,
                &world.validators[2].public,
                world.kms.other_key(),
            );
            message["encrypted_validator_keys"][2]["ciphertext"] = text.into();
        });
        self.refuses(
            "another secret than its public key's",
            &bad(0, "public-key-mismatch"),
            |message| {
                let text = operator.key_as(&world.validators[5].secret, &first.public, world.kms.key());
                message["encrypted_validator_keys"][0]["ciphertext"] = text.into();
            },
        );
        self.refuses(
            "the same key twice",
            &Refused::whole(400, "duplicate-key"),
            |message| {
                message["encrypted_validator_keys"][2] = self.keys[0].clone();
            },
        );
        self.refuses("a bare ciphertext", &bad(0, "legacy-refused"), |message| {
            message["encrypted_validator_keys"][0] = ciphertext(0);
        });
        self.refuses(
            "an older list of clients",
            &Refused::item("clients", 0, "version"),
            |message| {
                let text = operator.clients(CLIENTS_VERSION - 1, &[&world.stranger]);
                message["encrypted_clients"]["ciphertext"] = text.into();
            },
        );
        self.refuses(
            "the TLS key as list of clients",
            &Refused::item("clients", 0, "kms-ciphertext"),
            |message| {
                message["encrypted_clients"]["ciphertext"] = self.tls.clone().into();
            },
        );
        for missing in ["encrypted_clients", "encrypted_slashing_credential"] {
            self.refuses(missing, &Refused::whole(400, "artefact-missing"), |message| {
                message.as_object_mut().unwrap().remove(missing);
            });
        }
        self.refuses("no key", &Refused::any(400), |message| {
            message["encrypted_validator_keys"] = json!([]);
        });
        self.refuses(
            "expired credentials",
            &Refused::with("kms-credentials"),
            |message| {
                let [id, secret, token] = EXPIRED;
                message["credential"] =
                    json!({ "access_key_id": id, "secret_access_key": secret, "token": token });
            },
        );
        assert_eq!(self.status()["phase"], "init-failed");
    }

    fn kms_fails(&self) {
        for (fault, code) in [
            (Fault::Garbage, "kms-failed"),
            (Fault::WrongKeyId, "kms-key"),
            (Fault::AnotherRecipient, "kms-failed"),
        ] {
            self.world.kms.fail(fault);
            self.refuses(fault.name(), &Refused::with(code), |_| ());
            self.world.kms.clear();
        }
    }

    fn kms_is_gone(&self) {
        self.refuses("no KMS", &Refused::with("kms-unreachable"), |_| ());
    }

    fn another_config_is_refused(&self) {
        let mut other = self.config.clone();
        other["network"] = "mainnet".into();
        let configure = |config: &Value| {
            let message = json!({ "operation": "configure", "config": config });
            self.booted.control(&message.to_string())
        };
        let refused = configure(&other);
        assert_eq!(word(&refused), "config-conflict", "{refused}");
        assert_eq!(configure(&self.config)["body"]["changed"], false);
    }

    fn init_is_done_once(&self) {
        let answer = self.init(&self.message());
        assert_eq!(answer, json!({ "body": { "init_state": true }, "status": 200 }));
        let status = self.status();
        assert_eq!(
            (&status["phase"], &status["keys"]),
            (&json!("initialised"), &json!(FEW)),
            "{status}"
        );
        assert_eq!(status["signer"]["state"], "healthy", "{status}");
        let again = self.init(&self.message());
        assert_eq!(
            (&again["status"], word(&again)),
            (&json!(409), "already-initialised"),
            "{again}"
        );
        for entry in self.world.kms.entries() {
            assert!(
                entry.error.is_some() || entry.pcr0.is_some(),
                "decrypted without a document: {entry:?}"
            );
        }
    }

    /// The document commits to the certificate, the keys and the config.
    fn claims_are_true(&self) {
        let refused = self
            .booted
            .control(r#"{"operation":"attest","nonce":"00","public_key":"30"}"#);
        assert_eq!(word(&refused), "unknown-field", "{refused}");
        let answer = self.booted.control(r#"{"operation":"attest","nonce":"0102"}"#);
        let body = &answer["body"];
        let document = STANDARD
            .decode(body["attestation_document"].as_str().unwrap())
            .unwrap();
        let document = attest::UnverifiedDoc::parse(&document).unwrap();
        let claims = document.unverified_claims();
        assert_eq!(claims.public_key, None);
        let text = body["claims"].as_str().unwrap();
        let hash = <[u8; 48]>::from(<sha2::Sha384 as sha2::Digest>::digest(text.as_bytes()));
        assert_eq!(claims.user_data.unwrap(), control::claims::user_data(&hash));
        let claimed: Value = serde_json::from_str(text).unwrap();
        let mut keys: Vec<&str> = self.world.validators[..FEW]
            .iter()
            .map(|v| v.public.as_str())
            .collect();
        keys.sort_unstable();
        assert_eq!(claimed["public_keys"], json!(keys));
        let certificate = hex(&<sha2::Sha256 as sha2::Digest>::digest(&self.world.server.der));
        assert!(text.contains(&certificate), "{text}");
    }

    fn an_older_client_list_is_refused(&self) {
        let set = |version| {
            let text = self.world.operator().clients(version, &[&self.world.client]);
            let message = json!({ "operation": "set_clients", "encrypted_clients": { "ciphertext": text } });
            self.booted.control(&message.to_string())
        };
        let newer = set(CLIENTS_VERSION + 2);
        assert_eq!(newer["status"], 200, "{newer}");
        let older = set(CLIENTS_VERSION + 1);
        Refused::item("clients", 0, "version").is("an older list", &older);
    }

    fn keys_come_and_go(&self) {
        let validator = &self.world.validators[FEW];
        let entry = json!({ "ciphertext": self.world.operator().key(validator), "pubkey": validator.public });
        let add = json!({ "operation": "add_keys", "encrypted_validator_keys": [entry] }).to_string();
        let added = self.booted.control(&add);
        assert_eq!(
            (&added["status"], &added["body"]["keys"]),
            (&json!(200), &json!(FEW + 1)),
            "{added}"
        );
        assert_eq!(added["body"]["items"][0]["code"], "ok", "{added}");
        assert_eq!(self.booted.control(&add)["body"]["items"][0]["code"], "already");
        let remove = json!({ "operation": "remove_keys", "public_keys": [validator.public] }).to_string();
        let removed = self.booted.control(&remove);
        assert_eq!(
            (&removed["status"], &removed["body"]["keys"]),
            (&json!(200), &json!(FEW)),
            "{removed}"
        );
        assert_eq!(
            self.booted.control(&remove)["body"]["items"][0]["code"],
            "already"
        );
    }
}
