//! Containers of fixed size.
//!
//! Source: consensus-specs phase0 and altair `beacon-chain.md` and `validator.md`; builder-specs (registration);
//! Gloas `beacon-chain.md` and `validator.md` (the last two containers).

use crate::consensus::part::{Part, containers};
use crate::consensus::refusal::CannotSign;

containers! {
    /// Which fork versions a domain may have.
    struct Fork as ForkWire { previous_version: [u8; 4], current_version: [u8; 4], epoch: u64 }

    /// `fork_info` of a request. Not an SSZ type of the specification, only a pair.
    struct ForkInfo as ForkInfoWire required { fork: Fork, genesis_validators_root: [u8; 32] }

    /// A checkpoint of a vote.
    struct Checkpoint as CheckpointWire { epoch: u64, root: [u8; 32] }

    /// What an attestation says.
    struct AttestationData as AttestationDataWire {
        slot: u64,
        index: u64,
        beacon_block_root: [u8; 32],
        source: Checkpoint,
        target: Checkpoint,
    }

    /// A block with its body replaced by the body's root: the header's root is the block's root.
    struct BeaconBlockHeader as BeaconBlockHeaderWire {
        slot: u64,
        proposer_index: u64,
        parent_root: [u8; 32],
        state_root: [u8; 32],
        body_root: [u8; 32],
    }

    /// `randao_reveal`. A container of one member has that member's root, here that of a `uint64`.
    struct RandaoReveal as RandaoRevealWire required { epoch: u64 }

    /// `aggregation_slot`. As above.
    struct AggregationSlot as AggregationSlotWire required { slot: u64 }

    /// A wish to leave.
    struct VoluntaryExit as VoluntaryExitWire { epoch: u64, validator_index: u64 }

    /// `deposit`: the members of [`DepositMessage`] and the version for its domain.
    struct Deposit as DepositWire required {
        pubkey: [u8; 48],
        withdrawal_credentials: [u8; 32],
        amount: u64,
        genesis_fork_version: [u8; 4],
    }

    /// `sync_committee_message`. What is signed is the block root alone.
    struct SyncCommitteeMessage as SyncCommitteeMessageWire { beacon_block_root: [u8; 32], slot: u64 }

    /// Selects a sync committee aggregator.
    struct SyncAggregatorSelectionData as SyncAggregatorSelectionDataWire required { slot: u64, subcommittee_index: u64 }

    /// A validator's wish to builders.
    struct ValidatorRegistration as ValidatorRegistrationWire required {
        fee_recipient: [u8; 20],
        gas_limit: u64,
        timestamp: u64,
        pubkey: [u8; 48],
    }

    /// Gloas: what a member of the payload timeliness committee saw.
    struct PayloadAttestationData as PayloadAttestationDataWire {
        beacon_block_root: [u8; 32],
        slot: u64,
        payload_present: bool,
        blob_data_available: bool,
    }

    /// Gloas: what a proposer wants from builders.
    struct ProposerPreferences as ProposerPreferencesWire {
        dependent_root: [u8; 32],
        proposal_slot: u64,
        validator_index: u64,
        fee_recipient: [u8; 20],
        target_gas_limit: u64,
    }
}

/// What a deposit's signature covers.
#[derive(tree_hash_derive::TreeHash)]
pub(in crate::consensus) struct DepositMessage {
    pub(in crate::consensus) pubkey: [u8; 48],
    pub(in crate::consensus) withdrawal_credentials: [u8; 32],
    pub(in crate::consensus) amount: u64,
}
