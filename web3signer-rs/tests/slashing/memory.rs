//! The memory store: floors, time, the journal, crashes.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use web3signer_rs::duty::Root;
use web3signer_rs::slashing::chain::Clock;
use web3signer_rs::slashing::interchange::Interchange;
use web3signer_rs::slashing::memory::{JournalError, Memory, MemoryConfig, MemoryError};
use web3signer_rs::slashing::observe::{Operation, Outcome};
use web3signer_rs::slashing::refusal::Refusal;
use web3signer_rs::slashing::rules::Rule;
use web3signer_rs::slashing::watermark::HighWatermark;
use web3signer_rs::slashing::{ImportBy, Leaving, Protection};

use crate::support::{
    Counter, GENESIS, HandClock, block, key, memory_without_start, permitted, prevented, quick_chain, run,
    tmpfs, vote,
};
use crate::{race, vectors};

const RECORD: usize = 160;

fn open(path: &Path, clock: &Arc<HandClock>) -> Result<Protection, MemoryError> {
    let memory = Memory::open(MemoryConfig {
        journal: path.to_owned(),
        chain: quick_chain(Some(GENESIS)),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
    })?;
    Ok(Protection::memory(memory, Arc::new(Counter::default())))
}

#[test]
fn interchange_tests() {
    run(vectors::run_all(
        vectors::Scheme::Minimal,
        async |genesis: Root| {
            let folder = tmpfs();
            memory_without_start(folder.path(), Some(genesis))
        },
    ));
}

#[test]
fn races() {
    let folder = tmpfs();
    run(async {
        let signer = Arc::new(memory_without_start(folder.path(), Some(GENESIS)));
        signer.register(&[key(1), key(2), key(3)]).await.unwrap();
        let signers = [Arc::clone(&signer), signer];
        race::one_block_per_slot(&signers, 300).await;
        race::one_vote_per_target(&signers, 300).await;
        race::no_slashable_pair(&signers, 300).await;
        race::the_same_block_for_all(&signers).await;
    });
}

#[test]
fn at_the_start_nothing_of_the_present_epoch_and_never_beyond_the_next() {
    let folder = tmpfs();
    let clock = HandClock::at_epoch(10);
    run(async {
        let store = open(&folder.path().join("journal"), &clock).unwrap();
        store.register(&[key(1)]).await.unwrap();
        let before = |epoch| Rule::BeforeStart { epoch, start: 10 };
        let beyond = |epoch, last| Rule::BeyondNextEpoch { epoch, last };
        let table = [
            (vote(9, 9, 1), before(9)),
            (vote(9, 10, 1), before(10)),
            (
                vote(8, 11, 1),
                Rule::SourceBelowFloor {
                    source_epoch: 8,
                    floor: 9,
                },
            ),
            (vote(10, 12, 1), beyond(12, 11)),
            (vote(10, u64::MAX, 1), beyond(u64::MAX, 11)),
            (block(0, 1), before(0)),
            (block(10 * 32 + 31, 1), before(10)),
            (block(12 * 32, 1), beyond(12, 11)),
        ];
        for (duty, expected) in table {
            assert_eq!(prevented(&store, &key(1), &duty).await, expected, "{duty:?}");
        }
        assert!(permitted(&store, &key(1), &vote(9, 11, 1)).await);
        assert!(permitted(&store, &key(1), &block(11 * 32, 1)).await);
        assert!(permitted(&store, &key(1), &block(11 * 32 + 31, 1)).await);

        clock.go_to_epoch(11);
        assert!(permitted(&store, &key(1), &vote(10, 12, 1)).await);
        assert_eq!(prevented(&store, &key(1), &vote(11, 13, 1)).await, beyond(13, 12));
        // A clock that is set back opens nothing.
        clock.go_to_epoch(3);
        assert!(!permitted(&store, &key(1), &vote(3, 4, 1)).await);
    });
}

#[test]
fn floors_outlive_keys_reloads_and_the_process() {
    let folder = tmpfs();
    let path = folder.path().join("journal");
    let clock = HandClock::at_epoch(10);
    run(async {
        let store = open(&path, &clock).unwrap();
        store.register(&[key(1)]).await.unwrap();
        assert!(permitted(&store, &key(1), &vote(10, 11, 1)).await);
        assert!(matches!(
            store.permit(&key(2), &vote(10, 11, 1)).await,
            Err(Refusal::UnknownValidator(unknown)) if unknown == key(2)
        ));
        for why in [Leaving::Deleted, Leaving::Reloaded] {
            store.disable(&[key(1)], why).await.unwrap();
            let refused = store.permit(&key(1), &vote(10, 11, 1)).await.unwrap_err();
            assert_eq!(refused.http_status(), 500);
            store.register(&[key(1)]).await.unwrap();
            assert!(!permitted(&store, &key(1), &vote(10, 11, 2)).await);
            assert!(
                permitted(&store, &key(1), &vote(10, 11, 1)).await,
                "the same again"
            );
        }
        drop(store);

        // The process starts again in the same epoch. What was signed ahead of time is in the journal.
        let store = open(&path, &clock).unwrap();
        store.register(&[key(1), key(2)]).await.unwrap();
        assert_eq!(
            prevented(&store, &key(1), &vote(10, 11, 2)).await,
            Rule::DoubleVote { target_epoch: 11 }
        );
        assert!(permitted(&store, &key(2), &vote(10, 11, 2)).await);
        let exported = store.export(Some(&[key(1)])).await.unwrap();
        assert_eq!(exported.validators.len(), 1);
        assert_eq!(
            exported.validators[&key(1)].attestations[0].signing_root,
            Some([1; 32])
        );
    });
}

#[test]
fn watermarks_and_imports_survive_and_nothing_falls() {
    let folder = tmpfs();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let clock = HandClock::at_epoch(10);
    run(async {
        let store = open(&one, &clock).unwrap();
        store.register(&[key(1)]).await.unwrap();
        assert!(permitted(&store, &key(1), &block(11 * 32 + 5, 1)).await);
        let exported = store.export(None).await.unwrap();
        let mark = HighWatermark {
            epoch: 11,
            slot: 11 * 32 + 7,
        };
        store.set_high_watermark(Some(mark)).await.unwrap();
        drop(store);

        let store = open(&one, &clock).unwrap();
        store.register(&[key(1)]).await.unwrap();
        assert_eq!(store.high_watermark().await.unwrap(), Some(mark));
        assert_eq!(
            prevented(&store, &key(1), &block(mark.slot, 1)).await,
            Rule::HighWatermark(mark)
        );
        assert!(permitted(&store, &key(1), &block(mark.slot - 1, 1)).await);
        store.set_high_watermark(None).await.unwrap();
        let raised = HighWatermark {
            epoch: 11,
            slot: 11 * 32 + 20,
        };
        assert_eq!(store.raise_low_watermarks(raised).await.unwrap(), 1);
        assert!(!permitted(&store, &key(1), &block(raised.slot - 1, 1)).await);
        assert!(permitted(&store, &key(1), &block(raised.slot, 1)).await);

        let store = open(&other, &clock).unwrap();
        store.register(&[key(1)]).await.unwrap();
        store.import(&exported, ImportBy::KeyManager).await.unwrap();
        assert!(permitted(&store, &key(1), &block(11 * 32 + 5, 1)).await);
        assert!(!permitted(&store, &key(1), &block(11 * 32 + 5, 2)).await);
        store
            .import(
                &Interchange {
                    genesis_validators_root: [9; 32],
                    ..exported
                },
                ImportBy::Operator,
            )
            .await
            .unwrap_err();
    });
}

#[test]
fn the_chain_is_the_networks_or_that_of_the_first_use() {
    let folder = tmpfs();
    run(async {
        let store = memory_without_start(folder.path(), None);
        store.register(&[key(1)]).await.unwrap();
        let mut elsewhere = block(2, 1);
        elsewhere.genesis_validators_root = [8; 32];
        assert!(permitted(&store, &key(1), &block(1, 1)).await);
        assert!(matches!(
            prevented(&store, &key(1), &elsewhere).await,
            Rule::GenesisValidatorsRoot {
                expected: GENESIS,
                ..
            }
        ));
        drop(store);
        let error = Memory::open(MemoryConfig {
            journal: folder.path().join("journal"),
            chain: quick_chain(Some([8; 32])),
            clock: HandClock::at_epoch(1),
        })
        .unwrap_err();
        assert!(matches!(error, MemoryError::OtherChain { .. }), "{error}");
    });
}

#[test]
fn one_process_at_a_time() {
    let folder = tmpfs();
    let path = folder.path().join("journal");
    let clock = HandClock::at_epoch(10);
    let first = open(&path, &clock).unwrap();
    let error = open(&path, &clock).unwrap_err();
    assert!(
        matches!(error, MemoryError::Journal(JournalError::InUse { .. })),
        "{error}"
    );
    drop(first);
    open(&path, &clock).unwrap();
}

/// A journal with one chain record and two validators' records.
fn small_journal(path: &Path, clock: &Arc<HandClock>) -> Vec<u8> {
    run(async {
        let store = open(path, clock).unwrap();
        store.register(&[key(1), key(2)]).await.unwrap();
        assert!(permitted(&store, &key(1), &vote(10, 11, 1)).await);
        assert!(permitted(&store, &key(2), &block(11 * 32, 2)).await);
    });
    fs::read(path).unwrap()
}

#[test]
fn a_torn_tail_is_dropped_and_everything_else_refused() {
    let folder = tmpfs();
    let path = folder.path().join("journal");
    let clock = HandClock::at_epoch(10);
    let whole = small_journal(&path, &clock);
    assert_eq!(whole.len(), 3 * RECORD);

    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let store = open(&path, &clock).unwrap();
        // Opening binds an empty journal to the chain again; otherwise only whole records are left.
        let expected = (length / RECORD).max(1) * RECORD;
        assert_eq!(
            fs::metadata(&path).unwrap().len(),
            expected as u64,
            "cut at {length}"
        );
        run(async {
            store.register(&[key(1), key(2)]).await.unwrap();
            let remembered = !permitted(&store, &key(1), &vote(10, 11, 9)).await;
            assert_eq!(remembered, length >= 2 * RECORD, "cut at {length}");
        });
        drop(store);
        // What was appended after the tear must be read again.
        open(&path, &clock).unwrap();
    }

    for bit in 0..whole.len() * 8 {
        let mut bad = whole.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bad).unwrap();
        let error = open(&path, &clock).unwrap_err();
        let expected = (bit / 8 / RECORD * RECORD) as u64;
        assert!(
            matches!(error, MemoryError::Journal(JournalError::Corrupt { offset, .. }) if offset == expected),
            "bit {bit}: {error}"
        );
    }

    let (one, two, three) = (&whole[..RECORD], &whole[RECORD..2 * RECORD], &whole[2 * RECORD..]);
    for bad in [
        [one, three, two].concat(),
        [one, three].concat(),
        [two, three].concat(),
        [one, one].concat(),
    ] {
        fs::write(&path, &bad).unwrap();
        assert!(matches!(
            open(&path, &clock),
            Err(MemoryError::Journal(JournalError::Corrupt { .. }))
        ));
    }
}

#[test]
fn a_long_journal_is_rewritten_and_says_the_same() {
    let folder = tmpfs();
    let path = folder.path().join("journal");
    let clock = HandClock::at_epoch(10);
    run(async {
        let store = open(&path, &clock).unwrap();
        store.register(&[key(1), key(2)]).await.unwrap();
        assert!(permitted(&store, &key(2), &vote(10, 11, 7)).await);
        for epoch in 11..8_000 {
            clock.go_to_epoch(epoch);
            assert!(permitted(&store, &key(1), &vote(epoch, epoch + 1, 1)).await);
        }
        let length = fs::metadata(&path).unwrap().len();
        assert!(length <= (1 << 20) + 2 * RECORD as u64, "{length} bytes");
        drop(store);
        let store = open(&path, &clock).unwrap();
        let exported = store.export(None).await.unwrap();
        assert_eq!(exported.validators[&key(1)].attestations[0].target, 8_000);
        assert_eq!(exported.validators[&key(2)].attestations[0].target, 11);
    });
    let mut leftovers: Vec<_> = ["journal", "journal.lock", "journal.new"]
        .into_iter()
        .filter(|name| folder.path().join(name).exists())
        .collect();
    leftovers.sort_unstable();
    assert_eq!(leftovers, ["journal", "journal.lock"]);
}

/// There is no room, say. The journal goes on as it is.
#[test]
fn a_journal_that_cannot_be_rewritten_still_notes() {
    let folder = tmpfs();
    let path = folder.path().join("journal");
    let clock = HandClock::at_epoch(10);
    let in_the_way = folder.path().join("journal.new");
    fs::create_dir(&in_the_way).unwrap();
    run(async {
        let store = Arc::new(open(&path, &clock).unwrap());
        store.register(&[key(1)]).await.unwrap();
        let sign = async |epochs: std::ops::Range<u64>| {
            for epoch in epochs {
                clock.go_to_epoch(epoch);
                assert!(permitted(&store, &key(1), &vote(epoch, epoch + 1, 1)).await);
            }
        };
        sign(11..7_000).await;
        let length = fs::metadata(&path).unwrap().len();
        assert!(length > 1 << 20, "{length} bytes");
        let watched = Arc::clone(&store);
        let once = tokio::time::timeout(std::time::Duration::from_millis(50), async move {
            watched.maintain().await;
        });
        once.await.unwrap_err();
        assert!(!store.is_healthy());

        fs::remove_dir(&in_the_way).unwrap();
        sign(7_000..14_000).await;
        let length = fs::metadata(&path).unwrap().len();
        assert!(length < 1 << 20, "{length} bytes");
        drop(store);
        let store = open(&path, &clock).unwrap();
        assert_eq!(
            store.export(None).await.unwrap().validators[&key(1)].attestations[0].target,
            14_000
        );
    });
}

#[test]
fn decisions_are_told_to_the_observer() {
    let folder = tmpfs();
    let clock = HandClock::at_epoch(10);
    let counter = Arc::new(Counter::default());
    run(async {
        let memory = Memory::open(MemoryConfig {
            journal: folder.path().join("journal"),
            chain: quick_chain(Some(GENESIS)),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        })
        .unwrap();
        let store = Protection::memory(memory, Arc::clone(&counter) as Arc<_>);
        store.register(&[key(1)]).await.unwrap();
        assert!(permitted(&store, &key(1), &vote(10, 11, 1)).await);
        assert!(!permitted(&store, &key(1), &vote(10, 11, 2)).await);
        store.permit(&key(9), &block(11 * 32, 1)).await.unwrap_err();
        assert!(store.is_on() && store.is_healthy());
        assert!(store.describe().contains("NOT"));
    });
    assert_eq!(
        *counter.0.lock().unwrap(),
        [
            (Operation::Attestation, Outcome::Permitted),
            (Operation::Attestation, Outcome::Prevented),
            (Operation::Block, Outcome::Failed),
        ]
    );
}

#[test]
fn off_permits_everything_and_says_so() {
    run(async {
        let store = Protection::off(Arc::new(Counter::default()));
        assert!(!store.is_on());
        assert!(store.describe().contains("OFF"));
        assert!(permitted(&store, &key(1), &block(1, 1)).await);
        assert!(permitted(&store, &key(1), &block(1, 2)).await);
        store.high_watermark().await.unwrap_err();
        store.export(None).await.unwrap_err();
    });
}
