//! Whom the store talks to, and what it makes of answers that do not come: table id, lost answers, credential, TLS.

use super::table::{CREDENTIAL, TABLE_ID, Table, empty};
use crate::front::Front;
use crate::support::{Counter, block, chain, key, permitted, prevented, run, vote};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use web3signer_rs::slashing::dynamodb::{DynamoDb, DynamoDbConfig, DynamoDbError};
use web3signer_rs::slashing::refusal::Refusal;
use web3signer_rs::slashing::rules::Rule;
use web3signer_rs::slashing::{ImportBy, Protection};

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
