//! The DynamoDB store, against moto.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use web3signer_rs::duty::Root;
use web3signer_rs::slashing::dynamodb::arn::TableArn;
use web3signer_rs::slashing::dynamodb::{DynamoDb, DynamoDbConfig, DynamoDbError};
use web3signer_rs::slashing::health::HealthTimes;
use web3signer_rs::slashing::interchange::{History, Interchange, SignedAttestation, SignedBlock};
use web3signer_rs::slashing::key::ValidatorKey;
use web3signer_rs::slashing::refusal::Refusal;
use web3signer_rs::slashing::report::ImportError;
use web3signer_rs::slashing::rules::Rule;
use web3signer_rs::slashing::watermark::HighWatermark;
use web3signer_rs::slashing::{ImportBy, Leaving, Protection};

use crate::front::{Front, forward};
use crate::support::{Counter, GENESIS, block, chain, key, permitted, prevented, run, vote};
use crate::{race, vectors};

const TABLE_ID: &str = "0f3f1b1c-0000-4000-8000-123456789abc";
const CREDENTIAL: &str = r#"{"access_key_id":"AKIAFIRST","secret_access_key":"secret"}"#;

/// A table of its own in moto, and a front that names it.
struct Table {
    front: Front,
    arn: TableArn,
    folder: TempDir,
}

/// One call of the API as an administrator would make it, beside the store.
async fn call(operation: &str, body: &Value) -> Value {
    let request = Request::post("/")
        .header("host", "dynamodb.eu-central-1.amazonaws.com")
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .header("content-type", "application/x-amz-json-1.0")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIAADMIN/20260101/eu-central-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
        )
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let (parts, body) = forward(request).await;
    assert!(parts.status.is_success(), "{operation}: {body:?}");
    serde_json::from_slice(&body).unwrap()
}

impl Table {
    async fn make() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("slashing-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let made = call(
            "CreateTable",
            &json!({
                "TableName": name,
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
            }),
        )
        .await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("credential.json"), CREDENTIAL).unwrap();
        Self {
            front: Front::start(Some(TABLE_ID), None).await,
            arn: made["TableDescription"]["TableArn"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap(),
            folder,
        }
    }

    fn config(&self) -> DynamoDbConfig {
        DynamoDbConfig {
            table: self.arn.clone(),
            table_id: TABLE_ID.to_owned(),
            credential_file: self.credential(),
            ca_file: None,
            endpoint: Some(self.front.url()),
            genesis_validators_root: GENESIS,
            health: HealthTimes {
                timeout: Duration::from_secs(3),
                interval: Duration::from_millis(50),
            },
        }
    }

    fn credential(&self) -> PathBuf {
        self.folder.path().join("credential.json")
    }

    async fn signer(&self) -> Arc<Protection> {
        let store = DynamoDb::open(self.config()).await.unwrap();
        Arc::new(Protection::dynamodb(store, Arc::new(Counter::default())))
    }

    /// A signer of a table that has empty records of `keys`.
    async fn signer_for(&self, keys: &[ValidatorKey]) -> Arc<Protection> {
        let signer = self.signer().await;
        signer.import(&empty(keys), ImportBy::Operator).await.unwrap();
        signer
    }

    async fn item(&self, id: &str) -> Value {
        let body = json!({"TableName": self.arn.as_str(), "Key": {"id": {"S": id}}, "ConsistentRead": true});
        call("GetItem", &body).await["Item"].clone()
    }
}

fn empty(keys: &[ValidatorKey]) -> Interchange {
    let mut interchange = Interchange::empty(GENESIS);
    for key in keys {
        interchange.validators.insert(*key, History::default());
    }
    interchange
}

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
fn only_the_configured_table_is_used() {
    run(async {
        let table = Table::make().await;
        let refused = async |expected: &str, given: Option<&str>| {
            *table.front.state.table_id.lock().unwrap() = given.map(str::to_owned);
            let error = DynamoDb::open(table.config()).await.unwrap_err();
            assert!(matches!(error, DynamoDbError::OtherTable { .. }), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        };
        refused("TableId \"\"", None).await;
        refused("TableId \"other\"", Some("other")).await;
        *table.front.state.table_id.lock().unwrap() = Some(TABLE_ID.to_owned());
        DynamoDb::open(table.config()).await.unwrap();

        let mut config = table.config();
        config.table = config
            .table
            .as_str()
            .replace("123456789012", "210987654321")
            .parse()
            .unwrap();
        let error = DynamoDb::open(config).await.unwrap_err();
        assert!(
            matches!(
                error,
                DynamoDbError::OtherTable { .. } | DynamoDbError::Request { .. }
            ),
            "{error}"
        );
    });
}

/// The table is made anew or restored while the signer runs: the next health query sees it, and from then on nothing is
/// signed, even if the old id comes back.
#[test]
fn a_table_that_was_replaced_is_noticed() {
    run(async {
        let table = Table::make().await;
        let counter = Arc::new(Counter::default());
        let store = DynamoDb::open(table.config()).await.unwrap();
        let signer = Arc::new(Protection::dynamodb(store, Arc::clone(&counter) as Arc<_>));
        signer
            .import(&empty(&[key(1)]), ImportBy::Operator)
            .await
            .unwrap();
        let watcher = Arc::clone(&signer);
        let watch = tokio::spawn(async move { watcher.maintain().await });
        assert!(permitted(&signer, &key(1), &block(1, 1)).await);
        assert!(signer.is_healthy());

        *table.front.state.table_id.lock().unwrap() = Some("restored".to_owned());
        while signer.is_healthy() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let refusal = signer.permit(&key(1), &block(2, 1)).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Store(_)));
        assert!(chain(&refusal).contains("TableId"), "{}", chain(&refusal));
        *table.front.state.table_id.lock().unwrap() = Some(TABLE_ID.to_owned());
        tokio::time::sleep(Duration::from_millis(300)).await;
        signer.permit(&key(1), &block(2, 1)).await.unwrap_err();
        assert!(!signer.is_healthy());
        assert!(counter.1.lock().unwrap()[0].contains("restored"));
        watch.abort();
    });
}

/// moto did the work, the answer is lost, the SDK asks again.
#[test]
fn a_repeated_write_is_recognised_and_never_makes_a_yes_of_a_no() {
    run(async {
        let table = Table::make().await;
        let signer = table.signer_for(&[key(1)]).await;
        let lose = |answers| table.front.state.lose.store(answers, Ordering::SeqCst);
        lose(1);
        assert!(
            permitted(&signer, &key(1), &block(10, 1)).await,
            "done at the first try"
        );
        lose(2);
        assert!(
            permitted(&signer, &key(1), &vote(3, 4, 1)).await,
            "done at the first try"
        );

        lose(1);
        assert_eq!(
            prevented(&signer, &key(1), &block(10, 2)).await,
            Rule::DoubleProposal { slot: 10 }
        );
        lose(2);
        assert_eq!(
            prevented(&signer, &key(1), &vote(3, 4, 2)).await,
            Rule::DoubleVote { target_epoch: 4 }
        );

        // All answers are lost: not known, so no permit; and the slot is taken, for this root alone.
        table.front.state.seen.lock().unwrap().clear();
        lose(3);
        let refusal = signer.permit(&key(1), &block(11, 1)).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Store(_)) && refusal.http_status() == 500);
        assert_eq!(table.front.state.lose.load(Ordering::SeqCst), 0);
        assert_eq!(
            table.front.state.seen.lock().unwrap().len(),
            3,
            "a bounded number of tries"
        );
        assert!(!permitted(&signer, &key(1), &block(11, 2)).await);
        assert!(permitted(&signer, &key(1), &block(11, 1)).await);
    });
}

#[test]
fn the_credential_is_read_again_and_the_host_has_no_account() {
    run(async {
        let table = Table::make().await;
        let signer = table.signer_for(&[key(1)]).await;
        let renamed = table.folder.path().join("next");
        std::fs::write(&renamed, CREDENTIAL.replace("AKIAFIRST", "AKIASECOND")).unwrap();
        std::fs::rename(&renamed, table.credential()).unwrap();
        assert!(permitted(&signer, &key(1), &block(1, 1)).await);
        let host = table.front.address.to_string();
        assert_eq!(
            *table.front.state.callers.lock().unwrap(),
            [
                (host.clone(), "AKIAFIRST".to_owned()),
                (host, "AKIASECOND".to_owned())
            ]
        );

        std::fs::remove_file(table.credential()).unwrap();
        let refusal = signer.permit(&key(1), &block(2, 1)).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Store(_)), "no other source is asked");
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

/// A CA, and a server certificate of it for 127.0.0.1.
fn authority(folder: &Path, name: &str) -> (PathBuf, Arc<rustls::ServerConfig>) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, name);
    let issuer_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let server_key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = server.signed_by(&server_key, &issuer).unwrap();
    let path = folder.join(format!("{name}.pem"));
    std::fs::write(&path, issuer_certificate.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls_pki_types::PrivateKeyDer::Pkcs8(server_key.serialize_der().into()),
        )
        .unwrap();
    (path, Arc::new(config))
}

#[test]
fn the_server_is_checked_against_the_given_authority_alone() {
    run(async {
        let table = Table::make().await;
        let folder = table.folder.path();
        let (ours, server) = authority(folder, "ours");
        let (other, _) = authority(folder, "other");
        let front = Front::start(Some(TABLE_ID), Some(server)).await;
        let with_ca = |ca_file: Option<PathBuf>| DynamoDbConfig {
            ca_file,
            endpoint: Some(format!("https://{}", front.address)),
            ..table.config()
        };
        DynamoDb::open(with_ca(Some(ours.clone()))).await.unwrap();
        for wrong in [Some(other), None] {
            let error = DynamoDb::open(with_ca(wrong)).await.unwrap_err();
            assert!(matches!(error, DynamoDbError::Request { .. }), "{error}");
        }
        for bad in ["", "no certificate"] {
            std::fs::write(folder.join("bad.pem"), bad).unwrap();
            let error = DynamoDb::open(with_ca(Some(folder.join("bad.pem"))))
                .await
                .unwrap_err();
            assert!(matches!(error, DynamoDbError::Trust(_)), "{error}");
        }
        // A bundle may hold what rustls cannot use, beside what it can.
        let mixed = format!(
            "{}-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
            std::fs::read_to_string(ours).unwrap()
        );
        std::fs::write(folder.join("mixed.pem"), mixed).unwrap();
        DynamoDb::open(with_ca(Some(folder.join("mixed.pem"))))
            .await
            .unwrap();
    });
}
