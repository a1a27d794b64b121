//! Documents signed under a root, as AWS's are: here the made-up PKI of `crates/attest`, at its own time.

use attest::{TrustRoot, UnixMs, UnverifiedDoc};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;
use simulator::kms::clock::Clock;
use simulator::kms::envelope::ContentForm;
use simulator::kms::trust::Trust;

use crate::setup::{Setup, pcrs, recipient, rsa, settings, start, unsigned};

/// When the certificates of the made-up PKI are valid.
const TIME: UnixMs = UnixMs::new(1_772_366_400_000);
const ROOT: &[u8] = include_bytes!("../../../crates/attest/tests/data/synthetic/root.der");
const LEAF_KEY: &[u8] = include_bytes!("../../../crates/attest/tests/data/synthetic/leaf_key_pkcs8.der");
const SAMPLE: &[u8] =
    include_bytes!("../../../crates/attest/tests/data/synthetic/valid/optionals_absent.cbor");

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

/// A document with registers as in [`pcrs`], signed.
fn document(pcr0: u8, public_key: &[u8], made: UnixMs) -> Vec<u8> {
    let sample = UnverifiedDoc::parse(SAMPLE).unwrap();
    let claims = sample.unverified_claims();
    let registers = pcrs(pcr0);
    let mut map = head(5, registers.len());
    for (index, value) in registers.iter() {
        map.extend(head(0, usize::from(index)));
        map.extend(bytes(value.as_bytes()));
    }
    let mut bundle = head(4, claims.cabundle.len());
    for certificate in &claims.cabundle {
        bundle.extend(bytes(certificate));
    }
    let timestamp = usize::try_from(made.as_millis()).unwrap();
    let fields = [
        ("module_id", text(claims.module_id)),
        ("digest", text("SHA384")),
        ("timestamp", head(0, timestamp)),
        ("pcrs", map),
        ("certificate", bytes(claims.certificate)),
        ("cabundle", bundle),
        ("public_key", bytes(public_key)),
        ("user_data", vec![0xf6]),
        ("nonce", vec![0xf6]),
    ];
    let mut payload = head(5, fields.len());
    for (key, value) in fields {
        payload.extend(text(key));
        payload.extend(value);
    }
    let protected = bytes(&[0xa1, 0x01, 0x38, 0x22]);
    let to_sign = [
        vec![0x84],
        text("Signature1"),
        protected.clone(),
        bytes(&[]),
        bytes(&payload),
    ]
    .concat();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, LEAF_KEY).unwrap();
    let signature = key.sign(&SystemRandom::new(), &to_sign).unwrap();
    [
        vec![0x84],
        protected,
        vec![0xa0],
        bytes(&payload),
        bytes(signature.as_ref()),
    ]
    .concat()
}

fn under(trust: Trust) -> Setup {
    let mut settings = settings(trust, ContentForm::Constructed);
    settings.clock = Clock::fixed(TIME);
    start(settings)
}

fn decrypt(setup: &Setup, document: &[u8]) -> (String, String) {
    let body = json!({"CiphertextBlob": setup.ciphertext(b"x", &[]), "Recipient": recipient(document)});
    let answer = setup.enclave("Decrypt", &body);
    let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
    (answer.error(), message)
}

#[test]
fn a_signed_document_is_verified_and_judged_by_its_registers() {
    let setup = under(Trust::Root(TrustRoot::from_der(ROOT).unwrap()));
    let (_, spki) = rsa();
    assert_eq!(decrypt(&setup, &document(1, &spki, TIME)).0, "");
    assert_eq!(
        decrypt(&setup, &document(2, &spki, TIME)).0,
        "AccessDeniedException"
    );
}

#[test]
fn what_is_not_signed_under_the_root_is_refused() {
    let setup = under(Trust::Root(TrustRoot::from_der(ROOT).unwrap()));
    let (_, spki) = rsa();
    let good = document(1, &spki, TIME);
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let old = document(1, &spki, UnixMs::new(TIME.as_millis() - 300_001));
    for (name, document, word) in [
        ("forged", forged, "signature"),
        ("unsigned", unsigned(1, Some(&spki), TIME), "envelope"),
        ("old", old, "300 s"),
    ] {
        let (error, message) = decrypt(&setup, &document);
        assert_eq!(error, "ValidationException", "{name}");
        assert!(message.contains(word), "{name}: {message}");
    }
}

#[test]
fn each_trust_believes_its_own_documents_only() {
    let (_, spki) = rsa();
    let good = document(1, &spki, TIME);
    let (error, message) = decrypt(&under(Trust::aws()), &good);
    assert_eq!(error, "ValidationException");
    assert!(message.contains("chain"), "{message}");
    let simulated = under(Trust::danger_unsigned_simulator());
    let (error, message) = decrypt(&simulated, &good);
    assert_eq!(error, "ValidationException");
    assert!(message.contains("unsigned shape"), "{message}");
    assert_eq!(decrypt(&simulated, &unsigned(1, Some(&spki), TIME)).0, "");
}
