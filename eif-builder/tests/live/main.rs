//! A running enclave, judged: everything that must hold, and each thing that must be refused when it does not.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed step is a failed test"
)]

mod command;
mod enclave;
mod servers;
mod tls;

use control::text::Nonce;
use eif_builder::live::presented::Presented;
use eif_builder::live::{Expected, Found, KeysError, judge, read_keys};
use eif_builder::verdict::{Outcome, Verdict};
use enclave::{Enclave, NOW, config, image, key, root};

const CERTIFICATE: [u8; 32] = [0xc0; 32];
const SPKI: [u8; 32] = [0xc1; 32];
const NONCE: [u8; 32] = [7; 32];

fn running() -> Enclave {
    Enclave::running(&hex::encode(CERTIFICATE), &hex::encode(SPKI))
}

fn presented() -> Presented {
    Presented {
        certificate_sha256: Some(hex::encode(CERTIFICATE)),
        public_key_sha256: Some(hex::encode(SPKI)),
        proven: true,
        why: None,
    }
}

/// Judged with everything demanded.
fn judged(enclave: &Enclave, presented: &Presented) -> Verdict {
    let (root, image, config) = (root(), image(), config());
    let keys = [key("a0"), key("b0")];
    let expected = Expected {
        root: &root,
        pcrs: &image,
        weakened: &[],
        config: Some(&config),
        keys: Some(&keys),
    };
    let found = Found {
        attestation: &enclave.attest(&NONCE),
        presented: Some(presented),
    };
    judge(&Nonce::from_bytes(&NONCE).unwrap(), &expected, &found, NOW)
}

fn failed(verdict: &Verdict) -> Vec<&str> {
    let failed = verdict.checks.iter().filter(|check| check.outcome != Outcome::Ok);
    failed.map(|check| check.name.as_str()).collect()
}

#[track_caller]
fn refused(enclave: &Enclave, names: &[&str]) {
    let verdict = judged(enclave, &presented());
    assert_eq!(failed(&verdict), names, "{verdict}");
    assert!(!verdict.is_good());
}

#[test]
fn an_enclave_that_is_what_it_should_be_is_verified() {
    let verdict = judged(&running(), &presented());
    assert!(verdict.is_good(), "{verdict}");
    let names: Vec<&str> = verdict.checks.iter().map(|check| check.name.as_str()).collect();
    let expected = [
        "document",
        "nonce",
        "PCR0",
        "PCR1",
        "PCR2",
        "public key",
        "claims",
        "PCR16",
        "config",
        "TLS handshake",
        "certificate",
        "TLS key",
        "key set",
    ];
    assert_eq!(names, expected);
    assert_eq!(verdict.dangers.len(), 1, "the root is not that of AWS: {verdict}");
    assert_eq!(verdict.not_proven.len(), 1, "who else has the TLS key: {verdict}");
}

#[test]
fn another_image_is_refused() {
    for index in 0..3 {
        refused(&running().with_pcr(index, [0xee; 48]), &[&format!("PCR{index}")]);
    }
}

#[test]
fn a_demanded_signature_of_the_image_is_demanded() {
    let (root, mut image) = (root(), image());
    image.pcr8 = Some(hex::encode([0xa8; 48]).parse().unwrap());
    let judged = |enclave: &Enclave| {
        let expected = Expected {
            root: &root,
            pcrs: &image,
            weakened: &[],
            config: None,
            keys: None,
        };
        let found = Found {
            attestation: &enclave.attest(&NONCE),
            presented: None,
        };
        judge(&Nonce::from_bytes(&NONCE).unwrap(), &expected, &found, NOW)
    };
    assert_eq!(failed(&judged(&running())), ["PCR8"]);
    assert!(judged(&running().with_pcr(8, [0xa8; 48])).is_good());
}

#[test]
fn debug_mode_is_refused_whatever_is_expected() {
    refused(&running().with_pcr(0, [0; 48]), &["document"]);
}

#[test]
fn a_replay_is_refused() {
    let (root, image) = (root(), image());
    let expected = Expected {
        root: &root,
        pcrs: &image,
        weakened: &[],
        config: None,
        keys: None,
    };
    let found = Found {
        attestation: &running().attest(&[8; 32]),
        presented: None,
    };
    let verdict = judge(&Nonce::from_bytes(&NONCE).unwrap(), &expected, &found, NOW);
    assert_eq!(failed(&verdict), ["document"], "{verdict}");
    assert!(verdict.to_string().contains("nonce"), "{verdict}");
}

#[test]
fn only_the_given_root_counts() {
    let (aws, image) = (attest::TrustRoot::aws(), image());
    let expected = Expected {
        root: &aws,
        pcrs: &image,
        weakened: &["any-client".to_owned()],
        config: None,
        keys: None,
    };
    let found = Found {
        attestation: &running().attest(&NONCE),
        presented: None,
    };
    let verdict = judge(&Nonce::from_bytes(&NONCE).unwrap(), &expected, &found, NOW);
    assert_eq!(failed(&verdict), ["document"], "{verdict}");
    assert_eq!(verdict.dangers, ["the image weakens trust: [trust] any-client"]);
}

#[test]
fn a_document_that_could_decrypt_is_refused() {
    let mut enclave = running();
    enclave.public_key = Some(vec![1; 64]);
    refused(&enclave, &["public key"]);
}

#[test]
fn claims_that_the_document_does_not_commit_to_are_refused() {
    let all = ["claims", "config", "certificate", "key set"];
    let mut enclave = running();
    enclave.user_data = Some(vec![1; 64]);
    refused(&enclave, &all);
    let mut enclave = running();
    enclave.text = Some("{\"public_keys\":[".to_owned());
    refused(&enclave, &all);
    // Other claims of the same enclave, in place of those that it committed to.
    let mut attestation = running().attest(&NONCE);
    let mut other = running();
    other.claims.public_keys.pop();
    attestation.claims = other.attest(&NONCE).claims;
    for claims in [attestation.claims.clone(), None] {
        attestation.claims = claims;
        let (root, image) = (root(), image());
        let expected = Expected {
            root: &root,
            pcrs: &image,
            weakened: &[],
            config: None,
            keys: None,
        };
        let found = Found {
            attestation: &attestation,
            presented: None,
        };
        let verdict = judge(&Nonce::from_bytes(&NONCE).unwrap(), &expected, &found, NOW);
        assert_eq!(failed(&verdict), ["claims"], "{verdict}");
    }
}

#[test]
fn another_config_is_refused() {
    refused(&running().with_pcr(16, [0; 48]), &["PCR16"]);
    let mut enclave = running();
    enclave.claims.config_sha384 = Some("01".repeat(48).parse().unwrap());
    refused(&enclave, &["config"]);
    enclave.claims.config_sha384 = None;
    refused(&enclave, &["config"]);
}

/// Also without the operator's file: register and claim must agree.
#[test]
fn a_config_that_was_not_measured_is_refused() {
    let (root, image) = (root(), image());
    let judged = |enclave: &Enclave| {
        let expected = Expected {
            root: &root,
            pcrs: &image,
            weakened: &[],
            config: None,
            keys: None,
        };
        let found = Found {
            attestation: &enclave.attest(&NONCE),
            presented: None,
        };
        judge(&Nonce::from_bytes(&NONCE).unwrap(), &expected, &found, NOW)
    };
    let verdict = judged(&running());
    assert!(verdict.is_good(), "{verdict}");
    assert_eq!(verdict.not_proven.len(), 3, "config, TLS, keys: {verdict}");
    assert_eq!(failed(&judged(&running().with_pcr(16, [3; 48]))), ["PCR16"]);
    let mut bare = running().with_pcr(16, [0; 48]);
    assert_eq!(failed(&judged(&bare)), ["PCR16"]);
    bare.claims.config_sha384 = None;
    assert!(
        judged(&bare).is_good(),
        "an enclave that was never configured says so"
    );
}

#[test]
fn another_tls_server_is_refused() {
    let with = |change: fn(&mut Presented)| {
        let mut presented = presented();
        change(&mut presented);
        let verdict = judged(&running(), &presented);
        failed(&verdict)
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        with(|p| p.certificate_sha256 = Some("00".repeat(32))),
        ["certificate"]
    );
    assert_eq!(with(|p| p.public_key_sha256 = Some("00".repeat(32))), ["TLS key"]);
    assert_eq!(with(|p| p.public_key_sha256 = None), ["TLS key"]);
    assert_eq!(with(|p| p.proven = false), ["TLS handshake"]);
    let mut enclave = running();
    enclave.claims.tls_certificate_sha256 = None;
    enclave.claims.tls_public_key_sha256 = None;
    refused(&enclave, &["certificate", "TLS key"]);
}

#[test]
fn another_key_set_is_refused() {
    for keys in [
        vec![],
        vec![key("a0")],
        vec![key("a0"), key("c0")],
        vec![key("a0"), key("b0"), key("c0")],
    ] {
        let mut enclave = running();
        enclave.claims.public_keys = keys;
        refused(&enclave, &["key set"]);
    }
    let mut enclave = running();
    enclave.claims.public_keys = (0..20_u8).map(|n| key(&hex::encode([n]))).collect();
    let text = judged(&enclave, &presented()).to_string();
    assert!(text.contains("20 keys, the list has 2; missing: "), "{text}");
    assert!(text.contains(" and 12 more"), "{text}");
}

#[test]
fn lists_of_keys_are_strict() {
    let (a, b) = ("a0".repeat(48), "b0".repeat(48));
    let read = read_keys(&format!("# ours\n0x{b}  # second\n\n{}\n", a.to_uppercase()));
    assert_eq!(read, Ok(vec![key("a0"), key("b0")]));
    assert_eq!(read_keys(""), Ok(Vec::new()));
    assert_eq!(
        read_keys(&format!("{a}\n0xzz\n")),
        Err(KeysError::Line { line: 2 })
    );
    let twice = KeysError::Twice {
        line: 2,
        key: key("a0"),
    };
    assert_eq!(read_keys(&format!("{a}\n0x{a}\n")), Err(twice));
}
