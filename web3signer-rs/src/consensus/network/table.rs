//! The networks known by name. Data, and the way to it.
//!
//! Sources, each looked up in two places:
//! - fork versions and epochs: Teku 26.4.0, the library that Web3Signer 26.4.2 takes them from; Sepolia's Gloas epoch: the
//!   notes of Web3Signer 26.9.0. `swift` and `less-swift` are Teku's test networks.
//! - genesis validators roots: the networks' own repositories (eth-clients, gnosischain) and the tables of consensus
//!   clients. LUKSO's was not found in two independent places, so it is not here. Test networks have none: their genesis
//!   is made anew for every run.

use super::{Fork, NEVER, Network, Sizes};
use crate::duty::Root;

/// A network's facts.
struct Row {
    name: &'static str,
    sizes: Sizes,
    slots_per_epoch: u64,
    genesis_fork_version: [u8; 4],
    capella_fork_version: [u8; 4],
    /// Epochs of Altair, Bellatrix, Capella, Deneb, Electra, Fulu, Gloas.
    fork_epochs: [u64; Fork::ALL.len() - 1],
    genesis_validators_root: Option<Root>,
}

const TABLE: [Row; 10] = [
    Row {
        name: "mainnet",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 32,
        genesis_fork_version: [0x00, 0, 0, 0],
        capella_fork_version: [0x03, 0, 0, 0],
        fork_epochs: [74_240, 144_896, 194_048, 269_568, 364_032, 411_392, NEVER],
        genesis_validators_root: Some(root(
            b"4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95",
        )),
    },
    Row {
        name: "sepolia",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 32,
        genesis_fork_version: [0x90, 0, 0, 0x69],
        capella_fork_version: [0x90, 0, 0, 0x72],
        fork_epochs: [50, 100, 56_832, 132_608, 222_464, 272_640, 353_024],
        genesis_validators_root: Some(root(
            b"d8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078",
        )),
    },
    Row {
        name: "holesky",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 32,
        genesis_fork_version: [0x01, 0x01, 0x70, 0],
        capella_fork_version: [0x04, 0x01, 0x70, 0],
        fork_epochs: [0, 0, 256, 29_696, 115_968, 165_120, NEVER],
        genesis_validators_root: Some(root(
            b"9143aa7c615a7f7115e2b6aac319c03529df8242ae705fba9df39b79c59fa8b1",
        )),
    },
    Row {
        name: "hoodi",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 32,
        genesis_fork_version: [0x10, 0, 0x09, 0x10],
        capella_fork_version: [0x40, 0, 0x09, 0x10],
        fork_epochs: [0, 0, 0, 0, 2_048, 50_688, NEVER],
        genesis_validators_root: Some(root(
            b"212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f",
        )),
    },
    Row {
        name: "gnosis",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 16,
        genesis_fork_version: [0x00, 0, 0, 0x64],
        capella_fork_version: [0x03, 0, 0, 0x64],
        fork_epochs: [512, 385_536, 648_704, 889_856, 1_337_856, 1_714_688, NEVER],
        genesis_validators_root: Some(root(
            b"f5dcb5564e829aab27264b9becd5dfaa017085611224cb3036f573368dbb9d47",
        )),
    },
    Row {
        name: "chiado",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 16,
        genesis_fork_version: [0x00, 0, 0, 0x6f],
        capella_fork_version: [0x03, 0, 0, 0x6f],
        fork_epochs: [90, 180, 244_224, 516_608, 948_224, 1_353_216, NEVER],
        genesis_validators_root: Some(root(
            b"9d642dac73058fbf39c0ae41ab1e34e4d889043cb199851ded7095bc99eb4c1e",
        )),
    },
    Row {
        name: "lukso",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 32,
        genesis_fork_version: [0x42, 0, 0, 0x01],
        capella_fork_version: [0x42, 0, 0, 0x04],
        fork_epochs: [0, 0, 8_100, 123_075, 190_800, NEVER, NEVER],
        genesis_validators_root: None,
    },
    Row {
        name: "minimal",
        sizes: Sizes::Minimal,
        slots_per_epoch: 8,
        genesis_fork_version: [0x00, 0, 0, 0x01],
        capella_fork_version: [0x03, 0, 0, 0x01],
        fork_epochs: [NEVER; 7],
        genesis_validators_root: None,
    },
    Row {
        name: "swift",
        sizes: Sizes::Minimal,
        slots_per_epoch: 4,
        genesis_fork_version: [0x00, 0, 0, 0x01],
        capella_fork_version: [0x03, 0, 0, 0x01],
        fork_epochs: [0, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER],
        genesis_validators_root: None,
    },
    Row {
        name: "less-swift",
        sizes: Sizes::Minimal,
        slots_per_epoch: 4,
        genesis_fork_version: [0x00, 0, 0, 0x01],
        capella_fork_version: [0x03, 0, 0, 0x01],
        fork_epochs: [0, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER],
        genesis_validators_root: None,
    },
];

/// The network with this name, in any case.
pub(super) fn find(name: &str) -> Option<Network> {
    let row = TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name))?;
    let mut fork_epochs = [0; Fork::ALL.len()];
    for (to, from) in fork_epochs.iter_mut().skip(1).zip(row.fork_epochs) {
        *to = from;
    }
    Some(Network {
        name: row.name.to_owned(),
        sizes: row.sizes,
        slots_per_epoch: row.slots_per_epoch,
        genesis_fork_version: row.genesis_fork_version,
        capella_fork_version: row.capella_fork_version,
        fork_epochs,
        genesis_validators_root: row.genesis_validators_root,
    })
}

/// All names, in the order of the table.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.name)
}

/// Reads a root at compile time: a wrong digit in the table does not compile.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses an index out of bounds"
)]
const fn root(digits: &[u8; 64]) -> Root {
    let mut root = [0; 32];
    let mut at = 0;
    while at < 32 {
        root[at] = (digit(digits[2 * at]) << 4) | digit(digits[2 * at + 1]);
        at += 1;
    }
    root
}

#[expect(clippy::panic, reason = "evaluated by the compiler, for which it is an error")]
const fn digit(character: u8) -> u8 {
    match character {
        b'0'..=b'9' => character - b'0',
        b'a'..=b'f' => character - b'a' + 10,
        _ => panic!("a lower-case hexadecimal digit"),
    }
}
