//! The types of sign requests, by the names of the HTTP interface.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// What a request asks to sign: its member `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// A phase0 block, in the old form.
    Block,
    /// A block of any fork: whole until Altair, a header since Bellatrix.
    BlockV2,
    /// A vote.
    Attestation,
    /// The signature that makes a block's randomness.
    RandaoReveal,
    /// A deposit.
    Deposit,
    /// A wish to leave.
    VoluntaryExit,
    /// The proof that selects an aggregator of votes.
    AggregationSlot,
    /// An aggregate of votes.
    AggregateAndProof,
    /// The same.
    AggregateAndProofV2,
    /// A sync committee member's vote.
    SyncCommitteeMessage,
    /// The proof that selects an aggregator of a sync subcommittee.
    SyncCommitteeSelectionProof,
    /// An aggregate of sync committee votes.
    SyncCommitteeContributionAndProof,
    /// A registration with builders.
    ValidatorRegistration,
    /// Gloas: a payload timeliness vote.
    PayloadAttestationMessage,
    /// Gloas: a proposer's preferences.
    ProposerPreferences,
}

/// Every type with the name of its request and of the member that holds what is to be signed.
const KINDS: [(Kind, &str, &str); 15] = [
    (Kind::Block, "BLOCK", "block"),
    (Kind::BlockV2, "BLOCK_V2", "beacon_block"),
    (Kind::Attestation, "ATTESTATION", "attestation"),
    (Kind::RandaoReveal, "RANDAO_REVEAL", "randao_reveal"),
    (Kind::Deposit, "DEPOSIT", "deposit"),
    (Kind::VoluntaryExit, "VOLUNTARY_EXIT", "voluntary_exit"),
    (Kind::AggregationSlot, "AGGREGATION_SLOT", "aggregation_slot"),
    (
        Kind::AggregateAndProof,
        "AGGREGATE_AND_PROOF",
        "aggregate_and_proof",
    ),
    (
        Kind::AggregateAndProofV2,
        "AGGREGATE_AND_PROOF_V2",
        "aggregate_and_proof",
    ),
    (
        Kind::SyncCommitteeMessage,
        "SYNC_COMMITTEE_MESSAGE",
        "sync_committee_message",
    ),
    (
        Kind::SyncCommitteeSelectionProof,
        "SYNC_COMMITTEE_SELECTION_PROOF",
        "sync_aggregator_selection_data",
    ),
    (
        Kind::SyncCommitteeContributionAndProof,
        "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF",
        "contribution_and_proof",
    ),
    (
        Kind::ValidatorRegistration,
        "VALIDATOR_REGISTRATION",
        "validator_registration",
    ),
    (
        Kind::PayloadAttestationMessage,
        "PAYLOAD_ATTESTATION_MESSAGE",
        "payload_attestation_message",
    ),
    (
        Kind::ProposerPreferences,
        "PROPOSER_PREFERENCES",
        "proposer_preferences",
    ),
];

/// Types of other releases, refused with the reason.
const NOT_OFFERED: [(&str, &str); 4] = [
    ("EXECUTION_PAYLOAD_BID", "its Gloas form is not settled"),
    ("EXECUTION_PAYLOAD_ENVELOPE", "its Gloas form is not settled"),
    ("BUILDER_REQUEST_AUTH", "its Gloas form is not settled"),
    ("BLOB_SIDECAR", "it was withdrawn before Deneb went live"),
];

impl Kind {
    /// Every type.
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|(kind, _, _)| *kind)
    }

    /// The name, as in `type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The member of the request that holds what is to be signed.
    #[must_use]
    pub fn member(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> &'static (Self, &'static str, &'static str) {
        // The table has every type: a test holds it.
        KINDS
            .iter()
            .find(|(kind, _, _)| *kind == self)
            .unwrap_or(&KINDS[0])
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Kind;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a type of request")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Kind, E> {
                if let Some((kind, _, _)) = KINDS.iter().find(|(_, name, _)| name.eq_ignore_ascii_case(text))
                {
                    return Ok(*kind);
                }
                Err(
                    match NOT_OFFERED
                        .iter()
                        .find(|(name, _)| name.eq_ignore_ascii_case(text))
                    {
                        Some((name, why)) => E::custom(format_args!("type {name} is not offered: {why}")),
                        None => E::custom("unknown type of request"),
                    },
                )
            }
        }
        deserializer.deserialize_str(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> Result<Kind, String> {
        serde_json::from_str(&format!("\"{name}\"")).map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_read_in_any_case_and_belong_to_one_type_each() {
        for kind in Kind::all() {
            assert_eq!(read(kind.name()), Ok(kind));
            assert_eq!(read(&kind.name().to_ascii_lowercase()), Ok(kind));
        }
        let mut names: Vec<_> = Kind::all().map(Kind::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS.len());
    }

    #[test]
    fn the_table_has_a_row_for_every_type() {
        for kind in Kind::all() {
            assert_eq!(kind.row().0, kind);
        }
        // The last variant: with as many rows as variants and no row twice, none is missing.
        assert_eq!(Kind::ProposerPreferences as usize + 1, KINDS.len());
    }

    #[test]
    fn types_of_other_releases_are_refused_by_name() {
        for (name, _) in NOT_OFFERED {
            assert!(read(name).unwrap_err().contains(name));
        }
        for name in ["", "NOT_A_TYPE", "BLOCK ", "BLOCKV2", "PROOF", "BLOB_SIDECARS"] {
            assert!(read(name).unwrap_err().contains("unknown type"), "{name}");
        }
        for json in ["null", "0", "true", "[]", "{}"] {
            assert!(serde_json::from_str::<Kind>(json).is_err(), "{json}");
        }
    }
}
