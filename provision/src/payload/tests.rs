//! Plaintexts: what is read, what is refused at every length and with every bit flipped, and what is never read.

use std::time::{Duration, SystemTime};

use control::config::{ClientAuthentication, SlashingStore};
use control::text::{TableArn, TableId};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::json;

use super::clients::clients;
use super::key::key;
use super::store::{Credential, store};
use super::tls::tls;
use super::*;

/// The first key of the interop set of Ethereum's consensus specifications.
const SECRET: &str = "25295f0d1d592a90b333e26e85149708208e9f8e8bc18f6c77bd62f8ad7a6866";
const PUBLIC: &str =
    "0xa99a76ed7796f7be22d5b7e85deeb7c5677e88e511e0b337618f8c4eb61349b4bf2d153f649f7b53359fe8b94a38e44c";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(490_896)
}

#[test]
fn compact_keys() {
    for prefix in ["", "0x"] {
        let text = format!(r#"{{"secret_key":"{prefix}{SECRET}"}}"#);
        assert_eq!(key(text.as_bytes(), None).unwrap().0.to_string(), PUBLIC);
    }
    let text = format!(r#"{{"secret_key":"{SECRET}"}}"#);
    for length in 0..text.len() {
        assert_eq!(
            key(&text.as_bytes()[..length], None).unwrap_err(),
            ItemCode::Payload,
            "{length}"
        );
    }
    // Never the same key, whatever bit is flipped: another one, or none. Case of a digit does not count.
    for bit in 0..text.len() * 8 {
        let mut other = text.clone().into_bytes();
        other[bit / 8] ^= 1 << (bit % 8);
        if other.eq_ignore_ascii_case(text.as_bytes()) {
            continue;
        }
        let expected = PUBLIC.parse().unwrap();
        let refused = key(&other, Some(&expected)).unwrap_err();
        assert!(
            matches!(
                refused,
                ItemCode::Payload | ItemCode::PublicKeyMismatch | ItemCode::SecretKey
            ),
            "{bit}: {refused:?}"
        );
    }
}

#[test]
fn strict_json() {
    let good = format!(r#""secret_key":"{SECRET}""#);
    for bad in [
        format!("{{{good},{good}}}"),
        format!("{{{good},\"x\":1}}"),
        format!("{{{good}}}x"),
        format!("[{{{good}}}]"),
        format!("{{{good},\"keystore_b64\":\"AAAA\",\"password_b64\":\"AAAA\"}}"),
        // An escape would leave a copy in the parser.
        format!(r#"{{"secret_key":"\u0032{}"}}"#, &SECRET[1..]),
        format!("{{{good}{}}}", " ".repeat(MAX_BYTES)),
        r#"{"keystore_b64":"AAAA"}"#.to_owned(),
        r#"{"keystore_b64":"AAA","password_b64":"AAAA"}"#.to_owned(),
        r#"{"keystore_b64":"AA\n==","password_b64":"AAAA"}"#.to_owned(),
    ] {
        assert_eq!(
            key(bad.as_bytes(), None).unwrap_err(),
            ItemCode::Payload,
            "{bad:.120}"
        );
    }
    // Whatever stands in the place of the mnemonic is passed over, also what could not be decoded.
    for mnemonic in [r#""!!""#, "null", r#"{"a":[1,"\ud800"]}"#] {
        let text = format!(r#"{{"mnemonic_b64":{mnemonic},{good}}}"#);
        assert_eq!(
            key(text.as_bytes(), None).unwrap().0.to_string(),
            PUBLIC,
            "{mnemonic}"
        );
    }
}

fn authority(ca: bool) -> String {
    let mut params = CertificateParams::new(vec!["ca.example.org".to_owned()]).unwrap();
    if ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

#[test]
fn ways_of_clients() {
    use ClientAuthentication::{AnyClient, ClientCa, KnownClients, KnownClientsOrCa};
    let listed =
        json!({"version": 1, "known_clients": [{"name": "a", "sha256": "AB".repeat(32)}]}).to_string();
    let vouched = json!({"version": 1, "ca_pem": authority(true)}).to_string();
    let both = json!({"version": 1, "ca_pem": authority(true).repeat(2), "known_clients": [
        {"name": "b", "sha256": "ab".repeat(32)}, {"name": "a", "sha256": "cd".repeat(32)},
    ]})
    .to_string();
    for (text, good) in [
        (&listed, [true, false, false, false]),
        (&vouched, [false, true, true, false]),
        (&both, [false, false, true, false]),
    ] {
        for (way, good) in [KnownClients, ClientCa, KnownClientsOrCa, AnyClient]
            .into_iter()
            .zip(good)
        {
            let read = clients(text.as_bytes(), way, now());
            assert_eq!(read.is_ok(), good, "{way:?} {text:.60}");
            assert!(good || read == Err(ItemCode::Payload));
        }
    }
    let read = clients(both.as_bytes(), KnownClientsOrCa, now()).unwrap();
    assert_eq!((read.known.len(), read.authorities.len()), (2, 2));
    let leaf = json!({"version": 1, "ca_pem": authority(false)}).to_string();
    assert_eq!(
        clients(leaf.as_bytes(), ClientCa, now()),
        Err(ItemCode::Certificate)
    );
    let early = clients(vouched.as_bytes(), ClientCa, SystemTime::UNIX_EPOCH);
    assert_eq!(early, Err(ItemCode::CertificateDates));
    let large = json!({"version": 9_007_199_254_740_992_u64, "known_clients": [{"name": "a", "sha256": "ab".repeat(32)}]});
    assert_eq!(
        clients(large.to_string().as_bytes(), KnownClients, now()),
        Err(ItemCode::Payload)
    );
}

#[test]
fn credentials_of_stores() {
    let table = SlashingStore::Dynamodb {
        table_arn: "arn:aws:dynamodb:us-east-1:111122223333:table/abc"
            .parse::<TableArn>()
            .unwrap(),
        table_id: "12345678-0000-4000-8000-00000000000b".parse::<TableId>().unwrap(),
    };
    let database = SlashingStore::Postgresql {
        host: "db.example.org".parse().unwrap(),
        port: 5432,
        database: "d".parse().unwrap(),
    };
    let key = json!({"version": 4, "access_key_id": "AKIA", "secret_access_key": "s+/="}).to_string();
    let login = |password: &str| {
        let login = json!({"username": "u", "password": password, "ca_pem": authority(true)});
        json!({"version": 4, "postgresql": login}).to_string()
    };
    let read = store(key.as_bytes(), &table).unwrap();
    assert_eq!(read.version, 4);
    let Credential::Dynamodb(file) = read.credential else {
        panic!()
    };
    assert_eq!(*file, br#"{"access_key_id":"AKIA","secret_access_key":"s+/="}"#);
    let Credential::Postgresql(read) = store(login("p\u{e4}\"").as_bytes(), &database)
        .unwrap()
        .credential
    else {
        panic!()
    };
    assert_eq!(
        (read.username.as_str(), read.password.as_str()),
        ("u", "p\u{e4}\"")
    );
    for (text, of) in [
        (&key, &database),
        (&key, &SlashingStore::Memory {}),
        (&login("p"), &table),
        (&login(""), &database),
        (&login("a\nb"), &database),
        (&key.replace("AKIA", "A A"), &table),
        (&key.replace("\"version\":4", "\"version\":-1"), &table),
    ] {
        assert_eq!(
            store(text.as_bytes(), of).unwrap_err(),
            ItemCode::Payload,
            "{text:.80}"
        );
    }
    for length in 0..key.len() {
        store(&key.as_bytes()[..length], &table).unwrap_err();
    }
    let text = login("p").replace("BEGIN", "BEGAN");
    assert_eq!(
        store(text.as_bytes(), &database).unwrap_err(),
        ItemCode::Certificate
    );
}

#[test]
fn what_is_no_key_store() {
    for (file, password, code) in [
        ("AAAA", "cGFzcw==", ItemCode::Certificate),
        ("", "cGFzcw==", ItemCode::Certificate),
        ("AAAA", "/w==", ItemCode::Payload),
        ("A", "cGFzcw==", ItemCode::Payload),
    ] {
        let text = json!({"tls_keystore_b64": file, "tls_password_b64": password}).to_string();
        assert_eq!(tls(text.as_bytes(), now()).unwrap_err(), code, "{text}");
    }
}

#[test]
fn nothing_secret_is_shown() {
    let (_, secret) = key(format!(r#"{{"secret_key":"{SECRET}"}}"#).as_bytes(), None).unwrap();
    assert_eq!(format!("{secret:?}"), "SecretKey(..)");
    let table = SlashingStore::Dynamodb {
        table_arn: "arn:aws:dynamodb:us-east-1:111122223333:table/abc"
            .parse::<TableArn>()
            .unwrap(),
        table_id: "12345678-0000-4000-8000-00000000000b".parse::<TableId>().unwrap(),
    };
    let text = json!({"version": 4, "access_key_id": "AKIA", "secret_access_key": "planted"}).to_string();
    let read = store(text.as_bytes(), &table).unwrap();
    assert_eq!(
        format!("{read:?} {:?}", read.credential),
        "Versioned(4, ..) Credential(..)"
    );
}
