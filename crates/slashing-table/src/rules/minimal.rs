//! The minimal scheme of EIP-3076: only the newest duties are known, and only later ones are signed.
//!
//! With sources that never fall and targets that always rise, no vote can surround another or be surrounded: that needs a
//! lower source with a higher target. It is stricter than [`super::complete`]: a gap below the newest duty stays unsigned.

use super::{Rule, Step};
use crate::duty::{Duty, Root};
use crate::interchange::{History, SignedAttestation, SignedBlock};

/// The newest block of a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockMark {
    /// Its slot: no lower one is signed.
    pub slot: u64,
    /// Its signing root; `None` where it is not known or not unique, then the slot itself is not signed again.
    pub root: Option<Root>,
}

/// The newest vote of a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteMark {
    /// Highest source epoch: no lower one is signed.
    pub source: u64,
    /// Highest target epoch: no lower one is signed. An import may leave it below `source`.
    pub target: u64,
    /// Signing root of the vote for `target`; `None` where it is not known or not unique.
    pub root: Option<Root>,
}

/// All that the minimal scheme keeps of one validator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Newest block, if any.
    pub block: Option<BlockMark>,
    /// Newest vote, if any.
    pub vote: Option<VoteMark>,
}

impl Marks {
    /// Whether `duty` with `root` may be signed. That a source is not after its target is [`super::Standing`]'s to check.
    ///
    /// # Errors
    /// The first [`Rule`] that forbids it.
    pub fn judge(&self, duty: Duty, root: &Root) -> Result<Step, Rule> {
        match duty {
            Duty::Block { slot } => match self.block {
                None => Ok(Step::Advance),
                Some(mark) if slot > mark.slot => Ok(Step::Advance),
                Some(mark) if slot < mark.slot => Err(Rule::SlotBelowFloor {
                    slot,
                    floor: mark.slot,
                }),
                Some(mark) if mark.root == Some(*root) => Ok(Step::Repeat),
                Some(_) => Err(Rule::DoubleProposal { slot }),
            },
            Duty::Attestation { source, target } => match self.vote {
                None => Ok(Step::Advance),
                Some(mark) => mark.judge(source, target, root),
            },
        }
    }

    /// Notes that `duty` with `root` is signed. Only for a duty that [`Self::judge`] let advance.
    pub fn advance(&mut self, duty: Duty, root: Root) {
        let root = Some(root);
        match duty {
            Duty::Block { slot } => self.block = Some(BlockMark { slot, root }),
            Duty::Attestation { source, target } => self.vote = Some(VoteMark { source, target, root }),
        }
    }

    /// Takes over what another signer signed. Nothing ever falls.
    pub fn raise_by(&mut self, history: &History) {
        for block in &history.blocks {
            let mark = BlockMark {
                slot: block.slot,
                root: block.signing_root,
            };
            self.raise_block(mark);
        }
        for vote in &history.attestations {
            self.raise_vote(VoteMark {
                source: vote.source,
                target: vote.target,
                root: vote.signing_root,
            });
        }
    }

    /// Raises the floors to at least these, without knowing a duty there: what is exactly at a floor stays allowed when it
    /// is new, so the marks end just below it.
    pub fn raise_floors(&mut self, slot: u64, epoch: u64) {
        if let Some(below) = slot.checked_sub(1) {
            self.raise_block(BlockMark {
                slot: below,
                root: None,
            });
        }
        if let Some(below) = epoch.checked_sub(1) {
            self.raise_vote(VoteMark {
                source: epoch,
                target: below,
                root: None,
            });
        }
    }

    /// To the higher of two blocks; two different ones of one slot leave no root.
    pub fn raise_block(&mut self, other: BlockMark) {
        self.block = Some(match self.block {
            Some(mark) if mark.slot > other.slot => mark,
            Some(mark) if mark.slot == other.slot && mark.root != other.root => BlockMark {
                slot: mark.slot,
                root: None,
            },
            _ => other,
        });
    }

    /// To the higher source and the higher target; two different votes for one target leave no root.
    pub fn raise_vote(&mut self, other: VoteMark) {
        self.vote = Some(match self.vote {
            None => other,
            Some(mark) => VoteMark {
                source: mark.source.max(other.source),
                target: mark.target.max(other.target),
                root: match mark.target.cmp(&other.target) {
                    std::cmp::Ordering::Greater => mark.root,
                    std::cmp::Ordering::Less => other.root,
                    std::cmp::Ordering::Equal => mark.root.filter(|root| other.root == Some(*root)),
                },
            },
        });
    }
}

/// The minimal history: at most one block and one vote.
impl From<Marks> for History {
    fn from(marks: Marks) -> Self {
        let block = marks.block.map(|mark| SignedBlock {
            slot: mark.slot,
            signing_root: mark.root,
        });
        // A target below its source came from an import of floors; the format takes it, and a reader raises both again.
        let vote = marks.vote.map(|mark| SignedAttestation {
            source: mark.source,
            target: mark.target,
            signing_root: mark.root,
        });
        Self {
            blocks: block.into_iter().collect(),
            attestations: vote.into_iter().collect(),
        }
    }
}

impl VoteMark {
    fn judge(&self, source: u64, target: u64, root: &Root) -> Result<Step, Rule> {
        if target < self.target {
            return Err(Rule::TargetBelowFloor {
                target_epoch: target,
                floor: self.target,
            });
        }
        if target == self.target && self.root != Some(*root) {
            return Err(Rule::DoubleVote { target_epoch: target });
        }
        if source < self.source {
            return Err(Rule::SourceBelowFloor {
                source_epoch: source,
                floor: self.source,
            });
        }
        Ok(if target == self.target {
            Step::Repeat
        } else {
            Step::Advance
        })
    }
}
