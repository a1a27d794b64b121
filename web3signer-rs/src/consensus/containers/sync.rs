//! Contributions of sync subcommittees.
//!
//! Source: consensus-specs altair `validator.md`.

use ssz_types::BitVector;

use super::preset::Preset;
use crate::consensus::part::{Part, containers};
use crate::consensus::refusal::CannotSign;
use crate::consensus::text::HexBytes;

containers! {
    /// What a sync subcommittee's aggregator signs.
    struct ContributionAndProof<P> as ContributionAndProofWire {
        aggregator_index: u64,
        contribution: SyncCommitteeContribution<P> = SyncCommitteeContributionWire,
        selection_proof: [u8; 96],
    }

    /// The votes of a sync subcommittee.
    struct SyncCommitteeContribution<P> as SyncCommitteeContributionWire {
        slot: u64,
        beacon_block_root: [u8; 32],
        subcommittee_index: u64,
        aggregation_bits: BitVector<P::SyncSubcommittee> = HexBytes,
        signature: [u8; 96],
    }
}
