//! The JSON body of a sign request, member by member.
//!
//! Every known member is read in its form, also one that the request's type does not need: Web3Signer does so, and a
//! body with a malformed part is not one to sign from. Unknown members are passed over. A known member that stands twice
//! in one object is an error.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::containers::aggregate::{AggregateAndProofWire, AggregateWire};
use super::containers::block::{BeaconBlockAltairWire, BeaconBlockWire};
use super::containers::small::{
    AggregationSlotWire, AttestationDataWire, BeaconBlockHeaderWire, DepositWire, ForkInfoWire,
    PayloadAttestationDataWire, ProposerPreferencesWire, RandaoRevealWire, SyncAggregatorSelectionDataWire,
    SyncCommitteeMessageWire, ValidatorRegistrationWire, VoluntaryExitWire,
};
use super::containers::sync::ContributionAndProofWire;
use super::kind::Kind;
use super::network::Fork;
use super::refusal::BadRequest;
use super::search::find;
use super::text::{Bytes, GivenRoot, Number};

/// The body. What is large is boxed, so that the frequent small requests are cheap to move.
#[derive(Deserialize)]
pub(super) struct Body<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    pub(super) signing_root: Option<GivenRoot>,
    #[serde(rename = "signingRoot")]
    pub(super) signing_root_alias: Option<GivenRoot>,
    pub(super) fork_info: Option<ForkInfoWire>,
    pub(super) block: Option<Box<BeaconBlockWire>>,
    #[serde(borrow)]
    pub(super) beacon_block: Option<&'a RawValue>,
    pub(super) attestation: Option<AttestationDataWire>,
    pub(super) aggregation_slot: Option<AggregationSlotWire>,
    pub(super) aggregate_and_proof: Option<Box<AggregateRequest>>,
    pub(super) voluntary_exit: Option<VoluntaryExitWire>,
    pub(super) randao_reveal: Option<RandaoRevealWire>,
    pub(super) deposit: Option<DepositWire>,
    pub(super) sync_committee_message: Option<SyncCommitteeMessageWire>,
    pub(super) sync_aggregator_selection_data: Option<SyncAggregatorSelectionDataWire>,
    pub(super) contribution_and_proof: Option<Box<ContributionAndProofWire>>,
    pub(super) validator_registration: Option<ValidatorRegistrationWire>,
    pub(super) payload_attestation_message: Option<Versioned<PayloadAttestationDataWire>>,
    pub(super) proposer_preferences: Option<Versioned<ProposerPreferencesWire>>,
}

/// `{version, data}` of the Gloas types. The version must be a known one; the slot decides.
#[derive(Deserialize)]
pub(super) struct Versioned<W> {
    #[expect(
        dead_code,
        reason = "read to refuse an unknown version; nothing depends on its value"
    )]
    version: Option<Version>,
    pub(super) data: Option<W>,
}

/// A fork by its name in any case.
struct Version(Fork);

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        Fork::from_name(&name)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("unknown version"))
    }
}

/// `aggregate_and_proof` in either form: flat, or `{version, data}`.
#[derive(Deserialize)]
pub(super) struct AggregateRequest {
    version: Option<Version>,
    data: Option<AggregateAndProofWire>,
    aggregator_index: Option<Number>,
    aggregate: Option<AggregateWire>,
    selection_proof: Option<Bytes<96>>,
}

impl AggregateRequest {
    /// Whether the request calls its aggregate one of Gloas.
    pub(super) fn says_gloas(&self) -> bool {
        matches!(self.version, Some(Version(Fork::Gloas)))
    }

    /// The flat form: `data` where there is also a `version`, or where nothing flat is given.
    pub(super) fn flat(self) -> AggregateAndProofWire {
        match self.data {
            Some(data) if self.version.is_some() || self.aggregate.is_none() => data,
            _ => AggregateAndProofWire {
                aggregator_index: self.aggregator_index,
                aggregate: self.aggregate,
                selection_proof: self.selection_proof,
            },
        }
    }
}

/// `beacon_block`, once its version is known.
pub(super) enum BlockRequest {
    Phase0(Box<BeaconBlockWire>),
    Altair(Box<BeaconBlockAltairWire>),
    Header(BeaconBlockHeaderWire),
}

impl BlockRequest {
    /// Reads `beacon_block`. `version`, `block` and `block_header` may stand at any depth in it.
    ///
    /// # Errors
    /// The last three variants of [`BadRequest`].
    pub(super) fn parse(json: &RawValue) -> Result<Self, BadRequest> {
        let version = member(json, "version")?.ok_or(BadRequest::BlockVersion)?;
        let name: std::borrow::Cow<'_, str> =
            serde_json::from_str(version.get()).map_err(|_| BadRequest::BlockVersion)?;
        let version = Fork::ALL
            .into_iter()
            .find(|fork| fork.name() == name)
            .ok_or(BadRequest::BlockVersion)?;
        Ok(match version {
            Fork::Phase0 => Self::Phase0(read(json, version, "block")?),
            Fork::Altair => Self::Altair(read(json, version, "block")?),
            _ => Self::Header(read(json, version, "block_header")?),
        })
    }
}

fn member<'a>(json: &'a RawValue, member: &'static str) -> Result<Option<&'a RawValue>, BadRequest> {
    find(json, member).map_err(|source| BadRequest::Block { member, source })
}

/// Reads the member `name`; null is as good as none.
fn read<'a, T: Deserialize<'a>>(
    json: &'a RawValue,
    version: Fork,
    name: &'static str,
) -> Result<T, BadRequest> {
    let value = member(json, name)?.ok_or(BadRequest::BlockMissing {
        version,
        member: name,
    })?;
    let value: Option<T> =
        serde_json::from_str(value.get()).map_err(|source| BadRequest::Block { member: name, source })?;
    value.ok_or(BadRequest::BlockMissing {
        version,
        member: name,
    })
}
