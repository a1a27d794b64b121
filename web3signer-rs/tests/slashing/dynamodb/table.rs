//! A table of its own in moto for each test, and calls of an administrator beside the store.

use crate::front::{Front, forward};
use crate::support::{Counter, GENESIS};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use web3signer_rs::slashing::dynamodb::arn::TableArn;
use web3signer_rs::slashing::dynamodb::{DynamoDb, DynamoDbConfig};
use web3signer_rs::slashing::health::HealthTimes;
use web3signer_rs::slashing::interchange::{History, Interchange};
use web3signer_rs::slashing::key::ValidatorKey;
use web3signer_rs::slashing::{ImportBy, Protection};

pub(super) const TABLE_ID: &str = "0f3f1b1c-0000-4000-8000-123456789abc";
pub(super) const CREDENTIAL: &str = r#"{"access_key_id":"AKIAFIRST","secret_access_key":"secret"}"#;

/// A table of its own in moto, and a front that names it.
pub(super) struct Table {
    pub(super) front: Front,
    pub(super) arn: TableArn,
    pub(super) folder: TempDir,
}

/// One call of the API as an administrator would make it, beside the store.
pub(super) async fn call(operation: &str, body: &Value) -> Value {
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
    pub(super) async fn make() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "slashing-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
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

    pub(super) fn config(&self) -> DynamoDbConfig {
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

    pub(super) fn credential(&self) -> PathBuf {
        self.folder.path().join("credential.json")
    }

    pub(super) async fn signer(&self) -> Arc<Protection> {
        let store = DynamoDb::open(self.config()).await.unwrap();
        Arc::new(Protection::dynamodb(store, Arc::new(Counter::default())))
    }

    /// A signer of a table that has empty records of `keys`.
    pub(super) async fn signer_for(&self, keys: &[ValidatorKey]) -> Arc<Protection> {
        let signer = self.signer().await;
        signer.import(&empty(keys), ImportBy::Operator).await.unwrap();
        signer
    }

    pub(super) async fn item(&self, id: &str) -> Value {
        let body = json!({"TableName": self.arn.as_str(), "Key": {"id": {"S": id}}, "ConsistentRead": true});
        call("GetItem", &body).await["Item"].clone()
    }
}

pub(super) fn empty(keys: &[ValidatorKey]) -> Interchange {
    let mut interchange = Interchange::empty(GENESIS);
    for key in keys {
        interchange.validators.insert(*key, History::default());
    }
    interchange
}
