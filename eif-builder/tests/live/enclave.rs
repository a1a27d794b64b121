//! A made-up enclave: documents signed under the made-up PKI of `crates/attest/tests/data/synthetic`, at the time when that is valid.

use std::fs;
use std::path::PathBuf;

use attest::{TrustRoot, UnixMs, UnverifiedDoc};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use control::answer::Attestation;
use control::claims::{Claims, user_data};
use control::config::DeploymentConfig;
use control::text::PublicKey;
use kms_policy::request::ImagePcrs;
use sha2::{Digest as _, Sha384};

/// When the certificates are valid.
pub(crate) const NOW: UnixMs = UnixMs::new(1_772_366_400_000);
/// The image's registers.
pub(crate) const IMAGE: [[u8; 48]; 3] = [[0xa0; 48], [0xa1; 48], [0xa2; 48]];
/// A deployment config as `crates/control` documents it.
pub(crate) const CONFIG: &str = r#"{"artefact_versions":{"clients":1,"slashing_credential":0,"tls_key":1},
 "client_authentication":"known-clients","kms_key_arn":"arn:aws:kms:eu-central-1:111122223333:key/0f9e8d7c-0000-4000-8000-0000000000aa",
 "network":"mainnet","outbound":[],"region":"eu-central-1","schema":1,"slashing_store":{"kind":"memory"},
 "stacks":["0f9e8d7c-0000-4000-8000-00000000000a"]}"#;

pub(crate) fn synthetic(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/attest/tests/data/synthetic")
        .join(file)
}

pub(crate) fn root() -> TrustRoot {
    TrustRoot::from_der(&fs::read(synthetic("root.der")).unwrap()).unwrap()
}

pub(crate) fn config() -> DeploymentConfig {
    serde_json::from_str(CONFIG).unwrap()
}

pub(crate) fn image() -> ImagePcrs {
    let text = |pcr: [u8; 48]| hex::encode(pcr).parse().unwrap();
    ImagePcrs {
        label: "native".to_owned(),
        pcr0: text(IMAGE[0]),
        pcr1: text(IMAGE[1]),
        pcr2: text(IMAGE[2]),
        pcr8: None,
    }
}

pub(crate) fn key(digits: &str) -> PublicKey {
    digits.repeat(48).parse().unwrap()
}

/// Register 16 of a config, computed here as `agent/src/measured.rs` says: SHA-384(48 zero bytes, SHA-384(canonical text)).
pub(crate) fn pcr16(config: &DeploymentConfig) -> [u8; 48] {
    let hash = Sha384::digest(config.canonical().unwrap());
    Sha384::digest([&[0; 48][..], &hash].concat()).into()
}

/// What an enclave says, to be changed and signed.
#[derive(Clone)]
pub(crate) struct Enclave {
    pub(crate) pcrs: Vec<(u8, [u8; 48])>,
    pub(crate) claims: Claims,
    pub(crate) public_key: Option<Vec<u8>>,
    /// In place of the claims' own text.
    pub(crate) text: Option<String>,
    /// In place of the hash of the text.
    pub(crate) user_data: Option<Vec<u8>>,
}

impl Enclave {
    /// A configured one with two keys; `certificate` and `spki` are hex hashes.
    pub(crate) fn running(certificate: &str, spki: &str) -> Self {
        let config = config();
        let mut pcrs: Vec<_> = (0..).zip(IMAGE).collect();
        pcrs.push((16, pcr16(&config)));
        Self {
            pcrs,
            claims: Claims {
                config_sha384: Some(
                    hex::encode(Sha384::digest(config.canonical().unwrap()))
                        .parse()
                        .unwrap(),
                ),
                tls_certificate_sha256: Some(certificate.parse().unwrap()),
                tls_public_key_sha256: Some(spki.parse().unwrap()),
                public_keys: vec![key("a0"), key("b0")],
                artefact_versions: None,
                slashing_store: None,
            },
            public_key: None,
            text: None,
            user_data: None,
        }
    }

    /// With another value in a register.
    pub(crate) fn with_pcr(mut self, index: u8, value: [u8; 48]) -> Self {
        self.pcrs.retain(|(i, _)| *i != index);
        self.pcrs.push((index, value));
        self.pcrs.sort_unstable();
        self
    }

    /// The answer to `attest`.
    pub(crate) fn attest(&self, nonce: &[u8]) -> Attestation {
        let text = self
            .text
            .clone()
            .unwrap_or_else(|| self.claims.canonical().unwrap());
        let hash = || user_data(&Sha384::digest(text.as_bytes()).into()).to_vec();
        let data = self.user_data.clone().unwrap_or_else(hash);
        Attestation {
            attestation_document: BASE64_STANDARD.encode(self.document(nonce, &data)),
            claims: Some(text),
        }
    }

    fn document(&self, nonce: &[u8], data: &[u8]) -> Vec<u8> {
        let sample = fs::read(synthetic("valid/optionals_absent.cbor")).unwrap();
        let sample = UnverifiedDoc::parse(&sample).unwrap();
        let sample = sample.unverified_claims();
        let pcrs: Vec<_> = self
            .pcrs
            .iter()
            .map(|(index, value)| [head(0, usize::from(*index)), bytes(value)].concat())
            .collect();
        let bundle: Vec<_> = sample.cabundle.iter().map(|der| bytes(der)).collect();
        let millis = usize::try_from(sample.timestamp.as_millis()).unwrap();
        let mut fields = vec![
            [text("module_id"), text(sample.module_id)].concat(),
            [text("digest"), text("SHA384")].concat(),
            [text("timestamp"), head(0, millis)].concat(),
            [text("pcrs"), head(5, pcrs.len()), pcrs.concat()].concat(),
            [text("certificate"), bytes(sample.certificate)].concat(),
            [text("cabundle"), head(4, bundle.len()), bundle.concat()].concat(),
            [text("user_data"), bytes(data)].concat(),
            [text("nonce"), bytes(nonce)].concat(),
        ];
        if let Some(key) = &self.public_key {
            fields.push([text("public_key"), bytes(key)].concat());
        }
        sign(&[head(5, fields.len()), fields.concat()].concat())
    }
}

fn sign(payload: &[u8]) -> Vec<u8> {
    let protected = bytes(&[0xa1, 1, 0x38, 0x22]);
    let signed = [
        vec![0x84],
        text("Signature1"),
        protected.clone(),
        bytes(&[]),
        bytes(payload),
    ]
    .concat();
    let key = fs::read(synthetic("leaf_key_pkcs8.der")).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &key).unwrap();
    let signature = key.sign(&SystemRandom::new(), &signed).unwrap();
    [
        vec![0x84],
        protected,
        vec![0xa0],
        bytes(payload),
        bytes(signature.as_ref()),
    ]
    .concat()
}

/// A CBOR head with its argument in minimal form.
fn head(major: u8, value: usize) -> Vec<u8> {
    let first = major << 5;
    match value {
        0..24 => vec![first | u8::try_from(value).unwrap()],
        24..256 => vec![first | 0x18, u8::try_from(value).unwrap()],
        256..65536 => [&[first | 0x19][..], &u16::try_from(value).unwrap().to_be_bytes()].concat(),
        _ => [&[first | 0x1b][..], &value.to_be_bytes()].concat(),
    }
}

fn bytes(value: &[u8]) -> Vec<u8> {
    [head(2, value.len()), value.to_vec()].concat()
}

fn text(value: &str) -> Vec<u8> {
    [head(3, value.len()), value.as_bytes().to_vec()].concat()
}
