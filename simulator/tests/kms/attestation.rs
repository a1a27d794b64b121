//! `Recipient`: documents are verified, policies see their registers, and only the enclave can read the answer.

use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use attest::UnixMs;
use aws_lc_rs::encoding::AsDer as _;
use serde_json::{Value, json};
use simulator::kms::clock::later;
use simulator::kms::envelope::ContentForm;
use simulator::kms::trust::Trust;

use crate::setup::{NOW, recipient, rsa, settings, simulated, start, unbase64, unsigned};

/// Opens an envelope by OpenSSL, an implementation that shares nothing with ours.
fn openssl_open(envelope: &[u8], pkcs8: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        path
    };
    let output = Command::new("openssl")
        .args(["cms", "-decrypt", "-inform", "DER", "-keyform", "DER"])
        .arg("-inkey")
        .arg(file("key", pkcs8))
        .arg("-in")
        .arg(file("envelope", envelope))
        .output()
        .unwrap_or_else(|e| panic!("openssl: {e}: run `make test-deps`"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[test]
fn openssl_reads_both_forms() {
    let (key, spki) = rsa();
    let pkcs8 = key.as_der().unwrap();
    for form in [ContentForm::Constructed, ContentForm::Primitive] {
        let setup = start(settings(Trust::danger_unsigned_simulator(), form));
        for length in [1, 15, 16, 17, 4096] {
            let plaintext = vec![7; length];
            let body = json!({
                "CiphertextBlob": setup.ciphertext(&plaintext, &[("stack", "a")]),
                "EncryptionContext": {"stack": "a"},
                "Recipient": recipient(&unsigned(1, Some(&spki), NOW)),
            });
            let answer = setup.enclave("Decrypt", &body);
            let json = answer.json();
            assert_eq!(answer.status, 200, "{json}");
            assert_eq!(json["KeyId"], setup.key_arn);
            assert_eq!(json.get("Plaintext"), None);
            let envelope = unbase64(&json["CiphertextForRecipient"]);
            assert_eq!(openssl_open(&envelope, pkcs8.as_ref()), plaintext);
        }
    }
}

#[test]
fn the_policy_decides_on_the_registers() {
    let setup = simulated();
    let (_, spki) = rsa();
    let good = unsigned(1, Some(&spki), NOW);
    let other_image = unsigned(9, Some(&spki), NOW);
    let debug = unsigned(0, Some(&spki), NOW);
    let decrypt = |recipient: Option<Value>| {
        let mut body = json!({"CiphertextBlob": setup.ciphertext(b"secret", &[])});
        if let Some(recipient) = recipient {
            body["Recipient"] = recipient;
        }
        setup.enclave("Decrypt", &body)
    };
    assert_eq!(decrypt(Some(recipient(&good))).error(), "");
    for (name, refused) in [
        ("another image", Some(recipient(&other_image))),
        ("debug mode", Some(recipient(&debug))),
        ("no document", None),
    ] {
        let answer = decrypt(refused);
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (400, "AccessDeniedException"),
            "{name}"
        );
        let message = answer.json()["Message"].as_str().unwrap().to_owned();
        let expected = format!(
            "User: arn:aws:sts::111122223333:assumed-role/enclave/i-1 is not authorized to perform: kms:Decrypt on \
             resource: {} because no resource-based policy allows the kms:Decrypt action",
            setup.key_arn
        );
        assert_eq!(message, expected, "{name}");
    }
    let counts = setup.kms().counts();
    assert_eq!((counts.documents_seen, counts.distinct_documents), (3, 3));
}

#[test]
fn documents_are_judged() {
    let setup = simulated();
    let (_, spki) = rsa();
    let minutes = |n: u64| Duration::from_mins(n);
    let old = UnixMs::new(NOW.as_millis() - 300_001);
    let p256 = {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        pair.public_key().as_der().unwrap().as_ref().to_vec()
    };
    for (document, word) in [
        (unsigned(1, Some(&spki), old), "300 s"),
        (unsigned(1, Some(&spki), later(NOW, minutes(6))), "after"),
        (unsigned(1, None, NOW), "no public key"),
        (unsigned(1, Some(&p256), NOW), "RSA"),
        (unsigned(1, Some(&spki), NOW)[..200].to_vec(), "malformed"),
        (vec![0], "malformed"),
    ] {
        let body = json!({"CiphertextBlob": setup.ciphertext(b"x", &[]), "Recipient": recipient(&document)});
        let answer = setup.enclave("Decrypt", &body);
        assert_eq!(answer.error(), "ValidationException");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(word), "{word}: {message}");
    }
}
