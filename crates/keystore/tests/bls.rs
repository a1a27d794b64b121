//! The BLS vectors of the Ethereum consensus layer.
#![expect(
    clippy::unwrap_used,
    reason = "a fixture that cannot be read is a failed test"
)]

use keystore::{PublicKey, PublicKeyError, SecretKey, SecretKeyError, Signature};
use serde_json::Value;

fn cases(json: &str) -> Vec<Value> {
    serde_json::from_str::<Vec<Value>>(json).unwrap()
}

fn bytes(text: &Value) -> Vec<u8> {
    hex::decode(text.as_str().unwrap().strip_prefix("0x").unwrap()).unwrap()
}

#[test]
fn sign() {
    let cases = cases(include_str!("data/bls/sign.json"));
    assert_eq!(cases.len(), 10);
    for case in cases {
        let secret = SecretKey::from_bytes(&bytes(&case["input"]["privkey"]).try_into().unwrap());
        let message = bytes(&case["input"]["message"]);
        let Some(expected) = case["output"].as_str() else {
            assert_eq!(secret.unwrap_err(), SecretKeyError::Zero, "{}", case["name"]);
            continue;
        };
        let secret = secret.unwrap();
        let signature = secret.sign(&message);
        assert_eq!(signature.to_string(), expected, "{}", case["name"]);
        assert!(
            signature.verify(&message, &secret.public_key()),
            "{}",
            case["name"]
        );
        assert!(
            !signature.verify(&[message, vec![0]].concat(), &secret.public_key()),
            "{}",
            case["name"]
        );
    }
}

#[test]
fn verify() {
    let cases = cases(include_str!("data/bls/verify.json"));
    assert_eq!(cases.len(), 29);
    let mut good = 0;
    for case in cases {
        let input = &case["input"];
        let key = input["pubkey"].as_str().unwrap().parse::<PublicKey>();
        let signature = input["signature"].as_str().unwrap().parse::<Signature>();
        let verdict = match (key, signature) {
            (Ok(key), Ok(signature)) => signature.verify(&bytes(&input["message"]), &key),
            _ => false,
        };
        assert_eq!(Value::Bool(verdict), case["output"], "{}", case["name"]);
        good += u32::from(verdict);
    }
    assert!(good > 5, "{good}");
}

#[test]
fn deserialization_of_public_keys() {
    for case in cases(include_str!("data/bls/deserialization_G1.json")) {
        let text = case["input"]["pubkey"].as_str().unwrap();
        let key = text.parse::<PublicKey>();
        // A point, but no public key: nobody may be made to trust it.
        if case["name"] == "deserialization_succeeds_infinity_with_true_b_flag" {
            assert_eq!(key.unwrap_err(), PublicKeyError::Infinity);
            continue;
        }
        assert_eq!(Value::Bool(key.is_ok()), case["output"], "{}", case["name"]);
        if let Ok(key) = key {
            assert_eq!(key.to_string(), text);
        }
    }
}

#[test]
fn deserialization_of_signatures() {
    for case in cases(include_str!("data/bls/deserialization_G2.json")) {
        let text = case["input"]["signature"].as_str().unwrap();
        let signature = text.parse::<Signature>();
        assert_eq!(Value::Bool(signature.is_ok()), case["output"], "{}", case["name"]);
        if let Ok(signature) = signature {
            assert_eq!(signature.to_string(), text);
            assert_eq!(Signature::from_bytes(&signature.to_bytes()), Ok(signature));
        }
    }
}

#[test]
fn text_of_public_keys() {
    let text =
        "0xa99a76ed7796f7be22d5b7e85deeb7c5677e88e511e0b337618f8c4eb61349b4bf2d153f649f7b53359fe8b94a38e44c";
    let key: PublicKey = text.parse().unwrap();
    for other in [
        text.to_uppercase(),
        text[2..].to_owned(),
        text.to_uppercase().replace("0X", "0x"),
    ] {
        assert_eq!(other.parse(), Ok(key), "{other}");
    }
    assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{text}\""));
    assert_eq!(
        serde_json::from_str::<PublicKey>(&format!("\"{text}\"")).unwrap(),
        key
    );
    serde_json::from_str::<PublicKey>("\"0x00\"").unwrap_err();
    serde_json::from_str::<PublicKey>("17").unwrap_err();
    for length in 0..text.len() {
        let error = text[..length].parse::<PublicKey>().unwrap_err();
        assert!(matches!(error, PublicKeyError::Hex(_)), "{length}: {error}");
    }
    assert_eq!(PublicKey::from_bytes(&key.to_bytes()), Ok(key));
}

/// Half of all x have a point, but almost none of those points is in the group.
#[test]
fn a_flipped_bit_is_no_public_key() {
    let secret = SecretKey::from_bytes(&[0x42; 32]).unwrap();
    let good = secret.public_key();
    let mut taken = Vec::new();
    for bit in 0..384 {
        let mut bytes = good.to_bytes();
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
        if PublicKey::from_bytes(&bytes).is_ok() {
            taken.push(bit);
        }
    }
    // The third bit is the sign of y: the opposite point is in the group too.
    assert_eq!(taken, [2]);
}

#[test]
fn a_flipped_bit_is_no_signature() {
    let secret = SecretKey::from_bytes(&[0x42; 32]).unwrap();
    let good = secret.sign(b"message").to_bytes();
    for bit in 0..768 {
        let mut bytes = good;
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
        if let Ok(signature) = Signature::from_bytes(&bytes) {
            assert!(!signature.verify(b"message", &secret.public_key()), "{bit}");
            assert!(bit == 2, "bit {bit} gave another signature in the group");
        }
    }
}
