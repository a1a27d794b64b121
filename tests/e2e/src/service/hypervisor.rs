//! What QEMU's security module leaves out: the signature of the Nitro hypervisor. A front before the parent's relay passes on what
//! it is asked, and signs the document that comes back under a root of its own. Everything else in it is the enclave's.
//!
//! So a program that believes signed documents only, as it must, can be set on an enclave of the simulator.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use attest::{Claims, UnverifiedDoc};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use aws_nitro_enclaves_nsm_api::api::{AttestationDoc, Digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384,
};
use serde_json::Value;

use crate::service::moto::exchange;

/// Protected header: ES384 and nothing else. Source: section 1 of the specification in `crates/attest`.
const PROTECTED: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];

/// A running front. It ends with the test's process.
pub struct Hypervisor {
    address: SocketAddr,
    root_pem: String,
}

impl Hypervisor {
    /// Starts one before this relay.
    pub fn before(relay: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let signer = Signer::new();
        let hypervisor = Self {
            address: listener.local_addr().unwrap(),
            root_pem: signer.root_pem.clone(),
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                pass_on(&mut stream.unwrap(), relay, &signer);
            }
        });
        hypervisor
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The root that its documents are signed under.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }
}

/// One question to the relay, and its answer.
fn pass_on(stream: &mut TcpStream, relay: SocketAddr, signer: &Signer) {
    let mut asked = BufReader::new(&mut *stream).lines().map(Result::unwrap);
    let first = asked.next().unwrap();
    while asked.next().is_some_and(|line| !line.is_empty()) {}
    let request = format!("{first}\r\nhost: {relay}\r\nconnection: close\r\n\r\n");
    let answer = exchange(relay, request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    let body = match serde_json::from_str::<Value>(body) {
        Ok(mut answer) if answer["attestation_document"].is_string() => {
            let document = STANDARD
                .decode(answer["attestation_document"].as_str().unwrap())
                .unwrap();
            answer["attestation_document"] = STANDARD.encode(signer.sign(&document)).into();
            answer.to_string()
        }
        _ => body.to_owned(),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
}

/// A root and one signer below it.
struct Signer {
    root_pem: String,
    root: Vec<u8>,
    certificate: Vec<u8>,
    key: EcdsaKeyPair,
}

impl Signer {
    fn new() -> Self {
        let key = || KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let mut authority = named("test hypervisors");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = CertifiedIssuer::self_signed(authority, key()).unwrap();
        let mut signer = named("test hypervisor");
        signer.is_ca = IsCa::ExplicitNoCa;
        signer.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let own = key();
        let certificate = signer.signed_by(&own, &root).unwrap();
        Self {
            root_pem: root.pem(),
            root: root.der().to_vec(),
            certificate: certificate.der().to_vec(),
            key: EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &own.serialize_der()).unwrap(),
        }
    }

    /// The same document, signed.
    fn sign(&self, unsigned: &[u8]) -> Vec<u8> {
        let unsigned = UnverifiedDoc::parse(unsigned).unwrap();
        let payload = bytes(&self.payload(unsigned.unverified_claims()));
        let protected = bytes(&PROTECTED);
        let head = [&[0x84, 0x6a][..], b"Signature1"].concat();
        let signed = [&head[..], &protected, &bytes(&[]), &payload].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        [
            &[0x84][..],
            &protected,
            &[0xa0],
            &payload,
            &bytes(signature.as_ref()),
        ]
        .concat()
    }

    fn payload(&self, said: &Claims<'_>) -> Vec<u8> {
        let pcrs: BTreeMap<usize, Vec<u8>> = said
            .pcrs
            .iter()
            .map(|(index, value)| (usize::from(index), value.as_bytes().to_vec()))
            .collect();
        AttestationDoc::new(
            said.module_id.to_owned(),
            Digest::SHA384,
            said.timestamp.as_millis(),
            pcrs,
            self.certificate.clone(),
            vec![self.root.clone()],
            said.user_data.map(<[u8]>::to_vec),
            said.nonce.map(<[u8]>::to_vec),
            said.public_key.map(<[u8]>::to_vec),
        )
        .to_binary()
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 1, 1);
    params
}

/// A byte string of CBOR, its head in the shortest form.
fn bytes(value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    let head = match length {
        0..24 => vec![0x40 | u8::try_from(length).unwrap()],
        24..256 => vec![0x58, u8::try_from(length).unwrap()],
        _ => [&[0x59][..], &length.to_be_bytes()].concat(),
    };
    [&head[..], value].concat()
}
