//! Whole phase0 and Altair blocks. Later blocks come as headers.
//!
//! Source: consensus-specs phase0 and altair `beacon-chain.md`. The list limits are the same in all presets.

use ssz_types::typenum::{U2, U16, U33, U128, U2048};
use ssz_types::{BitList, BitVector, FixedVector, VariableList};

use super::preset::Preset;
use super::small::{AttestationData, BeaconBlockHeader, VoluntaryExit};
use crate::consensus::part::{Part, containers};
use crate::consensus::refusal::CannotSign;
use crate::consensus::text::HexBytes;

containers! {
    /// A phase0 block.
    struct BeaconBlock as BeaconBlockWire {
        slot: u64,
        proposer_index: u64,
        parent_root: [u8; 32],
        state_root: [u8; 32],
        body: BeaconBlockBody,
    }

    /// The body of a phase0 block.
    struct BeaconBlockBody as BeaconBlockBodyWire {
        randao_reveal: [u8; 96],
        eth1_data: Eth1Data,
        graffiti: [u8; 32],
        proposer_slashings: VariableList<ProposerSlashing, U16>,
        attester_slashings: VariableList<AttesterSlashing, U2>,
        attestations: VariableList<Attestation, U128>,
        deposits: VariableList<Deposit, U16>,
        voluntary_exits: VariableList<SignedVoluntaryExit, U16>,
    }

    /// An Altair block.
    struct BeaconBlockAltair<P> as BeaconBlockAltairWire {
        slot: u64,
        proposer_index: u64,
        parent_root: [u8; 32],
        state_root: [u8; 32],
        body: BeaconBlockBodyAltair<P> = BeaconBlockBodyAltairWire,
    }

    /// The body of an Altair block.
    struct BeaconBlockBodyAltair<P> as BeaconBlockBodyAltairWire {
        randao_reveal: [u8; 96],
        eth1_data: Eth1Data,
        graffiti: [u8; 32],
        proposer_slashings: VariableList<ProposerSlashing, U16>,
        attester_slashings: VariableList<AttesterSlashing, U2>,
        attestations: VariableList<Attestation, U128>,
        deposits: VariableList<Deposit, U16>,
        voluntary_exits: VariableList<SignedVoluntaryExit, U16>,
        sync_aggregate: SyncAggregate<P> = SyncAggregateWire,
    }

    /// A sync committee's vote for the block before.
    struct SyncAggregate<P> as SyncAggregateWire {
        sync_committee_bits: BitVector<P::SyncCommittee> = HexBytes,
        sync_committee_signature: [u8; 96],
    }

    /// A proposer's vote on the execution chain.
    struct Eth1Data as Eth1DataWire { deposit_root: [u8; 32], deposit_count: u64, block_hash: [u8; 32] }

    /// Two headers of one slot by one proposer.
    struct ProposerSlashing as ProposerSlashingWire {
        signed_header_1: SignedBeaconBlockHeader,
        signed_header_2: SignedBeaconBlockHeader,
    }

    /// A header and its signature.
    struct SignedBeaconBlockHeader as SignedBeaconBlockHeaderWire { message: BeaconBlockHeader, signature: [u8; 96] }

    /// Two votes that contradict each other.
    struct AttesterSlashing as AttesterSlashingWire {
        attestation_1: IndexedAttestation,
        attestation_2: IndexedAttestation,
    }

    /// A vote with the indices of its voters.
    struct IndexedAttestation as IndexedAttestationWire {
        attesting_indices: VariableList<u64, U2048>,
        data: AttestationData,
        signature: [u8; 96],
    }

    /// A vote of a committee, before Electra.
    struct Attestation as AttestationWire { aggregation_bits: BitList<U2048>, data: AttestationData, signature: [u8; 96] }

    /// A deposit and its proof: 32 levels of the deposit tree and the mixed-in length.
    struct Deposit as DepositWire { proof: FixedVector<[u8; 32], U33>, data: DepositData }

    /// A deposit as the deposit contract recorded it.
    struct DepositData as DepositDataWire {
        pubkey: [u8; 48],
        withdrawal_credentials: [u8; 32],
        amount: u64,
        signature: [u8; 96],
    }

    /// An exit and its signature.
    struct SignedVoluntaryExit as SignedVoluntaryExitWire { message: VoluntaryExit, signature: [u8; 96] }
}
