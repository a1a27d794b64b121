//! Two signers (or one, asked many times at once) on the same keys: whatever the order, what comes out is never slashable.

use std::sync::Arc;

use tokio::task::JoinSet;
use web3signer_rs::duty::Duty;
use web3signer_rs::slashing::Protection;

use crate::support::{block, key, permitted, vote};

/// Requests at once.
const AT_ONCE: u8 = 16;

/// Many different blocks for one slot at once, again and again: exactly one is signed each time.
pub(crate) async fn one_block_per_slot(signers: &[Arc<Protection>], rounds: u64) {
    for round in 1..=rounds {
        let mut tasks = JoinSet::new();
        for number in 0..AT_ONCE {
            let signer = Arc::clone(&signers[usize::from(number) % signers.len()]);
            tasks.spawn(async move { permitted(&signer, &key(1), &block(round, number)).await });
        }
        let winners = tasks.join_all().await.into_iter().filter(|won| *won).count();
        assert_eq!(winners, 1, "slot {round}");
    }
}

/// Many different votes for one target at once: exactly one is signed each time.
pub(crate) async fn one_vote_per_target(signers: &[Arc<Protection>], rounds: u64) {
    for round in 1..=rounds {
        let mut tasks = JoinSet::new();
        for number in 0..AT_ONCE {
            let signer = Arc::clone(&signers[usize::from(number) % signers.len()]);
            tasks.spawn(async move { permitted(&signer, &key(2), &vote(round - 1, round, number)).await });
        }
        let winners = tasks.join_all().await.into_iter().filter(|won| *won).count();
        assert_eq!(winners, 1, "target {round}");
    }
}

/// Votes of all shapes at once. No two that were signed are slashable together.
pub(crate) async fn no_slashable_pair(signers: &[Arc<Protection>], rounds: u64) {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut votes: Vec<(u64, u64, u8)> = Vec::new();
    for round in 0..rounds {
        let mut tasks = JoinSet::new();
        for number in 0..AT_ONCE {
            // Round after round a little higher, or the first ones would leave nothing to sign.
            let source = round / 4 + random(6);
            let target = source + random(6);
            let signer = Arc::clone(&signers[usize::from(number) % signers.len()]);
            tasks.spawn(async move {
                let mut duty = vote(source, target, number);
                // A signing root covers the source.
                duty.signing_root[..8].copy_from_slice(&source.to_be_bytes());
                let won = permitted(&signer, &key(3), &duty).await;
                won.then_some((source, target, number))
            });
        }
        votes.extend(tasks.join_all().await.into_iter().flatten());
    }
    votes.sort_unstable();
    votes.dedup();
    assert!(
        votes.len() as u64 > rounds / 10,
        "too few votes for a test: {votes:?}"
    );
    for (index, one) in votes.iter().enumerate() {
        for other in &votes[index + 1..] {
            let double = one.1 == other.1;
            let around = (one.0 < other.0 && other.1 < one.1) || (other.0 < one.0 && one.1 < other.1);
            assert!(!double && !around, "{one:?} and {other:?} were both signed");
        }
    }
}

/// The same duty from all signers at once: everybody may have it, and nothing else for that slot.
pub(crate) async fn the_same_block_for_all(signers: &[Arc<Protection>]) {
    let slot = 1 << 30;
    let mut tasks = JoinSet::new();
    for number in 0..AT_ONCE {
        let signer = Arc::clone(&signers[usize::from(number) % signers.len()]);
        tasks.spawn(async move { permitted(&signer, &key(1), &block(slot, 1)).await });
    }
    assert!(tasks.join_all().await.into_iter().all(|won| won));
    assert!(matches!(block(slot, 2).duty, Duty::Block { .. }));
    for signer in signers {
        assert!(!permitted(signer, &key(1), &block(slot, 2)).await);
    }
}
