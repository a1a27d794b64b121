//! Sizes of bit fields and lists, at their limits and one beyond.
#![expect(clippy::panic, reason = "helpers of tests do not count as tests")]

mod requests;

use requests::{ROOT, aggregate, contribution, network, resolve};
use serde_json::{Value, json};
use web3signer_rs::consensus::{CannotSign, Fork, Network};

/// The first slot of Electra on mainnet.
const ELECTRA: u64 = 364_032 * 32;

/// Electra from genesis, with minimal's sizes.
fn minimal() -> Network {
    let epochs = [
        (Fork::Altair, 0),
        (Fork::Bellatrix, 0),
        (Fork::Capella, 0),
        (Fork::Deneb, 0),
        (Fork::Electra, 0),
    ];
    network("minimal", &epochs)
}

fn ones(bytes: usize, last: &str) -> String {
    format!("0x{}{last}", "ff".repeat(bytes))
}

/// Whether a request resolves; the only refusal allowed is that of a bit field.
fn accepted(request: &Value, network: &Network) -> bool {
    match resolve(request, network) {
        Ok(_) => true,
        Err(CannotSign::Bits { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn aggregates_before_electra_have_at_most_2048_bits_and_a_delimiter() {
    let mainnet = network("mainnet", &[]);
    for bits in ["0x01", "0x80", "0xff", &ones(255, "ff"), &ones(256, "01")] {
        assert!(accepted(&aggregate(3200, bits, None), &mainnet), "{bits}");
    }
    for bits in [
        &ones(256, "02"),
        &ones(256, "03"),
        &ones(256, "80"),
        &ones(257, "01"),
    ] {
        assert!(
            !accepted(&aggregate(3200, bits, None), &mainnet),
            "{} bytes",
            bits.len() / 2 - 1
        );
    }
    for bits in ["0x", "0x00", "0x0100", "0xff00", "0x0000"] {
        assert!(!accepted(&aggregate(3200, bits, None), &mainnet), "{bits}");
    }
}

#[test]
fn aggregates_since_electra_have_a_committee_of_all_validators_of_a_slot() {
    let mainnet = network("mainnet", &[]);
    let minimal = minimal();
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
        let length = bits.len() / 2 - 1;
        let request = aggregate(ELECTRA, &bits, Some("0x0100000000000000"));
        assert_eq!(accepted(&request, &mainnet), on_mainnet, "{length} bytes");
        assert_eq!(
            accepted(&aggregate(8, &bits, Some("0x0f")), &minimal),
            on_minimal,
            "{length} bytes"
        );
    }
}

#[test]
fn committee_bits_have_exactly_the_committees_of_a_slot() {
    let mainnet = network("mainnet", &[]);
    let minimal = minimal();
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
            accepted(&aggregate(ELECTRA, "0x01", Some(bits)), &mainnet),
            on_mainnet,
            "{bits}"
        );
        assert_eq!(
            accepted(&aggregate(8, "0x01", Some(bits)), &minimal),
            on_minimal,
            "{bits}"
        );
    }
}

#[test]
fn contributions_have_exactly_a_subcommittee() {
    let mainnet = network("mainnet", &[]);
    let minimal = minimal();
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
            accepted(&contribution(ELECTRA, &bits), &mainnet),
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
        let of_length = |count: usize| {
            let mut request = whole.clone();
            let item = request.pointer(pointer).unwrap()[0].clone();
            *request.pointer_mut(pointer).unwrap() = vec![item; count].into();
            resolve(&request, &minimal)
        };
        assert!(of_length(0).is_ok() && of_length(limit).is_ok(), "{pointer}");
        for count in [limit + 1, limit + 1000] {
            assert!(
                matches!(of_length(count), Err(CannotSign::Length { length, limit: most, .. }) if length == count && most == limit),
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
