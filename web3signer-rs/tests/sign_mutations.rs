//! Damaged requests: whatever comes, the reader answers, and a given root is never outvoted.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests do not count as tests"
)]

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;
use web3signer_rs::consensus::{Network, SignRequest};

/// Requests of all types with their signing roots given, and the network that they are for.
static SEEDS: LazyLock<Vec<(String, Network, [u8; 32])>> = LazyLock::new(|| {
    let file: Value = serde_json::from_str(include_str!("data/sign/computed_mainnet.json")).unwrap();
    let seed = |case: &Value| {
        let network = Network::from_option(case["network"].as_str().unwrap()).unwrap();
        let mut request = case["request"].clone();
        request["signingRoot"] = case["expected"]["signing_root"].clone();
        let body = request.to_string();
        let root = SignRequest::parse(body.as_bytes())
            .unwrap()
            .resolve(&network)
            .unwrap()
            .signing_root;
        (body, network, root)
    };
    file["cases"].as_array().unwrap().iter().map(seed).collect()
});

/// Pieces that mean something to the reader.
const PIECES: [&str; 22] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "0x",
    "null",
    "0",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "1e999",
    "\\u0000",
    "\"type\":\"BLOCK\",",
    "\"version\":\"FULU\",",
    "\"data\":{",
    "\"signing_root\":null,",
    "\"block\":{},",
    "\"slot\":\"0\",",
    "\"x\":",
];

#[derive(Debug, Clone)]
enum Damage {
    Replace(Index, u8),
    Remove(Index, usize),
    Insert(Index, Index),
    Copy(Index, Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (any::<Index>(), 1..80_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        (any::<Index>(), any::<Index>()).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        (any::<Index>(), any::<Index>(), 1..80_usize)
            .prop_map(|(from, to, length)| Damage::Copy(from, to, length)),
    ]
}

fn apply(body: &mut Vec<u8>, damage: &Damage) {
    if body.is_empty() {
        return;
    }
    let length = body.len();
    match damage {
        Damage::Replace(at, byte) => body[at.index(length)] = *byte,
        Damage::Remove(at, count) => {
            let at = at.index(length);
            body.drain(at..length.min(at + count));
        }
        Damage::Insert(at, piece) => {
            let at = at.index(length);
            body.splice(at..at, PIECES[piece.index(PIECES.len())].bytes());
        }
        Damage::Copy(from, to, count) => {
            let (from, to) = (from.index(length), to.index(length));
            let piece = body[from..length.min(from + count)].to_vec();
            body.splice(to..to, piece);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_request_is_refused_or_means_the_same(
        seed in any::<Index>(),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let (body, network, root) = &SEEDS[seed.index(SEEDS.len())];
        let mut body = body.clone().into_bytes();
        for damage in &damages {
            apply(&mut body, damage);
        }
        let first = SignRequest::parse(&body).map(|request| request.resolve(network));
        if let Ok(Ok(resolved)) = &first {
            // Unless the damage hit the given root's own name, the root is still compared.
            if body.windows(12).any(|window| window == b"\"signingRoot") {
                let text = String::from_utf8_lossy(&body);
                let parsed: Value = serde_json::from_str(&text).unwrap();
                if let Some(given) = parsed.get("signingRoot").and_then(Value::as_str) {
                    let given = given.strip_prefix("0x").unwrap_or(given).to_lowercase();
                    prop_assert_eq!(given, hex::encode(resolved.signing_root));
                    prop_assert_eq!(&resolved.signing_root, root);
                }
            }
        }
        // The same bytes have the same answer.
        let second = SignRequest::parse(&body).map(|request| request.resolve(network));
        prop_assert_eq!(first.map_err(|error| error.to_string()).ok(), second.map_err(|error| error.to_string()).ok());
    }

    #[test]
    fn any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(SignRequest::parse(&bytes).is_err());
    }
}
