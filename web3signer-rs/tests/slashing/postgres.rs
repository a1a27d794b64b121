//! The PostgreSQL store, against a server of its own.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};
use web3signer_rs::duty::Root;
use web3signer_rs::slashing::health::HealthTimes;
use web3signer_rs::slashing::interchange::{History, Interchange, SignedAttestation, SignedBlock};
use web3signer_rs::slashing::postgres::jdbc::{JdbcUrl, Password};
use web3signer_rs::slashing::postgres::{Postgres, PostgresConfig, PostgresError, Pruning};
use web3signer_rs::slashing::refusal::Refusal;
use web3signer_rs::slashing::report::ImportError;
use web3signer_rs::slashing::rules::Rule;
use web3signer_rs::slashing::watermark::HighWatermark;
use web3signer_rs::slashing::{ImportBy, Leaving, Protection};

use crate::support::{Counter, GENESIS, block, chain, key, permitted, prevented, run, service, vote};
use crate::{race, vectors};

const SCHEMA: &str = include_str!("../data/postgres/schema.sql");

/// The server's folder: port, password, ca.pem, and the socket for the administrator.
struct Server {
    folder: PathBuf,
    port: String,
    password: String,
}

impl Server {
    fn get() -> Self {
        let folder = PathBuf::from(service("NITRO_TEST_POSTGRES"));
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        Self {
            port: read("port"),
            password: read("password"),
            folder,
        }
    }

    /// Percent-encoded, for a URL.
    fn ca(&self) -> String {
        self.folder.join("ca.pem").to_str().unwrap().replace('%', "%25")
    }

    /// A session of the administrator over the Unix socket, beside the store.
    async fn administrator(&self, database: &str) -> Client {
        let (client, driver) = tokio_postgres::Config::new()
            .host_path(&self.folder)
            .port(self.port.parse().unwrap())
            .user("postgres")
            .password(&self.password)
            .dbname(database)
            .connect(NoTls)
            .await
            .unwrap();
        tokio::spawn(driver);
        client
    }
}

/// A database of its own with the schema.
struct Database {
    server: Server,
    name: String,
}

impl Database {
    async fn make() -> Self {
        let database = Self::make_empty().await;
        database.admin().await.batch_execute(SCHEMA).await.unwrap();
        database
    }

    async fn make_empty() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("slashing_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let server = Server::get();
        let admin = server.administrator("postgres").await;
        admin
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        Self { server, name }
    }

    async fn admin(&self) -> Client {
        self.server.administrator(&self.name).await
    }

    fn config(&self) -> PostgresConfig {
        let (port, ca) = (&self.server.port, self.server.ca());
        let url = format!(
            "jdbc:postgresql://localhost:{port}/{}?sslmode=verify-full&sslrootcert={ca}",
            self.name
        );
        PostgresConfig {
            url: url.parse().unwrap(),
            username: Some("postgres".to_owned()),
            password: Some(Password::new(self.server.password.clone())),
            genesis_validators_root: None,
            pruning: None,
            health: HealthTimes {
                timeout: Duration::from_secs(3),
                interval: Duration::from_millis(50),
            },
        }
    }

    async fn store(&self) -> Postgres {
        Postgres::open(self.config()).await.unwrap()
    }

    async fn signer(&self) -> Arc<Protection> {
        Arc::new(Protection::postgres(
            self.store().await,
            Arc::new(Counter::default()),
        ))
    }

    async fn count(&self, table: &str) -> i64 {
        let row = self
            .admin()
            .await
            .query_one(&format!("SELECT count(*) FROM {table}"), &[])
            .await
            .unwrap();
        row.get(0)
    }

    /// The floors of validator 1 as text: slot, source, target.
    async fn floors(&self) -> [Option<String>; 3] {
        let sql = "SELECT slot::text, source_epoch::text, target_epoch::text FROM low_watermarks WHERE validator_id = 1";
        let row = self.admin().await.query_one(sql, &[]).await.unwrap();
        [row.get(0), row.get(1), row.get(2)]
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

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
        assert!(cut.is_err());
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
fn watermarks() {
    run(async {
        let database = Database::make().await;
        let signer = database.signer().await;
        signer.register(&[key(1), key(2)]).await.unwrap();
        let mark = HighWatermark { epoch: 10, slot: 320 };
        signer.set_high_watermark(Some(mark)).await.unwrap_err();
        assert!(permitted(&signer, &key(1), &block(5, 1)).await);
        assert!(permitted(&signer, &key(1), &vote(2, 3, 1)).await);
        assert_eq!(database.floors().await, [some("5"), some("2"), some("3")]);
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
        assert_eq!(database.floors().await, [some("5"), some("4"), some("4")]);
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
        assert_eq!(one.floors().await, [some("5"), some("1"), some("2")]);

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
        assert_eq!(other.floors().await, [some("20"), some("8"), some("9")]);
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
        assert!(maintain.is_err());
        assert_eq!(
            *counter.1.lock().unwrap(),
            ["pruned 90 entries of slashing protection"]
        );
        assert_eq!(database.count("signed_blocks").await, 40);
        assert_eq!(database.count("signed_attestations").await, 10);
        // Sources stood still at 3, so the floor of sources does too: the validator can go on.
        assert_eq!(database.floors().await, [some("61"), some("3"), some("34")]);
        assert!(permitted(&signer, &key(1), &vote(3, 44, 1)).await);
        assert!(!permitted(&signer, &key(1), &vote(2, 45, 1)).await);
        assert!(!permitted(&signer, &key(1), &vote(3, 33, 2)).await);
        assert!(!permitted(&signer, &key(1), &block(60, 1)).await);
        assert!(pruner.is_healthy());
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
