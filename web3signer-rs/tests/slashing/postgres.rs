//! The PostgreSQL store, against a server of its own.

use std::sync::Arc;
use std::time::Duration;

use web3signer_rs::duty::Root;
use web3signer_rs::slashing::postgres::jdbc::{JdbcUrl, Password};
use web3signer_rs::slashing::postgres::{Postgres, PostgresConfig, PostgresError};
use web3signer_rs::slashing::refusal::Refusal;
use web3signer_rs::slashing::rules::Rule;
use web3signer_rs::slashing::{Leaving, Protection};

use crate::support::{Counter, GENESIS, block, chain, key, permitted, prevented, run, vote};
use crate::{race, vectors};

mod history;
mod server;

use self::server::Database;

#[test]
fn interchange_tests() {
    run(vectors::run_all(
        vectors::Scheme::Complete,
        async |genesis: Root| {
            let database = Database::make().await;
            let mut config = database.config();
            config.genesis_validators_root = Some(genesis);
            Protection::postgres(
                Postgres::open(config).await.unwrap(),
                Arc::new(Counter::default()),
            )
        },
    ));
}

#[test]
fn races_of_two_signers() {
    run(async {
        let database = Database::make().await;
        let signers = [database.signer().await, database.signer().await];
        for signer in &signers {
            signer.register(&[key(1), key(2), key(3)]).await.unwrap();
        }
        race::one_block_per_slot(&signers, 60).await;
        race::one_vote_per_target(&signers, 60).await;
        race::no_slashable_pair(&signers, 100).await;
        race::the_same_block_for_all(&signers).await;
        assert_eq!(database.count("metadata").await, 1);
    });
}

/// Another program that holds the lock of Web3Signer for this validator and kind of duty.
#[test]
fn the_lock_is_web3signers() {
    run(async {
        let database = Database::make().await;
        let signer = database.signer().await;
        signer.register(&[key(1), key(2)]).await.unwrap();
        let other = database.admin().await;
        other
            .batch_execute(
                "BEGIN; SELECT pg_advisory_xact_lock(0, (SELECT id FROM validators WHERE public_key = decode(repeat('01', 48), 'hex')))",
            )
            .await
            .unwrap();
        // Votes of the same validator and blocks of others go on.
        assert!(permitted(&signer, &key(1), &vote(1, 2, 1)).await);
        assert!(permitted(&signer, &key(2), &block(5, 1)).await);
        let waiting = Arc::clone(&signer);
        let decision = tokio::spawn(async move { permitted(&waiting, &key(1), &block(5, 1)).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!decision.is_finished(), "the block waits");
        other
            .batch_execute(
                "INSERT INTO signed_blocks (validator_id, slot, signing_root) \
                 SELECT id, 5, decode(repeat('09', 32), 'hex') FROM validators WHERE public_key = decode(repeat('01', 48), 'hex'); \
                 COMMIT",
            )
            .await
            .unwrap();
        assert!(
            !decision.await.unwrap(),
            "it sees what was committed under the lock"
        );
        assert_eq!(
            prevented(&signer, &key(1), &block(5, 1)).await,
            Rule::DoubleProposal { slot: 5 }
        );
    });
}

#[test]
fn a_database_that_does_not_answer_is_no_permit() {
    run(async {
        let database = Database::make().await;
        let signer = database.signer().await;
        signer.register(&[key(1)]).await.unwrap();
        let other = database.admin().await;
        other
            .batch_execute("BEGIN; LOCK TABLE signed_blocks")
            .await
            .unwrap();
        let refusal = signer.permit(&key(1), &block(5, 1)).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Store(_)), "{refusal}");
        assert_eq!(refusal.http_status(), 500);
        // Dropped in the middle: the connection is not used again, and nothing of it stays.
        let cut =
            tokio::time::timeout(Duration::from_millis(200), signer.permit(&key(1), &block(6, 1))).await;
        cut.unwrap_err();
        other.batch_execute("ROLLBACK").await.unwrap();
        assert!(permitted(&signer, &key(1), &block(5, 2)).await);
        assert!(permitted(&signer, &key(1), &block(6, 2)).await);

        // The server ends every session: the next decision has a new one.
        database
            .server
            .administrator("postgres")
            .await
            .execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
                &[&database.name],
            )
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(permitted(&signer, &key(1), &block(7, 1)).await);
        assert!(!permitted(&signer, &key(1), &block(7, 2)).await);
    });
}

#[test]
fn only_schema_version_12_of_the_networks_chain() {
    run(async {
        let empty = Database::make_empty().await;
        let found = |result: Result<Postgres, PostgresError>| match result {
            Err(PostgresError::Schema { found }) => found,
            other => panic!("{other:?}"),
        };
        assert_eq!(found(Postgres::open(empty.config()).await), "none");
        let database = Database::make().await;
        let admin = database.admin().await;
        for version in [11, 13] {
            let update = format!("UPDATE database_version SET version = {version}");
            admin.batch_execute(&update).await.unwrap();
            assert_eq!(
                found(Postgres::open(database.config()).await),
                version.to_string()
            );
        }
        admin
            .batch_execute("UPDATE database_version SET version = 12")
            .await
            .unwrap();
        let signer = database.signer().await;
        signer.register(&[key(1)]).await.unwrap();
        assert!(permitted(&signer, &key(1), &block(1, 1)).await);

        let mut config = database.config();
        config.genesis_validators_root = Some([1; 32]);
        assert!(matches!(
            Postgres::open(config).await,
            Err(PostgresError::OtherChain {
                database: GENESIS,
                ..
            })
        ));
        let mut elsewhere = block(2, 1);
        elsewhere.genesis_validators_root = [1; 32];
        assert!(matches!(
            prevented(&signer, &key(1), &elsewhere).await,
            Rule::GenesisValidatorsRoot { .. }
        ));
    });
}

#[test]
fn the_server_must_be_the_one_of_the_url() {
    run(async {
        let database = Database::make().await;
        let url = |text: String| -> JdbcUrl { text.parse().unwrap() };
        let (port, name, ca) = (&database.server.port, &database.name, database.server.ca());
        let with = |url: JdbcUrl| PostgresConfig {
            url,
            ..database.config()
        };
        let good = format!("jdbc:postgresql://127.0.0.1:{port}/{name}?sslmode=verify-full&sslrootcert={ca}");
        Postgres::open(with(url(good.clone()))).await.unwrap();

        let refused = async |config: PostgresConfig, expected: &str| {
            let error = Postgres::open(config).await.unwrap_err();
            assert!(
                matches!(error, PostgresError::Connect { .. } | PostgresError::Trust(_)),
                "{error}"
            );
            assert!(chain(&error).contains(expected), "{expected}: {}", chain(&error));
        };
        // The web's authorities do not know it; plain text is not accepted by it; another name is not in its certificate.
        let web = format!("jdbc:postgresql://localhost:{port}/{name}?sslmode=verify-full");
        refused(with(url(web)), "UnknownIssuer").await;
        let absent =
            format!("jdbc:postgresql://localhost:{port}/{name}?sslmode=verify-full&sslrootcert=/absent.pem");
        refused(with(url(absent)), "/absent.pem").await;
        let plain = format!("jdbc:postgresql://localhost:{port}/{name}?sslmode=disable");
        refused(with(url(plain)), "no encryption").await;
        // The same server under an address that its certificate does not have.
        refused(
            with(url(good.replace("127.0.0.1", "127.0.0.2"))),
            "not valid for name",
        )
        .await;
        let mut wrong = database.config();
        wrong.password = Some(Password::new("wrong".to_owned()));
        refused(wrong, "password").await;
    });
}

#[test]
fn validators_come_and_go() {
    run(async {
        let database = Database::make().await;
        let signer = database.signer().await;
        let refusal = signer.permit(&key(1), &block(1, 1)).await.unwrap_err();
        assert!(matches!(refusal, Refusal::UnknownValidator(_)));
        assert_eq!(refusal.http_status(), 500);
        assert_eq!(database.count("validators").await, 0);
        for _ in 0..2 {
            signer.register(&[key(1), key(2), key(1)]).await.unwrap();
        }
        assert_eq!(database.count("validators").await, 2);
        assert!(permitted(&signer, &key(1), &block(1, 1)).await);
        signer.disable(&[key(1)], Leaving::Reloaded).await.unwrap();
        assert!(
            permitted(&signer, &key(1), &block(1, 1)).await,
            "others may hold the key"
        );
        signer.disable(&[key(1), key(9)], Leaving::Deleted).await.unwrap();
        let other = database.signer().await;
        assert_eq!(prevented(&other, &key(1), &block(2, 1)).await, Rule::Disabled);
        assert_eq!(
            other.register(&[key(1), key(2)]).await.unwrap().disabled,
            [key(1)]
        );
        assert_eq!(prevented(&other, &key(1), &block(2, 1)).await, Rule::Disabled);
        other.enable(&[key(1)]).await.unwrap();
        assert!(permitted(&other, &key(1), &block(2, 1)).await);
    });
}

/// The largest numbers of the format are exact, and differ from their neighbours.
#[test]
fn numbers_of_64_bits_are_exact() {
    run(async {
        let database = Database::make().await;
        let signer = database.signer().await;
        signer.register(&[key(1)]).await.unwrap();
        let top = u64::MAX;
        assert!(permitted(&signer, &key(1), &block(top - 1, 1)).await);
        assert!(permitted(&signer, &key(1), &block(top, 1)).await);
        assert_eq!(
            prevented(&signer, &key(1), &block(top, 2)).await,
            Rule::DoubleProposal { slot: top }
        );
        assert_eq!(
            prevented(&signer, &key(1), &block(top - 2, 1)).await,
            Rule::SlotBelowFloor {
                slot: top - 2,
                floor: top - 1
            }
        );
        assert!(permitted(&signer, &key(1), &vote(top - 3, top - 1, 1)).await);
        assert_eq!(
            prevented(&signer, &key(1), &vote(top - 4, top, 1)).await,
            Rule::SourceBelowFloor {
                source_epoch: top - 4,
                floor: top - 3
            }
        );
        let exported = signer.export(None).await.unwrap();
        assert_eq!(exported.validators[&key(1)].blocks[1].slot, top);
        // What the column can hold and a duty cannot is an error, not a wrapped number.
        let admin = database.admin().await;
        admin
            .batch_execute("UPDATE low_watermarks SET slot = 18446744073709551616")
            .await
            .unwrap();
        let refusal = signer.permit(&key(1), &block(top, 1)).await.unwrap_err();
        assert!(chain(&refusal).contains("low_slot"), "{}", chain(&refusal));
    });
}

#[test]
fn health_is_that_of_the_last_query() {
    run(async {
        let database = Database::make().await;
        let signer = database.signer().await;
        let watcher = Arc::clone(&signer);
        let watch = tokio::spawn(async move { watcher.maintain().await });
        let admin = database.admin().await;
        let until = async |healthy: bool| {
            while signer.is_healthy() != healthy {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        admin
            .batch_execute("ALTER TABLE database_version RENAME TO gone")
            .await
            .unwrap();
        until(false).await;
        admin
            .batch_execute("ALTER TABLE gone RENAME TO database_version")
            .await
            .unwrap();
        until(true).await;
        assert!(!watch.is_finished());
        watch.abort();
    });
}
