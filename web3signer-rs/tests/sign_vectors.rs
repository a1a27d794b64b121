//! Every case of `tests/data/sign` (published and computed elsewhere) and of `tests/data/edge` (edges of sizes and
//! forks, made with remerkleable): the roots of sign requests.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests do not count as tests"
)]

use std::collections::BTreeMap;

use keystore::{PublicKey, SecretKey, Signature};
use serde_json::Value;
use web3signer_rs::consensus::{CannotSign, Fork, Network, Resolved, SignRequest};
use web3signer_rs::duty::Duty;

const FILES: [&str; 9] = [
    include_str!("data/sign/openapi_examples.json"),
    include_str!("data/sign/teku_localsigner_published.json"),
    include_str!("data/sign/deposit_published.json"),
    include_str!("data/sign/registration_published.json"),
    include_str!("data/sign/computed_mainnet.json"),
    include_str!("data/sign/computed_other_networks.json"),
    include_str!("data/sign/computed_fork_boundary.json"),
    include_str!("data/sign/gloas_preview.json"),
    include_str!("data/edge/edge.json"),
];

struct Case {
    name: String,
    network: Network,
    request: Value,
    expected: Value,
    public_key: Option<PublicKey>,
    private_key: Option<SecretKey>,
}

fn secret_key(hex: &str) -> SecretKey {
    let bytes = hex::decode(hex.strip_prefix("0x").unwrap()).unwrap();
    SecretKey::from_bytes(&bytes.try_into().unwrap()).unwrap()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for file in FILES {
        let file: Value = serde_json::from_str(file).unwrap();
        for case in file["cases"].as_array().unwrap() {
            let overrides: BTreeMap<String, u64> =
                serde_json::from_value(case["fork_epoch_overrides"].clone()).unwrap();
            let epochs = overrides
                .into_iter()
                .map(|(fork, epoch)| (Fork::from_name(&fork).unwrap(), epoch));
            let network = Network::from_option(case["network"].as_str().unwrap()).unwrap();
            cases.push(Case {
                name: case["name"].as_str().unwrap().to_owned(),
                network: network.with_fork_epochs(epochs).unwrap(),
                request: case["request"].clone(),
                expected: case["expected"].clone(),
                public_key: case["public_key"].as_str().map(|key| key.parse().unwrap()),
                private_key: case["private_key"].as_str().map(secret_key),
            });
        }
    }
    cases
}

fn resolve(request: &Value, network: &Network) -> Result<Resolved, CannotSign> {
    SignRequest::parse(request.to_string().as_bytes())
        .unwrap()
        .resolve(network)
}

fn hex(root: &[u8]) -> String {
    format!("0x{}", hex::encode(root))
}

#[test]
fn every_case_has_the_expected_roots() {
    let mut wrong = Vec::new();
    for case in cases() {
        let resolved = match resolve(&case.request, &case.network) {
            Ok(resolved) => resolved,
            Err(error) => {
                wrong.push(format!("{}: {error}", case.name));
                continue;
            }
        };
        for (what, root) in [
            ("object_root", resolved.object_root),
            ("domain", resolved.domain),
            ("signing_root", resolved.signing_root),
        ] {
            // One published registration comes with its signing root alone.
            let given = !case.expected[what].is_null() || what == "signing_root";
            if given && case.expected[what] != hex(&root) {
                wrong.push(format!(
                    "{}: {what} is {}, expected {}",
                    case.name,
                    hex(&root),
                    case.expected[what]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_given_root_is_compared_and_never_signed() {
    for case in cases() {
        let root = case.expected["signing_root"].clone();
        for member in ["signing_root", "signingRoot"] {
            let mut request = case.request.clone();
            request[member] = root.clone();
            let resolved = resolve(&request, &case.network).unwrap();
            assert_eq!(hex(&resolved.signing_root), root, "{}", case.name);
            request[member] = Value::Null;
            assert_eq!(resolve(&request, &case.network), Ok(resolved), "{}", case.name);
            for other in [
                format!("0x{}", "00".repeat(32)),
                "0x".to_owned(),
                String::new(),
                format!("{}00", root.as_str().unwrap()),
            ] {
                request[member] = other.into();
                let error = resolve(&request, &case.network).unwrap_err();
                assert!(
                    matches!(error, CannotSign::RootMismatch { .. }),
                    "{}: {error}",
                    case.name
                );
            }
        }
        // Both spellings: each is compared.
        let mut request = case.request.clone();
        request["signing_root"] = root.clone();
        request["signingRoot"] = root.clone();
        resolve(&request, &case.network).unwrap();
        request["signingRoot"] = format!("0x{}", "00".repeat(32)).into();
        resolve(&request, &case.network).unwrap_err();
    }
}

#[test]
fn slashing_protection_hears_of_blocks_and_attestations_only() {
    for case in cases() {
        let resolved = resolve(&case.request, &case.network).unwrap();
        let request = &case.request;
        let number = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.as_u64().unwrap(), |text| text.parse().unwrap())
        };
        let expected = match request["type"].as_str().unwrap() {
            "BLOCK" => Some(Duty::Block {
                slot: number(&request["block"]["slot"]),
            }),
            "BLOCK_V2" => {
                let block = &request["beacon_block"];
                let block = if block["block"].is_null() {
                    &block["block_header"]
                } else {
                    &block["block"]
                };
                Some(Duty::Block {
                    slot: number(&block["slot"]),
                })
            }
            "ATTESTATION" => Some(Duty::Attestation {
                source: number(&request["attestation"]["source"]["epoch"]),
                target: number(&request["attestation"]["target"]["epoch"]),
            }),
            _ => None,
        };
        let slashable = resolved.slashable;
        assert_eq!(slashable.map(|duty| duty.duty), expected, "{}", case.name);
        if let Some(duty) = slashable {
            assert_eq!(duty.signing_root, resolved.signing_root, "{}", case.name);
            assert_eq!(
                request["fork_info"]["genesis_validators_root"],
                hex(&duty.genesis_validators_root),
                "{}",
                case.name
            );
        }
    }
}

#[test]
fn the_signature_over_the_signing_root_is_the_expected_one() {
    let (mut signed, mut verified) = (0_usize, 0_usize);
    for case in cases() {
        let Some(public_key) = &case.public_key else {
            continue;
        };
        let root = resolve(&case.request, &case.network).unwrap().signing_root;
        let expected = case.expected["signature"].as_str().unwrap();
        let bytes: [u8; 96] = hex::decode(&expected[2..]).unwrap().try_into().unwrap();
        if let Some(private_key) = &case.private_key {
            assert_eq!(private_key.sign(&root).to_bytes(), bytes, "{}", case.name);
            signed += 1;
        } else {
            assert!(
                Signature::from_bytes(&bytes).unwrap().verify(&root, public_key),
                "{}",
                case.name
            );
            verified += 1;
        }
    }
    assert_eq!(
        (signed, verified),
        (123, 1),
        "every shared case; one comes without its private key"
    );
}
