//! The operator's side: keys of 25 validators, the signer's TLS key, its clients, the database's credential, each encrypted under
//! the context that binds it.

use std::fmt::Write as _;
use std::process::Command;

use crate::said;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::artefact::{self, Kind};
use control::text::{PublicKey, StackId};
use keystore::{Description, Kdf, Keystore, Password, Randomness, SecretKey};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::service::kms::{CREDENTIALS, Kms};

pub const REGION: &str = "us-east-1";
pub const STACK: &str = "0f9e8d7c-0000-4000-8000-00000000000a";
/// Name in the signer's certificate.
pub const SERVER: &str = "signer.example.org";
pub const TLS_PASSWORD: &str = "planted-tls-password";

/// A validator's key.
pub struct Validator {
    pub secret: String,
    pub public: String,
}

/// The same each time: `n` is from 1.
pub fn validator(n: u8) -> Validator {
    let mut bytes = [0x42; 32];
    bytes[0] = 0x11;
    bytes[31] = n;
    let secret = SecretKey::from_bytes(&bytes).unwrap();
    Validator {
        secret: hex(&bytes),
        public: format!("0x{}", hex(secret.public_key().as_bytes())),
    }
}

impl Validator {
    /// Its EIP-2335 keystore, of the form that staking-deposit-cli writes; `kdf` says how dear it is to open.
    pub fn keystore(&self, password: &str, kdf: Kdf) -> String {
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(self.secret.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        }
        // Nothing is protected by these: the key is known to whoever reads this file.
        let random = Randomness {
            salt: bytes,
            iv: [bytes[31]; 16],
            uuid: [bytes[31]; 16],
        };
        let (secret, password) = (
            SecretKey::from_bytes(&bytes).unwrap(),
            Password::new(password).unwrap(),
        );
        Keystore::encrypt(&secret, &password, kdf, &random, Description::default())
            .unwrap()
            .to_json()
    }
}

pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// A certificate with its key, self-signed.
pub struct Certificate {
    pub name: String,
    pub pem: String,
    pub der: Vec<u8>,
    pub key_pem: String,
    pub key_der: Vec<u8>,
}

impl Certificate {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            name: name.to_owned(),
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            key_pem: key.serialize_pem(),
            key_der: key.serialize_der(),
        }
    }

    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.der))
    }

    /// As the published stack makes it, with openssl.
    pub fn pkcs12(&self) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("key"), &self.key_pem).unwrap();
        std::fs::write(path("cert"), &self.pem).unwrap();
        std::fs::write(path("password"), TLS_PASSWORD).unwrap();
        let output = Command::new("openssl")
            .current_dir(dir.path())
            .args(
                "pkcs12 -export -inkey key -in cert -out p12 -name signer -passout file:password".split(' '),
            )
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        std::fs::read(path("p12")).unwrap()
    }
}

/// What is encrypted, and how.
pub struct Operator<'a> {
    pub kms: &'a Kms,
}

impl Operator<'_> {
    /// The compact form of a validator's key, bound to its public key.
    pub fn key(&self, validator: &Validator) -> String {
        self.key_as(&validator.secret, &validator.public, self.kms.key())
    }

    /// A secret bound to any public key, under any key of the KMS.
    pub fn key_as(&self, secret: &str, public: &str, kms_key: &str) -> String {
        let public: PublicKey = public.parse().unwrap();
        let context = artefact::key_context(&stack(), &public);
        let plaintext = json!({ "secret_key": format!("0x{secret}") }).to_string();
        STANDARD.encode(self.kms.encrypt(kms_key, plaintext.as_bytes(), &context))
    }

    /// The form of the published guidance.
    pub fn tls(&self, certificate: &Certificate) -> String {
        let payload = json!({
            "tls_keystore_b64": STANDARD.encode(certificate.pkcs12()),
            "tls_password_b64": STANDARD.encode(TLS_PASSWORD),
        });
        self.other(Kind::TlsKey, &payload)
    }

    pub fn clients(&self, version: u64, clients: &[&Certificate]) -> String {
        let known: Vec<Value> = clients
            .iter()
            .map(|client| json!({ "name": client.name, "sha256": client.sha256() }))
            .collect();
        self.other(
            Kind::Clients,
            &json!({ "version": version, "known_clients": known }),
        )
    }

    pub fn credential(&self, payload: &Value) -> String {
        self.other(Kind::SlashingCredential, payload)
    }

    /// The parent's `init`: keys in their compact form, and this version of a list of one client.
    pub fn init(
        &self,
        server: &Certificate,
        (clients_version, client): (u64, &Certificate),
        validators: &[Validator],
    ) -> Value {
        let [id, secret, token] = CREDENTIALS;
        let entry = |v: &Validator| json!({ "ciphertext": self.key(v), "pubkey": v.public });
        json!({
            "operation": "init",
            "credential": { "access_key_id": id, "secret_access_key": secret, "token": token },
            "encrypted_tls_key": { "ciphertext": self.tls(server) },
            "encrypted_validator_keys": validators.iter().map(entry).collect::<Vec<_>>(),
            "encrypted_clients": { "ciphertext": self.clients(clients_version, &[client]) },
        })
    }

    fn other(&self, kind: Kind, payload: &Value) -> String {
        let context = artefact::context(&stack(), kind);
        STANDARD.encode(
            self.kms
                .encrypt(self.kms.key(), payload.to_string().as_bytes(), &context),
        )
    }
}

fn stack() -> StackId {
    STACK.parse().unwrap()
}

/// Flips one bit in the middle of a ciphertext.
pub fn corrupted(ciphertext: &str) -> String {
    let mut bytes = STANDARD.decode(ciphertext).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    STANDARD.encode(bytes)
}
