//! The complete rules of EIP-3076 over a known history, and a floor below which the history was cut off.
//!
//! A store asks for the few facts that matter and hands them to a judge; the judge is the law. The order is that of
//! Web3Signer's reasons, not of importance: any rule alone refuses.

use super::{Rule, Step};
use crate::duty::Root;

/// The root of an entry on record; `None` where the entry came without one.
pub type KnownRoot = Option<Root>;

/// What the history says about one block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockFacts {
    /// Lowest slot that may be signed.
    pub low_watermark: Option<u64>,
    /// The entry of the same slot.
    pub same_slot: Option<KnownRoot>,
}

/// A vote on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Source epoch.
    pub source: u64,
    /// Target epoch.
    pub target: u64,
}

/// What the history says about one attestation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttestationFacts {
    /// Lowest source and target that may be signed.
    pub low_watermark: Option<Vote>,
    /// The entry of the same target.
    pub same_target: Option<KnownRoot>,
    /// Some entry that surrounds the asked vote: its source is below and its target above.
    pub surrounding: Option<Vote>,
    /// Some entry that the asked vote surrounds.
    pub surrounded: Option<Vote>,
}

impl BlockFacts {
    /// Whether a block of `slot` with `root` may be signed.
    ///
    /// # Errors
    /// The first [`Rule`] that forbids it.
    pub fn judge(&self, slot: u64, root: &Root) -> Result<Step, Rule> {
        if let Some(floor) = self.low_watermark
            && slot < floor
        {
            return Err(Rule::SlotBelowFloor { slot, floor });
        }
        match self.same_slot {
            None => Ok(Step::Advance),
            Some(Some(known)) if known == *root => Ok(Step::Repeat),
            Some(_) => Err(Rule::DoubleProposal { slot }),
        }
    }
}

impl AttestationFacts {
    /// Whether a vote from `source` to `target` with `root` may be signed. That the source is not after the target is
    /// [`super::Standing`]'s to check.
    ///
    /// # Errors
    /// The first [`Rule`] that forbids it.
    pub fn judge(&self, source: u64, target: u64, root: &Root) -> Result<Step, Rule> {
        let step = match self.same_target {
            None => Step::Advance,
            Some(Some(known)) if known == *root => Step::Repeat,
            Some(_) => return Err(Rule::DoubleVote { target_epoch: target }),
        };
        if let Some(floor) = self.low_watermark {
            if source < floor.source {
                return Err(Rule::SourceBelowFloor {
                    source_epoch: source,
                    floor: floor.source,
                });
            }
            if target < floor.target {
                return Err(Rule::TargetBelowFloor {
                    target_epoch: target,
                    floor: floor.target,
                });
            }
        }
        if let Some(vote) = self.surrounding {
            return Err(Rule::Surrounded {
                source_epoch: vote.source,
                target_epoch: vote.target,
            });
        }
        if let Some(vote) = self.surrounded {
            return Err(Rule::Surrounds {
                source_epoch: vote.source,
                target_epoch: vote.target,
            });
        }
        Ok(step)
    }
}
