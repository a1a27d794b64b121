//! The three forms of an aggregate: before Electra, from Electra, from Gloas.
//!
//! A request does not say which: the network's fork at `aggregate.data.slot` does.
//!
//! Source: consensus-specs phase0, electra and gloas `beacon-chain.md`.

use serde::Deserialize;
use ssz_types::typenum::U2048;
use ssz_types::{BitList, BitVector};
use tree_hash::{Hash256, TreeHash};
use tree_hash_derive::TreeHash;

use super::preset::Preset;
use super::progressive;
use super::small::{AttestationData, AttestationDataWire};
use crate::consensus::network::Fork;
use crate::consensus::part::Part;
use crate::consensus::refusal::CannotSign;
use crate::consensus::text::{Bytes, HexBytes, Number};

/// `{aggregator_index, aggregate, selection_proof}`.
#[derive(Deserialize)]
pub(in crate::consensus) struct AggregateAndProofWire {
    pub(in crate::consensus) aggregator_index: Option<Number>,
    pub(in crate::consensus) aggregate: Option<AggregateWire>,
    pub(in crate::consensus) selection_proof: Option<Bytes<96>>,
}

/// An attestation of any fork; `committee_bits` since Electra.
#[derive(Deserialize)]
pub(in crate::consensus) struct AggregateWire {
    pub(in crate::consensus) aggregation_bits: Option<HexBytes>,
    pub(in crate::consensus) data: Option<AttestationDataWire>,
    pub(in crate::consensus) signature: Option<Bytes<96>>,
    pub(in crate::consensus) committee_bits: Option<HexBytes>,
}

/// `AggregateAndProof`: its shape is the same in all forks, that of the aggregate is not.
#[derive(TreeHash)]
struct AggregateAndProof {
    aggregator_index: u64,
    /// The root of the aggregate.
    aggregate: [u8; 32],
    selection_proof: [u8; 96],
}

#[derive(TreeHash)]
struct Attestation {
    aggregation_bits: BitList<U2048>,
    data: AttestationData,
    signature: [u8; 96],
}

#[derive(TreeHash)]
struct AttestationElectra<P: Preset> {
    aggregation_bits: BitList<P::SlotValidators>,
    data: AttestationData,
    signature: [u8; 96],
    committee_bits: BitVector<P::Committees>,
}

impl<P: Preset> AttestationElectra<P> {
    /// The root since Gloas: the members are the same, the container and the bit list are progressive ones.
    fn gloas_root(&self) -> Hash256 {
        progressive::container(&[
            progressive::bit_list(&self.aggregation_bits),
            self.data.tree_hash_root(),
            self.signature.tree_hash_root(),
            self.committee_bits.tree_hash_root(),
        ])
    }
}

impl AggregateAndProofWire {
    /// `aggregate.data.slot`, which decides the form.
    ///
    /// # Errors
    /// [`CannotSign::Missing`].
    pub(in crate::consensus) fn slot(&self) -> Result<u64, CannotSign> {
        let data = self
            .aggregate
            .as_ref()
            .and_then(|aggregate| aggregate.data.as_ref());
        u64::complete(data.and_then(|data| data.slot), "Attestation.data.slot")
    }

    /// The root of the container in the form of `fork`.
    ///
    /// # Errors
    /// [`CannotSign::Missing`] and [`CannotSign::Bits`].
    pub(in crate::consensus) fn root<P: Preset>(self, fork: Fork) -> Result<Hash256, CannotSign> {
        let aggregate = self.aggregate.ok_or(CannotSign::Missing {
            member: "AggregateAndProof.aggregate",
        })?;
        let (bits, bits_name) = (aggregate.aggregation_bits, "Attestation.aggregation_bits");
        let data = AttestationData::complete(aggregate.data, "Attestation.data")?;
        let signature = Part::complete(aggregate.signature, "Attestation.signature")?;
        let root = if fork < Fork::Electra {
            let aggregation_bits = Part::complete(bits, bits_name)?;
            Attestation {
                aggregation_bits,
                data,
                signature,
            }
            .tree_hash_root()
        } else {
            let aggregate = AttestationElectra::<P> {
                aggregation_bits: Part::complete(bits, bits_name)?,
                data,
                signature,
                committee_bits: Part::complete(aggregate.committee_bits, "Attestation.committee_bits")?,
            };
            if fork < Fork::Gloas {
                aggregate.tree_hash_root()
            } else {
                aggregate.gloas_root()
            }
        };
        Ok(AggregateAndProof {
            aggregator_index: Part::complete(self.aggregator_index, "AggregateAndProof.aggregator_index")?,
            aggregate: root.0,
            selection_proof: Part::complete(self.selection_proof, "AggregateAndProof.selection_proof")?,
        }
        .tree_hash_root())
    }
}
