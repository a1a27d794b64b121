//! Each operation is read; each wrong message is named; what was written reads back.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::text::StackId;

const BOTH: [Surface; 2] = [Surface::Service, Surface::Control];

/// Reads a message by the port that serves it.
fn parse(text: &str) -> Result<Request, MessageError> {
    let on = |surface| Request::parse(text.as_bytes(), surface);
    match on(Surface::Control) {
        Err(MessageError::WrongPort { .. }) => on(Surface::Service),
        other => other,
    }
}

fn credential() -> Credential {
    Credential::new("AKIA".to_owned(), "wJalr/+secret".to_owned(), "FwoG==".to_owned()).unwrap()
}

fn key(digits: &str) -> PublicKey {
    digits.repeat(48).parse().unwrap()
}

fn stack() -> StackId {
    "00000000-0000-4000-8000-000000000001".parse().unwrap()
}

/// The message of the published guidance.
const GUIDANCE: &str = r#"{"operation": "init", "credential": {"access_key_id": "AKIA", "secret_access_key": "wJalr/+secret", "token": "FwoG=="}, "encrypted_tls_key": "QUJD", "encrypted_validator_keys": ["QUJD", "REVG"]}"#;

#[test]
fn the_guidances_messages_are_read() {
    let legacy = |text: &str| text.parse().unwrap();
    let init = Init {
        credential: credential(),
        encrypted_tls_key: Entry::Legacy(legacy("QUJD")),
        encrypted_validator_keys: vec![KeyEntry::Legacy(legacy("QUJD")), KeyEntry::Legacy(legacy("REVG"))],
        encrypted_clients: None,
        encrypted_slashing_credential: None,
    };
    assert_eq!(parse(GUIDANCE), Ok(Request::Init(Box::new(init))));
    assert_eq!(parse(r#"{"operation": "init_state"}"#), Ok(Request::InitState));
}

/// One of each, with every optional part once there and once not.
fn samples() -> Vec<Request> {
    let ciphertext = || "QUJD".parse().unwrap();
    let entry = |stack| Entry::Bound {
        ciphertext: ciphertext(),
        stack,
    };
    let bound = |pubkey, stack| KeyEntry::Bound {
        ciphertext: ciphertext(),
        pubkey,
        stack,
    };
    let config = json!({
        "schema": 1, "region": "eu-central-1", "network": "mainnet", "client_authentication": "known-clients", "outbound": [],
        "kms_key_arn": "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "stacks": [stack()], "slashing_store": { "kind": "memory" },
        "artefact_versions": { "tls_key": 1, "clients": 2, "slashing_credential": 0 },
    });
    vec![
        Request::InitState,
        Request::Init(Box::new(Init {
            credential: credential(),
            encrypted_tls_key: entry(None),
            encrypted_validator_keys: vec![
                bound(key("a0"), Some(stack())),
                bound(key("b0"), None),
                KeyEntry::Legacy(ciphertext()),
            ],
            encrypted_clients: Some(entry(Some(stack()))),
            encrypted_slashing_credential: Some(Entry::Legacy(ciphertext())),
        })),
        Request::Attest {
            nonce: "00ff".parse().unwrap(),
        },
        Request::Configure {
            config: serde_json::from_value(config).unwrap(),
        },
        Request::Status,
        Request::AddKeys {
            encrypted_validator_keys: vec![bound(key("a0"), None)],
        },
        Request::RemoveKeys {
            public_keys: vec![key("a0"), key("b0")],
        },
        Request::SetClients {
            encrypted_clients: entry(None),
        },
        Request::RefreshCredentials {
            credential: credential(),
        },
        Request::Metrics,
    ]
}

#[test]
fn what_is_written_reads_back_on_its_port_only() {
    for request in samples() {
        let bytes = request.to_bytes();
        for surface in BOTH {
            let read = Request::parse(&bytes, surface);
            if request.allowed_on(surface) {
                assert_eq!(read.as_ref(), Ok(&request));
            } else {
                let (operation, port) = (request.name(), surface.port());
                assert_eq!(read, Err(MessageError::WrongPort { operation, port }));
            }
        }
        assert_eq!(bytes.capacity(), bytes.len(), "no copy was left behind");
    }
}

#[test]
fn a_public_key_is_never_accepted_for_attest() {
    for value in ["null", "\"\"", "\"00\"", "{}", "{\"a\":1,\"a\":1}"] {
        let text = format!(r#"{{"operation":"attest","nonce":"00","public_key":{value}}}"#);
        let name = "public_key".to_owned();
        assert_eq!(
            parse(&text),
            Err(MessageError::UnknownField {
                operation: "attest",
                name
            })
        );
    }
}

#[test]
fn each_wrong_message_is_named() {
    let a0 = "a0".repeat(48);
    for (text, expected) in [
        ("{}".to_owned(), "missing-field: \"operation\" is missing"),
        (r#"{"Operation":"status"}"#.into(), "missing-field: \"operation\" is missing"),
        (r#"{"operation":1}"#.into(), "wrong-type: \"operation\" is not text; seen at line 1 column 14"),
        (r#"{"operation":{"a":1,"a":1}}"#.into(), "wrong-type: \"operation\" is not text"),
        (r#"{"operation":"x"}"#.into(), "unknown-operation: \"x\""),
        (r#"{"operation":"status","nonce":"00"}"#.into(), "unknown-field: status has no \"nonce\""),
        (r#"{"operation":"init_state","credential":{"access_key_id":"a","secret_access_key":"b","token":""}}"#.into(), "unknown-field: init_state has no \"credential\""),
        (r#"{"operation":"attest","nonce":"00","user_data":"00"}"#.into(), "unknown-field: attest has no \"user_data\""),
        (r#"{"operation":"attest"}"#.into(), "missing-field: \"nonce\" is missing"),
        (r#"{"operation":"attest","nonce":null}"#.into(), "wrong-type: \"nonce\" is not text"),
        (r#"{"operation":"attest","nonce":"0"}"#.into(), "bad-nonce: "),
        (r#"{"operation":"attest","nonce":"0x"}"#.into(), "bad-nonce: "),
        (r#"{"operation":"attest","nonce":""}"#.into(), "bad-nonce: "),
        (format!(r#"{{"operation":"attest","nonce":"{}"}}"#, "00".repeat(65)), "bad-nonce: "),
        (r#"{"operation":"status","operation":"status"}"#.into(), "duplicate-field: \"operation\" stands twice"),
        ("[]".into(), "not-json: the message is not JSON at line 1 column 0"),
        ("{}{}".into(), "not-json: the message is not JSON at line 1 column 3"),
        ("{\"operation\":\"sta\ntus\"}".into(), "not-json: the message is not JSON at line 2 column 0"),
        (GUIDANCE.replace("\"AKIA\"", "\"\""), "wrong-type: \"credential\" is not an object of access_key_id"),
        (GUIDANCE.replace("\"token\"", "\"session_token\""), "wrong-type: \"credential\""),
        (GUIDANCE.replace("\"token\"", "\"x\": 1, \"token\""), "wrong-type: \"credential\""),
        (GUIDANCE.replace("\"token\"", "\"token\": \"\", \"token\""), "wrong-type: \"credential\""),
        (GUIDANCE.replace(r#"["QUJD", "REVG"]"#, "[]"), "bad-count: \"encrypted_validator_keys\" has 0 entries, expected 1 to 16384"),
        (GUIDANCE.replace("REVG", "REVG="), "wrong-type: \"encrypted_validator_keys\""),
        (GUIDANCE.replace(r#""REVG""#, "7"), "wrong-type: \"encrypted_validator_keys\""),
        (GUIDANCE.replace(r#""REVG""#, r#"{"ciphertext":"REVG"}"#), "wrong-type: \"encrypted_validator_keys\""),
        (GUIDANCE.replace(r#""QUJD", ["#, r#"{"ciphertext":"QUJD","pubkey":"00"}, ["#).replace("encrypted_tls_key", "encrypted_clients"), "missing-field: \"encrypted_tls_key\""),
        (GUIDANCE.replace("encrypted_validator_keys", "encrypted_keys"), "missing-field: \"encrypted_validator_keys\""),
        (r#"{"operation":"remove_keys","public_keys":["00"]}"#.into(), "wrong-type: \"public_keys\""),
        (format!(r#"{{"operation":"remove_keys","public_keys":["{a0}","0x{a0}"]}}"#), "duplicate-key: entry 1 of \"public_keys\""),
        (format!(r#"{{"operation":"add_keys","encrypted_validator_keys":[{{"ciphertext":"QUJD","pubkey":"{a0}"}},{{"ciphertext":"REVG","pubkey":"{a0}"}}]}}"#), "duplicate-key: entry 1 of"),
        (r#"{"operation":"configure","config":{"schema":1}}"#.into(), "wrong-type: \"config\" is not a deployment config"),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}\n{error}");
    }
    assert_eq!(
        Request::parse(b"{\"\xff\"}", Surface::Control),
        Err(MessageError::NotUtf8 { at: 2 })
    );
    let long = vec![b' '; MAX_REQUEST_BYTES + 1];
    assert_eq!(
        Request::parse(&long, Surface::Service),
        Err(MessageError::TooLarge)
    );
}

#[test]
fn what_is_wrong_in_a_config_is_named() {
    let Some(Request::Configure { config }) = samples().into_iter().find(|r| r.name() == "configure") else {
        panic!()
    };
    let mut value = serde_json::to_value(&*config).unwrap();
    value["stacks"] = json!([]);
    let error = parse(&json!({ "operation": "configure", "config": value }).to_string()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad-config: stacks has 0 entries, expected 1 to 16"
    );
}

#[test]
fn a_list_is_bounded_before_it_is_kept() {
    let message = |count: usize| {
        let keys: Vec<String> = (0..count).map(|n| format!("{n:096x}")).collect();
        json!({ "operation": "remove_keys", "public_keys": keys }).to_string()
    };
    assert_eq!(parse(&message(MAX_KEYS)).unwrap().name(), "remove_keys");
    let too_many = MessageError::Count {
        name: "public_keys",
        found: MAX_KEYS + 1,
    };
    assert_eq!(parse(&message(MAX_KEYS + 1)), Err(too_many.clone()));
    assert_eq!(parse(&message(MAX_KEYS + 500)), Err(too_many));
}

#[test]
fn nothing_shows_a_credential() {
    let secrets = ["AKIA", "wJalr", "FwoG"];
    for request in samples() {
        let shown = format!("{request:?}");
        assert!(!secrets.iter().any(|secret| shown.contains(secret)), "{shown}");
    }
    // A flip anywhere in the message: what the error says is no part of it either.
    for at in 0..GUIDANCE.len() {
        for with in [b'"', b'{', b'x', 0] {
            let mut bytes = GUIDANCE.as_bytes().to_vec();
            bytes[at] = with;
            if let Err(error) = Request::parse(&bytes, Surface::Service) {
                let shown = format!("{error} {error:?}");
                assert!(!secrets.iter().any(|secret| shown.contains(secret)), "{shown}");
            }
        }
    }
    for (long, found) in [
        ("é".repeat(1000), "(not a name)".to_owned()),
        ("x".repeat(1000), "x".repeat(64)),
    ] {
        let error = parse(&format!(r#"{{"operation":"{long}"}}"#)).unwrap_err();
        assert_eq!(error, MessageError::UnknownOperation { found });
    }
}

#[test]
fn cut_and_flipped_messages_are_refused_or_mean_something_else() {
    for request in samples() {
        let good = request.to_bytes();
        let surface = if request.allowed_on(Surface::Control) {
            Surface::Control
        } else {
            Surface::Service
        };
        for length in 0..good.len() {
            assert!(Request::parse(&good[..length], surface).is_err(), "{length}");
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.to_vec();
                bytes[at] ^= 1 << bit;
                // The case of a hexadecimal digit, and the x of 0x, are without a meaning.
                let case = bit == 5 && good[at].is_ascii_alphabetic();
                assert!(
                    case || Request::parse(&bytes, surface).as_ref() != Ok(&request),
                    "byte {at} bit {bit}"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_lead_to_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Request::parse(&bytes, Surface::Control).is_err());
    }
}
