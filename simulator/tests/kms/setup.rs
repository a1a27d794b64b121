//! A KMS with one key, an administrator and an enclave, ready to call.

use std::sync::Arc;

use attest::{Pcr, PcrSet, UnixMs};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use base64ct::{Base64, Encoding as _};
use rustls::ClientConfig;
use serde_json::{Value, json};
use simulator::kms::blob::EncryptionContext;
use simulator::kms::clock::Clock;
use simulator::kms::envelope::ContentForm;
use simulator::kms::pki::{Ca, names};
use simulator::kms::principal::{Principal, Principals};
use simulator::kms::server::{Listen, Server};
use simulator::kms::service::{Kms, Settings};
use simulator::kms::store::Store;
use simulator::kms::trust::Trust;
use simulator::kms::unsigned::Unsigned;
use tempfile::TempDir;

use crate::client::{Answer, Connection, Signer, trusting};

/// 2018-11-05T22:16:04Z.
pub(crate) const NOW: UnixMs = UnixMs::new(1_541_456_164_000);
pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const ROLE: &str = "arn:aws:iam::111122223333:role/enclave";

/// Lets the administrator do all, and the enclave's role decrypt when PCR0 is 48 times the byte 1.
pub(crate) fn policy() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Admin",
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111122223333:user/admin"},
                "Action": "kms:*",
                "Resource": "*",
            },
            {
                "Sid": "Attested",
                "Effect": "Allow",
                "Principal": {"AWS": ROLE},
                "Action": ["kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyPair"],
                "Resource": "*",
                "Condition": {"StringEqualsIgnoreCase": {
                    "kms:RecipientAttestation:ImageSha384": "01".repeat(48),
                    "kms:RecipientAttestation:PCR2": "03".repeat(48),
                }},
            },
        ],
    })
}

pub(crate) fn principals() -> Principals {
    let enclave = Principal::role_session("ASIAENCLAVE", "ASIAENCLAVE-SECRET", "TOKEN", ROLE, "i-1").unwrap();
    let expired = Principal::role_session("ASIAEXPIRED", "ASIAEXPIRED-SECRET", "TOKEN", ROLE, "i-1").unwrap();
    let admin = Principal::user(
        "AKIAADMIN",
        "AKIAADMIN-SECRET",
        "arn:aws:iam::111122223333:user/admin",
    )
    .unwrap()
    .iam(&[
        "kms:CreateKey",
        "kms:CreateAlias",
        "kms:DeleteAlias",
        "kms:GenerateRandom",
    ])
    .unwrap();
    Principals::new([enclave, expired.expires(NOW), admin]).unwrap()
}

pub(crate) struct Setup {
    pub(crate) server: Server,
    pub(crate) key_arn: String,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) admin: Signer,
    pub(crate) enclave: Signer,
    pub(crate) dir: TempDir,
}

pub(crate) fn settings(trust: Trust, form: ContentForm) -> Settings {
    let mut settings = Settings::new("us-east-1", ACCOUNT.parse().unwrap(), principals(), trust);
    settings.clock = Clock::fixed(NOW);
    settings.form = form;
    settings
}

pub(crate) fn start(settings: Settings) -> Setup {
    let now = settings.clock.now();
    let kms = Kms::new(settings, Store::default());
    let key_arn = kms.add_key(&policy().to_string()).unwrap();
    let ca = Ca::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let listen = Listen {
        tcp: Some("127.0.0.1:0".parse().unwrap()),
        unix: Some(dir.path().join("vsock_8000")),
    };
    let server = Server::start(kms, ca.identity(&names("us-east-1")).unwrap(), &listen).unwrap();
    Setup {
        server,
        key_arn,
        tls: trusting(ca.pem()),
        admin: Signer::new("AKIAADMIN", None, now),
        enclave: Signer::new("ASIAENCLAVE", Some("TOKEN"), now),
        dir,
    }
}

pub(crate) fn simulated() -> Setup {
    start(settings(
        Trust::danger_unsigned_simulator(),
        ContentForm::Constructed,
    ))
}

impl Setup {
    pub(crate) fn kms(&self) -> &Kms {
        self.server.kms()
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::unix(self.server.unix().unwrap(), &self.tls)
    }

    pub(crate) fn admin(&self, operation: &str, body: &Value) -> Answer {
        self.connect().call(&self.admin, operation, body)
    }

    pub(crate) fn enclave(&self, operation: &str, body: &Value) -> Answer {
        self.connect().call(&self.enclave, operation, body)
    }

    pub(crate) fn ciphertext(&self, plaintext: &[u8], context: &[(&str, &str)]) -> String {
        let context: EncryptionContext = context
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        base64(&self.kms().encrypt(&self.key_arn, plaintext, &context).unwrap())
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

pub(crate) fn unbase64(value: &Value) -> Vec<u8> {
    Base64::decode_vec(value.as_str().unwrap()).unwrap()
}

/// An RSA key and its `SubjectPublicKeyInfo`.
pub(crate) fn rsa() -> (PrivateDecryptingKey, Vec<u8>) {
    let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let spki = key.public_key().as_der().unwrap().as_ref().to_vec();
    (key, spki)
}

/// PCR0 to 2 are the bytes `first`, 2 and 3.
pub(crate) fn pcrs(first: u8) -> PcrSet {
    let mut set = PcrSet::new();
    for (index, byte) in (0..).zip([first, 2, 3]) {
        set.insert(index, Pcr::from_bytes([byte; 48])).unwrap();
    }
    set
}

/// A document as QEMU makes it.
pub(crate) fn unsigned(pcr0: u8, public_key: Option<&[u8]>, timestamp: UnixMs) -> Vec<u8> {
    Unsigned {
        timestamp,
        pcrs: &pcrs(pcr0),
        public_key,
        user_data: None,
        nonce: None,
    }
    .encode()
}

/// The field `Recipient` for a document.
pub(crate) fn recipient(document: &[u8]) -> Value {
    json!({"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": base64(document)})
}
