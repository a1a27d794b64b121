//! Import, export, watermarks and pruning: what happens to a history as a whole.

use super::server::Database;
use crate::support::{Counter, GENESIS, block, key, permitted, prevented, run, vote};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;
use web3signer_rs::slashing::interchange::{History, Interchange, SignedAttestation, SignedBlock};
use web3signer_rs::slashing::postgres::{Postgres, Pruning};
use web3signer_rs::slashing::report::ImportError;
use web3signer_rs::slashing::rules::Rule;
use web3signer_rs::slashing::watermark::HighWatermark;
use web3signer_rs::slashing::{ImportBy, Protection};

#[test]
fn watermarks() {
    run(async {
        let database = Database::make().await;
        let signer = database.signer().await;
        signer.register(&[key(1), key(2)]).await.unwrap();
        let mark = HighWatermark { epoch: 10, slot: 320 };
        signer.set_high_watermark(Some(mark)).await.unwrap_err();
        assert!(permitted(&signer, &key(1), &block(5, 1)).await);
        assert!(permitted(&signer, &key(1), &vote(2, 3, 1)).await);
        assert_eq!(database.floors().await, ["5", "2", "3"]);
        signer
            .set_high_watermark(Some(HighWatermark { epoch: 3, slot: 320 }))
            .await
            .unwrap_err();
        signer.set_high_watermark(Some(mark)).await.unwrap();
        assert_eq!(signer.high_watermark().await.unwrap(), Some(mark));
        assert_eq!(
            prevented(&signer, &key(2), &block(320, 1)).await,
            Rule::HighWatermark(mark)
        );
        assert_eq!(
            prevented(&signer, &key(2), &vote(9, 10, 1)).await,
            Rule::HighWatermark(mark)
        );
        let over = HighWatermark { epoch: 11, slot: 1 };
        signer.raise_low_watermarks(over).await.unwrap_err();
        signer.set_high_watermark(None).await.unwrap();
        assert_eq!(signer.high_watermark().await.unwrap(), None);

        let raised = HighWatermark { epoch: 4, slot: 4 };
        assert_eq!(signer.raise_low_watermarks(raised).await.unwrap(), 2);
        assert_eq!(database.floors().await, ["5", "4", "4"]);
        assert!(!permitted(&signer, &key(2), &block(3, 1)).await);
        assert!(permitted(&signer, &key(2), &block(4, 1)).await);
        assert!(!permitted(&signer, &key(2), &vote(3, 5, 1)).await);
    });
}

fn history(blocks: &[(u64, Option<u8>)], votes: &[(u64, u64, Option<u8>)]) -> History {
    let root = |byte: &Option<u8>| byte.map(|byte| [byte; 32]);
    History {
        blocks: blocks
            .iter()
            .map(|(slot, byte)| SignedBlock {
                slot: *slot,
                signing_root: root(byte),
            })
            .collect(),
        attestations: votes
            .iter()
            .map(|(source, target, byte)| SignedAttestation {
                source: *source,
                target: *target,
                signing_root: root(byte),
            })
            .collect(),
    }
}

fn file(history: History) -> Interchange {
    let mut interchange = Interchange::empty(GENESIS);
    interchange.validators.insert(key(1), history);
    interchange
}

#[test]
fn what_was_exported_is_imported_elsewhere() {
    run(async {
        let (one, other) = (Database::make().await, Database::make().await);
        let (from, to) = (one.signer().await, other.signer().await);
        let given = file(history(
            &[(5, Some(5)), (6, None), (9, Some(9))],
            &[(1, 2, Some(1)), (2, 3, None)],
        ));
        from.import(&given, ImportBy::Operator).await.unwrap();
        assert_eq!(from.export(None).await.unwrap(), given);
        // A second time changes nothing.
        from.import(&given, ImportBy::KeyManager).await.unwrap();
        assert_eq!(from.export(Some(&[key(1), key(8)])).await.unwrap(), given);
        assert_eq!(one.floors().await, ["5", "1", "2"]);

        to.import(&from.export(None).await.unwrap(), ImportBy::Operator)
            .await
            .unwrap();
        assert!(permitted(&to, &key(1), &block(9, 9)).await);
        assert!(!permitted(&to, &key(1), &block(6, 9)).await);
        assert!(
            permitted(&to, &key(1), &block(7, 1)).await,
            "a gap above the floor"
        );
        assert!(!permitted(&to, &key(1), &block(4, 1)).await);

        let later = file(history(&[(20, Some(1)), (9, Some(2))], &[(8, 9, Some(1))]));
        to.import(&later, ImportBy::Operator).await.unwrap();
        assert_eq!(other.floors().await, ["20", "8", "9"]);
        let exported = to.export(None).await.unwrap();
        assert_eq!(exported, file(history(&[(20, Some(1))], &[(8, 9, Some(1))])));

        let mut wrong = given;
        wrong.genesis_validators_root = [1; 32];
        assert!(matches!(
            to.import(&wrong, ImportBy::Operator).await,
            Err(ImportError::GenesisValidatorsRoot {
                expected: GENESIS,
                ..
            })
        ));
    });
}

/// A vote for a target that has another entry cannot be stored. It still counts.
#[test]
fn a_vote_without_a_place_is_not_forgotten() {
    run(async {
        let database = Database::make().await;
        let signer = database.signer().await;
        signer
            .import(&file(history(&[], &[(5, 10, Some(1))])), ImportBy::Operator)
            .await
            .unwrap();
        let wide = file(history(&[], &[(2, 10, Some(2)), (9, 8, None)]));
        let report = signer.import(&wide, ImportBy::Operator).await.unwrap();
        assert_eq!(
            report.warnings.len(),
            1,
            "the source after the target: {:?}",
            report.warnings
        );
        // Inside (2, 10).
        assert!(!permitted(&signer, &key(1), &vote(6, 9, 1)).await);
        assert!(!permitted(&signer, &key(1), &vote(1, 11, 1)).await);
        assert!(permitted(&signer, &key(1), &vote(10, 11, 1)).await);
    });
}

#[test]
fn a_validator_that_cannot_be_imported_is_left_out_alone() {
    run(async {
        let database = Database::make().await;
        let signer = database.signer().await;
        signer
            .import(&file(History::default()), ImportBy::Operator)
            .await
            .unwrap();
        signer
            .set_high_watermark(Some(HighWatermark { epoch: 10, slot: 10 }))
            .await
            .unwrap();
        let mut two = file(history(&[(50, None)], &[]));
        two.validators.insert(key(2), history(&[(5, None)], &[]));
        let report = signer.import(&two, ImportBy::Operator).await.unwrap();
        assert_eq!(report.imported.into_iter().collect::<Vec<_>>(), [key(2)]);
        assert_eq!(report.skipped.len(), 1);
        assert_eq!(report.skipped[0].0, key(1));
        assert_eq!(database.count("signed_blocks").await, 1);
    });
}

#[test]
fn pruning_keeps_the_newest_and_raises_the_floor_first() {
    run(async {
        let database = Database::make().await;
        let signer = database.signer().await;
        signer.register(&[key(1)]).await.unwrap();
        for slot in 1..=100 {
            assert!(permitted(&signer, &key(1), &block(slot, 1)).await);
        }
        for epoch in 1..=40 {
            assert!(permitted(&signer, &key(1), &vote(epoch.min(3), epoch + 3, 1)).await);
        }
        let store = database.store().await;
        let pruning = Pruning {
            epochs_to_keep: NonZeroU64::new(10).unwrap(),
            slots_per_epoch: NonZeroU64::new(4).unwrap(),
            interval: Duration::from_hours(12),
            at_boot: false,
        };
        assert_eq!(
            store.prune(pruning).await.unwrap(),
            0,
            "no key was registered here"
        );
        let other = Protection::postgres(database.store().await, Arc::new(Counter::default()));
        other.register(&[key(1)]).await.unwrap();

        let mut config = database.config();
        config.pruning = Some(Pruning {
            at_boot: true,
            ..pruning
        });
        let counter = Arc::new(Counter::default());
        let pruner = Protection::postgres(
            Postgres::open(config).await.unwrap(),
            Arc::clone(&counter) as Arc<_>,
        );
        pruner.register(&[key(1)]).await.unwrap();
        let maintain = tokio::time::timeout(Duration::from_secs(1), pruner.maintain()).await;
        maintain.unwrap_err();
        assert_eq!(
            *counter.1.lock().unwrap(),
            ["pruned 90 entries of slashing protection"]
        );
        assert_eq!(database.count("signed_blocks").await, 40);
        assert_eq!(database.count("signed_attestations").await, 10);
        // Sources stood still at 3, so the floor of sources does too: the validator can go on.
        assert_eq!(database.floors().await, ["61", "3", "34"]);
        assert!(permitted(&signer, &key(1), &vote(3, 44, 1)).await);
        assert!(!permitted(&signer, &key(1), &vote(2, 45, 1)).await);
        assert!(!permitted(&signer, &key(1), &vote(3, 33, 2)).await);
        assert!(!permitted(&signer, &key(1), &block(60, 1)).await);
        assert!(pruner.is_healthy());
    });
}
