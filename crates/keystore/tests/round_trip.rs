//! What is encrypted here opens again, here and by the letter of EIP-2335.

use keystore::{Description, EncryptError, Kdf, Keystore, Password, Randomness, SecretKey};
use proptest::prelude::*;
use serde_json::Value;

const RANDOM: Randomness = Randomness {
    salt: [1; 32],
    iv: [2; 16],
    uuid: [3; 16],
};

#[test]
fn the_text_has_every_member_of_the_eip() {
    let secret = SecretKey::from_bytes(&[7; 32]).unwrap();
    let description = Description {
        path: "m/12381/3600/5/0/0",
        description: Some("fifth"),
    };
    let keystore = Keystore::encrypt(
        &secret,
        &Password::new("pass").unwrap(),
        Kdf::DANGER_WEAK,
        &RANDOM,
        description,
    )
    .unwrap();
    let json: Value = serde_json::from_str(&keystore.to_json()).unwrap();
    assert_eq!(json["version"], 4);
    assert_eq!(json["uuid"], "03030303-0303-4303-8303-030303030303");
    assert_eq!(json["path"], "m/12381/3600/5/0/0");
    assert_eq!(json["description"], "fifth");
    assert_eq!(json["pubkey"], secret.public_key().to_string()[2..]);
    assert_eq!(json["crypto"]["kdf"]["message"], "");
    assert_eq!(json["crypto"]["kdf"]["params"]["salt"], "01".repeat(32));
    assert_eq!(json["crypto"]["kdf"]["params"]["prf"], "hmac-sha256");
    assert_eq!(json["crypto"]["cipher"]["params"]["iv"], "02".repeat(16));
    assert!(
        json["crypto"]["checksum"]["params"]
            .as_object()
            .unwrap()
            .is_empty()
    );
    assert!(!keystore.to_json().contains(&"07".repeat(32)));
}

/// The official test case, made again from its secret, password and randomness: the same cipher text and checksum.
#[test]
fn the_official_cases_are_made_again() {
    for official in [
        include_str!("data/eip2335/official_scrypt.json"),
        include_str!("data/eip2335/official_pbkdf2.json"),
    ] {
        let parsed = Keystore::parse(official.as_bytes()).unwrap();
        let json: Value = serde_json::from_str(official).unwrap();
        let bytes = |pointer: &str| hex::decode(json.pointer(pointer).unwrap().as_str().unwrap()).unwrap();
        let random = Randomness {
            salt: bytes("/crypto/kdf/params/salt").try_into().unwrap(),
            iv: bytes("/crypto/cipher/params/iv").try_into().unwrap(),
            uuid: hex::decode(json["uuid"].as_str().unwrap().replace('-', ""))
                .unwrap()
                .try_into()
                .unwrap(),
        };
        let secret: [u8; 32] =
            hex::decode("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f")
                .unwrap()
                .try_into()
                .unwrap();
        let made = Keystore::encrypt(
            &SecretKey::from_bytes(&secret).unwrap(),
            &Password::new("𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑").unwrap(),
            parsed.kdf(),
            &random,
            Description {
                path: parsed.path(),
                description: parsed.description(),
            },
        )
        .unwrap();
        assert_eq!(made, parsed);
    }
}

#[test]
fn a_derivation_that_no_reader_takes_is_refused() {
    let secret = SecretKey::from_bytes(&[7; 32]).unwrap();
    let made = Keystore::encrypt(
        &secret,
        &Password::new("pass").unwrap(),
        Kdf::Scrypt {
            n: 1 << 40,
            r: 8,
            p: 1,
        },
        &RANDOM,
        Description::default(),
    );
    assert!(matches!(made, Err(EncryptError::Kdf(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn encrypt_parse_decrypt(
        secret in any::<[u8; 32]>(),
        password in "\\PC{1,40}",
        scrypt in any::<bool>(),
        salt in any::<[u8; 32]>(),
        iv in any::<[u8; 16]>(),
        uuid in any::<[u8; 16]>(),
        path in "\\PC*",
        note in proptest::option::of(".*"),
    ) {
        let mut bytes = secret;
        bytes[0] &= 0x3f;
        bytes[31] |= 1;
        let secret = SecretKey::from_bytes(&bytes).unwrap();
        let password = Password::new(&password).unwrap();
        let kdf = if scrypt { Kdf::Scrypt { n: 2, r: 1, p: 1 } } else { Kdf::DANGER_WEAK };
        let description = Description { path: &path, description: note.as_deref() };
        let made = Keystore::encrypt(&secret, &password, kdf, &Randomness { salt, iv, uuid }, description).unwrap();
        let read = Keystore::parse(made.to_json().as_bytes()).unwrap();
        prop_assert_eq!(&read, &made);
        prop_assert_eq!(*read.decrypt(&password).unwrap().expose_bytes(), bytes);
        prop_assert!(read.decrypt(&Password::new("another").unwrap()).is_err());
    }
}
