//! When a duty must be refused. Pure: no store, no clock.
//!
//! - [`complete`]: the whole history is known; every condition of EIP-3076 and a floor. What Web3Signer does.
//! - [`minimal`]: only the newest duties are known; signs upward only. Refuses all that [`complete`] refuses.
//!
//! Source: EIP-3076, "Conditions"; section 7 of the contract.

pub mod complete;
pub mod minimal;

use super::watermark::HighWatermark;
use crate::duty::{Duty, Root, SlashableDuty};

/// The rule that forbids a duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// The request is for another chain.
    #[error(
        "genesis validators root 0x{} of the request is not 0x{} of the store",
        hex::encode(actual),
        hex::encode(expected)
    )]
    GenesisValidatorsRoot {
        /// The store's.
        expected: Root,
        /// The request's.
        actual: Root,
    },
    /// The validator's record says that it must not sign.
    #[error("the validator is disabled")]
    Disabled,
    /// At or after the high watermark.
    #[error("at or above the high watermark (epoch {}, slot {})", .0.epoch, .0.slot)]
    HighWatermark(HighWatermark),
    /// The source is after the target.
    #[error("source epoch {source_epoch} is after target epoch {target_epoch}")]
    SourceAfterTarget {
        /// Asked for.
        source_epoch: u64,
        /// Asked for.
        target_epoch: u64,
    },
    /// A block below the lowest slot that may be signed.
    #[error("slot {slot} is below {floor}, the lowest that may be signed")]
    SlotBelowFloor {
        /// Asked for.
        slot: u64,
        /// Lowest that may be signed.
        floor: u64,
    },
    /// A vote whose source is below the lowest that may be signed.
    #[error("source epoch {source_epoch} is below {floor}, the lowest that may be signed")]
    SourceBelowFloor {
        /// Asked for.
        source_epoch: u64,
        /// Lowest that may be signed.
        floor: u64,
    },
    /// A vote whose target is below the lowest that may be signed.
    #[error("target epoch {target_epoch} is below {floor}, the lowest that may be signed")]
    TargetBelowFloor {
        /// Asked for.
        target_epoch: u64,
        /// Lowest that may be signed.
        floor: u64,
    },
    /// Another block of this slot was signed, or one whose root is not known.
    #[error("another block of slot {slot} was signed")]
    DoubleProposal {
        /// The slot.
        slot: u64,
    },
    /// Another vote for this target was signed, or one whose root is not known.
    #[error("another vote for target epoch {target_epoch} was signed")]
    DoubleVote {
        /// The target.
        target_epoch: u64,
    },
    /// A signed vote surrounds this one.
    #[error("surrounded by the signed vote from {source_epoch} to {target_epoch}")]
    Surrounded {
        /// Source of the signed vote.
        source_epoch: u64,
        /// Target of the signed vote.
        target_epoch: u64,
    },
    /// This vote surrounds a signed one.
    #[error("surrounds the signed vote from {source_epoch} to {target_epoch}")]
    Surrounds {
        /// Source of the signed vote.
        source_epoch: u64,
        /// Target of the signed vote.
        target_epoch: u64,
    },
    /// A signer that ran before this one may have signed it.
    #[error("epoch {epoch} is not after {start}, the epoch at the start of this signer")]
    BeforeStart {
        /// The epoch that was asked for.
        epoch: u64,
        /// The present epoch when the signer started.
        start: u64,
    },
    /// Further in the future than any honest duty.
    #[error("epoch {epoch} is beyond {last}, the next epoch")]
    BeyondNextEpoch {
        /// The epoch that was asked for.
        epoch: u64,
        /// The last that may be signed now.
        last: u64,
    },
}

/// What a store knows about the validator and the installation, beside its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The chain that the store is for; `None` before its first use.
    pub genesis_validators_root: Option<Root>,
    /// Whether the validator may sign at all.
    pub enabled: bool,
    /// The installation's high watermark.
    pub high_watermark: Option<HighWatermark>,
}

impl Standing {
    /// The rules that need no history.
    ///
    /// # Errors
    /// The first [`Rule`] that forbids `asked`.
    pub fn judge(&self, asked: &SlashableDuty) -> Result<(), Rule> {
        if let Some(expected) = self.genesis_validators_root
            && expected != asked.genesis_validators_root
        {
            return Err(Rule::GenesisValidatorsRoot {
                expected,
                actual: asked.genesis_validators_root,
            });
        }
        if !self.enabled {
            return Err(Rule::Disabled);
        }
        if let Duty::Attestation { source, target } = asked.duty
            && source > target
        {
            return Err(Rule::SourceAfterTarget {
                source_epoch: source,
                target_epoch: target,
            });
        }
        match self.high_watermark {
            Some(mark) if mark.stops(asked.duty) => Err(Rule::HighWatermark(mark)),
            _ => Ok(()),
        }
    }
}

/// What a store must do for a duty that no rule forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The very same duty is on record: nothing to note.
    Repeat,
    /// Note it before the signature leaves.
    Advance,
}

#[cfg(test)]
mod tests;
