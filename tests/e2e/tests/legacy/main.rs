//! An image that takes the place of the enclave of the published AWS guidance: that guidance's own parent starts it, unchanged, with
//! artefacts that its loader has encrypted, without encryption context.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a failed step is a failed test"
)]

mod guidance;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::service::artefacts::{Certificate, SERVER, TLS_PASSWORD, Validator, corrupted, validator};
use e2e::service::client::Client;
use e2e::service::kms::{CREDENTIALS, Kms};
use e2e::service::signing::{Attestation, verify};
use e2e::service::world::pcr16;
use e2e::{Console, boot, build_image, eif_builder, said, scratch_in_tree, top};
use keystore::Kdf;
use serde_json::{Value, json};
use web3signer_rs::consensus::Network;

use crate::guidance::Guidance;

const KEY_PASSWORD: &str = "planted-keystore-password";
const MNEMONIC: &str = "planted mnemonic of words that nobody needs";
/// What staking-deposit-cli writes.
const STANDARD_SCRYPT: Kdf = Kdf::Scrypt {
    n: 262_144,
    r: 8,
    p: 1,
};

#[test]
fn the_published_parent_starts_it_unchanged() {
    let out = build_image(&top().join("rootfs/legacy/image.toml"));
    let config = config_of(&out.join("legacy.eif"));
    let key_arn = config["kms_key_arn"].as_str().unwrap();
    let kms = Kms::of_image(&out.join("legacy.pcrs.json"), key_arn, &pcr16(&config));
    let loader = Loader { kms: &kms };
    let server = Certificate::new(SERVER);
    let validators = [validator(1), validator(2)];
    let message = Init {
        tls_key: Some(loader.tls(&server)),
        validator_keys: vec![
            loader.key(&validators[0], STANDARD_SCRYPT),
            loader.key(&validators[1], Kdf::Pbkdf2 { c: 1024 }),
        ],
    };

    let booted = boot(&out.join("legacy.eif"));
    let shown = Console(&booted);
    let parent = Guidance::new(&booted, kms.address());
    let clients = parent.https_proxy();
    let client = Client::new(clients, &server, None);
    refusals_change_nothing(&parent, &message);
    client.ask("GET", "/upcheck", "").unwrap_err();

    let started = r#"{"body":{"init_state":true},"status":200}"#;
    assert_eq!(parent.ask(&message.text()), started);
    assert_eq!(parent.ask(INIT_STATE), started);
    assert_eq!(status(&parent.ask(&message.text())), 409, "a second init");
    serves(&client, &validators);

    let decrypted = |entry: &&simulator::kms::record::Entry| entry.pcr0.is_some() && entry.error.is_none();
    let entries = kms.entries();
    assert!(entries.iter().filter(decrypted).count() >= 3, "{entries:?}");
    let console = booted.enclave.record().console_lines().join("\n");
    let secrets = [
        KEY_PASSWORD,
        MNEMONIC,
        TLS_PASSWORD,
        CREDENTIALS[1],
        CREDENTIALS[2],
    ];
    let keys = validators.iter().map(|validator| validator.secret.as_str());
    for secret in secrets.into_iter().chain(keys) {
        assert!(!console.contains(secret), "the console has {secret:?}");
    }
    drop(shown);
    booted.enclave.stop().unwrap();
}

/// As Python's `json.dumps` writes it.
const INIT_STATE: &str = r#"{"operation": "init_state"}"#;

/// The watchdog's `init`.
struct Init {
    tls_key: Option<String>,
    validator_keys: Vec<String>,
}

impl Init {
    /// As Python's `json.dumps` writes it.
    fn text(&self) -> String {
        let [id, secret, token] = CREDENTIALS;
        let tls_key = self
            .tls_key
            .as_ref()
            .map_or_else(String::new, |text| format!("\"encrypted_tls_key\": \"{text}\", "));
        format!(
            "{{\"operation\": \"init\", \"credential\": {{\"access_key_id\": \"{id}\", \"secret_access_key\": \"{secret}\", \
             \"token\": \"{token}\"}}, {tls_key}\"encrypted_validator_keys\": [\"{}\"]}}",
            self.validator_keys.join("\", \"")
        )
    }
}

/// What is wrong is answered with its status, and the next `init` may come.
fn refusals_change_nothing(parent: &Guidance<'_>, good: &Init) {
    let not_started = r#"{"body":{"init_state":false},"status":200}"#;
    assert_eq!(parent.ask(INIT_STATE), not_started);
    assert_eq!(parent.ask_nothing(), b"", "an empty message is ignored");
    let missing = Init {
        tls_key: None,
        validator_keys: good.validator_keys.clone(),
    };
    assert_eq!(status(&parent.ask(&missing.text())), 400);
    let undecryptable = Init {
        tls_key: good.tls_key.clone(),
        validator_keys: vec![good.validator_keys[0].clone(), corrupted(&good.validator_keys[1])],
    };
    assert_eq!(status(&parent.ask(&undecryptable.text())), 500);
    assert_eq!(parent.ask(INIT_STATE), not_started);
}

/// The status of a refusal, whose form is the guidance's.
fn status(answer: &str) -> u64 {
    let answer: Value = serde_json::from_str(answer).unwrap_or_else(|e| panic!("{answer:?}: {e}"));
    assert!(answer["body"]["error"].is_string(), "{answer}");
    answer["status"].as_u64().unwrap()
}

/// The same port is the tunnel now.
fn serves(client: &Client, validators: &[Validator]) {
    assert_eq!(client.get("/upcheck").body.trim(), "OK");
    let mut keys: Vec<String> = serde_json::from_str(&client.get("/api/v1/eth2/publicKeys").body).unwrap();
    keys.sort_unstable();
    let mut expected: Vec<String> = validators.iter().map(|v| v.public.clone()).collect();
    expected.sort_unstable();
    assert_eq!(keys, expected);
    // Slashing protection in memory takes duties of the coming epoch alone.
    let epoch = present_epoch();
    let vote = Attestation::new(epoch, epoch + 1, 1);
    let answer = client.sign(&validators[0].public, &vote.request());
    assert_eq!(answer.status, 200, "{answer:?}");
    let signature = answer.json()["signature"].as_str().unwrap().to_owned();
    verify(&validators[0].public, &signature, &vote);
    let other = Attestation::new(epoch, epoch + 1, 2);
    let refused = client.sign(&validators[0].public, &other.request());
    assert_eq!(refused.status, 412, "a second vote for the epoch: {refused:?}");
}

fn present_epoch() -> u64 {
    let chain = web3signer_rs::genesis::chain(&Network::from_option("hoodi").unwrap()).unwrap();
    // The enclave's clock may be a moment behind.
    let now = SystemTime::now() - Duration::from_secs(1);
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    chain.epoch_at(seconds).unwrap()
}

/// The deployment config that is in an image.
fn config_of(image: &Path) -> Value {
    let dir = scratch_in_tree();
    let into = dir.path().join("image");
    let output = eif_builder(&["extract", image.to_str().unwrap(), into.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let policy = std::fs::read(into.join("ramdisk1/rootfs/etc/nitro/policy.json")).unwrap();
    let policy: Value = serde_json::from_slice(&policy).unwrap();
    policy["deployment"].clone()
}

/// The guidance's loader: KMS Encrypt without encryption context.
struct Loader<'a> {
    kms: &'a Kms,
}

impl Loader<'_> {
    fn tls(&self, certificate: &Certificate) -> String {
        self.encrypt(&json!({
            "tls_keystore_b64": STANDARD.encode(certificate.pkcs12()),
            "tls_password_b64": STANDARD.encode(TLS_PASSWORD),
        }))
    }

    fn key(&self, validator: &Validator, kdf: Kdf) -> String {
        self.encrypt(&json!({
            "keystore_b64": STANDARD.encode(validator.keystore(KEY_PASSWORD, kdf)),
            "password_b64": STANDARD.encode(KEY_PASSWORD),
            "mnemonic_b64": STANDARD.encode(MNEMONIC),
        }))
    }

    fn encrypt(&self, plaintext: &Value) -> String {
        let plaintext = plaintext.to_string();
        STANDARD.encode(
            self.kms
                .encrypt(self.kms.key(), plaintext.as_bytes(), &BTreeMap::new()),
        )
    }
}
