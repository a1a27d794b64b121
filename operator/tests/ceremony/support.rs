//! A deployment of its own in moto for each test, the program, and calls of an administrator beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use keystore::{Description, Kdf, Keystore, Password, Randomness, SecretKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::front::{Front, forward, runtime};

pub(crate) const TABLE_ID: &str = "0f3f1b1c-0000-4000-8000-123456789abc";
pub(crate) const STACK: &str = "0f9e8d7c-0000-4000-8000-00000000000a";
/// In every password and credential here, and nowhere else.
pub(crate) const PLANTED: &str = "planted-secret";

/// Where moto is.
pub(crate) fn moto() -> String {
    std::env::var("NITRO_TEST_DYNAMODB").expect("run this test by scripts/with-stores.sh, which starts moto")
}

/// One call of an AWS API as an administrator would make it.
pub(crate) fn call(service: &str, operation: &str, body: &Value) -> Result<Value, Value> {
    let (prefix, kind) = match service {
        "kms" => ("TrentService", "1.1"),
        _ => ("DynamoDB_20120810", "1.0"),
    };
    let request = Request::post("/")
        .header("host", format!("{service}.eu-central-1.amazonaws.com"))
        .header("x-amz-target", format!("{prefix}.{operation}"))
        .header("content-type", format!("application/x-amz-json-{kind}"))
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 Credential=AKIAADMIN/20260101/eu-central-1/{service}/aws4_request, SignedHeaders=host, Signature=0"),
        )
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let (parts, body) = runtime().block_on(forward(request));
    let answer = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if parts.status.is_success() {
        Ok(answer)
    } else {
        Err(answer)
    }
}

/// Key, tables, config file and a front.
pub(crate) struct Deployment {
    pub(crate) front: Front,
    pub(crate) folder: TempDir,
    pub(crate) key_arn: String,
    pub(crate) validators: String,
    pub(crate) tls: String,
    pub(crate) slashing: String,
    pub(crate) config: Value,
}

impl Deployment {
    pub(crate) fn new() -> Self {
        Self::with_key_id_type("N")
    }

    pub(crate) fn with_key_id_type(kind: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let key = call("kms", "CreateKey", &json!({})).unwrap();
        let key_arn = key["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
        let validators = make_table(
            &format!("validators-{name}"),
            &[("web3signer_uuid", "S"), ("pubkey", "S")],
        );
        let tls = make_table(&format!("tls-{name}"), &[("key_id", kind)]);
        let slashing = make_table(&format!("slashing-{name}"), &[("id", "S")]);
        let config = json!({
            "schema": 1, "region": "eu-central-1", "kms_key_arn": key_arn, "stacks": [STACK], "network": "hoodi",
            "client_authentication": "known-clients",
            "slashing_store": {
                "kind": "dynamodb", "table_id": TABLE_ID,
                "table_arn": format!("arn:aws:dynamodb:eu-central-1:123456789012:table/{slashing}"),
            },
            "outbound": [{"name": "dynamodb.eu-central-1.amazonaws.com", "port": 443, "vsock_port": 8001}],
            "artefact_versions": {"tls_key": 1, "clients": 0, "slashing_credential": 0},
        });
        let deployment = Self {
            front: Front::start(),
            folder: tempfile::tempdir().unwrap(),
            key_arn,
            validators,
            tls,
            slashing,
            config,
        };
        deployment.write_config(&deployment.config);
        deployment
    }

    pub(crate) fn write_config(&self, config: &Value) {
        std::fs::write(self.path("config.json"), config.to_string()).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with these arguments, with credentials and nothing else in its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nitro-operator"));
        command
            .args(["--json", "--config"])
            .arg(self.path("config.json"))
            .args([
                "--kms-endpoint",
                &self.front.url(),
                "--dynamodb-endpoint",
                &self.front.url(),
            ])
            .args(arguments)
            .env_clear()
            .env("AWS_ACCESS_KEY_ID", "AKIAOPERATOR")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("HOME", self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        assert_quiet(&output);
        output
    }

    /// Runs, demands success, and reads the result.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs, demands failure, and gives the words.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        stderr(&output)
    }

    /// What KMS decrypts under this context.
    pub(crate) fn decrypt(&self, ciphertext: &str, context: &BTreeMap<String, String>) -> Option<Value> {
        let body = json!({"CiphertextBlob": ciphertext, "KeyId": self.key_arn, "EncryptionContext": context});
        let answer = call("kms", "Decrypt", &body).ok()?;
        let plaintext = STANDARD.decode(answer["Plaintext"].as_str().unwrap()).unwrap();
        Some(serde_json::from_slice(&plaintext).unwrap())
    }
}

/// Every item of a table.
pub(crate) fn items(table: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut body = json!({"TableName": table, "ConsistentRead": true});
    loop {
        let page = call("dynamodb", "Scan", &body).unwrap();
        items.extend(page["Items"].as_array().unwrap().iter().cloned());
        match page.get("LastEvaluatedKey") {
            Some(key) => body["ExclusiveStartKey"] = key.clone(),
            None => return items,
        }
    }
}

pub(crate) fn put(table: &str, item: &Value) {
    call("dynamodb", "PutItem", &json!({"TableName": table, "Item": item})).unwrap();
}

/// Nothing planted is on either stream.
pub(crate) fn assert_quiet(output: &Output) {
    for stream in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(stream).contains(PLANTED));
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn make_table(name: &str, keys: &[(&str, &str)]) -> String {
    let roles = ["HASH", "RANGE"].into_iter();
    let schema: Vec<_> = keys
        .iter()
        .zip(roles)
        .map(|((name, _), role)| json!({"AttributeName": name, "KeyType": role}))
        .collect();
    let types: Vec<_> = keys
        .iter()
        .map(|(name, kind)| json!({"AttributeName": name, "AttributeType": kind}))
        .collect();
    let body = json!({
        "TableName": name, "KeySchema": schema, "AttributeDefinitions": types, "BillingMode": "PAY_PER_REQUEST",
    });
    call("dynamodb", "CreateTable", &body).unwrap();
    name.to_owned()
}

/// The secret key with this number.
pub(crate) fn secret(number: u8) -> SecretKey {
    let mut bytes = [0; 32];
    bytes[31] = number;
    SecretKey::from_bytes(&bytes).unwrap()
}

pub(crate) fn pubkey(number: u8) -> String {
    secret(number).public_key().to_string()
}

/// Writes a keystore of key `number`, cheap to open, and its password beside it.
pub(crate) fn write_keystore(folder: &Path, number: u8, password: Option<&str>) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let text = format!("{PLANTED} {number}");
    let random = Randomness {
        salt: [number; 32],
        iv: [number; 16],
        uuid: [number; 16],
    };
    let keystore = Keystore::encrypt(
        &secret(number),
        &Password::new(&text).unwrap(),
        Kdf::Pbkdf2 { c: 1024 },
        &random,
        Description::default(),
    );
    let path = folder.join(format!("keystore-m_12381_3600_{number:03}_0_0.json"));
    std::fs::write(&path, keystore.unwrap().to_json()).unwrap();
    let password = password.map_or(text, str::to_owned);
    std::fs::write(path.with_extension("txt"), format!("{password}\n")).unwrap();
    path
}
