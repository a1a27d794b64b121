//! Each fault has its code, and leaves nothing behind.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::answer::{ItemCode, codes};
use control::artefact::Kind;
use control::provision::{Binding, Job, Outcome, Sealed, Work};
use e2e::service::artefacts::{Certificate, SERVER, corrupted};
use keystore::{Kdf, Keystore, Password, Randomness};
use serde_json::{Value, json};
use simulator::kms::fault::{Fault, Kind as Wrong};
use simulator::kms::operation::Operation;

use crate::world::{
    self, MNEMONIC, PASSWORD, TLS_PASSWORD, World, compact, credential, pkcs12, public, secret,
};

const KEY: Kind = Kind::ValidatorKey;

/// `init` with these artefacts beside five good keys and the usual others.
fn refused(world: &World, artefacts: Vec<Sealed>) -> Vec<(Kind, u64, ItemCode)> {
    let (code, items) = world.refused(world.init(artefacts));
    assert_eq!(code, codes::ITEMS_FAILED);
    assert_eq!(world.files(), []);
    items
}

fn with_key(world: &World, key: Sealed) -> Vec<Sealed> {
    let mut artefacts = world.artefacts(5);
    artefacts.push(Sealed { index: 5, ..key });
    artefacts
}

#[test]
fn ciphertexts() {
    let world = World::new();
    let mut corrupt = world.compact(5, 5);
    corrupt.ciphertext = corrupted(corrupt.ciphertext.as_str()).parse().unwrap();
    assert_eq!(
        refused(&world, with_key(&world, corrupt)),
        [(KEY, 5, ItemCode::KmsCiphertext)]
    );

    let mut swapped = world.artefacts(5);
    let (left, right) = (swapped[2].ciphertext.clone(), swapped[4].ciphertext.clone());
    (swapped[2].ciphertext, swapped[4].ciphertext) = (right, left);
    let expected = [
        (KEY, 0, ItemCode::KmsCiphertext),
        (KEY, 2, ItemCode::KmsCiphertext),
    ];
    assert_eq!(refused(&world, swapped), expected);

    let other = world.sealed_key(5, &public(5), &compact(5), &world.other_key);
    assert_eq!(
        refused(&world, with_key(&world, other)),
        [(KEY, 5, ItemCode::KmsKey)]
    );

    let mut kinds = world.artefacts(1);
    let (tls, clients) = (kinds[0].ciphertext.clone(), kinds[1].ciphertext.clone());
    (kinds[0].ciphertext, kinds[1].ciphertext) = (clients, tls);
    let expected = [
        (Kind::TlsKey, 0, ItemCode::KmsCiphertext),
        (Kind::Clients, 0, ItemCode::KmsCiphertext),
    ];
    assert_eq!(refused(&world, kinds), expected);
}

#[test]
fn kms() {
    let mut world = World::new();
    let artefacts = world.artefacts(20);
    let expired = Work::Init {
        credential: credential("ASIAOLD"),
        artefacts: artefacts.clone(),
    };
    let (code, items) = world.refused(expired);
    assert_eq!(
        (code.as_str(), items.as_slice()),
        (
            codes::ITEMS_FAILED,
            &[(Kind::TlsKey, 0, ItemCode::KmsCredentials)][..]
        )
    );
    assert_eq!(
        world.kms().counts().answers_of("ExpiredTokenException"),
        1,
        "the rest would fail in the same way"
    );
    for (kind, code) in [
        (Wrong::WrongKeyId, ItemCode::KmsKey),
        (Wrong::AnotherRecipient, ItemCode::KmsFailed),
        (Wrong::Throttle, ItemCode::KmsThrottled),
        (Wrong::Reset, ItemCode::KmsUnreachable),
    ] {
        world.kms().add_fault(Fault {
            operation: Some(Operation::Decrypt),
            kind,
            skip: 1,
            count: 5,
        });
        let items = refused(&world, artefacts.clone());
        assert_eq!(items[0], (Kind::Clients, 0, code), "{kind:?}");
        world.kms().clear_faults();
    }
    let init = world.init(artefacts);
    drop(world.kms.take());
    assert_eq!(
        world.refused(init).1,
        [(Kind::TlsKey, 0, ItemCode::KmsUnreachable)]
    );
    assert_eq!(world.files(), []);
}

#[test]
fn another_ca_is_not_the_endpoint() {
    let mut world = World::new();
    let artefacts = world.artefacts(1);
    let stranger = Certificate::new("kms.us-east-1.amazonaws.com");
    world.policy.trust.kms_ca = vec![STANDARD.encode(stranger.der).parse().unwrap()];
    assert_eq!(
        refused(&world, artefacts),
        [(Kind::TlsKey, 0, ItemCode::KmsUnreachable)]
    );
}

#[test]
fn keys() {
    let world = World::new();
    let one = |key: &str| {
        refused(
            &world,
            with_key(&world, world.sealed_key(5, &public(5), key, &world.key)),
        )
    };
    let code = |items: Vec<(Kind, u64, ItemCode)>| {
        assert_eq!(items.len(), 1, "{items:?}");
        items[0].2
    };
    assert_eq!(code(one(&compact(6))), ItemCode::PublicKeyMismatch);
    assert_eq!(
        code(one(&format!(r#"{{"secret_key":"{}"}}"#, "00".repeat(32)))),
        ItemCode::SecretKey
    );
    assert_eq!(
        code(one(&format!(r#"{{"secret_key":"{}"}}"#, "ff".repeat(32)))),
        ItemCode::SecretKey
    );
    for bad in [
        "",
        "{}",
        "[]",
        r#"{"secret_key":1}"#,
        r#"{"secret_key":"00"}"#,
        &compact(5).replace('}', r#","x":1}"#),
    ] {
        // KMS encrypts at least one byte.
        let bad = if bad.is_empty() { " " } else { bad };
        assert_eq!(code(one(bad)), ItemCode::Payload, "{bad}");
    }
    let twice = vec![world.compact(5, 3)];
    let mut artefacts = world.artefacts(5);
    artefacts.extend(twice);
    assert_eq!(refused(&world, artefacts), [(KEY, 5, ItemCode::Duplicate)]);
}

/// As the published guidance has it.
pub(crate) fn keystore(n: u32, password: &str) -> Value {
    let random = Randomness {
        salt: [1; 32],
        iv: [2; 16],
        uuid: [3; 16],
    };
    let made = Keystore::encrypt(
        &secret(n),
        &Password::new(PASSWORD).unwrap(),
        Kdf::Pbkdf2 { c: 1000 },
        &random,
        keystore::Description::default(),
    );
    json!({
        "keystore_b64": STANDARD.encode(made.unwrap().to_json()),
        "password_b64": STANDARD.encode(password),
        "mnemonic_b64": STANDARD.encode(MNEMONIC),
    })
}

#[test]
fn keystores() {
    let world = World::new();
    let mut damaged = keystore(5, PASSWORD);
    let json = STANDARD
        .decode(damaged["keystore_b64"].as_str().unwrap())
        .unwrap();
    let json = String::from_utf8(json)
        .unwrap()
        .replace("\"message\": \"", "\"message\": \"0");
    damaged["keystore_b64"] = STANDARD.encode(json).into();
    let mut unread = keystore(5, PASSWORD);
    unread["mnemonic_b64"] = "not base64 at all !".into();
    for (payload, code) in [
        (keystore(5, "another"), ItemCode::Keystore),
        (damaged, ItemCode::Keystore),
        (keystore(6, PASSWORD), ItemCode::PublicKeyMismatch),
        (json!({"keystore_b64": "AAAA"}), ItemCode::Payload),
        (
            json!({"keystore_b64": "A", "password_b64": "AAAA"}),
            ItemCode::Payload,
        ),
    ] {
        let key = world.sealed_key(5, &public(5), &payload.to_string(), &world.key);
        assert_eq!(refused(&world, with_key(&world, key)), [(KEY, 5, code)]);
    }
    for good in [keystore(5, PASSWORD), unread] {
        let key = world.sealed_key(5, &public(5), &good.to_string(), &world.key);
        assert_eq!(world.done(world.init(with_key(&world, key))).public_keys.len(), 6);
    }
    assert!(
        world
            .files()
            .iter()
            .all(|(_, bytes)| !String::from_utf8_lossy(bytes).contains(MNEMONIC))
    );
}

/// A certificate that is valid in these years.
fn dated(from: i32, to: i32) -> Certificate {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![SERVER.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(to, 1, 1);
    let made = params.self_signed(&key).unwrap();
    Certificate {
        name: SERVER.to_owned(),
        pem: made.pem(),
        der: made.der().to_vec(),
        key_pem: key.serialize_pem(),
        key_der: key.serialize_der(),
    }
}

#[test]
fn certificates() {
    let world = World::new();
    let tls = |payload: &Value| {
        let mut artefacts = world.artefacts(1);
        artefacts[0] = world.sealed(Kind::TlsKey, &payload.to_string());
        artefacts
    };
    let code = |payload: &Value| match refused(&world, tls(payload)).as_slice() {
        [(Kind::TlsKey, 0, code)] => *code,
        other => panic!("{other:?}"),
    };
    let other = Certificate::new(SERVER);
    let mut misfit = world::tls_payload(&world.server);
    let both = std::panic::catch_unwind(|| pkcs12(&other.key_pem, &world.server.pem));
    // openssl itself refuses a key that does not fit; where it does not, we do.
    if let Ok(both) = both {
        misfit["tls_keystore_b64"] = STANDARD.encode(both).into();
        assert_eq!(code(&misfit), ItemCode::Certificate);
    }
    let mut cut = world::tls_payload(&world.server);
    let file = STANDARD
        .decode(cut["tls_keystore_b64"].as_str().unwrap())
        .unwrap();
    cut["tls_keystore_b64"] = STANDARD.encode(&file[..file.len() / 2]).into();
    assert_eq!(code(&cut), ItemCode::Certificate);
    let mut password = world::tls_payload(&world.server);
    password["tls_password_b64"] = STANDARD.encode("another").into();
    assert_eq!(code(&password), ItemCode::Certificate);
    let mut lines = world::tls_payload(&world.server);
    lines["tls_password_b64"] = STANDARD.encode(format!("{TLS_PASSWORD}\nmore")).into();
    assert_eq!(code(&lines), ItemCode::Payload);
    assert_eq!(
        code(&world::tls_payload(&dated(2020, 2025))),
        ItemCode::CertificateDates
    );
    assert_eq!(
        code(&world::tls_payload(&dated(2027, 2030))),
        ItemCode::CertificateDates
    );
    // A line end after the password is nobody's intention.
    let mut end = world::tls_payload(&dated(2020, 2030));
    end["tls_password_b64"] = STANDARD.encode(format!("{TLS_PASSWORD}\n")).into();
    let state = world.done(world.init(tls(&end)));
    // 2030-01-01T00:00:00Z
    assert_eq!(state.tls.not_after_unix_s, 1_893_456_000);
    assert_eq!(world.file("tls.password"), TLS_PASSWORD);
}

#[test]
fn clients() {
    let world = World::new();
    let code = |payload: Value| {
        let mut artefacts = world.artefacts(1);
        artefacts[1] = world.sealed(Kind::Clients, &payload.to_string());
        match refused(&world, artefacts).as_slice() {
            [(Kind::Clients, 0, code)] => *code,
            other => panic!("{other:?}"),
        }
    };
    let client = |name: &str| json!({"name": name, "sha256": "ab".repeat(32)});
    assert_eq!(
        code(json!({"version": 1, "known_clients": [client("a")]})),
        ItemCode::Version
    );
    assert_eq!(
        code(json!({"version": 2, "known_clients": [client("a"), client("a")]})),
        ItemCode::Duplicate
    );
    assert_eq!(
        code(json!({"version": 2, "known_clients": []})),
        ItemCode::Payload
    );
    assert_eq!(
        code(json!({"version": 2, "ca_pem": world.ca_pem()})),
        ItemCode::Payload
    );
    assert_eq!(code(json!({"known_clients": [client("a")]})), ItemCode::Payload);
    for name in ["", "a b", "#a", "a\nb", "nitro-web3signer-health"] {
        assert_eq!(
            code(json!({"version": 2, "known_clients": [client(name)]})),
            ItemCode::Payload,
            "{name:?}"
        );
    }
}

#[test]
fn client_authorities() {
    let world = World::with(&json!({"client_authentication": "client-ca"}), &json!({}));
    let list = |payload: Value| {
        let mut artefacts = world.artefacts(1);
        artefacts[1] = world.sealed(Kind::Clients, &payload.to_string());
        artefacts
    };
    let code = |payload: Value| refused(&world, list(payload))[0].2;
    assert_eq!(
        code(json!({"version": 2, "ca_pem": "text"})),
        ItemCode::Certificate
    );
    assert_eq!(
        code(json!({"version": 2, "ca_pem": world.server.pem})),
        ItemCode::Certificate
    );
    world.done(world.init(list(json!({"version": 2, "ca_pem": world.ca_pem()}))));
    assert!(world.file("config.yaml").contains("tls-client-ca-file"));
    assert_eq!(world.file("known-clients").lines().count(), 1, "the agent's own");
}

#[test]
fn what_the_image_does_not_allow() {
    let world = World::with(&json!({}), &json!({"memory_slashing": false}));
    assert_eq!(
        world.refused(world.init(world.artefacts(1))).0,
        codes::NOT_ALLOWED
    );
    let mut world = World::new();
    let mut legacy = world.artefacts(1);
    legacy[2].binding = Binding::None {};
    assert_eq!(refused(&world, legacy), [(KEY, 0, ItemCode::LegacyRefused)]);
    let mut stack = world.artefacts(1);
    stack[0].binding = Binding::Bound {
        stack: "11111111-2222-4333-8444-555555555555".parse().unwrap(),
        pubkey: None,
    };
    assert_eq!(
        refused(&world, stack),
        [(Kind::TlsKey, 0, ItemCode::UnknownStack)]
    );
    assert_eq!(world.kms().counts().calls_of(Operation::Decrypt), 0);
    for missing in 0..3 {
        let mut artefacts = world.artefacts(1);
        artefacts.remove(missing);
        assert_eq!(world.refused(world.init(artefacts)).0, codes::ARTEFACT_MISSING);
    }
    world.policy.deployment = Some(Box::new(world::config(
        &world.key,
        &json!({"network": "mainnet"}),
    )));
    assert_eq!(
        world.refused(world.init(world.artefacts(1))).0,
        codes::NOT_ALLOWED
    );
}

#[test]
fn legacy_artefacts_where_the_image_takes_them() {
    let world = World::with(&json!({}), &json!({"legacy_no_context": true}));
    let mut artefacts = world.artefacts(0);
    for n in 0..3 {
        let ciphertext = world.encrypt(
            &world.key,
            &keystore(n, PASSWORD).to_string(),
            &std::collections::BTreeMap::new(),
        );
        artefacts.push(Sealed {
            kind: KEY,
            index: n.into(),
            ciphertext: ciphertext.parse().unwrap(),
            binding: Binding::None {},
        });
    }
    assert_eq!(world.done(world.init(artefacts.clone())).public_keys.len(), 3);
    artefacts.push(Sealed {
        index: 3,
        ..artefacts[3].clone()
    });
    let Outcome::Refused { refusal } = world.run(world.init(artefacts)) else {
        panic!()
    };
    assert_eq!(
        (refusal.items[0].code, refusal.items[0].pubkey.clone()),
        (ItemCode::Duplicate, Some(public(1)))
    );
}

#[test]
fn the_config_is_the_measured_one() {
    let mut world = World::new();
    world.module.locked = false;
    assert_eq!(
        world.refused(world.init(world.artefacts(1))).0,
        codes::CONFIG_CONFLICT
    );
    world.module.locked = true;
    world.config = world::config(&world.key, &json!({"network": "mainnet"}));
    assert_eq!(
        world.refused(world.init(world.artefacts(1))).0,
        codes::CONFIG_CONFLICT
    );
    assert_eq!(
        *world.module.documents.lock().unwrap(),
        0,
        "KMS is not asked before"
    );
    let job = Job {
        config: None,
        work: world.init(world.artefacts(1)),
    };
    assert!(
        matches!(world.run_job(job), Outcome::Refused { refusal } if refusal.code() == codes::NOT_CONFIGURED)
    );
}
