//! Keystores that someone broke, by accident or on purpose. Every one is refused, and the fault is named.
#![expect(
    clippy::unwrap_used,
    reason = "a fixture that cannot be read is a failed test"
)]

use keystore::{
    DecryptError, KdfError, Keystore, Limits, MAX_KEYSTORE_LEN, MemberError, ParseError, Password,
    PublicKeyError,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const FAST: &str = include_str!("data/eip2335/fast_pbkdf2.json");

fn changed(pointer: &str, value: Value) -> Vec<u8> {
    let mut root: Value = serde_json::from_str(FAST).unwrap();
    *root.pointer_mut(pointer).unwrap() = value;
    serde_json::to_vec(&root).unwrap()
}

fn error(pointer: &str, value: Value) -> ParseError {
    Keystore::parse(&changed(pointer, value)).unwrap_err()
}

fn password() -> Password {
    Password::new("testpassword").unwrap()
}

#[test]
fn truncated_at_every_length() {
    let text = FAST.trim_end();
    for length in 0..text.len() {
        let result = Keystore::parse(&text.as_bytes()[..length]);
        assert!(matches!(result, Err(ParseError::NotJson { .. })), "{length}");
    }
    Keystore::parse(text.as_bytes()).unwrap();
    Keystore::parse(format!("{text} x").as_bytes()).unwrap_err();
}

/// A flipped bit either makes the file unreadable, or the checksum catches it, or it stands where nothing depends on it.
#[test]
fn a_flipped_bit_never_gives_another_key() {
    let secret = Keystore::parse(FAST.as_bytes())
        .unwrap()
        .decrypt(&password())
        .unwrap();
    let mut opened = 0_u32;
    for bit in 0..FAST.len() * 8 {
        let mut bytes = FAST.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // A flipped digit of c would make it cost seconds, not another key.
        let limits = Limits {
            pbkdf2_iterations: 1000,
            ..Limits::default()
        };
        let Ok(keystore) = Keystore::parse_within(&bytes, &limits) else {
            continue;
        };
        if let Ok(key) = keystore.decrypt(&password()) {
            assert_eq!(*key.expose_bytes(), *secret.expose_bytes(), "bit {bit}");
            opened += 1;
        }
    }
    // Letters of hexadecimal text may change case; description, path, uuid and white space may change.
    assert!(opened > 100, "{opened}");
}

#[test]
fn a_flipped_bit_of_secret_salt_or_checksum_is_caught() {
    for pointer in [
        "/crypto/cipher/message",
        "/crypto/checksum/message",
        "/crypto/kdf/params/salt",
    ] {
        let root: Value = serde_json::from_str(FAST).unwrap();
        let good = hex::decode(root.pointer(pointer).unwrap().as_str().unwrap()).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let keystore = Keystore::parse(&changed(pointer, hex::encode(bytes).into())).unwrap();
            assert_eq!(
                keystore.decrypt(&password()).unwrap_err(),
                DecryptError::WrongPassword,
                "{pointer} {bit}"
            );
        }
    }
}

/// The checksum does not cover the iv: only the comparison with `pubkey` catches it.
#[test]
fn a_flipped_bit_of_the_iv_is_caught() {
    const IV: &str = "/crypto/cipher/params/iv";
    let root: Value = serde_json::from_str(FAST).unwrap();
    let good = hex::decode(root.pointer(IV).unwrap().as_str().unwrap()).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let keystore = Keystore::parse(&changed(IV, hex::encode(bytes).into())).unwrap();
        let error = keystore.decrypt(&password()).unwrap_err();
        assert!(
            matches!(error, DecryptError::AnotherKey { .. } | DecryptError::NotAKey(_)),
            "{bit}: {error}"
        );
    }
}

#[test]
fn the_public_key_is_required_and_compared() {
    let mut root: Value = serde_json::from_str(FAST).unwrap();
    root.as_object_mut().unwrap().remove("pubkey");
    let error = Keystore::parse(&serde_json::to_vec(&root).unwrap()).unwrap_err();
    assert_eq!(
        error,
        ParseError::Member(MemberError::Missing { member: "pubkey" })
    );

    let other =
        "0xB0E7791FB972FE014159AA33A98622DA3CDC98FF707965E536D8636B5FCC5AC7A91A8C46E59A00DCA575AF0F18FB13DC";
    let keystore = Keystore::parse(&changed("/pubkey", other.into())).unwrap();
    let error = keystore.decrypt(&password()).unwrap_err();
    let DecryptError::AnotherKey { stated, actual } = &error else {
        panic!("{error}")
    };
    assert_eq!(stated.to_string(), other.to_lowercase().replace("0X", "0x"));
    assert!(actual.to_string().starts_with("0x989d34725a"), "{actual}");
    assert!(error.to_string().contains("0x989d34725a"), "{error}");

    let infinity = format!("c0{}", "00".repeat(47));
    assert_eq!(
        super_error(&infinity),
        ParseError::PublicKey(PublicKeyError::Infinity)
    );
    assert!(matches!(
        super_error("00"),
        ParseError::PublicKey(PublicKeyError::Hex(_))
    ));
}

fn super_error(pubkey: &str) -> ParseError {
    error("/pubkey", pubkey.into())
}

#[test]
fn wrong_password() {
    let keystore = Keystore::parse(FAST.as_bytes()).unwrap();
    for wrong in ["testpassworD", "testpassword ", "t", "\u{1f511}"] {
        assert_eq!(
            keystore.decrypt(&Password::new(wrong).unwrap()).unwrap_err(),
            DecryptError::WrongPassword
        );
    }
}

#[test]
fn lengths_of_the_iv() {
    // Counter bytes that are not given are zero, so both open to the same.
    let sixteen = changed(
        "/crypto/cipher/params/iv",
        format!("{}{}", "ab".repeat(8), "00".repeat(8)).into(),
    );
    let eight = changed("/crypto/cipher/params/iv", "ab".repeat(8).into());
    assert_eq!(
        Keystore::parse(&sixteen).unwrap(),
        Keystore::parse(&eight).unwrap()
    );
    for length in [0, 1, 7, 17, 32] {
        assert!(
            matches!(
                error("/crypto/cipher/params/iv", "ab".repeat(length).into()),
                ParseError::Member(MemberError::Wrong {
                    member: "crypto.cipher.params.iv",
                    ..
                })
            ),
            "{length}"
        );
    }
}

#[test]
fn costs_are_bounded_before_they_are_paid() {
    assert!(matches!(
        error("/crypto/kdf/params/c", json!(4_000_000_000_u32)),
        ParseError::Kdf(KdfError::Iterations { .. })
    ));
    assert!(matches!(
        error("/crypto/kdf/params/c", json!(0)),
        ParseError::Kdf(KdfError::Zero { parameter: "c" })
    ));
    for c in [
        json!(u64::MAX),
        json!(-1),
        json!(1.5),
        json!("1"),
        json!(null),
        json!(1e300),
    ] {
        assert!(matches!(
            error("/crypto/kdf/params/c", c),
            ParseError::Member(MemberError::Wrong { .. })
        ));
    }
    let scrypt = |n: u64, r: u64, p: u64| {
        let params = json!({"dklen": 32, "n": n, "r": r, "p": p, "salt": "00"});
        Keystore::parse(&changed(
            "/crypto/kdf",
            json!({"function": "scrypt", "params": params, "message": ""}),
        ))
    };
    scrypt(262_144, 8, 1).unwrap();
    assert!(matches!(
        scrypt(1 << 30, 8, 1),
        Err(ParseError::Kdf(KdfError::Memory { .. }))
    ));
    assert!(matches!(
        scrypt(1 << 62, 1 << 31, 1 << 31),
        Err(ParseError::Kdf(KdfError::Memory { .. }))
    ));
    assert!(matches!(
        scrypt(1 << 18, 8, 64),
        Err(ParseError::Kdf(KdfError::Work { .. }))
    ));
    assert!(matches!(
        scrypt(262_143, 8, 1),
        Err(ParseError::Kdf(KdfError::NotAPowerOfTwo { n: 262_143 }))
    ));
    assert!(matches!(
        scrypt(2, 1 << 32, 1),
        Err(ParseError::Member(MemberError::Wrong {
            member: "crypto.kdf.params.r",
            ..
        }))
    ));
}

#[test]
fn dklen_must_be_enough_and_possible() {
    for dklen in [json!(31), json!(0), json!(-32), json!(u64::MAX), json!("32")] {
        assert!(matches!(
            error("/crypto/kdf/params/dklen", dklen),
            ParseError::Member(_)
        ));
    }
    for dklen in [32, 33, 64, 4_000_000_000_u64] {
        let keystore = Keystore::parse(&changed("/crypto/kdf/params/dklen", json!(dklen))).unwrap();
        assert!(keystore.decrypt(&password()).is_ok(), "{dklen}");
    }
}

#[test]
fn other_things_than_a_keystore() {
    for (bytes, expected) in [
        (&b""[..], ParseError::NotJson { line: 1, column: 0 }),
        (b"[]", ParseError::NotJson { line: 0, column: 0 }),
        (b"\"x\"", ParseError::NotJson { line: 0, column: 0 }),
        (
            b"{}",
            ParseError::Member(MemberError::Missing { member: "version" }),
        ),
        (
            b"{\"version\":4}",
            ParseError::Member(MemberError::Missing {
                member: "crypto.kdf.function",
            }),
        ),
    ] {
        assert_eq!(Keystore::parse(bytes).unwrap_err(), expected);
    }
    let long = vec![b' '; MAX_KEYSTORE_LEN + 1];
    assert_eq!(
        Keystore::parse(&long).unwrap_err(),
        ParseError::TooLong { actual: long.len() }
    );
    let deep = "[".repeat(60_000);
    assert!(matches!(
        Keystore::parse(deep.as_bytes()),
        Err(ParseError::NotJson { .. })
    ));
    assert!(matches!(
        error("/version", json!("4")),
        ParseError::Member(MemberError::Wrong {
            member: "version",
            ..
        })
    ));
    assert!(matches!(
        error("/path", json!(7)),
        ParseError::Member(MemberError::Wrong { member: "path", .. })
    ));
    assert!(matches!(
        error("/crypto/cipher/message", json!("00")),
        ParseError::Member(MemberError::Hex { .. })
    ));
    assert!(matches!(
        error("/crypto/kdf/params/salt", json!("0")),
        ParseError::Member(MemberError::Hex { .. })
    ));
    // What is shown of a strange name is short and on one line.
    let text = error("/crypto/kdf/function", json!("x\n".repeat(100))).to_string();
    assert_eq!(text.lines().count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Keystore::parse(&bytes).is_err());
    }

    #[test]
    fn any_value_of_any_member_is_answered(
        pointer in prop::sample::select(vec![
            "/version", "/pubkey", "/crypto", "/crypto/kdf", "/crypto/kdf/function", "/crypto/kdf/params",
            "/crypto/checksum/message", "/crypto/cipher/params/iv", "/crypto/cipher/message",
        ]),
        value in prop_oneof![
            any::<u64>().prop_map(|n| json!(n)),
            ".*".prop_map(|text| json!(text)),
            Just(json!([])), Just(json!({})), Just(json!(null)), Just(json!(true)),
        ],
    ) {
        let result = Keystore::parse(&changed(pointer, value));
        prop_assert!(result.is_err() || pointer == "/version");
    }
}
