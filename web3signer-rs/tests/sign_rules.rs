//! Rules of single types: the forms of blocks and aggregates, fork choice, and duties before their fork.

mod requests;

use requests::{ROOT, aggregate, contribution, network, parse, request, resolve};
use serde_json::{Value, json};
use web3signer_rs::consensus::{BadRequest, CannotSign, Fork, Network, SignRequest};

fn header(version: &str) -> Value {
    let header = json!({
        "slot": "3200", "proposer_index": "1", "parent_root": ROOT, "state_root": ROOT, "body_root": ROOT,
    });
    request(
        "BLOCK_V2",
        "beacon_block",
        json!({"version": version, "block_header": header}),
    )
}

#[test]
fn a_header_goes_with_every_version_since_bellatrix_and_no_other() {
    let mainnet = network("mainnet", &[]);
    let expected = resolve(&header("FULU"), &mainnet).unwrap();
    for version in ["BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "GLOAS"] {
        assert_eq!(resolve(&header(version), &mainnet), Ok(expected), "{version}");
    }
    for version in ["PHASE0", "ALTAIR"] {
        assert!(
            matches!(
                parse(&header(version)),
                Err(BadRequest::BlockMissing { member: "block", .. })
            ),
            "{version}"
        );
    }
    for version in ["fulu", "Fulu", "", "FULU ", "HEZE", "EIP7805", "6"] {
        assert!(
            matches!(parse(&header(version)), Err(BadRequest::BlockVersion)),
            "{version}"
        );
    }
    for version in [
        json!(null),
        json!(6),
        json!(["FULU"]),
        json!({"version": "FULU"}),
        json!(true),
    ] {
        let mut request = header("FULU");
        request["beacon_block"]["version"] = version.clone();
        assert!(
            matches!(parse(&request), Err(BadRequest::BlockVersion)),
            "{version}"
        );
    }
    for block in [json!({}), json!([]), json!("FULU"), json!(1)] {
        assert!(matches!(
            parse(&request("BLOCK_V2", "beacon_block", block)),
            Err(BadRequest::BlockVersion)
        ));
    }
    for missing in [
        json!({"version": "FULU"}),
        json!({"version": "FULU", "block_header": null}),
        json!({"version": "FULU", "block": {}}),
    ] {
        let result = parse(&request("BLOCK_V2", "beacon_block", missing));
        assert!(
            matches!(
                result,
                Err(BadRequest::BlockMissing {
                    member: "block_header",
                    ..
                })
            ),
            "{result:?}"
        );
    }
    let null = parse(&request("BLOCK_V2", "beacon_block", Value::Null)).unwrap();
    assert!(matches!(null.resolve(&mainnet), Err(CannotSign::NoObject { .. })));
}

#[test]
fn members_of_beacon_block_are_found_at_any_depth() {
    let mainnet = network("mainnet", &[]);
    let plain = header("FULU");
    let expected = resolve(&plain, &mainnet).unwrap();
    let block_header = plain["beacon_block"]["block_header"].clone();
    for block in [
        json!({"data": {"version": "FULU", "block_header": block_header}}),
        json!({"version": "FULU", "data": [1, {"deeper": {"block_header": block_header}}]}),
        json!([{"version": "FULU"}, {"block_header": block_header}]),
        // An own member wins over one deeper down.
        json!({"a": {"version": "PHASE0", "block_header": {}}, "version": "FULU", "block_header": block_header}),
        // What the version does not need is not looked at.
        json!({"version": "FULU", "block_header": block_header, "block": {"slot": "x"}}),
    ] {
        assert_eq!(
            resolve(&request("BLOCK_V2", "beacon_block", block.clone()), &mainnet),
            Ok(expected),
            "{block}"
        );
    }
}

#[test]
fn both_forms_of_an_aggregate_go_with_both_types() {
    let mainnet = network("mainnet", &[]);
    let flat = aggregate(3200, "0x01ff01", None);
    let expected = resolve(&flat, &mainnet).unwrap();
    for kind in [
        "AGGREGATE_AND_PROOF",
        "AGGREGATE_AND_PROOF_V2",
        "aggregate_and_proof",
    ] {
        let mut flat = flat.clone();
        flat["type"] = kind.into();
        for version in [json!("PHASE0"), json!("ELECTRA"), json!("fulu"), Value::Null] {
            let mut wrapped = flat.clone();
            wrapped["aggregate_and_proof"] = json!({"version": version, "data": flat["aggregate_and_proof"]});
            for request in [&flat, &wrapped] {
                let resolved = resolve(request, &mainnet).unwrap();
                assert_eq!(resolved.signing_root, expected.signing_root, "{kind} {version}");
            }
        }
    }
    let mut unknown = flat.clone();
    unknown["aggregate_and_proof"] = json!({"version": "HEZE", "data": flat["aggregate_and_proof"]});
    assert!(matches!(parse(&unknown), Err(BadRequest::Json { .. })));
    for empty in [
        json!({}),
        json!({"version": "ELECTRA"}),
        json!({"version": "ELECTRA", "data": null}),
    ] {
        let result = resolve(
            &request("AGGREGATE_AND_PROOF", "aggregate_and_proof", empty),
            &mainnet,
        );
        assert!(matches!(result, Err(CannotSign::Missing { .. })), "{result:?}");
    }
}

#[test]
fn the_form_of_an_aggregate_follows_the_networks_fork_at_its_slot() {
    let epochs = [
        (Fork::Altair, 0),
        (Fork::Bellatrix, 0),
        (Fork::Capella, 0),
        (Fork::Deneb, 0),
        (Fork::Electra, 10),
        (Fork::Fulu, 20),
        (Fork::Gloas, 30),
    ];
    for (name, slots, committees) in [("mainnet", 32, "0x0300000000000000"), ("minimal", 8, "0x03")] {
        let network = network(name, &epochs);
        let root = |slot| {
            resolve(&aggregate(slot, "0x01ff01", Some(committees)), &network)
                .unwrap()
                .object_root
        };
        // Roots of the same content, but for the slot: compare the shapes by leaving the committees out.
        resolve(&aggregate(10 * slots - 1, "0x01ff01", None), &network).unwrap();
        let missing = resolve(&aggregate(10 * slots, "0x01ff01", None), &network).unwrap_err();
        assert_eq!(
            missing,
            CannotSign::Missing {
                member: "Attestation.committee_bits"
            }
        );
        assert_eq!(
            resolve(&aggregate(10 * slots - 1, "0x01ff01", None), &network)
                .unwrap()
                .object_root,
            root(10 * slots - 1),
            "committees before Electra are passed over"
        );
        // The same slot under another schedule has another shape.
        let later = Network::from_option(name)
            .unwrap()
            .with_fork_epochs(epochs[..6].iter().copied())
            .unwrap();
        let electra = resolve(&aggregate(30 * slots, "0x01ff01", Some(committees)), &later)
            .unwrap()
            .object_root;
        assert_ne!(root(30 * slots), electra);
    }
}

#[test]
fn an_aggregate_that_calls_itself_one_of_gloas_is_not_signed_in_the_older_form() {
    let wrapped = |slot: u64| {
        let flat = aggregate(slot, "0x01ff01", Some("0x0300000000000000"))["aggregate_and_proof"].clone();
        let object = json!({"version": "GLOAS", "data": flat});
        request("AGGREGATE_AND_PROOF_V2", "aggregate_and_proof", object)
    };
    let sepolia = network("sepolia", &[]);
    resolve(&wrapped(353_024 * 32), &sepolia).unwrap();
    for (name, slot) in [
        ("sepolia", 353_024 * 32 - 1),
        ("mainnet", u64::MAX),
        ("hoodi", u64::MAX),
    ] {
        let refused = resolve(&wrapped(slot), &network(name, &[])).unwrap_err();
        assert!(
            matches!(
                refused,
                CannotSign::BeforeFork {
                    needs: Fork::Gloas,
                    ..
                }
            ),
            "{name}: {refused}"
        );
    }
}

#[test]
fn duties_before_their_fork_are_refused() {
    let gnosis = network("gnosis", &[]);
    let message = |slot: u64| {
        request(
            "SYNC_COMMITTEE_MESSAGE",
            "sync_committee_message",
            json!({"beacon_block_root": ROOT, "slot": slot}),
        )
    };
    let selection = |slot: u64| {
        request(
            "SYNC_COMMITTEE_SELECTION_PROOF",
            "sync_aggregator_selection_data",
            json!({"slot": slot, "subcommittee_index": 0}),
        )
    };
    let bits = format!("0x{}", "ff".repeat(16));
    for make in [&message as &dyn Fn(u64) -> Value, &selection, &|slot| {
        contribution(slot, &bits)
    }] {
        resolve(&make(512 * 16), &gnosis).unwrap();
        let refused = resolve(&make(512 * 16 - 1), &gnosis).unwrap_err();
        assert!(
            matches!(
                refused,
                CannotSign::BeforeFork {
                    fork: Fork::Phase0,
                    needs: Fork::Altair,
                    ..
                }
            ),
            "{refused}"
        );
    }
    // Gloas, on the one network that has its epoch.
    let payload = |slot: u64| {
        let data = json!({"beacon_block_root": ROOT, "slot": slot, "payload_present": true, "blob_data_available": true});
        request(
            "PAYLOAD_ATTESTATION_MESSAGE",
            "payload_attestation_message",
            json!({"version": "GLOAS", "data": data}),
        )
    };
    let preferences = |slot: u64| {
        let data = json!({
            "dependent_root": ROOT, "proposal_slot": slot, "validator_index": 1, "fee_recipient": format!("0x{}", "33".repeat(20)),
            "target_gas_limit": 1,
        });
        request(
            "PROPOSER_PREFERENCES",
            "proposer_preferences",
            json!({"version": "GLOAS", "data": data}),
        )
    };
    for make in [&payload as &dyn Fn(u64) -> Value, &preferences] {
        resolve(&make(353_024 * 32), &network("sepolia", &[])).unwrap();
        for (name, slot) in [
            ("sepolia", 353_024 * 32 - 1),
            ("mainnet", u64::MAX),
            ("hoodi", u64::MAX),
        ] {
            let refused = resolve(&make(slot), &network(name, &[])).unwrap_err();
            assert!(
                matches!(
                    refused,
                    CannotSign::BeforeFork {
                        needs: Fork::Gloas,
                        ..
                    }
                ),
                "{name}: {refused}"
            );
        }
    }
}

#[test]
fn exits_since_deneb_have_the_networks_capella_version_and_the_requests_chain() {
    let mainnet = network("mainnet", &[]);
    let exit = |epoch: u64| {
        request(
            "VOLUNTARY_EXIT",
            "voluntary_exit",
            json!({"epoch": epoch, "validator_index": 7}),
        )
    };
    let domain = |request: &Value| resolve(request, &mainnet).unwrap().domain;
    assert_eq!(domain(&exit(269_568)), domain(&exit(u64::MAX)));
    assert_ne!(domain(&exit(269_567)), domain(&exit(269_568)));
    let with = |pointer: &str, value: &str| {
        let mut request = exit(269_568);
        *request.pointer_mut(pointer).unwrap() = value.into();
        domain(&request)
    };
    assert_eq!(
        with("/fork_info/fork/current_version", "0xffffffff"),
        domain(&exit(269_568))
    );
    assert_ne!(
        with("/fork_info/genesis_validators_root", &ROOT.replace('1', "2")),
        domain(&exit(269_568))
    );
}

#[test]
fn the_forks_own_epoch_has_the_current_version() {
    let mainnet = network("mainnet", &[]);
    let reveal = |epoch: u64| {
        resolve(
            &request("RANDAO_REVEAL", "randao_reveal", json!({"epoch": epoch})),
            &mainnet,
        )
        .unwrap()
        .domain
    };
    assert_eq!(reveal(0), reveal(99));
    assert_ne!(reveal(99), reveal(100));
    assert_eq!(reveal(100), reveal(u64::MAX));
}

#[test]
fn numbers_may_be_json_numbers_and_hexadecimal_may_lack_its_prefix() {
    let mainnet = network("mainnet", &[]);
    let expected = resolve(&aggregate(3200, "0x01ff01", None), &mainnet).unwrap();
    let bare = aggregate(3200, "0x01ff01", None)
        .to_string()
        .replace("0x", "")
        .replace("\"3200\"", "3200");
    assert_eq!(
        SignRequest::parse(bare.as_bytes()).unwrap().resolve(&mainnet),
        Ok(expected)
    );
    let upper = bare.replace("01ff01", "01FF01");
    assert_eq!(
        SignRequest::parse(upper.as_bytes()).unwrap().resolve(&mainnet),
        Ok(expected)
    );
}

#[test]
fn a_request_needs_fork_info_but_for_deposits_and_registrations() {
    let mainnet = network("mainnet", &[]);
    let mut block = header("FULU");
    block["fork_info"] = Value::Null;
    assert!(matches!(
        resolve(&block, &mainnet),
        Err(CannotSign::NoForkInfo { .. })
    ));
    let pubkey = format!("0x{}", "44".repeat(48));
    let deposit = json!({"pubkey": pubkey, "withdrawal_credentials": ROOT, "amount": 1, "genesis_fork_version": "0x00000000"});
    let registration = json!({"fee_recipient": format!("0x{}", "33".repeat(20)), "gas_limit": 1, "timestamp": 1, "pubkey": pubkey});
    for mut request in [
        request("DEPOSIT", "deposit", deposit),
        request("VALIDATOR_REGISTRATION", "validator_registration", registration),
    ] {
        let with = resolve(&request, &mainnet).unwrap();
        for fork_info in [
            Value::Null,
            json!({"fork": null, "genesis_validators_root": null}),
        ] {
            request["fork_info"] = fork_info;
            assert_eq!(resolve(&request, &mainnet), Ok(with));
        }
        // Not needed, but not malformed either.
        request["fork_info"] = json!({});
        assert!(matches!(parse(&request), Err(BadRequest::Json { .. })));
    }
}
