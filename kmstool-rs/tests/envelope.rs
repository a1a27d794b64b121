//! The CMS reader against every row of the samples' manifest, and against damaged forms of good envelopes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed assumption should fail the test"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use kmstool_rs::envelope::{Envelope, EnvelopeError, MAX_ENVELOPE_BYTES};
use kmstool_rs::unwrap_key::{UnwrapError, UnwrapKey};
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    file: String,
    key: Option<String>,
    expect: String,
    plaintext_hex: Option<String>,
}

/// What ADR 0007 decides for the rows that leave a choice, by the start of the file name.
const DECIDED: [(&str, bool); 6] = [
    ("cms/handmade/nested_constructed", true),
    ("cms/handmade/ek_constructed", true),
    ("cms/handmade/long_form_lengths", true),
    ("cms/invalid/ski_lies", false),
    ("cms/openssl/der_issuer", false),
    ("cms/openssl/ber_issuer", false),
];

/// The fault that each refusal must name: a part of the error's text, source included.
const FAULTS: [(&str, &str); 23] = [
    ("truncated_1", "offset 507: 2 more bytes expected, 1 left"),
    ("truncated_eocs", "more bytes expected, 0 left"),
    ("truncated_half", "more bytes expected"),
    ("trailing", "offset 509: unexpected bytes after the last element"),
    ("ski_lies", "is for another recipient key"),
    ("no_recipient", "offset 22: 1 more bytes expected, 0 left"),
    ("version_0_with_ski", "EnvelopedData has a version other than 2"),
    (
        "oaep_mgf_sha1",
        "OAEP mask generation function is not MGF1 with SHA-256",
    ),
    ("oaep_label", "cannot decrypt the enveloped data"),
    ("aes128_oid", "content cipher is not AES-256-CBC"),
    ("cek_33", "cannot decrypt the enveloped data"),
    ("iv_missing", "initialization vector has 0 bytes, expected 16"),
    ("pad_0", "cannot decrypt the enveloped data"),
    ("pad_17", "cannot decrypt the enveloped data"),
    ("chunk_wrong_tag", "tag 0x04 expected, found 0x03"),
    ("content_tag_1", "tag 0x80 expected, found 0x81"),
    ("indefinite_primitive", "primitive element of indefinite length"),
    ("huge_length", "4294967295 more bytes expected"),
    ("nested_5000", "10000 bytes, expected at most 6144"),
    ("unkeyed_oaep_default_params", "OAEP hash is not SHA-256"),
    ("der_issuer", "EnvelopedData has a version other than 2"),
    ("ber_issuer", "EnvelopedData has a version other than 2"),
    ("sdkc_", "is for another recipient key"),
];

fn data(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifest() -> Vec<Row> {
    serde_json::from_slice(&data("cms/manifest.json")).unwrap()
}

fn key(name: &str) -> UnwrapKey {
    UnwrapKey::from_pkcs8(&data(name)).unwrap()
}

fn open(bytes: &[u8], key: &UnwrapKey) -> Result<Vec<u8>, EnvelopeError> {
    Ok(Envelope::parse(bytes)?.open(key)?.expose().clone())
}

fn text(error: &EnvelopeError) -> String {
    let source = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    format!("{error}: {source}")
}

#[test]
fn manifest_rows() {
    let rows = manifest();
    assert_eq!(rows.len(), 55);
    for Row {
        file,
        key: key_file,
        expect,
        plaintext_hex,
    } in rows
    {
        let bytes = data(&file);
        if expect == "parse-only" {
            let envelope = Envelope::parse(&bytes).unwrap_or_else(|error| panic!("{file}: {}", text(&error)));
            let error = envelope.open(&key("cms/keys/other_key_pkcs8.der")).unwrap_err();
            assert!(
                text(&error).contains("is for another recipient key"),
                "{file}: {}",
                text(&error)
            );
            continue;
        }
        let key = key(key_file.as_deref().unwrap_or("cms/keys/other_key_pkcs8.der"));
        let accept = match expect.as_str() {
            "accept" => true,
            "reject" => false,
            "either" => DECIDED.iter().find(|(name, _)| file.starts_with(name)).unwrap().1,
            other => panic!("{file}: unknown expectation {other}"),
        };
        match open(&bytes, &key) {
            Ok(plaintext) => {
                assert!(accept, "{file} was opened");
                assert_eq!(hex::encode(plaintext), plaintext_hex.unwrap(), "{file}");
            }
            Err(error) => {
                assert!(!accept, "{file}: {}", text(&error));
                let stem = file.rsplit('/').next().unwrap();
                let fault = FAULTS.iter().find(|(name, _)| stem.starts_with(name)).unwrap().1;
                assert!(
                    text(&error).contains(fault),
                    "{file}: {} does not name {fault:?}",
                    text(&error)
                );
            }
        }
    }
}

#[test]
fn every_row_with_a_choice_is_decided_once() {
    let mut used = BTreeMap::new();
    for row in manifest().iter().filter(|row| row.expect == "either") {
        let decisions: Vec<_> = DECIDED
            .iter()
            .filter(|(name, _)| row.file.starts_with(name))
            .collect();
        assert_eq!(decisions.len(), 1, "{}", row.file);
        *used.entry(decisions[0].0).or_insert(0) += 1;
    }
    assert_eq!(used.len(), 6, "{used:?}");
}

/// Without the key to match, the envelope of another key is refused before any RSA operation.
#[test]
fn recipient_must_be_our_key() {
    let bytes = data("cms/handmade/kms_shape_constructed_15.cms");
    let ours = key("cms/keys/recipient_key_pkcs8.der");
    let other = key("cms/keys/other_key_pkcs8.der");
    assert_eq!(Envelope::parse(&bytes).unwrap().recipient(), ours.id());
    let expected = EnvelopeError::Recipient {
        expected: *other.id(),
        found: *ours.id(),
    };
    assert_eq!(open(&bytes, &other), Err(expected));
    assert_eq!(ours.public_der(), data("cms/keys/recipient_spki.der"));
}

#[test]
fn truncation_at_every_length() {
    let key = key("cms/keys/recipient_key_pkcs8.der");
    for name in [
        "handmade/kms_shape_constructed_17",
        "openssl/der_skid_15",
        "handmade/chunks_1",
    ] {
        let bytes = data(&format!("cms/{name}.cms"));
        for length in 0..bytes.len() {
            let error = open(&bytes[..length], &key).unwrap_err();
            assert!(
                matches!(error, EnvelopeError::Ber(_)),
                "{name} cut to {length}: {error:?}"
            );
        }
    }
}

/// One flipped bit anywhere either is refused or hits the content or the IV, which nothing authenticates.
#[test]
fn bit_flips_outside_the_content_are_refused() {
    let key = key("cms/keys/recipient_key_pkcs8.der");
    let good = data("cms/handmade/kms_shape_constructed_17.cms");
    let plaintext = open(&good, &key).unwrap();
    for byte in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[byte] ^= 1 << bit;
            if let Ok(opened) = open(&bytes, &key) {
                assert_ne!(opened, plaintext, "bit {bit} of byte {byte} does not matter");
                assert!(
                    (415..431).contains(&byte) || (435..467).contains(&byte),
                    "bit {bit} of byte {byte}"
                );
            }
        }
    }
}

#[test]
fn absurd_lengths_are_refused_at_once() {
    let good = data("cms/handmade/kms_shape_constructed_17.cms");
    for length in [
        &[0x84, 0xFF, 0xFF, 0xFF, 0xFF][..],
        &[0x88, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    ] {
        for at in 1..good.len() {
            let mut bytes = good.clone();
            bytes.splice(at..=at, length.iter().copied());
            bytes.truncate(MAX_ENVELOPE_BYTES);
            // Inside a value the change is only other data of a wrong length; either way it must be an error.
            let result = Envelope::parse(&bytes);
            assert!(result.is_err(), "length at {at}: {result:?}");
        }
    }
    let zeros = vec![0; MAX_ENVELOPE_BYTES + 1];
    assert_eq!(
        Envelope::parse(&zeros).unwrap_err(),
        EnvelopeError::TooLong { actual: 6145 }
    );
}

#[test]
fn fresh_keys_differ_and_are_redacted() {
    let (one, two) = (UnwrapKey::generate().unwrap(), UnwrapKey::generate().unwrap());
    assert_ne!(one.id(), two.id());
    assert_eq!(one.public_der().len(), 294);
    assert_eq!(
        format!("{one:?}"),
        format!("UnwrapKey {{ id: \"{}\", .. }}", hex::encode(one.id()))
    );
    let spki = data("cms/keys/recipient_spki.der");
    assert_eq!(UnwrapKey::from_pkcs8(&spki).unwrap_err(), UnwrapError::Key);
}
