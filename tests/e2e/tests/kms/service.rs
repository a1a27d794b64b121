//! The simulated KMS with one key, whose policy is what `eif-builder policy` prints.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use e2e::{eif_builder, said};
use serde_json::json;
use simulator::kms::pki::{Ca, names};
use simulator::kms::principal::{Principal, Principals};
use simulator::kms::record::{Counts, Entry, Log};
use simulator::kms::server::{Listen, Server};
use simulator::kms::service::{Kms, Settings};
use simulator::kms::store::Store;
use simulator::kms::trust::Trust;

/// Id, secret and token of the parent's session, which it hands to its enclave.
pub(crate) const CREDENTIALS: [&str; 3] = ["ASIAPARENT", "parent-secret", "parent-token"];
const ACCOUNT: &str = "111122223333";
const ROLE: &str = "arn:aws:iam::111122223333:role/SignerInstance";
const ADMIN: &str = "arn:aws:iam::111122223333:role/KeyAdmin";
const REGION: &str = "us-east-1";

/// As the parent writes them for its enclave.
pub(crate) fn credentials_json() -> String {
    let [id, secret, token] = CREDENTIALS;
    json!({ "AccessKeyId": id, "SecretAccessKey": secret, "Token": token }).to_string()
}

/// The KMS and what is known of it.
pub(crate) struct Service {
    server: Server,
    ca: Ca,
    ca_file: tempfile::NamedTempFile,
    key: String,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Service {
    /// Starts one whose key is for the image with these measurements.
    pub(crate) fn start(measurements: &Path) -> Self {
        let entries = Arc::new(Mutex::new(Vec::new()));
        let ca = Ca::new().unwrap();
        let server = start(&ca, Arc::clone(&entries));
        let printed = eif_builder(&[
            "policy",
            "--pcrs",
            measurements.to_str().unwrap(),
            "--account",
            ACCOUNT,
            "--admin",
            ADMIN,
            "--instance-role",
            ROLE,
        ]);
        assert!(printed.status.success(), "{}", said(&printed));
        let policy = String::from_utf8(printed.stdout).unwrap();
        let key = server.kms().add_key(&policy).unwrap();
        let ca_file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca_file.path(), ca.pem()).unwrap();
        Self {
            server,
            ca,
            ca_file,
            key,
            entries,
        }
    }

    /// One that has the same names, but a certificate of another CA.
    pub(crate) fn impostor(&self) -> Server {
        let other = Ca::new().unwrap();
        assert_ne!(other.pem(), self.ca.pem());
        start(&other, Arc::default())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.tcp().unwrap()
    }

    pub(crate) fn kms(&self) -> &Kms {
        self.server.kms()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.kms().counts()
    }

    pub(crate) fn ca_pem(&self) -> &str {
        self.ca.pem()
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.ca_file.path().to_owned()
    }

    /// ARN of the key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// What came last.
    pub(crate) fn last_entry(&self) -> Entry {
        self.entries.lock().unwrap().last().unwrap().clone()
    }

    /// Encrypts as the key ceremony does.
    pub(crate) fn encrypt(&self, plaintext: &[u8], context: &[(&str, &str)]) -> Vec<u8> {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let context = context.iter().map(pair).collect();
        self.kms().encrypt(&self.key, plaintext, &context).unwrap()
    }
}

fn start(ca: &Ca, entries: Arc<Mutex<Vec<Entry>>>) -> Server {
    let [id, secret, token] = CREDENTIALS;
    let session = Principal::role_session(id, secret, token, ROLE, "i-1").unwrap();
    // QEMU signs nothing: this KMS believes what a real one must not.
    let trust = Trust::danger_unsigned_simulator();
    let mut settings = Settings::new(
        REGION,
        ACCOUNT.parse().unwrap(),
        Principals::new([session]).unwrap(),
        trust,
    );
    settings.log = Log::new(move |entry| entries.lock().unwrap().push(entry.clone()));
    let listen = Listen {
        tcp: Some(([127, 0, 0, 1], 0).into()),
        ..Listen::default()
    };
    let identity = ca.identity(&names(REGION)).unwrap();
    Server::start(Kms::new(settings, Store::default()), identity, &listen).unwrap()
}
