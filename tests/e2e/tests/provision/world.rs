//! The world around provision: a KMS with two keys, a security module with a measured config, a private folder, artefacts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use attest::{Pcr, PcrSet, UnixMs};
use aws_nitro_enclaves_nsm_api::api::{ErrorCode, Request, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::answer::ItemCode;
use control::artefact::{self, Kind};
use control::config::DeploymentConfig;
use control::policy::ImagePolicy;
use control::provision::{Binding, Job, Outcome, Sealed, State, Work};
use control::request::Credential;
use control::text::{PublicKey, StackId};
use e2e::service::artefacts::{Certificate, SERVER, STACK, hex};
use keystore::SecretKey;
use kmstool_rs::clock::{Clock, Jitter};
use kmstool_rs::transport::{Connect, Connecting, Stream};
use nsm::{Device, Session};
use provision::measured;
use provision::run::{Outside, run};
use provision::vault::Vault;
use serde_json::{Value, json};
use simulator::kms::clock::Clock as KmsClock;
use simulator::kms::pki::{Ca, names};
use simulator::kms::principal::{Principal, Principals};
use simulator::kms::server::{Listen, Server};
use simulator::kms::service::{Kms, Settings};
use simulator::kms::store::Store;
use simulator::kms::trust::Trust;
use simulator::kms::unsigned::Unsigned;

pub(crate) const REGION: &str = "us-east-1";
const ROLE: &str = "arn:aws:iam::111122223333:role/enclave";
const PCR0: Pcr = Pcr::from_bytes([0x5A; 48]);
/// 2026-01-01T00:00:00Z, everybody's clock.
pub(crate) const NOW_S: u64 = 1_767_225_600;
/// Planted: seen nowhere but in the private folder.
pub(crate) const TLS_PASSWORD: &str = "planted-tls-password";
pub(crate) const PASSWORD: &str = "planted-keystore-password";
pub(crate) const MNEMONIC: &str = "planted mnemonic of twelve words";

/// A security module whose PCR16 is what the test says.
#[derive(Clone)]
pub(crate) struct Module {
    pub(crate) pcr16: nsm::Pcr,
    pub(crate) locked: bool,
    pub(crate) documents: Arc<Mutex<usize>>,
}

impl Device for Module {
    fn process(&self, request: Request) -> Response {
        match request {
            Request::DescribePCR { index: 16 } => Response::DescribePCR {
                lock: self.locked,
                data: self.pcr16.0.to_vec(),
            },
            Request::Attestation { public_key, .. } => {
                *self.documents.lock().unwrap() += 1;
                let mut pcrs = PcrSet::new();
                pcrs.insert(0, PCR0).unwrap();
                pcrs.insert(16, Pcr::from_bytes(self.pcr16.0)).unwrap();
                let document = Unsigned {
                    timestamp: UnixMs::new(NOW_S * 1000),
                    pcrs: &pcrs,
                    public_key: public_key.as_ref().map(|key| key.as_slice()),
                    user_data: None,
                    nonce: None,
                };
                Response::Attestation {
                    document: document.encode(),
                }
            }
            _ => Response::Error(ErrorCode::InvalidOperation),
        }
    }
}

struct ToSocket(PathBuf);

impl Connect for ToSocket {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async { Ok(Box::new(tokio::net::UnixStream::connect(&self.0).await?) as Box<dyn Stream>) })
    }
}

struct Standing;

impl Clock for Standing {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_S)
    }
}

/// Enough patience is tested elsewhere.
struct NoJitter;

impl Jitter for NoJitter {
    fn up_to(&self, _: Duration) -> Duration {
        Duration::ZERO
    }
}

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) kms: Option<Server>,
    ca: Ca,
    pub(crate) key: String,
    pub(crate) other_key: String,
    pub(crate) policy: ImagePolicy,
    pub(crate) config: DeploymentConfig,
    pub(crate) module: Module,
    pub(crate) server: Certificate,
    pub(crate) client: Certificate,
    pub(crate) said: Arc<Mutex<Vec<String>>>,
}

/// What a test changes of the usual config.
pub(crate) fn config(kms_key: &str, change: &Value) -> DeploymentConfig {
    let mut config = json!({
        "schema": 1, "region": REGION, "network": "hoodi", "kms_key_arn": kms_key, "stacks": [STACK],
        "client_authentication": "known-clients", "slashing_store": { "kind": "memory" }, "outbound": [],
        "artefact_versions": { "tls_key": 0, "clients": 2, "slashing_credential": 0 },
    });
    for (name, value) in change.as_object().unwrap() {
        config[name] = value.clone();
    }
    serde_json::from_value(config).unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(&json!({}), &json!({}))
    }

    /// `change` replaces fields of the config, `trust` those of the policy's trust.
    pub(crate) fn with(change: &Value, trust: &Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("signer")).unwrap();
        let session =
            |id: &str| Principal::role_session(id, "secret-of-credentials", "token", ROLE, "i-1").unwrap();
        let expired = session("ASIAOLD").expires(UnixMs::new(1));
        let mut settings = Settings::new(
            REGION,
            "111122223333".parse().unwrap(),
            Principals::new([session("ASIA1"), expired]).unwrap(),
            Trust::danger_unsigned_simulator(),
        );
        settings.clock = KmsClock::fixed(UnixMs::new(NOW_S * 1000));
        let ca = Ca::new().unwrap();
        let listen = Listen {
            unix: Some(dir.path().join("vsock_8000")),
            ..Listen::default()
        };
        let identity = ca.identity(&names(REGION)).unwrap();
        let kms = Server::start(Kms::new(settings, Store::default()), identity, &listen).unwrap();
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": ROLE}, "Resource": "*", "Action": "kms:Decrypt",
            "Condition": {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": PCR0.to_string()}},
        }]});
        let key = kms.kms().add_key(&policy.to_string()).unwrap();
        let other_key = kms.kms().add_key(&policy.to_string()).unwrap();
        let config = config(&key, change);
        let der = ca
            .pem()
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect::<String>();
        let mut policy = json!({
            "schema": 1,
            "signer": {"distribution": "native", "start_within_s": 60, "upcheck_every_s": 5, "upcheck_within_s": 3},
            "trust": {"memory_slashing": true, "kms_ca": [der]},
            "users": {"agent": 101, "signer": 102},
        });
        for (name, value) in trust.as_object().unwrap() {
            policy["trust"][name] = value.clone();
        }
        Self {
            kms: Some(kms),
            ca,
            key,
            other_key,
            policy: serde_json::from_value(policy).unwrap(),
            module: Module {
                pcr16: measured::register(&config),
                locked: true,
                documents: Arc::default(),
            },
            config,
            server: Certificate::new(SERVER),
            client: Certificate::new("validator-client-1"),
            said: Arc::default(),
            dir,
        }
    }

    pub(crate) fn ca_pem(&self) -> &str {
        self.ca.pem()
    }

    pub(crate) fn signer(&self) -> PathBuf {
        self.dir.path().join("signer")
    }

    pub(crate) fn kms(&self) -> &Arc<Kms> {
        self.kms.as_ref().unwrap().kms()
    }

    pub(crate) fn outside(&self) -> Outside {
        let said = Arc::clone(&self.said);
        Outside {
            policy: self.policy.clone(),
            vault: Vault::new(self.signer()),
            nsm: Box::new(Session::new(self.module.clone())),
            connect: Arc::new(ToSocket(self.dir.path().join("vsock_8000"))),
            clock: Arc::new(Standing),
            jitter: Arc::new(NoJitter),
            late: Box::new(|| false),
            say: Box::new(move |line| said.lock().unwrap().push(line.to_owned())),
        }
    }

    /// Runs a job to its end, as the program does when the agent takes the outcome.
    pub(crate) fn run(&self, work: Work) -> Outcome {
        let config = (work != Work::Recover).then(|| Box::new(self.config.clone()));
        self.run_job(Job { config, work })
    }

    pub(crate) fn run_job(&self, job: Job) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (ended, vault) = runtime.block_on(run(job, self.outside()));
        if let Some(swap) = &ended.swap {
            vault.keep(swap).unwrap();
        }
        self.assert_clean(&serde_json::to_string(&ended.outcome).unwrap());
        self.assert_clean(&self.said.lock().unwrap().join("\n"));
        ended.outcome
    }

    pub(crate) fn done(&self, work: Work) -> Box<State> {
        match self.run(work) {
            Outcome::Done { state, .. } => state.unwrap(),
            Outcome::Refused { refusal } => panic!("{refusal:?}"),
        }
    }

    /// The fixed word of the refusal, and the items that failed: index and code.
    pub(crate) fn refused(&self, work: Work) -> (String, Vec<(Kind, u64, ItemCode)>) {
        match self.run(work) {
            Outcome::Done { .. } => panic!("it was done"),
            Outcome::Refused { refusal } => {
                assert_eq!(usize::try_from(refusal.failed).unwrap(), refusal.items.len());
                let items = refusal
                    .items
                    .iter()
                    .map(|item| (item.kind, item.index, item.code));
                (refusal.code().to_owned(), items.collect())
            }
        }
    }

    /// Nothing that was planted is in this text.
    pub(crate) fn assert_clean(&self, text: &str) {
        let keys = (0..=u8::MAX).map(|n| secret(n.into()));
        let keys = keys.map(|key| hex(&*key.expose_bytes())[2..].to_owned());
        let words = [TLS_PASSWORD, PASSWORD, MNEMONIC, "secret-of-credentials"].map(str::to_owned);
        for planted in keys.chain(words) {
            let base64 = STANDARD.encode(&planted);
            assert!(
                !text.contains(&planted) && !text.contains(base64.trim_end_matches('=')),
                "{planted} is in {text:.200}"
            );
        }
    }

    pub(crate) fn encrypt(
        &self,
        key: &str,
        plaintext: &str,
        context: &std::collections::BTreeMap<String, String>,
    ) -> String {
        STANDARD.encode(self.kms().encrypt(key, plaintext.as_bytes(), context).unwrap())
    }

    pub(crate) fn sealed(&self, kind: Kind, plaintext: &str) -> Sealed {
        let context = artefact::context(&stack(), kind);
        Sealed {
            kind,
            index: 0,
            ciphertext: self.encrypt(&self.key, plaintext, &context).parse().unwrap(),
            binding: Binding::Bound {
                stack: stack(),
                pubkey: None,
            },
        }
    }

    /// A plaintext bound to any public key, under any key of the KMS.
    pub(crate) fn sealed_key(
        &self,
        index: u64,
        public: &PublicKey,
        plaintext: &str,
        kms_key: &str,
    ) -> Sealed {
        let context = artefact::key_context(&stack(), public);
        Sealed {
            kind: Kind::ValidatorKey,
            index,
            ciphertext: self.encrypt(kms_key, plaintext, &context).parse().unwrap(),
            binding: Binding::Bound {
                stack: stack(),
                pubkey: Some(public.clone()),
            },
        }
    }

    pub(crate) fn compact(&self, index: u64, n: u32) -> Sealed {
        self.sealed_key(index, &public(n), &compact(n), &self.key)
    }

    pub(crate) fn tls(&self) -> Sealed {
        self.sealed(Kind::TlsKey, &tls_payload(&self.server).to_string())
    }

    pub(crate) fn clients(&self, version: u64) -> Sealed {
        let payload = json!({"version": version, "known_clients": [
            {"name": self.client.name, "sha256": self.client.sha256()},
        ]});
        self.sealed(Kind::Clients, &payload.to_string())
    }

    /// TLS key, clients, and keys `0..keys`.
    pub(crate) fn artefacts(&self, keys: u32) -> Vec<Sealed> {
        let mut artefacts = vec![self.tls(), self.clients(2)];
        artefacts.extend((0..keys).map(|n| self.compact(n.into(), n)));
        artefacts
    }

    pub(crate) fn init(&self, artefacts: Vec<Sealed>) -> Work {
        Work::Init {
            credential: credential("ASIA1"),
            artefacts,
        }
    }

    pub(crate) fn add(&self, artefacts: Vec<Sealed>) -> Work {
        Work::AddKeys {
            credential: credential("ASIA1"),
            artefacts,
        }
    }

    /// Everything below the private folder: path from there, mode, content.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        collect(&self.signer(), &self.signer(), &mut files);
        files.sort();
        files
    }

    pub(crate) fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.signer().join("current").join(name)).unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "sorted by the caller")]
fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let found = path.symlink_metadata().unwrap();
        let mode = found.permissions().mode() & 0o777;
        if found.is_dir() {
            assert_eq!(mode, 0o700, "{}", path.display());
            collect(root, &path, files);
        } else if found.is_file() {
            assert_eq!(mode, 0o600, "{}", path.display());
            let name = path.strip_prefix(root).unwrap().display().to_string();
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
}

pub(crate) fn credential(id: &str) -> Credential {
    Credential::new(
        id.to_owned(),
        "secret-of-credentials".to_owned(),
        "token".to_owned(),
    )
    .unwrap()
}

pub(crate) fn stack() -> StackId {
    STACK.parse().unwrap()
}

pub(crate) fn secret(n: u32) -> SecretKey {
    let mut bytes = [0x37; 32];
    bytes[28..].copy_from_slice(&n.to_be_bytes());
    SecretKey::from_bytes(&bytes).unwrap()
}

pub(crate) fn public(n: u32) -> PublicKey {
    secret(n).public_key().to_string().parse().unwrap()
}

pub(crate) fn compact(n: u32) -> String {
    json!({"secret_key": format!("0x{}", hex(&*secret(n).expose_bytes()))}).to_string()
}

pub(crate) fn tls_payload(certificate: &Certificate) -> Value {
    json!({
        "tls_keystore_b64": STANDARD.encode(pkcs12(&certificate.key_pem, &certificate.pem)),
        "tls_password_b64": STANDARD.encode(TLS_PASSWORD),
    })
}

/// As the published stack makes it, with openssl. Key and certificate need not fit.
pub(crate) fn pkcs12(key: &str, certificate: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("key", key), ("cert", certificate), ("password", TLS_PASSWORD)] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let output = Command::new("openssl")
        .current_dir(dir.path())
        .args("pkcs12 -export -inkey key -in cert -out p12 -name signer -passout file:password".split(' '))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", e2e::said(&output));
    std::fs::read(dir.path().join("p12")).unwrap()
}
