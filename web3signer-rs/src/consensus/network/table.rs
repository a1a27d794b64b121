//! The networks known by name. Data, and the way to it.
//!
//! Sources, each looked up in two places:
//! - fork versions and epochs: Teku 26.4.0, the library that Web3Signer 26.4.2 takes them from; Sepolia's Gloas epoch: the
//!   notes of Web3Signer 26.9.0. `swift` and `less-swift` are Teku's test networks.
//! - genesis validators roots are in [`slashing_table::genesis`].

use super::{Fork, NEVER, Network, Sizes};

/// A network's facts.
struct Row {
    name: &'static str,
    sizes: Sizes,
    slots_per_epoch: u64,
    genesis_fork_version: [u8; 4],
    capella_fork_version: [u8; 4],
    /// Epochs of Altair, Bellatrix, Capella, Deneb, Electra, Fulu, Gloas.
    fork_epochs: [u64; Fork::ALL.len() - 1],
}

const TABLE: [Row; 10] = [
    Row {
        name: "mainnet",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 32,
        genesis_fork_version: [0x00, 0, 0, 0],
        capella_fork_version: [0x03, 0, 0, 0],
        fork_epochs: [74_240, 144_896, 194_048, 269_568, 364_032, 411_392, NEVER],
    },
    Row {
        name: "sepolia",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 32,
        genesis_fork_version: [0x90, 0, 0, 0x69],
        capella_fork_version: [0x90, 0, 0, 0x72],
        fork_epochs: [50, 100, 56_832, 132_608, 222_464, 272_640, 353_024],
    },
    Row {
        name: "holesky",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 32,
        genesis_fork_version: [0x01, 0x01, 0x70, 0],
        capella_fork_version: [0x04, 0x01, 0x70, 0],
        fork_epochs: [0, 0, 256, 29_696, 115_968, 165_120, NEVER],
    },
    Row {
        name: "hoodi",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 32,
        genesis_fork_version: [0x10, 0, 0x09, 0x10],
        capella_fork_version: [0x40, 0, 0x09, 0x10],
        fork_epochs: [0, 0, 0, 0, 2_048, 50_688, NEVER],
    },
    Row {
        name: "gnosis",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 16,
        genesis_fork_version: [0x00, 0, 0, 0x64],
        capella_fork_version: [0x03, 0, 0, 0x64],
        fork_epochs: [512, 385_536, 648_704, 889_856, 1_337_856, 1_714_688, NEVER],
    },
    Row {
        name: "chiado",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 16,
        genesis_fork_version: [0x00, 0, 0, 0x6f],
        capella_fork_version: [0x03, 0, 0, 0x6f],
        fork_epochs: [90, 180, 244_224, 516_608, 948_224, 1_353_216, NEVER],
    },
    Row {
        name: "lukso",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 32,
        genesis_fork_version: [0x42, 0, 0, 0x01],
        capella_fork_version: [0x42, 0, 0, 0x04],
        fork_epochs: [0, 0, 8_100, 123_075, 190_800, NEVER, NEVER],
    },
    Row {
        name: "minimal",
        sizes: Sizes::Minimal,
        slots_per_epoch: 8,
        genesis_fork_version: [0x00, 0, 0, 0x01],
        capella_fork_version: [0x03, 0, 0, 0x01],
        fork_epochs: [NEVER; 7],
    },
    Row {
        name: "swift",
        sizes: Sizes::Minimal,
        slots_per_epoch: 4,
        genesis_fork_version: [0x00, 0, 0, 0x01],
        capella_fork_version: [0x03, 0, 0, 0x01],
        fork_epochs: [0, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER],
    },
    Row {
        name: "less-swift",
        sizes: Sizes::Minimal,
        slots_per_epoch: 4,
        genesis_fork_version: [0x00, 0, 0, 0x01],
        capella_fork_version: [0x03, 0, 0, 0x01],
        fork_epochs: [0, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER],
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
        genesis_validators_root: slashing_table::genesis::of_network(row.name),
    })
}

/// All names, in the order of the table.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.name)
}
