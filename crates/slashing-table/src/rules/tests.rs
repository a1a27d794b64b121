//! Tables of the rules. The cases are written from EIP-3076's conditions, not from the code.

use super::complete::{AttestationFacts, BlockFacts, Vote};
use super::minimal::{BlockMark, Marks, VoteMark};
use super::*;

const A: Root = [0xaa; 32];
const B: Root = [0xbb; 32];
const HERE: Root = [1; 32];

fn asked(duty: Duty) -> SlashableDuty {
    SlashableDuty {
        duty,
        signing_root: A,
        genesis_validators_root: HERE,
    }
}

const fn vote(source: u64, target: u64) -> Duty {
    Duty::Attestation { source, target }
}

const fn block(slot: u64) -> Duty {
    Duty::Block { slot }
}

#[test]
fn standing() {
    let fine = Standing {
        genesis_validators_root: Some(HERE),
        enabled: true,
        high_watermark: None,
    };
    let high = HighWatermark { epoch: 10, slot: 320 };
    let stopped = Standing {
        high_watermark: Some(high),
        ..fine
    };
    let elsewhere = Standing {
        genesis_validators_root: Some([2; 32]),
        ..fine
    };
    let unbound = Standing {
        genesis_validators_root: None,
        ..fine
    };
    let disabled = Standing {
        enabled: false,
        ..fine
    };
    let backwards = Rule::SourceAfterTarget {
        source_epoch: 6,
        target_epoch: 5,
    };
    let wrong = Rule::GenesisValidatorsRoot {
        expected: [2; 32],
        actual: HERE,
    };
    let over = Rule::HighWatermark(high);
    let table = [
        (fine, block(u64::MAX), Ok(())),
        (fine, vote(5, 5), Ok(())),
        (fine, vote(5, u64::MAX), Ok(())),
        (fine, vote(6, 5), Err(backwards)),
        (unbound, block(1), Ok(())),
        (elsewhere, block(1), Err(wrong)),
        (elsewhere, vote(1, 2), Err(wrong)),
        (disabled, block(1), Err(Rule::Disabled)),
        (disabled, vote(1, 2), Err(Rule::Disabled)),
        (stopped, block(319), Ok(())),
        (stopped, block(320), Err(over)),
        (stopped, block(321), Err(over)),
        (stopped, vote(8, 9), Ok(())),
        (stopped, vote(9, 10), Err(over)),
        (stopped, vote(10, 10), Err(over)),
        (stopped, vote(9, 11), Err(over)),
    ];
    for (standing, duty, expected) in table {
        assert_eq!(
            standing.judge(&asked(duty)),
            expected,
            "{duty:?} with {standing:?}"
        );
    }
}

#[test]
fn complete_rules_of_blocks() {
    let facts = |low_watermark, same_slot| BlockFacts {
        low_watermark,
        same_slot,
    };
    let double = Err(Rule::DoubleProposal { slot: 7 });
    let below = Err(Rule::SlotBelowFloor { slot: 7, floor: 8 });
    let table = [
        (facts(None, None), Ok(Step::Advance)),
        (facts(Some(6), None), Ok(Step::Advance)),
        (facts(Some(7), None), Ok(Step::Advance)),
        (facts(Some(8), None), below),
        (facts(None, Some(Some(A))), Ok(Step::Repeat)),
        (facts(Some(7), Some(Some(A))), Ok(Step::Repeat)),
        (facts(Some(8), Some(Some(A))), below),
        (facts(None, Some(Some(B))), double),
        (facts(None, Some(None)), double),
    ];
    for (facts, expected) in table {
        assert_eq!(facts.judge(7, &A), expected, "{facts:?}");
    }
}

#[test]
fn complete_rules_of_votes() {
    let none = AttestationFacts::default();
    let low = |source, target| AttestationFacts {
        low_watermark: Some(Vote { source, target }),
        ..none
    };
    let same = |root| AttestationFacts {
        same_target: Some(root),
        ..none
    };
    let around = AttestationFacts {
        surrounding: Some(Vote { source: 3, target: 6 }),
        ..none
    };
    let inside = AttestationFacts {
        surrounded: Some(Vote { source: 5, target: 5 }),
        ..none
    };
    let source_low = Rule::SourceBelowFloor {
        source_epoch: 4,
        floor: 5,
    };
    let target_low = Rule::TargetBelowFloor {
        target_epoch: 5,
        floor: 6,
    };
    let surrounded = Rule::Surrounded {
        source_epoch: 3,
        target_epoch: 6,
    };
    let surrounds = Rule::Surrounds {
        source_epoch: 5,
        target_epoch: 5,
    };
    let table = [
        (none, Ok(Step::Advance)),
        (low(4, 5), Ok(Step::Advance)),
        (low(5, 5), Err(source_low)),
        (low(4, 6), Err(target_low)),
        (same(Some(A)), Ok(Step::Repeat)),
        (same(Some(B)), Err(Rule::DoubleVote { target_epoch: 5 })),
        (same(None), Err(Rule::DoubleVote { target_epoch: 5 })),
        (around, Err(surrounded)),
        (inside, Err(surrounds)),
        // The same vote again, but an import brought one that it conflicts with: still slashable.
        (
            AttestationFacts {
                same_target: Some(Some(A)),
                ..around
            },
            Err(surrounded),
        ),
    ];
    for (facts, expected) in table {
        assert_eq!(facts.judge(4, 5, &A), expected, "{facts:?}");
    }
}

#[test]
fn minimal_rules_of_blocks() {
    let marks = |slot, root| Marks {
        block: Some(BlockMark { slot, root }),
        vote: None,
    };
    let table = [
        (Marks::default(), 0, Ok(Step::Advance)),
        (marks(7, Some(A)), 8, Ok(Step::Advance)),
        (marks(7, Some(A)), 7, Ok(Step::Repeat)),
        (marks(7, Some(B)), 7, Err(Rule::DoubleProposal { slot: 7 })),
        (marks(7, None), 7, Err(Rule::DoubleProposal { slot: 7 })),
        (
            marks(7, Some(A)),
            6,
            Err(Rule::SlotBelowFloor { slot: 6, floor: 7 }),
        ),
    ];
    for (marks, slot, expected) in table {
        assert_eq!(marks.judge(block(slot), &A), expected, "{slot} with {marks:?}");
    }
}

#[test]
fn minimal_rules_of_votes() {
    let marks = |root| Marks {
        block: None,
        vote: Some(VoteMark {
            source: 4,
            target: 7,
            root,
        }),
    };
    let source = |source_epoch| {
        Err(Rule::SourceBelowFloor {
            source_epoch,
            floor: 4,
        })
    };
    let target = |target_epoch| {
        Err(Rule::TargetBelowFloor {
            target_epoch,
            floor: 7,
        })
    };
    let double = Err(Rule::DoubleVote { target_epoch: 7 });
    let table = [
        (Marks::default(), vote(0, 0), Ok(Step::Advance)),
        (marks(Some(A)), vote(4, 8), Ok(Step::Advance)),
        (marks(Some(A)), vote(7, 8), Ok(Step::Advance)),
        (marks(Some(A)), vote(3, 8), source(3)),
        (marks(Some(A)), vote(4, 6), target(6)),
        (marks(Some(A)), vote(5, 6), target(6)),
        (marks(Some(A)), vote(4, 7), Ok(Step::Repeat)),
        (marks(Some(A)), vote(3, 7), source(3)),
        (marks(Some(B)), vote(4, 7), double),
        (marks(None), vote(4, 7), double),
    ];
    for (marks, duty, expected) in table {
        assert_eq!(marks.judge(duty, &A), expected, "{duty:?} with {marks:?}");
    }
}

/// Whatever the order of two files, nothing falls and a root that is not certain is not kept.
#[test]
fn marks_only_rise() {
    let v = |source, target, root| VoteMark { source, target, root };
    let table = [
        (v(1, 2, Some(A)), v(1, 3, Some(B)), v(1, 3, Some(B))),
        (v(1, 2, Some(A)), v(0, 3, None), v(1, 3, None)),
        (v(1, 2, Some(A)), v(1, 2, Some(A)), v(1, 2, Some(A))),
        (v(1, 2, Some(A)), v(1, 2, Some(B)), v(1, 2, None)),
        (v(1, 2, Some(A)), v(1, 2, None), v(1, 2, None)),
        (v(5, 2, None), v(1, 4, Some(A)), v(5, 4, Some(A))),
    ];
    for (one, other, expected) in table {
        for (first, second) in [(one, other), (other, one)] {
            let mut marks = Marks::default();
            marks.raise_vote(first);
            marks.raise_vote(second);
            assert_eq!(marks.vote, Some(expected), "{first:?} then {second:?}");
        }
    }
    let b = |slot, root| BlockMark { slot, root };
    let table = [
        (b(1, Some(A)), b(2, None), b(2, None)),
        (b(2, Some(A)), b(2, Some(A)), b(2, Some(A))),
        (b(2, Some(A)), b(2, Some(B)), b(2, None)),
        (b(2, Some(A)), b(2, None), b(2, None)),
    ];
    for (one, other, expected) in table {
        for (first, second) in [(one, other), (other, one)] {
            let mut marks = Marks::default();
            marks.raise_block(first);
            marks.raise_block(second);
            assert_eq!(marks.block, Some(expected), "{first:?} then {second:?}");
        }
    }
}

#[test]
fn a_raised_floor_may_itself_be_signed() {
    let mut marks = Marks::default();
    marks.raise_floors(0, 0);
    assert_eq!(marks, Marks::default());
    marks.raise_floors(64, 2);
    marks.judge(block(63), &A).unwrap_err();
    assert_eq!(marks.judge(block(64), &A), Ok(Step::Advance));
    marks.judge(vote(1, 2), &A).unwrap_err();
    marks.judge(vote(1, 3), &A).unwrap_err();
    assert_eq!(marks.judge(vote(2, 2), &A), Ok(Step::Advance));
    let before = marks;
    marks.raise_floors(10, 1);
    assert_eq!(marks, before, "nothing falls");
}

/// All pairs of small votes: what the minimal scheme signs in any order is never slashable.
#[test]
fn nothing_that_the_minimal_scheme_signs_is_slashable() {
    let votes: Vec<(u64, u64)> = (0..5).flat_map(|s| (s..5).map(move |t| (s, t))).collect();
    let slashable =
        |(s1, t1): (u64, u64), (s2, t2): (u64, u64)| t1 == t2 || (s1 < s2 && t2 < t1) || (s2 < s1 && t1 < t2);
    for first in &votes {
        for second in &votes {
            let mut marks = Marks::default();
            marks.advance(vote(first.0, first.1), A);
            if marks.judge(vote(second.0, second.1), &B).is_ok() {
                assert!(!slashable(*first, *second), "{first:?} then {second:?}");
            }
        }
    }
}
