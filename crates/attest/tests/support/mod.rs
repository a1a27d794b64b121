//! What the integration tests share: the samples with their manifests, and documents signed on the spot with
//! the made-up PKI of `data/synthetic`. See `data/README.md`.
#![expect(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    reason = "test support; each test file uses a part of it"
)]

use std::fs;
use std::path::PathBuf;

use attest::{TrustRoot, UnixMs};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};

/// When the documents of `data/synthetic` were made.
pub const SYNTHETIC_MS: UnixMs = UnixMs::new(1_772_366_400_000);
/// A genuine document of a production enclave, and when it was made.
pub const GENUINE: (&str, UnixMs) = (
    "nitro/valid/anjuna_prod_2021_rsa2048_pubkey.cbor",
    UnixMs::new(1_616_602_241_734),
);

/// One row of a manifest.
#[derive(Debug, serde::Deserialize)]
pub struct Row {
    pub file: String,
    pub root: String,
    pub at_ms: u64,
    pub expect: String,
    pub code: String,
    pub note: String,
}

pub fn data(file: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn manifest(folder: &str) -> Vec<Row> {
    serde_json::from_slice(&data(&format!("{folder}/manifest.json"))).unwrap()
}

pub fn root(file: &str) -> TrustRoot {
    TrustRoot::from_der(&data(file)).unwrap()
}

pub fn synthetic_root() -> TrustRoot {
    root("synthetic/root.der")
}

/// CBOR, as much as documents need.
pub mod cbor {
    /// A head with its argument in minimal form.
    pub fn head(major: u8, value: usize) -> Vec<u8> {
        let first = major << 5;
        match value {
            0..24 => vec![first | u8::try_from(value).unwrap()],
            24..256 => vec![first | 0x18, u8::try_from(value).unwrap()],
            256..65536 => [&[first | 0x19][..], &u16::try_from(value).unwrap().to_be_bytes()].concat(),
            _ => [&[first | 0x1b][..], &value.to_be_bytes()].concat(),
        }
    }

    pub fn uint(value: usize) -> Vec<u8> {
        head(0, value)
    }

    pub fn bytes(value: &[u8]) -> Vec<u8> {
        [head(2, value.len()), value.to_vec()].concat()
    }

    pub fn text(value: &str) -> Vec<u8> {
        [head(3, value.len()), value.as_bytes().to_vec()].concat()
    }

    pub fn array(items: &[Vec<u8>]) -> Vec<u8> {
        [head(4, items.len()), items.concat()].concat()
    }

    pub fn map(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let body: Vec<u8> = pairs
            .iter()
            .flat_map(|(k, v)| [k.clone(), v.clone()].concat())
            .collect();
        [head(5, pairs.len()), body].concat()
    }

    pub const NULL: u8 = 0xf6;
}

/// A payload of encoded keys and values, to be changed and signed.
#[derive(Clone)]
pub struct Payload(pub Vec<(Vec<u8>, Vec<u8>)>);

impl Payload {
    /// The mandatory fields, valid under the synthetic root.
    pub fn valid() -> Self {
        let document = data("synthetic/valid/optionals_absent.cbor");
        let doc = attest::UnverifiedDoc::parse(&document).unwrap();
        let claims = doc.unverified_claims();
        let pcrs: Vec<_> = claims
            .pcrs
            .iter()
            .map(|(i, v)| (cbor::uint(i.into()), cbor::bytes(v.as_bytes())))
            .collect();
        let bundle: Vec<_> = claims.cabundle.iter().map(|der| cbor::bytes(der)).collect();
        let timestamp = usize::try_from(claims.timestamp.as_millis()).unwrap();
        Self(Vec::new())
            .with("module_id", cbor::text(claims.module_id))
            .with("digest", cbor::text("SHA384"))
            .with("timestamp", cbor::uint(timestamp))
            .with("pcrs", cbor::map(&pcrs))
            .with("certificate", cbor::bytes(claims.certificate))
            .with("cabundle", cbor::array(&bundle))
    }

    /// With `key` set to `value`: replaced where it was, else appended.
    pub fn with(mut self, key: &str, value: Vec<u8>) -> Self {
        let key = cbor::text(key);
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
        self
    }

    pub fn encode(&self) -> Vec<u8> {
        cbor::map(&self.0)
    }

    pub fn sign(&self) -> Vec<u8> {
        sign(&self.encode())
    }
}

/// A document around `payload`, signed by the synthetic leaf key.
pub fn sign(payload: &[u8]) -> Vec<u8> {
    let protected = cbor::bytes(&[0xa1, 1, 0x38, 0x22]);
    let signed = [
        vec![0x84],
        cbor::text("Signature1"),
        protected.clone(),
        cbor::bytes(&[]),
        cbor::bytes(payload),
    ]
    .concat();
    let key = data("synthetic/leaf_key_pkcs8.der");
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &key).unwrap();
    let signature = key.sign(&SystemRandom::new(), &signed).unwrap();
    [
        vec![0x84],
        protected,
        vec![0xa0],
        cbor::bytes(payload),
        cbor::bytes(signature.as_ref()),
    ]
    .concat()
}
