//! What is refused, and as what: each rule of the two steps, on requests that are good but for one thing.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests do not count as tests"
)]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use web3signer_rs::consensus::request::MAX_REQUEST_LEN;
use web3signer_rs::consensus::{BadRequest, CannotSign, Fork, Kind, Network, Resolved, SignRequest};

const SIGN: [&str; 3] = [
    include_str!("data/sign/openapi_examples.json"),
    include_str!("data/sign/computed_mainnet.json"),
    include_str!("data/sign/gloas_preview.json"),
];

/// One good request of every type, and of every form that a type can have.
fn good() -> Vec<(String, Network, Value)> {
    let mut found = BTreeMap::new();
    for file in SIGN {
        let file: Value = serde_json::from_str(file).unwrap();
        for case in file["cases"].as_array().unwrap() {
            let overrides: BTreeMap<String, u64> =
                serde_json::from_value(case["fork_epoch_overrides"].clone()).unwrap();
            let epochs = overrides
                .into_iter()
                .map(|(fork, epoch)| (Fork::from_name(&fork).unwrap(), epoch));
            let network = Network::from_option(case["network"].as_str().unwrap()).unwrap();
            let request = &case["request"];
            let form = [
                request["type"].as_str().unwrap(),
                if request["beacon_block"]["block"].is_object() {
                    "whole"
                } else {
                    ""
                },
                request["beacon_block"]["version"]
                    .as_str()
                    .filter(|version| *version == "ALTAIR")
                    .unwrap_or_default(),
                if request["aggregate_and_proof"]["data"].is_object() {
                    "wrapped"
                } else {
                    ""
                },
                if request.to_string().contains("\"committee_bits\"") {
                    "with committees"
                } else {
                    ""
                },
            ]
            .join(" ");
            let form = form.split_whitespace().collect::<Vec<_>>().join(" ");
            found.insert(form, (network.with_fork_epochs(epochs).unwrap(), request.clone()));
        }
    }
    found
        .into_iter()
        .map(|(form, (network, request))| (form, network, request))
        .collect()
}

fn one(form: &str) -> (Network, Value) {
    let (_, network, request) = good().into_iter().find(|(name, _, _)| name == form).unwrap();
    (network, request)
}

#[derive(Debug)]
enum Refusal {
    Bad(BadRequest),
    #[expect(dead_code, reason = "shown when a test fails")]
    Cannot(CannotSign),
}

fn sign(body: &[u8], network: &Network) -> Result<Resolved, Refusal> {
    SignRequest::parse(body)
        .map_err(Refusal::Bad)?
        .resolve(network)
        .map_err(Refusal::Cannot)
}

#[track_caller]
fn assert_bad(request: &Value, network: &Network, why: &str) {
    let result = sign(request.to_string().as_bytes(), network);
    assert!(matches!(result, Err(Refusal::Bad(_))), "{why}: {result:?}");
}

#[track_caller]
fn assert_cannot(request: &Value, network: &Network, why: &str) {
    let result = sign(request.to_string().as_bytes(), network);
    assert!(matches!(result, Err(Refusal::Cannot(_))), "{why}: {result:?}");
}

/// JSON pointers of everything inside a value, leaves and branches; of an array, its first item stands for all.
fn pointers(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items
            .iter()
            .take(1)
            .enumerate()
            .map(|(at, value)| (at.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    let below = |(key, value): (String, &Value)| {
        let inner = pointers(value)
            .into_iter()
            .map(|pointer| format!("/{key}{pointer}"))
            .collect::<Vec<_>>();
        [vec![format!("/{key}")], inner].concat()
    };
    children.into_iter().flat_map(below).collect()
}

fn without(request: &Value, pointer: &str) -> Value {
    let mut request = request.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    request
        .pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(key)
        .unwrap();
    request
}

fn with(request: &Value, pointer: &str, value: Value) -> Value {
    let mut request = request.clone();
    *request.pointer_mut(pointer).unwrap() = value;
    request
}

/// Members whose absence the text itself betrays.
fn is_required(pointer: &str) -> bool {
    let parts: Vec<_> = pointer.split('/').skip(1).collect();
    let all_of_it = [
        "randao_reveal",
        "aggregation_slot",
        "deposit",
        "sync_aggregator_selection_data",
        "validator_registration",
        "beacon_block",
    ];
    match parts.as_slice() {
        ["type"] => true,
        ["fork_info", member] => ["fork", "genesis_validators_root"].contains(member),
        [object, _] => all_of_it.contains(object),
        _ => false,
    }
}

/// `version` beside `data` decides nothing, so its absence changes nothing.
fn is_decoration(pointer: &str) -> bool {
    pointer.ends_with("/version") && !pointer.starts_with("/beacon_block")
}

#[test]
fn every_type_and_form_is_among_the_good_requests() {
    let good = good();
    for kind in Kind::all() {
        assert!(
            good.iter()
                .any(|(form, _, _)| form.split(' ').next() == Some(kind.name())),
            "{kind}"
        );
    }
    for form in [
        "BLOCK_V2 whole ALTAIR",
        "BLOCK_V2 whole",
        "BLOCK_V2",
        "AGGREGATE_AND_PROOF_V2 wrapped with committees",
    ] {
        assert!(good.iter().any(|(name, _, _)| name == form), "{form}");
    }
    for (form, network, request) in good {
        sign(request.to_string().as_bytes(), &network)
            .unwrap_or_else(|refusal| panic!("{form}: {refusal:?}"));
    }
}

#[test]
fn no_member_can_be_left_out_or_null() {
    for (form, network, request) in good() {
        for pointer in pointers(&request) {
            let why = format!("{form}: {pointer}");
            let in_list = pointer.rsplit('/').next().unwrap().parse::<usize>().is_ok();
            if is_decoration(&pointer) {
                sign(without(&request, &pointer).to_string().as_bytes(), &network).unwrap();
                continue;
            }
            if !in_list {
                let absent = without(&request, &pointer);
                if is_required(&pointer) {
                    assert_bad(&absent, &network, &why);
                } else {
                    assert_cannot(&absent, &network, &why);
                }
            }
            let null = with(&request, &pointer, Value::Null);
            if pointer == "/type" || is_required(&pointer) && pointer.starts_with("/beacon_block") {
                assert_bad(&null, &network, &why);
            } else {
                assert_cannot(&null, &network, &why);
            }
        }
    }
}

#[test]
fn no_member_may_be_malformed() {
    for (form, network, request) in good() {
        for pointer in pointers(&request) {
            let value = request.pointer(&pointer).unwrap();
            let mut wrong = vec![
                json!(true),
                json!(-1),
                json!(1.5),
                json!("no such"),
                json!("0xzz"),
            ];
            match value {
                Value::Object(_) => wrong.extend([json!([]), json!("0x00"), json!(1)]),
                Value::Array(_) => wrong.extend([json!({}), json!("0x00"), json!(1)]),
                Value::Bool(_) => wrong = vec![json!("true"), json!(1), json!([]), json!({})],
                Value::String(text) if text.starts_with("0x") => {
                    wrong.extend([
                        json!(format!("{text}0")),
                        json!(&text[..text.len() - 1]),
                        json!([]),
                        json!({}),
                    ]);
                    let is_bit_field = pointer.ends_with("_bits");
                    if !is_bit_field {
                        wrong.extend([
                            json!(format!("{text}00")),
                            json!(&text[..text.len() - 2]),
                            json!("0x"),
                            json!(""),
                        ]);
                    }
                }
                _ => wrong.extend([
                    json!(""),
                    json!("18446744073709551616"),
                    json!("1 "),
                    json!([]),
                    json!({}),
                ]),
            }
            for wrong in wrong {
                assert_bad(
                    &with(&request, &pointer, wrong.clone()),
                    &network,
                    &format!("{form}: {pointer} {wrong}"),
                );
            }
        }
    }
}

#[test]
fn a_malformed_member_of_another_type_is_refused_too() {
    let (network, request) = one("ATTESTATION");
    for (member, wrong) in [
        ("block", json!({"slot": "x"})),
        ("beacon_block", json!({"version": "FULU"})),
        ("aggregate_and_proof", json!({"selection_proof": "0x00"})),
        ("randao_reveal", json!({})),
        ("validator_registration", json!([])),
        ("contribution_and_proof", json!({"contribution": {"slot": true}})),
    ] {
        let mut request = request.clone();
        request[member] = Value::Null;
        sign(request.to_string().as_bytes(), &network).unwrap();
        request[member] = wrong;
        assert_bad(&request, &network, member);
    }
}

#[test]
fn what_is_not_one_json_object_is_refused() {
    let (network, request) = one("ATTESTATION");
    let body = request.to_string();
    for text in [
        "",
        " ",
        "{",
        "{}",
        "[]",
        "null",
        "1",
        "\"x\"",
        "not json",
        "{'type':'BLOCK'}",
        "\u{feff}{}",
        "{\"type\":}",
    ] {
        assert!(
            matches!(
                sign(text.as_bytes(), &network),
                Err(Refusal::Bad(BadRequest::Json { .. }))
            ),
            "{text:?}"
        );
    }
    sign(format!(" \n{body}\t\r\n").as_bytes(), &network).unwrap();
    for trailing in ["x", "{}", ",", "\0"] {
        assert!(
            sign(format!("{body}{trailing}").as_bytes(), &network).is_err(),
            "{trailing:?}"
        );
    }
    let mut not_utf8 = body.clone().into_bytes();
    not_utf8.splice(1..1, *b"\"a\":\"\xff\xfe\",");
    assert!(SignRequest::parse(&not_utf8).is_err() || sign(&not_utf8, &network).is_ok());
    let mut not_utf8 = one("BLOCK_V2").1.to_string().into_bytes();
    let at = not_utf8
        .windows(9)
        .position(|window| window == b"\"version\"")
        .unwrap();
    not_utf8.splice(at..at, *b"\"a\":\"\xff\xfe\",");
    SignRequest::parse(&not_utf8).unwrap_err();
}

#[test]
fn a_request_cut_anywhere_is_refused() {
    for (form, network, request) in good() {
        let body = request.to_string();
        let step = if body.len() > 4096 { 211 } else { 1 };
        for length in (0..body.len()).step_by(step) {
            assert!(
                matches!(sign(&body.as_bytes()[..length], &network), Err(Refusal::Bad(_))),
                "{form} cut at {length}"
            );
        }
    }
}

#[test]
fn no_flipped_bit_changes_what_a_given_root_stands_for() {
    for (form, network, mut request) in good() {
        let root = sign(request.to_string().as_bytes(), &network)
            .unwrap()
            .signing_root;
        request["signingRoot"] = format!("0x{}", hex::encode(root)).into();
        let mut body = request.to_string().into_bytes();
        let step = if body.len() > 4096 { 503 } else { 1 };
        let mut refused = 0_usize;
        for at in (0..body.len()).step_by(step) {
            for bit in 0..8 {
                body[at] ^= 1 << bit;
                match sign(&body, &network) {
                    // The case of a digit, or the name of the given root itself.
                    Ok(resolved) => assert_eq!(resolved.signing_root, root, "{form}: byte {at} bit {bit}"),
                    Err(_) => refused += 1,
                }
                body[at] ^= 1 << bit;
            }
        }
        assert!(refused > 0, "{form}");
    }
}

#[test]
fn a_member_that_stands_twice_is_refused() {
    let (network, request) = one("ATTESTATION");
    let body = request.to_string();
    for (from, to) in [
        (r#""slot":"#, r#""slot":"1","slot":"#),
        (r#""type":"#, r#""type":"ATTESTATION","type":"#),
        (r#""epoch":"#, r#""epoch":"1","epoch":"#),
        (r#""attestation":"#, r#""attestation":null,"attestation":"#),
        (r#""type":"#, r#""signingRoot":null,"signingRoot":null,"type":"#),
    ] {
        let doubled = body.replacen(from, to, 1);
        assert_ne!(doubled, body);
        assert!(
            matches!(sign(doubled.as_bytes(), &network), Err(Refusal::Bad(_))),
            "{doubled}"
        );
    }
    let (network, request) = one("BLOCK_V2");
    for member in ["version", "block_header", "slot"] {
        let doubled = request.to_string().replacen(
            &format!("\"{member}\":"),
            &format!("\"{member}\":\"1\",\"{member}\":"),
            1,
        );
        assert!(
            matches!(sign(doubled.as_bytes(), &network), Err(Refusal::Bad(_))),
            "{doubled}"
        );
    }
    // Unknown members are passed over, however often they stand.
    let (network, request) = one("RANDAO_REVEAL");
    let body = request.to_string();
    let root = sign(body.as_bytes(), &network).unwrap();
    for extra in [
        r#"{"x":1,"x":{"type":"BLOCK"},"#,
        r#"{"Type":"BLOCK","block2":[],"#,
    ] {
        assert_eq!(
            sign(body.replacen('{', extra, 1).as_bytes(), &network).unwrap(),
            root
        );
    }
}

#[test]
fn size_and_depth_are_bounded() {
    let (network, request) = one("ATTESTATION");
    let body = request.to_string();
    let long = format!("{body}{}", " ".repeat(MAX_REQUEST_LEN + 1 - body.len()));
    assert!(matches!(
        sign(long.as_bytes(), &network),
        Err(Refusal::Bad(BadRequest::TooLong { length, limit: MAX_REQUEST_LEN })) if length == MAX_REQUEST_LEN + 1
    ));
    sign(&long.as_bytes()[..MAX_REQUEST_LEN], &network).unwrap();
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    // Where nothing is read the text is only passed over; where something is, its form is wrong at the first bracket.
    sign(
        body.replacen('{', &format!("{{\"x\":{deep},"), 1).as_bytes(),
        &network,
    )
    .unwrap();
    for member in [
        "attestation",
        "fork_info",
        "block",
        "beacon_block",
        "signing_root",
        "aggregate_and_proof",
    ] {
        let nested = format!("{{\"type\":\"ATTESTATION\",\"{member}\":{deep}}}");
        assert!(
            matches!(sign(nested.as_bytes(), &network), Err(Refusal::Bad(_))),
            "{member}"
        );
    }
    let objects = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let nested = format!("{{\"type\":\"BLOCK_V2\",\"beacon_block\":{objects}}}");
    assert!(matches!(
        sign(nested.as_bytes(), &network),
        Err(Refusal::Bad(BadRequest::Block { .. }))
    ));
}
