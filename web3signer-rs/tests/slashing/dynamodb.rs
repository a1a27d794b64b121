//! The DynamoDB store, against moto.

use std::sync::Arc;

use serde_json::{Value, json};
use web3signer_rs::duty::Root;
use web3signer_rs::slashing::dynamodb::{DynamoDb, DynamoDbError};
use web3signer_rs::slashing::interchange::{SignedAttestation, SignedBlock};
use web3signer_rs::slashing::refusal::Refusal;
use web3signer_rs::slashing::report::ImportError;
use web3signer_rs::slashing::rules::Rule;
use web3signer_rs::slashing::watermark::HighWatermark;
use web3signer_rs::slashing::{ImportBy, Leaving, Protection};

use crate::support::{Counter, block, key, permitted, prevented, run, vote};
use crate::{race, vectors};

mod service;
mod table;

use self::table::{Table, empty};

#[test]
fn interchange_tests() {
    run(vectors::run_all(
        vectors::Scheme::Minimal,
        async |genesis: Root| {
            let table = Table::make().await;
            let mut config = table.config();
            config.genesis_validators_root = genesis;
            let store = DynamoDb::open(config).await.unwrap();
            let protection = Protection::dynamodb(store, Arc::new(Counter::default()));
            // The front must live as long as the store.
            std::mem::forget(table);
            protection
        },
    ));
}

#[test]
fn races_of_two_signers() {
    run(async {
        let table = Table::make().await;
        let keys = [key(1), key(2), key(3)];
        let signers = [table.signer_for(&keys).await, table.signer().await];
        race::one_block_per_slot(&signers, 30).await;
        race::one_vote_per_target(&signers, 30).await;
        race::no_slashable_pair(&signers, 60).await;
        race::the_same_block_for_all(&signers).await;
    });
}

#[test]
fn an_absent_record_is_a_refusal_and_stays_absent() {
    run(async {
        let table = Table::make().await;
        let signer = table.signer_for(&[key(1)]).await;
        for duty in [block(5, 1), vote(1, 2, 1)] {
            let refusal = signer.permit(&key(2), &duty).await.unwrap_err();
            assert!(
                matches!(refusal, Refusal::UnknownValidator(unknown) if unknown == key(2)),
                "{refusal}"
            );
            assert_eq!(refusal.http_status(), 500);
        }
        assert_eq!(table.item(&format!("validator#{}", key(2))).await, Value::Null);
        let registration = signer.register(&[key(1), key(2)]).await.unwrap();
        assert_eq!(
            (registration.unknown, registration.disabled),
            (vec![key(2)], vec![])
        );

        // The key manager of a signer makes no records; the operator does.
        let report = signer
            .import(&empty(&[key(2)]), ImportBy::KeyManager)
            .await
            .unwrap();
        assert!(report.imported.is_empty());
        assert_eq!(report.skipped[0].0, key(2));
        signer.permit(&key(2), &block(5, 1)).await.unwrap_err();
        let report = signer
            .import(&empty(&[key(2)]), ImportBy::Operator)
            .await
            .unwrap();
        assert_eq!(report.imported.len(), 1);
        assert!(permitted(&signer, &key(2), &block(5, 1)).await);
    });
}

#[test]
fn a_disabled_record_never_signs_until_the_operator_says_so() {
    run(async {
        let table = Table::make().await;
        let signer = table.signer_for(&[key(1)]).await;
        let other = table.signer().await;
        signer.disable(&[key(1)], Leaving::Reloaded).await.unwrap();
        assert!(
            permitted(&signer, &key(1), &block(1, 1)).await,
            "others may hold the key"
        );
        signer.disable(&[key(1), key(9)], Leaving::Deleted).await.unwrap();
        for signer in [&signer, &other] {
            assert_eq!(prevented(signer, &key(1), &block(2, 1)).await, Rule::Disabled);
            assert_eq!(prevented(signer, &key(1), &vote(1, 2, 1)).await, Rule::Disabled);
        }
        assert_eq!(other.register(&[key(1)]).await.unwrap().disabled, [key(1)]);
        signer.enable(&[key(1)]).await.unwrap();
        let report = signer
            .import(&empty(&[key(1)]), ImportBy::Operator)
            .await
            .unwrap();
        assert!(report.imported.is_empty() && report.skipped.len() == 1);
        assert_eq!(prevented(&signer, &key(1), &block(2, 1)).await, Rule::Disabled);

        let operator = DynamoDb::open(table.config()).await.unwrap();
        operator.enable(&key(1)).await.unwrap();
        assert!(permitted(&signer, &key(1), &block(2, 1)).await);
        assert!(
            !permitted(&signer, &key(1), &block(1, 1)).await,
            "the floor stayed"
        );
        assert!(matches!(
            operator.enable(&key(9)).await,
            Err(DynamoDbError::Absent { .. })
        ));
        assert_eq!(table.item(&format!("validator#{}", key(9))).await, Value::Null);
    });
}

#[test]
fn watermarks_are_in_every_record() {
    run(async {
        let table = Table::make().await;
        let signer = table.signer_for(&[key(1), key(2)]).await;
        assert!(permitted(&signer, &key(1), &vote(1, 2, 1)).await);
        assert_eq!(signer.high_watermark().await.unwrap(), None);
        let mark = HighWatermark { epoch: 10, slot: 320 };
        signer.set_high_watermark(Some(mark)).await.unwrap();
        assert_eq!(signer.high_watermark().await.unwrap(), Some(mark));
        // A record that is made later has it too.
        signer
            .import(&empty(&[key(3)]), ImportBy::Operator)
            .await
            .unwrap();
        for key in [key(1), key(2), key(3)] {
            for duty in [block(320, 1), vote(9, 10, 1), vote(10, 10, 1)] {
                assert_eq!(prevented(&signer, &key, &duty).await, Rule::HighWatermark(mark));
            }
            assert!(permitted(&signer, &key, &block(319, 1)).await);
            assert!(permitted(&signer, &key, &vote(8, 9, 1)).await);
        }
        signer.set_high_watermark(None).await.unwrap();
        assert_eq!(signer.high_watermark().await.unwrap(), None);
        assert!(permitted(&signer, &key(1), &block(320, 1)).await);

        let floor = HighWatermark { epoch: 20, slot: 640 };
        assert_eq!(signer.raise_low_watermarks(floor).await.unwrap(), 3);
        for key in [key(1), key(2), key(3)] {
            assert!(!permitted(&signer, &key, &block(639, 1)).await);
            assert!(!permitted(&signer, &key, &vote(19, 21, 1)).await);
            assert!(permitted(&signer, &key, &block(640, 1)).await);
            assert!(permitted(&signer, &key, &vote(20, 20, 1)).await);
        }
        signer
            .raise_low_watermarks(HighWatermark { epoch: 1, slot: 1 })
            .await
            .unwrap();
        assert!(!permitted(&signer, &key(1), &block(639, 1)).await);
    });
}

#[test]
fn import_raises_and_export_gives_the_newest() {
    run(async {
        let table = Table::make().await;
        let signer = table.signer_for(&[key(1), key(2)]).await;
        let mut history = empty(&[key(1)]);
        let of_key = history.validators.get_mut(&key(1)).unwrap();
        of_key.blocks = vec![
            SignedBlock {
                slot: 7,
                signing_root: Some([7; 32]),
            },
            SignedBlock {
                slot: 9,
                signing_root: Some([9; 32]),
            },
        ];
        of_key.attestations = vec![SignedAttestation {
            source: 3,
            target: 5,
            signing_root: None,
        }];
        for by in [ImportBy::Operator, ImportBy::KeyManager] {
            let report = signer.import(&history, by).await.unwrap();
            assert_eq!(report.imported.into_iter().collect::<Vec<_>>(), [key(1)]);
        }
        assert!(permitted(&signer, &key(1), &block(9, 9)).await);
        assert!(!permitted(&signer, &key(1), &block(9, 8)).await);
        assert!(!permitted(&signer, &key(1), &vote(3, 5, 0)).await);
        let exported = signer.export(Some(&[key(1), key(7)])).await.unwrap();
        assert_eq!(exported.validators.len(), 1);
        assert_eq!(
            exported.validators[&key(1)].blocks,
            [SignedBlock {
                slot: 9,
                signing_root: Some([9; 32])
            }]
        );
        assert_eq!(exported.validators[&key(1)].attestations[0].target, 5);
        assert_eq!(signer.export(None).await.unwrap().validators.len(), 2);

        history.genesis_validators_root = [1; 32];
        let error = signer.import(&history, ImportBy::Operator).await.unwrap_err();
        assert!(matches!(error, ImportError::GenesisValidatorsRoot { .. }));
        let mut elsewhere = block(100, 1);
        elsewhere.genesis_validators_root = [1; 32];
        assert!(matches!(
            prevented(&signer, &key(1), &elsewhere).await,
            Rule::GenesisValidatorsRoot { .. }
        ));
        let mut config = table.config();
        config.genesis_validators_root = [1; 32];
        assert!(matches!(
            DynamoDb::open(config).await,
            Err(DynamoDbError::OtherChain { .. })
        ));
    });
}

#[test]
fn more_records_than_one_page_holds() {
    run(async {
        let table = Table::make().await;
        let keys: Vec<_> = (0..150).map(key).collect();
        let signer = table.signer_for(&keys).await;
        assert_eq!(signer.register(&keys).await.unwrap().unknown, []);
        assert_eq!(signer.export(None).await.unwrap().validators.len(), 150);
        assert_eq!(signer.export(Some(&keys)).await.unwrap().validators.len(), 150);
    });
}

/// The layout of `SPEC.md`, as another reader would see it.
#[test]
fn items_are_laid_out_as_the_specification_says() {
    run(async {
        let table = Table::make().await;
        let signer = table.signer_for(&[key(0xab)]).await;
        assert!(permitted(&signer, &key(0xab), &block(12, 0x1c)).await);
        assert!(permitted(&signer, &key(0xab), &vote(3, 4, 0x2d)).await);
        signer
            .set_high_watermark(Some(HighWatermark { epoch: 50, slot: 60 }))
            .await
            .unwrap();
        let hex = |byte: &str, times| format!("0x{}", byte.repeat(times));
        let id = format!("validator#{}", hex("ab", 48));
        assert_eq!(
            table.item(&id).await,
            json!({
                "id": {"S": id},
                "layout": {"N": "1"},
                "enabled": {"BOOL": true},
                "genesis_validators_root": {"S": hex("07", 32)},
                "block_slot": {"N": "12"},
                "block_root": {"S": hex("1c", 32)},
                "source_epoch": {"N": "3"},
                "target_epoch": {"N": "4"},
                "vote_root": {"S": hex("2d", 32)},
                "high_epoch": {"N": "50"},
                "high_slot": {"N": "60"},
            })
        );
        assert_eq!(
            table.item("installation").await,
            json!({
                "id": {"S": "installation"},
                "layout": {"N": "1"},
                "genesis_validators_root": {"S": hex("07", 32)},
                "high_epoch": {"N": "50"},
                "high_slot": {"N": "60"},
            })
        );
    });
}

#[test]
fn an_artefact_that_is_older_than_the_newest_is_refused() {
    run(async {
        let table = Table::make().await;
        let store = DynamoDb::open(table.config()).await.unwrap();
        assert!(matches!(
            store.use_artefact("tls", 1).await,
            Err(DynamoDbError::Absent { .. })
        ));
        store.make_artefact("tls").await.unwrap();
        store.use_artefact("tls", 3).await.unwrap();
        store.use_artefact("tls", 3).await.unwrap();
        store.make_artefact("tls").await.unwrap();
        assert!(matches!(
            store.use_artefact("tls", 2).await,
            Err(DynamoDbError::OldArtefact {
                highest: 3,
                version: 2,
                ..
            })
        ));
        store.use_artefact("tls", 4).await.unwrap();
        assert!(matches!(
            store.use_artefact("clients", 9).await,
            Err(DynamoDbError::Absent { .. })
        ));
    });
}
