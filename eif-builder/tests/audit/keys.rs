//! Throw-away keys with certificates, and a KMS on the loopback interface that holds one.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use aws_lc_rs::encoding::{AsDer as _, EcPrivateKeyRfc5915Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use eif_builder::sign::Signer;
use eif_builder::sign::pem::PemKey;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, SignatureAlgorithm};
use serde_json::{Value, json};

use crate::support::{AT, instant};

/// A key and its certificate, both PEM.
pub(crate) struct Pair {
    pub(crate) key: String,
    pub(crate) certificate: String,
    pub(crate) certificate_der: Vec<u8>,
}

/// A self-signed certificate, valid from the first day of one year to that of another.
pub(crate) fn pair_of(algorithm: &'static SignatureAlgorithm, years: (i32, i32)) -> Pair {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "image signer");
    let certificate = params.self_signed(&key).unwrap();
    Pair {
        key: key.serialize_pem(),
        certificate: certificate.pem(),
        certificate_der: certificate.der().to_vec(),
    }
}

pub(crate) fn pair() -> Pair {
    pair_of(&PKCS_ECDSA_P384_SHA384, (2026, 2036))
}

pub(crate) fn p256() -> Pair {
    pair_of(&PKCS_ECDSA_P256_SHA256, (2026, 2036))
}

impl Pair {
    pub(crate) fn signer(&self) -> Signer {
        let key = PemKey::from_pem("key", self.key.as_bytes()).unwrap();
        Signer::new(self.certificate.as_bytes(), Box::new(key), instant(AT)).unwrap()
    }

    fn pkcs8(&self) -> Vec<u8> {
        let body: String = self.key.lines().filter(|line| !line.starts_with('-')).collect();
        BASE64_STANDARD.decode(body).unwrap()
    }

    /// As `openssl ecparam -name secp384r1 -genkey` writes it: the curve, then SEC1.
    pub(crate) fn sec1(&self) -> String {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &self.pkcs8()).unwrap();
        let der: EcPrivateKeyRfc5915Der<'_> = key.private_key().as_der().unwrap();
        format!(
            "-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n\
             -----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n",
            BASE64_STANDARD.encode(der.as_ref())
        )
    }
}

/// What the KMS on the loopback interface does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It answers `Sign` with a signature by another key.
    OtherKey,
    /// It says that the key is for something else.
    Usage,
    /// It denies `Sign`.
    Denied,
    /// Its signature is no DER.
    Garbage,
    /// It closes every connection.
    Silent,
}

/// Serves KMS for a few connections; the address to reach it.
pub(crate) fn kms(pair: &Pair, fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let algorithm = &ECDSA_P384_SHA384_ASN1_SIGNING;
    let key = Arc::new(EcdsaKeyPair::from_pkcs8(algorithm, &pair.pkcs8()).unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().take(12) {
            let key = Arc::clone(&key);
            thread::spawn(move || serve(stream.unwrap(), &key, fault));
        }
    });
    format!("http://{address}")
}

fn serve(mut stream: TcpStream, key: &EcdsaKeyPair, fault: Fault) {
    if fault == Fault::Silent {
        return;
    }
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut target, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end().to_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("x-amz-target: ") {
                value.clone_into(&mut target);
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let (status, answer) = answer(&target, &body, key, fault);
        let text = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        if stream.write_all((head + &text).as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(target: &str, body: &Value, key: &EcdsaKeyPair, fault: Fault) -> (&'static str, Value) {
    let encode = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    match (target, fault) {
        ("trentservice.getpublickey", _) => {
            let spec = if fault == Fault::Usage {
                "RSA_2048"
            } else {
                "ECC_NIST_P384"
            };
            let spki = key.public_key().as_der().unwrap();
            let answer = json!({
                "KeyId": body["KeyId"], "KeySpec": spec, "KeyUsage": "SIGN_VERIFY", "PublicKey": encode(spki.as_ref()),
            });
            ("200 OK", answer)
        }
        ("trentservice.sign", Fault::Denied) => {
            let answer = json!({"__type": "AccessDeniedException", "message": "not\u{1b}[2J for you"});
            ("400 Bad Request", answer)
        }
        ("trentservice.sign", Fault::Garbage) => (
            "200 OK",
            json!({"KeyId": body["KeyId"], "Signature": encode(b"\x30\x05hello")}),
        ),
        ("trentservice.sign", _) => {
            assert_eq!(body["SigningAlgorithm"], "ECDSA_SHA_384");
            assert_eq!(body["MessageType"], "RAW");
            let other = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
            let key = if fault == Fault::OtherKey { &other } else { key };
            let message = BASE64_STANDARD.decode(body["Message"].as_str().unwrap()).unwrap();
            let signature = key.sign(&SystemRandom::new(), &message).unwrap();
            (
                "200 OK",
                json!({"KeyId": body["KeyId"], "Signature": encode(signature.as_ref())}),
            )
        }
        _ => ("400 Bad Request", json!({"__type": "UnknownOperationException"})),
    }
}
