//! What this program writes is what the others read: the parent the tables, `provision` the plaintexts, the signer its
//! slashing table. Each through its own code.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::artefact::{Kind, context, key_context};
use control::config::DeploymentConfig;
use control::request::Credential;
use parent::config::Tables;
use parent::imds::Temporary;
use provision::payload;
use serde_json::json;
use web3signer_rs::duty::{Duty, SlashableDuty};
use web3signer_rs::slashing::Protection;
use web3signer_rs::slashing::dynamodb::{DynamoDb, DynamoDbConfig};
use web3signer_rs::slashing::health::HealthTimes;
use web3signer_rs::slashing::observe::Unobserved;
use web3signer_rs::slashing::refusal::Refusal;

use crate::front::runtime;
use crate::support::{Deployment, PLANTED, STACK, TABLE_ID, call, moto, pubkey, write_keystore};

fn ceremony(deployment: &Deployment) {
    let keys = deployment.path("keys");
    write_keystore(&keys, 1, None);
    let compact = deployment.path("compact");
    write_keystore(&compact, 2, None);
    for (folder, more) in [(&keys, &[][..]), (&compact, &["--compact"])] {
        let load = [
            "keys",
            "load",
            "--table",
            &deployment.validators,
            folder.to_str().unwrap(),
        ];
        deployment.ok(&[&load, more].concat());
    }
    let table = ["--table", &deployment.tls];
    deployment.ok(&[&["tls", "create", "--host", "signer.example.org"], &table[..]].concat());
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "teku");
    let client = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    std::fs::write(deployment.path("client.pem"), client.pem()).unwrap();
    let client = deployment.path("client.pem").to_str().unwrap().to_owned();
    deployment.ok(&[&["clients", "set", "--client", &client], &table[..]].concat());
    let credential = json!({"access_key_id": "AKIASTORE", "secret_access_key": PLANTED});
    std::fs::write(deployment.path("store.json"), credential.to_string()).unwrap();
    let credential = deployment.path("store.json").to_str().unwrap().to_owned();
    deployment.ok(&[
        &["slashing", "credential", "set", "--file", &credential],
        &table[..],
    ]
    .concat());
}

fn decrypt(deployment: &Deployment, ciphertext: &str, context: &BTreeMap<String, String>) -> Vec<u8> {
    let body =
        json!({"CiphertextBlob": ciphertext, "KeyId": deployment.key_arn, "EncryptionContext": context});
    let answer = call("kms", "Decrypt", &body).unwrap();
    STANDARD.decode(answer["Plaintext"].as_str().unwrap()).unwrap()
}

#[test]
fn parent_and_provision_read_what_was_written() {
    let deployment = Deployment::new();
    ceremony(&deployment);
    let tables = Tables {
        region: "eu-central-1".to_owned(),
        tls: deployment.tls.clone(),
        tls_key_id: "1".to_owned(),
        validators: deployment.validators.clone(),
        web3signer_uuids: vec![STACK.parse().unwrap()],
        endpoint: Some(moto()),
        legacy: false,
        page_size: Some(1),
    };
    let credential = Credential::new("AKIAPARENT".to_owned(), "secret".to_owned(), String::new()).unwrap();
    let credentials = Temporary {
        credential,
        expires: SystemTime::now() + Duration::from_hours(1),
    };
    let read = runtime()
        .block_on(parent::tables::read(&tables, &credentials))
        .unwrap();
    assert_eq!(
        (read.keys.len(), read.inactive, &read.tls.stack),
        (2, 0, &Some(STACK.parse().unwrap()))
    );

    let stack = STACK.parse().unwrap();
    for row in &read.keys {
        let plain = decrypt(&deployment, row.key.as_str(), &key_context(&stack, &row.pubkey));
        let expected: keystore::PublicKey = row.pubkey.as_str().parse().unwrap();
        let (public, _) = payload::key::key(&plain, Some(&expected)).unwrap();
        assert_eq!(public, expected);
    }
    let config: DeploymentConfig = serde_json::from_value(deployment.config.clone()).unwrap();
    let plain = decrypt(&deployment, read.tls.key.as_str(), &context(&stack, Kind::TlsKey));
    assert_eq!(payload::tls::tls(&plain, SystemTime::now()).unwrap().version, 2);
    let clients = read.tls.clients.unwrap();
    let plain = decrypt(&deployment, clients.as_str(), &context(&stack, Kind::Clients));
    let mode = config.fields().client_authentication;
    let clients = payload::clients::clients(&plain, mode, SystemTime::now()).unwrap();
    assert_eq!(
        (clients.version, clients.known.keys().collect::<Vec<_>>()),
        (1, vec![&"teku".to_owned()])
    );
    let credential = read.tls.slashing_credential.unwrap();
    let plain = decrypt(
        &deployment,
        credential.as_str(),
        &context(&stack, Kind::SlashingCredential),
    );
    assert_eq!(
        payload::store::store(&plain, &config.fields().slashing_store)
            .unwrap()
            .version,
        1
    );
}

#[test]
fn the_signer_obeys_the_records() {
    let deployment = Deployment::new();
    let genesis = slashing_table::genesis::of_network("hoodi").unwrap();
    let file = json!({
        "metadata": {"interchange_format_version": "5", "genesis_validators_root": format!("0x{}", hex::encode(genesis))},
        "data": [{"pubkey": pubkey(1), "signed_blocks": [{"slot": "100"}], "signed_attestations": []}],
    });
    let path = deployment.path("history.json").to_str().unwrap().to_owned();
    std::fs::write(&path, file.to_string()).unwrap();
    deployment.ok(&["slashing", "init", &path]);
    std::fs::write(
        deployment.path("store.json"),
        r#"{"access_key_id":"A","secret_access_key":"s"}"#,
    )
    .unwrap();
    let arn = format!(
        "arn:aws:dynamodb:eu-central-1:123456789012:table/{}",
        deployment.slashing
    );
    let config = DynamoDbConfig {
        table: arn.parse().unwrap(),
        table_id: TABLE_ID.to_owned(),
        credential_file: deployment.path("store.json"),
        ca_file: None,
        endpoint: Some(deployment.front.url()),
        genesis_validators_root: genesis,
        health: HealthTimes::default(),
    };
    runtime().block_on(async {
        let store = DynamoDb::open(config).await.unwrap();
        store.use_artefact(Kind::Clients.name(), 7).await.unwrap();
        let signer = Protection::dynamodb(store, Arc::new(Unobserved));
        let block = |slot| SlashableDuty {
            duty: Duty::Block { slot },
            signing_root: [1; 32],
            genesis_validators_root: genesis,
        };
        let (known, unknown) = (pubkey(1).parse().unwrap(), pubkey(2).parse().unwrap());
        assert!(matches!(
            signer.permit(&known, &block(100)).await,
            Err(Refusal::Prevented(_))
        ));
        let _permit = signer.permit(&known, &block(101)).await.unwrap();
        assert!(matches!(
            signer.permit(&unknown, &block(1)).await,
            Err(Refusal::UnknownValidator(_))
        ));
    });
    // What the signer noted is in the export, and the version that it used counts for the next artefact.
    let out = deployment.path("out.json").to_str().unwrap().to_owned();
    deployment.ok(&["slashing", "export", "--out", &out]);
    let exported = std::fs::read_to_string(&out).unwrap();
    assert!(
        exported.contains("\"101\"") && !exported.contains("\"100\""),
        "{exported}"
    );
    ceremony(&deployment);
    let items = crate::support::items(&deployment.tls);
    assert_eq!(items[0]["clients_version"]["N"], "8");
}
