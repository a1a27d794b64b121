//! From the operator's own tool to signatures: everything that the enclave is given was made by `nitro-operator`, and its slashing
//! store is DynamoDB, reached through a tunnel under the service's own name.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step is a failed test"
)]

mod operator;

use std::path::Path;

use e2e::service::artefacts::{Certificate, REGION, STACK, Validator, validator};
use e2e::service::client::Client;
use e2e::service::dynamodb::{DynamoDb, TABLE_ID, host};
use e2e::service::imds::Imds;
use e2e::service::kms::{CREDENTIALS, Kms, LOADER};
use e2e::service::moto::Moto;
use e2e::service::parent::{Parent, Program, Settings, until};
use e2e::service::signing::{Attestation, block, verify};
use e2e::service::watchdog::{Watching, kill};
use e2e::service::world::{pcr16, routes};
use e2e::{build_image, top};
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::operator::{Operator, PLANTED};

/// vsock port of the tunnel to DynamoDB.
const VSOCK_PORT: u32 = 8101;

#[test]
fn what_the_operator_made_signs_and_is_protected_in_dynamodb() {
    let out = build_image(&top().join("rootfs/service/image.toml"));
    let measurements = out.join("service.pcrs.json");
    let kms = Kms::start(&measurements);
    let moto = Moto::new("ceremony");
    let imds = Imds::start(moto.address());
    let dynamodb = DynamoDb::before(moto.address());
    let slashing = format!("slashing-ceremony-{}", std::process::id());
    moto.create(&slashing, &[("id", "S")]);
    let config = deployment(&kms, &slashing);
    kms.demand(&measurements, &pcr16(&config));

    let dir = tempfile::tempdir().unwrap();
    let sockets = dir.path().join("enclave");
    std::fs::create_dir(&sockets).unwrap();
    let client = Certificate::new("validator-client-1");
    std::fs::write(dir.path().join("probe.pem"), &client.pem).unwrap();
    std::fs::write(dir.path().join("probe.key"), &client.key_pem).unwrap();
    let keys: Vec<Validator> = (1..=4).map(validator).collect();
    let operator = Operator::new(&config, &kms, &dynamodb, &moto);
    let signer_pem = dir.path().join("signer.pem");
    operator.prepares_the_signer(&client, &signer_pem);
    operator.makes_records(&history(&keys[0]), &[&keys[1], &keys[2]]);
    operator.loads(&[&keys[0], &keys[1]], &[]);
    operator.loads(&[&keys[2], &keys[3]], &["--compact"]);

    let console = dir.path().join("console.log");
    let routes = routes(&[(8000, kms.address().port()), (VSOCK_PORT, dynamodb.port())]);
    let watching = Watching {
        image: &out.join("service.eif"),
        deployment: &config,
        routes: &routes,
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
    let programs = ["vsock-proxy", "https-proxy", "watchdog"].map(|name| parent.start(name));
    programs[2].says("\"phase\":\"serving\"", 0);

    let story = Story {
        client: Client::trusting(
            parent.https,
            CertificateDer::from_pem_file(&signer_pem).unwrap(),
            Some(&client),
        ),
        keys: &keys,
        moto: &moto,
        slashing: &slashing,
    };
    assert_eq!(story.public_keys(), sorted(&keys));
    story.signs_above_its_history();
    story.has_its_floors_in_the_table(101);
    story.refuses_what_is_slashable();
    story.knows_it_after_a_restart(&sockets);
    let name = format!("{} UpdateItem", host());
    assert!(dynamodb.seen().contains(&name), "{:?}", dynamodb.seen());
    story.is_exported(&operator.exports());
    operator.deactivates(&keys[1]);
    programs[2].signal(Signal::HUP);
    until("the deactivated key is gone", || {
        !story.public_keys().contains(&keys[1].public)
    });
    assert_eq!(story.client.sign(&keys[1].public, &block(1, 1)).status, 404);
    assert_eq!(story.public_keys().len(), keys.len() - 1);

    says_no_secret(&programs, &console, &keys);
    for program in programs.into_iter().rev() {
        assert_eq!(program.end(), Some(0));
    }
}

/// The deployment config, as the operator writes it.
fn deployment(kms: &Kms, slashing: &str) -> Value {
    json!({
        "schema": 1, "region": REGION, "network": "hoodi", "kms_key_arn": kms.key(), "stacks": [STACK],
        "client_authentication": "known-clients",
        "slashing_store": { "kind": "dynamodb", "table_id": TABLE_ID,
            "table_arn": format!("arn:aws:dynamodb:{REGION}:123456789012:table/{slashing}") },
        "outbound": [{ "name": host(), "port": 443, "vsock_port": VSOCK_PORT }],
        "artefact_versions": { "tls_key": 0, "clients": 0, "slashing_credential": 0 },
    })
}

/// What another signer did with the key: EIP-3076.
fn history(validator: &Validator) -> Value {
    json!({
        "metadata": { "interchange_format_version": "5",
            "genesis_validators_root": "0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f" },
        "data": [{ "pubkey": validator.public, "signed_blocks": [{ "slot": "100" }],
            "signed_attestations": [{ "source_epoch": "5", "target_epoch": "6" }] }],
    })
}

fn sorted(validators: &[Validator]) -> Vec<String> {
    let mut keys: Vec<String> = validators.iter().map(|v| v.public.clone()).collect();
    keys.sort_unstable();
    keys
}

struct Story<'a> {
    client: Client,
    keys: &'a [Validator],
    moto: &'a Moto,
    slashing: &'a str,
}

impl Story<'_> {
    fn public_keys(&self) -> Vec<String> {
        let answer = self.client.get("/api/v1/eth2/publicKeys");
        let mut keys: Vec<String> = serde_json::from_str(&answer.body).unwrap();
        keys.sort_unstable();
        keys
    }

    /// Status of a request for a signature with the first key.
    fn status(&self, request: &Value) -> u16 {
        self.client.sign(&self.keys[0].public, request).status
    }

    fn signs_above_its_history(&self) {
        let key = &self.keys[0].public;
        assert_eq!(self.status(&block(100, 1)), 412, "the imported block's slot");
        assert_eq!(self.status(&block(101, 1)), 200);
        assert_eq!(self.status(&Attestation::new(5, 6, 1).request()), 412);
        let vote = Attestation::new(5, 7, 1);
        let answer = self.client.sign(key, &vote.request());
        assert_eq!(answer.status, 200, "{answer:?}");
        verify(key, answer.json()["signature"].as_str().unwrap(), &vote);
        for never_signed in &self.keys[1..3] {
            assert_eq!(self.client.sign(&never_signed.public, &block(1, 1)).status, 200);
        }
        let unknown = self.client.sign(&self.keys[3].public, &block(1, 1));
        assert_eq!(unknown.status, 500, "no record, no signature: {unknown:?}");
    }

    fn has_its_floors_in_the_table(&self, slot: u64) {
        let id = format!("validator#{}", self.keys[0].public);
        let items = self.moto.items(self.slashing);
        let item = items.iter().find(|item| item["id"]["S"] == id.as_str()).unwrap();
        for (name, value) in [("block_slot", slot), ("source_epoch", 5), ("target_epoch", 7)] {
            assert_eq!(item[name]["N"], value.to_string(), "{name}: {item}");
        }
    }

    fn refuses_what_is_slashable(&self) {
        for (what, request) in [
            ("another block for the slot", block(101, 2)),
            ("another vote for the target", Attestation::new(5, 7, 2).request()),
            ("a vote around the last one", Attestation::new(4, 8, 1).request()),
        ] {
            assert_eq!(self.status(&request), 412, "{what}");
        }
    }

    fn knows_it_after_a_restart(&self, sockets: &Path) {
        kill(sockets, 7001, "web3signer");
        until("signer is back", || {
            let answer = self.client.ask("GET", "/upcheck", "");
            answer.is_ok_and(|answer| answer.status == 200)
        });
        self.refuses_what_is_slashable();
        assert_eq!(
            self.status(&block(101, 1)),
            200,
            "what was signed may be signed again"
        );
        assert_eq!(self.status(&block(102, 1)), 200);
        self.has_its_floors_in_the_table(102);
    }

    fn is_exported(&self, interchange: &Value) {
        let data = interchange["data"].as_array().unwrap();
        let of = |key: &Validator| data.iter().find(|entry| entry["pubkey"] == key.public.as_str());
        let first = of(&self.keys[0]).unwrap();
        assert_eq!(first["signed_blocks"][0]["slot"], "102", "{first}");
        let vote = &first["signed_attestations"][0];
        assert_eq!(
            (&vote["source_epoch"], &vote["target_epoch"]),
            (&json!("5"), &json!("7")),
            "{first}"
        );
        assert_eq!(of(&self.keys[2]).unwrap()["signed_blocks"][0]["slot"], "1");
        assert_eq!(of(&self.keys[3]), None, "it has no record");
    }
}

fn says_no_secret(programs: &[Program], console: &Path, keys: &[Validator]) {
    let texts = programs.iter().map(Program::said);
    let text: String = texts.chain([std::fs::read_to_string(console).unwrap()]).collect();
    let credentials = [CREDENTIALS[1], CREDENTIALS[2], LOADER[1], LOADER[2], PLANTED];
    let secrets = keys.iter().map(|key| key.secret.as_str());
    for secret in secrets.chain(credentials) {
        assert!(!text.contains(secret), "the parent or the console has {secret:?}");
    }
}
