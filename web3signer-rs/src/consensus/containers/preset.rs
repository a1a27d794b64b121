//! The sizes that shape Merkle trees and differ between presets.
//!
//! Gnosis and LUKSO have mainnet's sizes here (Gnosis differs in slots per epoch, which is a matter of the network);
//! swift has minimal's.
//!
//! Source: consensus-specs `presets/{mainnet,minimal}/{phase0,altair,electra}.yaml`.

use ssz_types::typenum::{U4, U8, U32, U64, U128, U512, U8192, U131072, Unsigned};

/// A preset's sizes, as types.
pub(in crate::consensus) trait Preset {
    /// `MAX_COMMITTEES_PER_SLOT`: bits of `committee_bits`.
    type Committees: Unsigned + Clone;
    /// `MAX_VALIDATORS_PER_COMMITTEE * MAX_COMMITTEES_PER_SLOT`: most bits of an aggregate since Electra.
    type SlotValidators: Unsigned + Clone;
    /// `SYNC_COMMITTEE_SIZE`: bits of a block's sync aggregate.
    type SyncCommittee: Unsigned + Clone;
    /// `SYNC_COMMITTEE_SIZE / SYNC_COMMITTEE_SUBNET_COUNT`: bits of a contribution.
    type SyncSubcommittee: Unsigned + Clone;
}

/// The mainnet preset.
pub(in crate::consensus) struct Mainnet;

impl Preset for Mainnet {
    type Committees = U64;
    type SlotValidators = U131072;
    type SyncCommittee = U512;
    type SyncSubcommittee = U128;
}

/// The minimal preset.
pub(in crate::consensus) struct Minimal;

impl Preset for Minimal {
    type Committees = U4;
    type SlotValidators = U8192;
    type SyncCommittee = U32;
    type SyncSubcommittee = U8;
}
