//! The simulated KMS: one key whose policy is what `eif-builder policy` prints for the image, and another one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::{eif_builder, said, top};
use attest::UnixMs;
use simulator::kms::fault::{Fault, Kind};
use simulator::kms::key::{Key, KeyPolicy, Material, State};
use simulator::kms::operation::Operation;
use simulator::kms::pki::{Ca, names};
use simulator::kms::principal::{Principal, Principals};
use simulator::kms::record::{Entry, Log};
use simulator::kms::server::{Listen, Server};
use simulator::kms::service::{Kms as Keys, Settings};
use simulator::kms::store::Store;
use simulator::kms::trust::Trust;

use crate::service::artefacts::REGION;

/// What the metadata service gives the instance.
pub const CREDENTIALS: [&str; 3] = ["ASIAPARENT", "planted-parent-secret", "planted-parent-token"];
/// A session that has ended.
pub const EXPIRED: [&str; 3] = ["ASIAEXPIRED", "expired-secret", "expired-token"];
/// What the key ceremony has: it may encrypt, and no more.
pub const LOADER: [&str; 3] = ["ASIALOADER", "planted-loader-secret", "planted-loader-token"];
const ACCOUNT: &str = "111122223333";
const ROLE: &str = "arn:aws:iam::111122223333:role/SignerInstance";
const LOADER_ROLE: &str = "arn:aws:iam::111122223333:role/KeyLoader";
const ADMIN: &str = "arn:aws:iam::111122223333:role/KeyAdmin";

/// The KMS and what is known of it.
pub struct Kms {
    server: Server,
    key: String,
    other_key: String,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Kms {
    /// Its keys are for the image with these measurements; its certificate is of the CA that the test image trusts.
    pub fn start(measurements: &Path) -> Self {
        Self::with_store(measurements, Store::default())
    }

    /// The same, with the key that the image's own deployment config names, under a policy that demands that config too.
    pub fn of_image(measurements: &Path, key_arn: &str, pcr16: &str) -> Self {
        let (_, id) = key_arn.rsplit_once('/').unwrap();
        let policy = policy(measurements, &["--pcr16", pcr16]);
        let mut store = Store::default();
        let key = Key {
            id: id.parse().unwrap(),
            arn: key_arn.to_owned(),
            material: Material::random().unwrap(),
            policy: KeyPolicy::parse(&policy).unwrap(),
            description: String::new(),
            created: UnixMs::new(1),
            state: State::Enabled,
        };
        store.put(key).unwrap();
        let mut kms = Self::with_store(measurements, store);
        key_arn.clone_into(&mut kms.key);
        kms
    }

    fn with_store(measurements: &Path, store: Store) -> Self {
        let entries = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&entries);
        let ca = Ca::in_folder(&top().join("tests/e2e/data/kms-ca")).unwrap();
        let session = |[id, secret, token]: [&str; 3], role| {
            Principal::role_session(id, secret, token, role, "i-1").unwrap()
        };
        let principals = [
            session(CREDENTIALS, ROLE),
            session(EXPIRED, ROLE).expires(UnixMs::new(1)),
            session(LOADER, LOADER_ROLE),
        ];
        let mut settings = Settings::new(
            REGION,
            ACCOUNT.parse().unwrap(),
            Principals::new(principals).unwrap(),
            // QEMU signs nothing: this KMS believes what a real one must not.
            Trust::danger_unsigned_simulator(),
        );
        settings.log = Log::new(move |entry| kept.lock().unwrap().push(entry.clone()));
        let listen = Listen {
            tcp: Some(([127, 0, 0, 1], 0).into()),
            ..Listen::default()
        };
        let identity = ca.identity(&names(REGION)).unwrap();
        let server = Server::start(Keys::new(settings, store), identity, &listen).unwrap();
        let policy = policy(measurements, &[]);
        let key = server.kms().add_key(&policy).unwrap();
        let other_key = server.kms().add_key(&policy).unwrap();
        Self {
            server,
            key,
            other_key,
            entries,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.tcp().unwrap()
    }

    /// ARN of the key of the deployment config.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// ARN of another key of the same account.
    pub fn other_key(&self) -> &str {
        &self.other_key
    }

    /// The key's policy demands this PCR16 too.
    pub fn demand(&self, measurements: &Path, pcr16: &str) {
        let policy = policy(measurements, &["--pcr16", pcr16]);
        self.server.kms().put_policy(&self.key, &policy).unwrap();
    }

    /// What was called so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    /// The next calls of Decrypt fail in this way, until `clear`.
    pub fn fail(&self, kind: Kind) {
        self.server.kms().add_fault(Fault {
            operation: Some(Operation::Decrypt),
            kind,
            skip: 0,
            count: 1000,
        });
    }

    pub fn clear(&self) {
        self.server.kms().clear_faults();
    }

    /// Encrypts as the key ceremony does.
    pub fn encrypt(&self, key: &str, plaintext: &[u8], context: &BTreeMap<String, String>) -> Vec<u8> {
        self.server.kms().encrypt(key, plaintext, context).unwrap()
    }
}

fn policy(measurements: &Path, more: &[&str]) -> String {
    let file = measurements.to_str().unwrap();
    let words = [
        "policy",
        "--pcrs",
        file,
        "--account",
        ACCOUNT,
        "--admin",
        ADMIN,
        "--instance-role",
        ROLE,
        "--loader-role",
        LOADER_ROLE,
    ];
    let printed = eif_builder(&[&words[..], more].concat());
    assert!(printed.status.success(), "{}", said(&printed));
    String::from_utf8(printed.stdout).unwrap()
}
