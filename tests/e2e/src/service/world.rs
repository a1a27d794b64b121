//! What both enclaves have in common: the image, the KMS, the artefacts, and the secrets that nobody may see.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use control::config::DeploymentConfig;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha384};

use crate::service::artefacts::{
    Certificate, Operator, REGION, SERVER, STACK, TLS_PASSWORD, Validator, hex, validator,
};
use crate::service::kms::{CREDENTIALS, Kms};
use crate::service::postgres::{Database, HOST, VSOCK_PORT};

/// Keys in the table.
pub const KEYS: u8 = 25;
/// Version of the list of clients that the config demands.
pub const CLIENTS_VERSION: u64 = 2;

/// The world.
pub struct World {
    pub image: PathBuf,
    pub measurements: PathBuf,
    pub kms: Kms,
    pub validators: Vec<Validator>,
    pub server: Certificate,
    pub client: Certificate,
    pub stranger: Certificate,
}

impl World {
    pub fn new(out: &Path) -> Self {
        let measurements = out.join("service.pcrs.json");
        Self {
            image: out.join("service.eif"),
            kms: Kms::start(&measurements),
            measurements,
            validators: (1..=KEYS).map(validator).collect(),
            server: Certificate::new(SERVER),
            client: Certificate::new("validator-client-1"),
            stranger: Certificate::new("validator-client-1"),
        }
    }

    pub fn operator(&self) -> Operator<'_> {
        Operator { kms: &self.kms }
    }

    /// The deployment config.
    pub fn deployment(&self, database: &Database) -> Value {
        json!({
            "schema": 1, "region": REGION, "network": "hoodi", "kms_key_arn": self.kms.key(), "stacks": [STACK],
            "client_authentication": "known-clients",
            "slashing_store": { "kind": "postgresql", "host": HOST, "port": database.port, "database": database.name },
            "outbound": [{ "name": HOST, "port": database.port, "vsock_port": VSOCK_PORT }],
            "artefact_versions": { "tls_key": 0, "clients": CLIENTS_VERSION, "slashing_credential": 0 },
        })
    }

    /// PCR16 of an enclave with this config.
    pub fn pcr16(&self, database: &Database) -> String {
        pcr16(&self.deployment(database))
    }

    /// Routes of the vsock-proxy, as TOML.
    pub fn routes(&self, database: &Database) -> String {
        routes(&[(8000, self.kms.address().port()), (VSOCK_PORT, database.port)])
    }

    /// Texts that must be seen nowhere outside the enclave, each with its name.
    pub fn secrets(&self, database: &Database) -> Vec<(String, String)> {
        let keys = self.validators.iter().enumerate();
        let keys = keys.map(|(n, validator)| (format!("secret key {n}"), validator.secret.clone()));
        let more = [
            ("password of the TLS keystore", TLS_PASSWORD.to_owned()),
            ("password of the database", database.password.clone()),
            ("secret of the credentials", CREDENTIALS[1].to_owned()),
            ("token of the credentials", CREDENTIALS[2].to_owned()),
        ];
        keys.chain(more.map(|(name, text)| (name.to_owned(), text)))
            .collect()
    }

    /// Fails if `text` has one of the secrets.
    pub fn assert_clean(&self, place: &str, text: &str, database: &Database) {
        let lower = text.to_ascii_lowercase();
        for (name, secret) in self.secrets(database) {
            assert!(
                !text.contains(&secret) && !lower.contains(&secret),
                "{place} has the {name}"
            );
        }
    }
}

/// PCR16 of an enclave with this config, as an auditor computes it: 48 zero bytes, extended with the SHA-384 of the canonical
/// text.
pub fn pcr16(config: &Value) -> String {
    let config: DeploymentConfig = serde_json::from_value(config.clone()).unwrap();
    let config = Sha384::digest(config.canonical().unwrap().as_bytes());
    hex(&Sha384::digest([&[0; 48][..], &config].concat()))
}

/// Routes of the vsock-proxy, as TOML: from these ports of the vsock to these of this machine.
pub fn routes(routes: &[(u32, u16)]) -> String {
    let mut text = "[vsock_proxy]\n".to_owned();
    for (vsock, port) in routes {
        writeln!(
            text,
            "[[vsock_proxy.route]]\nvsock_port = {vsock}\nhost = \"127.0.0.1\"\nport = {port}"
        )
        .unwrap();
    }
    text
}
