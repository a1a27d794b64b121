//! Requests for signatures, and an independent look at one.

use std::process::Command;

use crate::{place, said};
use serde_json::{Value, json};

/// Hoodi's genesis validators root.
const GENESIS: &str = "0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f";

fn fork_info() -> Value {
    json!({
        "fork": { "previous_version": "0x50000910", "current_version": "0x60000910", "epoch": "2048" },
        "genesis_validators_root": GENESIS,
    })
}

/// A vote; `root` tells two votes for the same target apart.
pub struct Attestation {
    source: u64,
    target: u64,
    root: u8,
}

impl Attestation {
    pub const fn new(source: u64, target: u64, root: u8) -> Self {
        Self { source, target, root }
    }

    fn head(&self) -> String {
        format!("0x{}", format!("{:02x}", self.root).repeat(32))
    }

    pub fn request(&self) -> Value {
        json!({ "type": "ATTESTATION", "fork_info": fork_info(), "attestation": {
            "slot": "64", "index": "0", "beacon_block_root": self.head(),
            "source": { "epoch": self.source.to_string(), "root": format!("0x{}", "00".repeat(32)) },
            "target": { "epoch": self.target.to_string(), "root": self.head() },
        } })
    }
}

/// A block; `root` tells two blocks for the same slot apart.
pub fn block(slot: u64, root: u8) -> Value {
    let text = |byte: u8| format!("0x{}", format!("{byte:02x}").repeat(32));
    json!({ "type": "BLOCK_V2", "fork_info": fork_info(), "beacon_block": { "version": "ELECTRA", "block_header": {
        "slot": slot.to_string(), "proposer_index": "1", "parent_root": text(1), "state_root": text(2),
        "body_root": text(root),
    } } })
}

/// `py_ecc` takes the signature; the signing root is made in Python too.
pub fn verify(key: &str, signature: &str, vote: &Attestation) {
    let program = r#"
import sys, hashlib
from py_ecc.bls import G2ProofOfPossession as bls
h = lambda b: hashlib.sha256(b).digest()
number = lambda n: n.to_bytes(8, "little").ljust(32, b"\0")
def merkle(leaves):
    while len(leaves) > 1:
        leaves = [h(a + b) for a, b in zip(leaves[::2], leaves[1::2])]
    return leaves[0]
key, signature, genesis, head = (bytes.fromhex(a[2:]) for a in sys.argv[1:5])
source, target = (int(a) for a in sys.argv[5:])
zero = b"\0" * 32
point = lambda epoch, root: h(number(epoch) + root)
data = merkle([number(64), number(0), head, point(source, zero), point(target, head), zero, zero, zero])
version = bytes.fromhex("50000910") if target < 2048 else bytes.fromhex("60000910")
domain = bytes.fromhex("01000000") + h(version.ljust(32, b"\0") + genesis)[:28]
root = h(data + domain)
assert bls.Verify(key, root, signature), "the signature does not hold"
assert not bls.Verify(key, h(root), signature)
print("ok")
"#;
    let output = Command::new(place("NITRO_TEST_PYTHON"))
        .args(["-c", program, key, signature, GENESIS, &vote.head()])
        .args([vote.source.to_string(), vote.target.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
}
