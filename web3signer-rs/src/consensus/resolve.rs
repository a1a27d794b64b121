//! The second step: from a [`SignRequest`] and a [`Network`] to the roots.

use tree_hash::TreeHash;

use super::body::{AggregateRequest, BlockRequest};
use super::containers::block::{BeaconBlock, BeaconBlockAltair, BeaconBlockAltairWire, BeaconBlockWire};
use super::containers::preset::{Mainnet, Minimal, Preset};
use super::containers::small::{
    AggregationSlot, AttestationData, BeaconBlockHeader, Deposit, DepositMessage, ForkInfo,
    PayloadAttestationData, ProposerPreferences, RandaoReveal, SyncAggregatorSelectionData,
    SyncCommitteeMessage, ValidatorRegistration, VoluntaryExit,
};
use super::containers::sync::{ContributionAndProof, ContributionAndProofWire};
use super::domain::{DomainType, signing_root};
use super::kind::Kind;
use super::network::{Fork, Network, Sizes};
use super::part::Part;
use super::refusal::CannotSign;
use super::request::{Object, SignRequest};
use crate::duty::{Duty, Root, SlashableDuty};

/// A request's roots. Only its signing root may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// What was asked for.
    pub kind: Kind,
    /// The hash tree root of the object.
    pub object_root: Root,
    /// The domain.
    pub domain: Root,
    /// What is signed.
    pub signing_root: Root,
    /// What slashing protection must permit first, if it is such a duty.
    pub slashable: Option<SlashableDuty>,
}

impl SignRequest {
    /// Computes the roots for a network, and compares them with `signing_root` and `signingRoot` where given.
    ///
    /// A request that needs no `fork_info` (deposit, registration) is complete without it. A given root is only ever
    /// compared: what is signed is always computed from the content.
    ///
    /// # Errors
    /// [`CannotSign`]: something is missing or has the wrong length, the network has no such duty at that slot, or a
    /// given root is another one.
    pub fn resolve(self, network: &Network) -> Result<Resolved, CannotSign> {
        let (kind, given_roots) = (self.kind(), self.given_roots);
        let message = match network.sizes() {
            Sizes::Mainnet => self.message::<Mainnet>(network),
            Sizes::Minimal => self.message::<Minimal>(network),
        }?;
        let signing_root = signing_root(message.object_root, message.domain);
        if let Some(given) = given_roots
            .into_iter()
            .flatten()
            .find(|given| given.0 != Some(signing_root))
        {
            return Err(CannotSign::RootMismatch {
                given: given.0,
                computed: signing_root,
            });
        }
        Ok(Resolved {
            kind,
            object_root: message.object_root,
            domain: message.domain,
            signing_root,
            slashable: message
                .slashable
                .map(|(duty, genesis_validators_root)| SlashableDuty {
                    duty,
                    signing_root,
                    genesis_validators_root,
                }),
        })
    }

    /// The types whose domain belongs to no fork of the chain; all others go on to [`message_of_fork`].
    fn message<P: Preset>(self, network: &Network) -> Result<Message, CannotSign> {
        let kind = self.kind();
        match self.object {
            Object::None => Err(CannotSign::NoObject { kind }),
            Object::Deposit(wire) => {
                let deposit = Deposit::complete(Some(wire), kind.member())?;
                let message = DepositMessage {
                    pubkey: deposit.pubkey,
                    withdrawal_credentials: deposit.withdrawal_credentials,
                    amount: deposit.amount,
                };
                // A deposit is valid on every fork, and before the chain has a genesis validators root.
                Ok(Message::free(
                    &message,
                    DomainType::DEPOSIT.domain(deposit.genesis_fork_version, [0; 32]),
                ))
            }
            Object::Registration(wire) => {
                let registration = ValidatorRegistration::complete(Some(wire), kind.member())?;
                let version = network.genesis_fork_version();
                Ok(Message::free(
                    &registration,
                    DomainType::APPLICATION_BUILDER.domain(version, [0; 32]),
                ))
            }
            object => {
                let fork_info = self.fork_info.ok_or(CannotSign::NoForkInfo { kind })?;
                let fork_info = ForkInfo::complete(Some(fork_info), "fork_info")?;
                message_of_fork::<P>(kind, object, &fork_info, network)
            }
        }
    }
}

/// An object's root, its domain, and what slashing protection must know: the duty and the chain.
struct Message {
    object_root: Root,
    domain: Root,
    slashable: Option<(Duty, Root)>,
}

impl Message {
    /// A message that cannot be slashed.
    fn free(object: &impl TreeHash, domain: Root) -> Self {
        Self {
            object_root: object.tree_hash_root().0,
            domain,
            slashable: None,
        }
    }

    /// A block or its header.
    fn block(block: &impl TreeHash, slot: u64, fork_info: &ForkInfo, network: &Network) -> Self {
        let version = fork_info.version_at(network.epoch_of(slot));
        let domain = DomainType::BEACON_PROPOSER.domain(version, fork_info.genesis_validators_root);
        let slashable = Some((Duty::Block { slot }, fork_info.genesis_validators_root));
        Self {
            slashable,
            ..Self::free(block, domain)
        }
    }
}

/// The types whose domain has the fork version that `fork_info` names for their epoch.
fn message_of_fork<P: Preset>(
    kind: Kind,
    object: Object,
    fork_info: &ForkInfo,
    network: &Network,
) -> Result<Message, CannotSign> {
    let member = kind.member();
    let root = fork_info.genesis_validators_root;
    let at_epoch = |purpose: DomainType, epoch| purpose.domain(fork_info.version_at(epoch), root);
    let at_slot = |purpose, slot| at_epoch(purpose, network.epoch_of(slot));
    Ok(match object {
        Object::Block(wire) | Object::BlockV2(BlockRequest::Phase0(wire)) => {
            phase0_block(*wire, fork_info, network)?
        }
        Object::BlockV2(BlockRequest::Altair(wire)) => altair_block::<P>(*wire, fork_info, network)?,
        Object::BlockV2(BlockRequest::Header(wire)) => {
            let header = BeaconBlockHeader::complete(Some(wire), "block_header")?;
            Message::block(&header, header.slot, fork_info, network)
        }
        Object::Attestation(wire) => {
            let data = AttestationData::complete(Some(wire), member)?;
            let duty = Duty::Attestation {
                source: data.source.epoch,
                target: data.target.epoch,
            };
            let domain = at_epoch(DomainType::BEACON_ATTESTER, data.target.epoch);
            Message {
                slashable: Some((duty, root)),
                ..Message::free(&data, domain)
            }
        }
        Object::RandaoReveal(wire) => {
            let reveal = RandaoReveal::complete(Some(wire), member)?;
            Message::free(&reveal, at_epoch(DomainType::RANDAO, reveal.epoch))
        }
        Object::VoluntaryExit(wire) => {
            let exit = VoluntaryExit::complete(Some(wire), member)?;
            // EIP-7044: since Deneb an exit stays valid for ever, so its version no longer follows the fork.
            let version = network
                .exit_version_since_deneb(exit.epoch)
                .unwrap_or_else(|| fork_info.version_at(exit.epoch));
            Message::free(&exit, DomainType::VOLUNTARY_EXIT.domain(version, root))
        }
        Object::AggregationSlot(wire) => {
            let slot = AggregationSlot::complete(Some(wire), member)?;
            Message::free(&slot, at_slot(DomainType::SELECTION_PROOF, slot.slot))
        }
        Object::Aggregate(request) => aggregate::<P>(kind, *request, network, |slot| {
            at_slot(DomainType::AGGREGATE_AND_PROOF, slot)
        })?,
        Object::SyncCommitteeMessage(wire) => {
            let message = SyncCommitteeMessage::complete(Some(wire), member)?;
            require(Fork::Altair, kind, message.slot, network)?;
            Message::free(
                &message.beacon_block_root,
                at_slot(DomainType::SYNC_COMMITTEE, message.slot),
            )
        }
        Object::SyncSelection(wire) => {
            let selection = SyncAggregatorSelectionData::complete(Some(wire), member)?;
            require(Fork::Altair, kind, selection.slot, network)?;
            Message::free(
                &selection,
                at_slot(DomainType::SYNC_COMMITTEE_SELECTION_PROOF, selection.slot),
            )
        }
        Object::Contribution(wire) => contribution::<P>(*wire, network, |slot| {
            at_slot(DomainType::CONTRIBUTION_AND_PROOF, slot)
        })?,
        Object::PayloadAttestation(wire) => {
            let data = PayloadAttestationData::complete(Some(wire), member)?;
            require(Fork::Gloas, kind, data.slot, network)?;
            Message::free(&data, at_slot(DomainType::PTC_ATTESTER, data.slot))
        }
        Object::Preferences(wire) => {
            let preferences = ProposerPreferences::complete(Some(wire), member)?;
            require(Fork::Gloas, kind, preferences.proposal_slot, network)?;
            Message::free(
                &preferences,
                at_slot(DomainType::PROPOSER_PREFERENCES, preferences.proposal_slot),
            )
        }
        Object::None | Object::Deposit(_) | Object::Registration(_) => {
            return Err(CannotSign::NoObject { kind });
        }
    })
}

// A function of its own for each large container keeps it off the stack of the frequent small duties.

fn phase0_block(
    wire: BeaconBlockWire,
    fork_info: &ForkInfo,
    network: &Network,
) -> Result<Message, CannotSign> {
    let block = BeaconBlock::complete(Some(wire), "block")?;
    Ok(Message::block(&block, block.slot, fork_info, network))
}

fn altair_block<P: Preset>(
    wire: BeaconBlockAltairWire,
    fork_info: &ForkInfo,
    network: &Network,
) -> Result<Message, CannotSign> {
    let block = BeaconBlockAltair::<P>::complete(Some(wire), "block")?;
    Ok(Message::block(&block, block.slot, fork_info, network))
}

fn aggregate<P: Preset>(
    kind: Kind,
    request: AggregateRequest,
    network: &Network,
    domain: impl FnOnce(u64) -> Root,
) -> Result<Message, CannotSign> {
    let says_gloas = request.says_gloas();
    let wire = request.flat();
    let slot = wire.slot()?;
    if says_gloas {
        // The only version that is more than decoration: without Gloas the form would be another and the root wrong.
        require(Fork::Gloas, kind, slot, network)?;
    }
    let object_root = wire.root::<P>(network.fork_at_slot(slot))?.0;
    Ok(Message {
        object_root,
        domain: domain(slot),
        slashable: None,
    })
}

fn contribution<P: Preset>(
    wire: ContributionAndProofWire,
    network: &Network,
    domain: impl FnOnce(u64) -> Root,
) -> Result<Message, CannotSign> {
    let kind = Kind::SyncCommitteeContributionAndProof;
    let proof = ContributionAndProof::<P>::complete(Some(wire), kind.member())?;
    require(Fork::Altair, kind, proof.contribution.slot, network)?;
    Ok(Message::free(&proof, domain(proof.contribution.slot)))
}

/// Refuses a duty that the network does not have yet at a slot.
fn require(needs: Fork, kind: Kind, slot: u64, network: &Network) -> Result<(), CannotSign> {
    let fork = network.fork_at_slot(slot);
    if fork >= needs {
        Ok(())
    } else {
        Err(CannotSign::BeforeFork {
            kind,
            slot,
            fork,
            needs,
        })
    }
}
