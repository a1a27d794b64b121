//! Requests for the tests of single rules, built from parts.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests do not count as tests"
)]

use serde_json::{Value, json};
use web3signer_rs::consensus::{BadRequest, CannotSign, Fork, Network, Resolved, SignRequest};

pub(crate) const ROOT: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

pub(crate) fn network(name: &str, epochs: &[(Fork, u64)]) -> Network {
    Network::from_option(name)
        .unwrap()
        .with_fork_epochs(epochs.iter().copied())
        .unwrap()
}

pub(crate) fn parse(request: &Value) -> Result<SignRequest, BadRequest> {
    SignRequest::parse(request.to_string().as_bytes())
}

pub(crate) fn resolve(request: &Value, network: &Network) -> Result<Resolved, CannotSign> {
    parse(request).unwrap().resolve(network)
}

pub(crate) fn request(kind: &str, member: &str, object: Value) -> Value {
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

pub(crate) fn aggregate(slot: u64, bits: &str, committee_bits: Option<&str>) -> Value {
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

pub(crate) fn contribution(slot: u64, bits: &str) -> Value {
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
