//! The first step: from the bytes of a request's body to a [`SignRequest`]. What fails here is the client's text.

use super::body::{AggregateRequest, BlockRequest, Body};
use super::containers::block::BeaconBlockWire;
use super::containers::small::{
    AggregationSlotWire, AttestationDataWire, DepositWire, ForkInfoWire, PayloadAttestationDataWire,
    ProposerPreferencesWire, RandaoRevealWire, SyncAggregatorSelectionDataWire, SyncCommitteeMessageWire,
    ValidatorRegistrationWire, VoluntaryExitWire,
};
use super::containers::sync::ContributionAndProofWire;
use super::kind::Kind;
use super::refusal::BadRequest;
use super::text::GivenRoot;

/// Most bytes of a sign request: 10 MiB, the bound of the HTTP server that Web3Signer is built on. The largest real one,
/// a full phase0 block, is below 1 MiB.
pub const MAX_REQUEST_LEN: usize = 10 * 1024 * 1024;

/// A sign request that could be read. It may still lack what its type needs.
pub struct SignRequest {
    kind: Kind,
    pub(super) given_roots: [Option<GivenRoot>; 2],
    pub(super) fork_info: Option<ForkInfoWire>,
    pub(super) object: Object,
}

/// What the request's type is about.
pub(super) enum Object {
    Block(Box<BeaconBlockWire>),
    BlockV2(BlockRequest),
    Attestation(AttestationDataWire),
    RandaoReveal(RandaoRevealWire),
    Deposit(DepositWire),
    VoluntaryExit(VoluntaryExitWire),
    AggregationSlot(AggregationSlotWire),
    Aggregate(Box<AggregateRequest>),
    SyncCommitteeMessage(SyncCommitteeMessageWire),
    SyncSelection(SyncAggregatorSelectionDataWire),
    Contribution(Box<ContributionAndProofWire>),
    Registration(ValidatorRegistrationWire),
    PayloadAttestation(PayloadAttestationDataWire),
    Preferences(ProposerPreferencesWire),
    /// The member is absent or null.
    None,
}

impl std::fmt::Debug for SignRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignRequest")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl SignRequest {
    /// Reads the body of a sign request.
    ///
    /// # Errors
    /// [`BadRequest`]: the body is longer than [`MAX_REQUEST_LEN`], is not exactly one JSON object, or has a member that
    /// is required and missing, stands twice or is malformed.
    pub fn parse(body: &[u8]) -> Result<Self, BadRequest> {
        if body.len() > MAX_REQUEST_LEN {
            return Err(BadRequest::TooLong {
                length: body.len(),
                limit: MAX_REQUEST_LEN,
            });
        }
        let body: Body<'_> = serde_json::from_slice(body).map_err(|source| BadRequest::Json { source })?;
        let block_v2 = body.beacon_block.map(BlockRequest::parse).transpose()?;
        let object = match body.kind {
            Kind::Block => body.block.map(Object::Block),
            Kind::BlockV2 => block_v2.map(Object::BlockV2),
            Kind::Attestation => body.attestation.map(Object::Attestation),
            Kind::RandaoReveal => body.randao_reveal.map(Object::RandaoReveal),
            Kind::Deposit => body.deposit.map(Object::Deposit),
            Kind::VoluntaryExit => body.voluntary_exit.map(Object::VoluntaryExit),
            Kind::AggregationSlot => body.aggregation_slot.map(Object::AggregationSlot),
            Kind::AggregateAndProof | Kind::AggregateAndProofV2 => {
                body.aggregate_and_proof.map(Object::Aggregate)
            }
            Kind::SyncCommitteeMessage => body.sync_committee_message.map(Object::SyncCommitteeMessage),
            Kind::SyncCommitteeSelectionProof => {
                body.sync_aggregator_selection_data.map(Object::SyncSelection)
            }
            Kind::SyncCommitteeContributionAndProof => body.contribution_and_proof.map(Object::Contribution),
            Kind::ValidatorRegistration => body.validator_registration.map(Object::Registration),
            Kind::PayloadAttestationMessage => body
                .payload_attestation_message
                .and_then(|message| message.data)
                .map(Object::PayloadAttestation),
            Kind::ProposerPreferences => body
                .proposer_preferences
                .and_then(|message| message.data)
                .map(Object::Preferences),
        };
        Ok(Self {
            kind: body.kind,
            given_roots: [body.signing_root, body.signing_root_alias],
            fork_info: body.fork_info,
            object: object.unwrap_or(Object::None),
        })
    }

    /// What is asked for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
}
