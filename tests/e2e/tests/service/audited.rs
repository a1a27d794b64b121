//! An auditor, who has the image's measurements, the operator's config and list of keys, and two addresses of the parent: its relay
//! of attestations and its https-proxy. `eif-builder verify --live` tells whether the enclave behind them is the one.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use e2e::service::artefacts::{Certificate, SERVER};
use e2e::service::hypervisor::Hypervisor;
use e2e::service::parent::Parent;
use e2e::{eif_builder, place, said};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};
use serde_json::Value;

/// Exit code of a verdict that is not good.
const REFUSED: i32 = 3;

/// What the auditor has.
pub(crate) struct Auditor<'a> {
    parent: &'a Parent,
    hypervisor: Hypervisor,
    measurements: String,
    dir: tempfile::TempDir,
}

impl<'a> Auditor<'a> {
    pub(crate) fn new(parent: &'a Parent, measurements: &str, config: &Value, keys: &[String]) -> Self {
        let auditor = Self {
            parent,
            hypervisor: Hypervisor::before(parent.attest),
            measurements: measurements.to_owned(),
            dir: tempfile::tempdir().unwrap(),
        };
        auditor.write("root.pem", auditor.hypervisor.root_pem());
        auditor.write("config.json", &config.to_string());
        auditor.write("keys.txt", &keys.join("\n"));
        let mut other = config.clone();
        other["network"] = "mainnet".into();
        auditor.write("other-config.json", &other.to_string());
        auditor.write("fewer-keys.txt", &keys[1..].join("\n"));
        auditor
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Everything fits; with one thing changed, that is what the verdict names.
    pub(crate) fn run(&self) {
        let good = self.verify("", "");
        assert_eq!((good.code, good.failed()), (0, vec![]), "{:#}", good.said);
        for name in [
            "nonce",
            "PCR0",
            "PCR1",
            "PCR2",
            "PCR16",
            "config",
            "certificate",
            "TLS key",
            "key set",
        ] {
            assert!(good.names().contains(&name), "{name}: {:#}", good.said);
        }
        let native: PathBuf = place("NITRO_OUT_DIR").join("native.pcrs.json");
        let image = self.verify("--pcrs", native.to_str().unwrap());
        assert_eq!(image.code, REFUSED, "{:#}", image.said);
        assert!(image.failed().starts_with(&["PCR0"]), "{:#}", image.said);
        assert!(image.failed().iter().all(|name| name.starts_with("PCR")));
        let stranger = stranger().to_string();
        for (flag, value, failed) in [
            ("--tls", stranger, vec!["certificate", "TLS key"]),
            ("--keys", self.path("fewer-keys.txt"), vec!["key set"]),
            (
                "--config",
                self.path("other-config.json"),
                vec!["PCR16", "config"],
            ),
            // As QEMU makes it: nobody has signed it.
            (
                "--live",
                format!("http://{}", self.parent.attest),
                vec!["document"],
            ),
        ] {
            let verdict = self.verify(flag, &value);
            assert_eq!(
                (verdict.code, verdict.failed()),
                (REFUSED, failed),
                "{flag}: {:#}",
                verdict.said
            );
        }
    }

    /// `eif-builder verify`, with another value for this flag.
    fn verify(&self, flag: &str, value: &str) -> Verdict {
        let mut words = vec!["verify".to_owned(), "--json".to_owned()];
        for (name, usual) in [
            ("--pcrs", self.measurements.clone()),
            ("--live", self.hypervisor.url()),
            ("--danger-root", self.path("root.pem")),
            ("--config", self.path("config.json")),
            ("--keys", self.path("keys.txt")),
            ("--tls", self.parent.https.to_string()),
        ] {
            let value = if name == flag { value.to_owned() } else { usual };
            words.extend([name.to_owned(), value]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = eif_builder(&words);
        let said = serde_json::from_slice::<Value>(&output.stdout)
            .unwrap_or_else(|e| panic!("{flag}: {e}: {}", said(&output)));
        Verdict {
            code: output.status.code().unwrap(),
            said: said["live"].clone(),
        }
    }
}

struct Verdict {
    code: i32,
    said: Value,
}

impl Verdict {
    fn checks(&self) -> impl Iterator<Item = &Value> {
        self.said["checks"].as_array().unwrap().iter()
    }

    fn names(&self) -> Vec<&str> {
        self.checks()
            .map(|check| check["name"].as_str().unwrap())
            .collect()
    }

    /// Names of the checks that do not hold.
    fn failed(&self) -> Vec<&str> {
        let failed = self.checks().filter(|check| check["outcome"] != "ok");
        failed.map(|check| check["name"].as_str().unwrap()).collect()
    }
}

/// A server that says it is the signer, with a key of its own.
fn stranger() -> SocketAddr {
    let certificate = Certificate::new(SERVER);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivatePkcs8KeyDer::from(certificate.key_der);
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate.der)], key.into())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        connection.complete_io(&mut stream).unwrap();
    });
    address
}
