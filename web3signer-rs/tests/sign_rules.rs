//! Rules of single types: the forms of blocks and aggregates, bit fields, list limits, and duties before their fork.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests do not count as tests"
)]

use serde_json::{Value, json};
use web3signer_rs::consensus::{BadRequest, CannotSign, Fork, Network, Resolved, SignRequest};

const ROOT: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

fn network(name: &str, epochs: &[(Fork, u64)]) -> Network {
    Network::from_option(name)
        .unwrap()
        .with_fork_epochs(epochs.iter().copied())
        .unwrap()
}

fn parse(request: &Value) -> Result<SignRequest, BadRequest> {
    SignRequest::parse(request.to_string().as_bytes())
}

fn resolve(request: &Value, network: &Network) -> Result<Resolved, CannotSign> {
    parse(request).unwrap().resolve(network)
}

fn request(kind: &str, member: &str, object: Value) -> Value {
    let mut request = json!({
        "type": kind,
        "fork_info": {
            "fork": {"previous_version": "0x01020304", "current_version": "0x05060708", "epoch": "100"},
            "genesis_validators_root": ROOT,
        },
    });
    request[member] = object;
    request
}

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

fn aggregate(slot: u64, bits: &str, committee_bits: Option<&str>) -> Value {
    let checkpoint = json!({"epoch": "1", "root": ROOT});
    let data = json!({"slot": slot, "index": "0", "beacon_block_root": ROOT, "source": checkpoint, "target": checkpoint});
    let signature = format!("0x{}", "22".repeat(96));
    let mut aggregate = json!({"aggregation_bits": bits, "data": data, "signature": signature});
    if let Some(bits) = committee_bits {
        aggregate["committee_bits"] = bits.into();
    }
    let flat = json!({"aggregator_index": "1", "aggregate": aggregate, "selection_proof": signature});
    request("AGGREGATE_AND_PROOF_V2", "aggregate_and_proof", flat)
}

fn contribution(slot: u64, bits: &str) -> Value {
    let signature = format!("0x{}", "22".repeat(96));
    let contribution = json!({
        "slot": slot, "beacon_block_root": ROOT, "subcommittee_index": 3, "aggregation_bits": bits, "signature": signature,
    });
    let proof = json!({"aggregator_index": "1", "contribution": contribution, "selection_proof": signature});
    request(
        "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF",
        "contribution_and_proof",
        proof,
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
        assert!(resolve(&aggregate(10 * slots - 1, "0x01ff01", None), &network).is_ok());
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
fn bit_fields_must_be_exact_ssz() {
    let mainnet = network("mainnet", &[]);
    let minimal = network(
        "minimal",
        &[
            (Fork::Altair, 0),
            (Fork::Bellatrix, 0),
            (Fork::Capella, 0),
            (Fork::Deneb, 0),
            (Fork::Electra, 0),
        ],
    );
    let electra = 364_032 * 32;
    let committees = "0x0100000000000000";
    let ones = |bytes: usize, last: &str| format!("0x{}{last}", "ff".repeat(bytes));
    let accepted = |request: &Value, network: &Network| match resolve(request, network) {
        Ok(_) => true,
        Err(CannotSign::Bits { .. }) => false,
        Err(other) => panic!("{other}"),
    };
    // Before Electra: at most 2048 bits and the delimiter.
    for (bits, good) in [
        ("0x01".to_owned(), true),
        ("0x80".to_owned(), true),
        ("0xff".to_owned(), true),
        (ones(255, "ff"), true),
        (ones(256, "01"), true),
        (ones(256, "02"), false),
        (ones(256, "03"), false),
        (ones(256, "80"), false),
        (ones(257, "01"), false),
        ("0x".to_owned(), false),
        ("0x00".to_owned(), false),
        ("0x0100".to_owned(), false),
        ("0xff00".to_owned(), false),
        ("0x0000".to_owned(), false),
    ] {
        assert_eq!(
            accepted(&aggregate(3200, &bits, None), &mainnet),
            good,
            "{}",
            &bits[bits.len().saturating_sub(8)..]
        );
    }
    // From Electra: 131072 bits, minimal 8192.
    for (bits, on_mainnet, on_minimal) in [
        (ones(256, "02"), true, true),
        (ones(1024, "01"), true, true),
        (ones(1024, "02"), true, false),
        (ones(1025, "01"), true, false),
        (ones(16384, "01"), true, false),
        (ones(16384, "02"), false, false),
        (ones(16385, "01"), false, false),
        ("0x00".to_owned(), false, false),
    ] {
        assert_eq!(
            accepted(&aggregate(electra, &bits, Some(committees)), &mainnet),
            on_mainnet,
            "{} bytes",
            bits.len() / 2 - 1
        );
        assert_eq!(
            accepted(&aggregate(8, &bits, Some("0x0f")), &minimal),
            on_minimal,
            "{} bytes",
            bits.len() / 2 - 1
        );
    }
    // Committees: 64 bits, minimal 4, and no bit more.
    for (bits, on_mainnet, on_minimal) in [
        ("0x", false, false),
        ("0x00", false, true),
        ("0x0f", false, true),
        ("0x10", false, false),
        ("0x1f", false, false),
        ("0x0f00", false, false),
        ("0xffffffffffffffff", true, false),
        ("0xffffffffffffff", false, false),
        ("0xffffffffffffffff00", false, false),
    ] {
        assert_eq!(
            accepted(&aggregate(electra, "0x01", Some(bits)), &mainnet),
            on_mainnet,
            "{bits}"
        );
        assert_eq!(
            accepted(&aggregate(8, "0x01", Some(bits)), &minimal),
            on_minimal,
            "{bits}"
        );
    }
    // Contributions: 128 bits, minimal 8.
    for (bytes, on_mainnet, on_minimal) in [
        (0, false, false),
        (1, false, true),
        (2, false, false),
        (15, false, false),
        (16, true, false),
        (17, false, false),
    ] {
        let bits = ones(bytes, "");
        assert_eq!(
            accepted(&contribution(electra, &bits), &mainnet),
            on_mainnet,
            "{bytes} bytes"
        );
        assert_eq!(
            accepted(&contribution(8, &bits), &minimal),
            on_minimal,
            "{bytes} bytes"
        );
    }
}

#[test]
fn lists_of_a_whole_block_have_limits() {
    let file: Value =
        serde_json::from_str(include_str!("data/sign/teku_localsigner_published.json")).unwrap();
    let whole = file["cases"]
        .as_array()
        .unwrap()
        .iter()
        .find(|case| case["request"]["type"] == "BLOCK")
        .unwrap()["request"]
        .clone();
    let minimal = network("minimal", &[]);
    for (pointer, limit) in [
        ("/block/body/proposer_slashings", 16),
        ("/block/body/attester_slashings", 2),
        ("/block/body/attestations", 128),
        ("/block/body/deposits", 16),
        ("/block/body/voluntary_exits", 16),
        (
            "/block/body/attester_slashings/0/attestation_1/attesting_indices",
            2048,
        ),
    ] {
        let fill = |count: usize| {
            let mut request = whole.clone();
            let item = request.pointer(pointer).unwrap()[0].clone();
            *request.pointer_mut(pointer).unwrap() = vec![item; count].into();
            resolve(&request, &minimal)
        };
        assert!(fill(0).is_ok() && fill(limit).is_ok(), "{pointer}");
        for count in [limit + 1, limit + 1000] {
            assert!(
                matches!(fill(count), Err(CannotSign::Length { length, limit: most, .. }) if length == count && most == limit),
                "{pointer}: {count}"
            );
        }
    }
    for count in [0, 32, 34, 1000] {
        let mut request = whole.clone();
        request["block"]["body"]["deposits"][0]["proof"] = vec![json!(ROOT); count].into();
        assert!(
            matches!(
                resolve(&request, &minimal),
                Err(CannotSign::Length { limit: 33, .. })
            ),
            "{count}"
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
        assert!(resolve(&make(512 * 16), &gnosis).is_ok());
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
        assert!(resolve(&make(353_024 * 32), &network("sepolia", &[])).is_ok());
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
