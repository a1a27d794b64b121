//! EIP-2335: the official test cases, those of Web3Signer, and files that must be refused.
#![expect(
    clippy::unwrap_used,
    reason = "a fixture that cannot be read is a failed test"
)]

use std::fs;
use std::path::Path;

use keystore::{
    DecryptError, Keystore, MemberError, ParseError, Password, PasswordError, PublicKeyError, SecretKey,
    SecretKeyError,
};
use serde_json::Value;

fn read(file: &str) -> Vec<u8> {
    fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/eip2335")
            .join(file),
    )
    .unwrap()
}

/// Every reason why a file of the index must be refused, and the error that must come.
fn check_refusal(case: &Value) {
    let file = case["file"].as_str().unwrap();
    let parsed = Keystore::parse(&read(file));
    match case["reason"].as_str().unwrap() {
        "crypto.kdf missing" => assert!(matches!(
            parsed.unwrap_err(),
            ParseError::Member(MemberError::Missing { member }) if member.starts_with("crypto.kdf.")
        )),
        "checksum.function is not sha256" => unsupported(&parsed.unwrap_err(), "crypto.checksum.function"),
        "cipher.function is not aes-128-ctr" => unsupported(&parsed.unwrap_err(), "crypto.cipher.function"),
        "kdf.function unknown" => unsupported(&parsed.unwrap_err(), "crypto.kdf.function"),
        "pbkdf2 prf is not hmac-sha256" => unsupported(&parsed.unwrap_err(), "crypto.kdf.params.prf"),
        "dklen < 32" => assert!(matches!(
            parsed.unwrap_err(),
            ParseError::Member(MemberError::Wrong {
                member: "crypto.kdf.params.dklen",
                ..
            })
        )),
        "version is not 4" => assert_eq!(parsed.unwrap_err(), ParseError::Version { found: 3 }),
        "empty / blank password" => {
            assert_eq!(
                Password::new(case["password"].as_str().unwrap()).unwrap_err(),
                PasswordError::Empty
            );
        }
        reason => {
            // The file names infinity as its public key, which is refused at once. With any other, the secret is.
            assert_eq!(
                parsed.unwrap_err(),
                ParseError::PublicKey(PublicKeyError::Infinity)
            );
            let text = String::from_utf8(read(file)).unwrap();
            let infinity = format!("c0{}", "00".repeat(47));
            assert!(text.contains(&infinity));
            let other = &SecretKey::from_bytes(&[1; 32]).unwrap().public_key().to_string()[2..];
            let keystore = Keystore::parse(text.replace(&infinity, other).as_bytes()).unwrap();
            let password = Password::new(case["password"].as_str().unwrap()).unwrap();
            let expected = if reason.contains("order") {
                SecretKeyError::NotBelowOrder
            } else {
                SecretKeyError::Zero
            };
            assert_eq!(
                keystore.decrypt(&password).unwrap_err(),
                DecryptError::NotAKey(expected),
                "{reason}"
            );
        }
    }
}

fn unsupported(error: &ParseError, name: &str) {
    assert!(
        matches!(error, ParseError::Member(MemberError::Unsupported { member, .. }) if *member == name),
        "{name}: {error:?}"
    );
}

#[test]
fn every_file_of_the_index() {
    let index: Vec<Value> = serde_json::from_slice(&read("index.json")).unwrap();
    assert_eq!(index.len(), 20);
    for case in &index {
        if case["expect"] != "ok" {
            check_refusal(case);
            continue;
        }
        let password = Password::new(case["password"].as_str().unwrap()).unwrap();
        assert_eq!(
            hex::encode(password.expose()),
            case["password_utf8_normalised_hex"].as_str().unwrap()
        );
        let keystore = Keystore::parse(&read(case["file"].as_str().unwrap())).unwrap();
        assert_eq!(
            keystore.public_key().to_string(),
            case["derived_pubkey"].as_str().unwrap()
        );
        let secret = keystore.decrypt(&password).unwrap();
        assert_eq!(
            format!("0x{}", hex::encode(*secret.expose_bytes())),
            case["secret"].as_str().unwrap(),
            "{}",
            case["file"]
        );
    }
}

#[test]
fn no_file_is_left_out_of_the_index() {
    let index: Vec<Value> = serde_json::from_slice(&read("index.json")).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/eip2335");
    #[expect(
        clippy::disallowed_methods,
        reason = "the order does not matter: every file is looked up"
    )]
    let files = fs::read_dir(folder).unwrap();
    for file in files {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(
            name == "index.json" || index.iter().any(|case| case["file"] == name.as_str()),
            "{name} is in no case"
        );
    }
}

#[test]
fn what_a_keystore_says_in_the_open() {
    let keystore = Keystore::parse(&read("official_scrypt.json")).unwrap();
    assert_eq!(keystore.path(), "m/12381/60/3141592653/589793238");
    assert_eq!(keystore.uuid(), "1d85ae20-35c5-4611-98e8-aa14a633906f");
    assert_eq!(keystore.kdf(), keystore::Kdf::SCRYPT);
    let bare = Keystore::parse(&read("w3s_scryptTestVectorWithMissingPathAndUUID.json")).unwrap();
    assert_eq!((bare.path(), bare.uuid()), ("", ""));
}
