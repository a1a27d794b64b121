//! The two tables of artefacts, in moto.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::place;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::service::artefacts::{REGION, STACK};

/// One test's tables.
pub struct Moto {
    address: SocketAddr,
    /// Name of the table of TLS keys.
    pub tls: String,
    /// Name of the table of validator keys.
    pub validators: String,
}

impl Moto {
    /// Makes both tables, empty, with names of their own.
    pub fn new(name: &str) -> Self {
        let url = place("NITRO_TEST_DYNAMODB");
        let address = url.to_str().unwrap().strip_prefix("http://").unwrap();
        let unique = format!("{name}-{}", std::process::id());
        let moto = Self {
            address: address.parse().unwrap(),
            tls: format!("tls-{unique}"),
            validators: format!("validators-{unique}"),
        };
        // The published stack has a number here.
        moto.create(&moto.tls, &[("key_id", "N")]);
        moto.create(&moto.validators, &[("web3signer_uuid", "S"), ("pubkey", "S")]);
        moto
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes the one item of the TLS table.
    pub fn put_tls(&self, tls_key: &str, certificate_pem: &str, clients: &str, credential: &str) {
        let item = json!({
            "key_id": { "N": "1" }, "encrypted_tls_key_b64": { "S": tls_key },
            "cert_pem": { "S": STANDARD.encode(certificate_pem) }, "encrypted_clients_b64": { "S": clients },
            "encrypted_slashing_credential_b64": { "S": credential }, "web3signer_uuid": { "S": STACK },
        });
        self.put(&self.tls, &item);
    }

    /// Writes a validator's item. `active` in the form that the loader of the published guidance has, or that of its article.
    pub fn put_key(&self, public_key: &str, ciphertext: &str, active: &Value) {
        let item = json!({
            "web3signer_uuid": { "S": STACK }, "pubkey": { "S": public_key.trim_start_matches("0x") }, "active": active,
            "encrypted_key_password_mnemonic_b64": { "S": ciphertext },
        });
        self.put(&self.validators, &item);
    }

    /// Every item of a small table.
    pub fn items(&self, table: &str) -> Vec<Value> {
        let page = self.call("Scan", &json!({ "TableName": table, "ConsistentRead": true }));
        assert_eq!(page["LastEvaluatedKey"], Value::Null, "more than one page");
        page["Items"].as_array().unwrap().clone()
    }

    fn put(&self, table: &str, item: &Value) {
        self.call("PutItem", &json!({ "TableName": table, "Item": item }));
    }

    /// Makes a table with these key attributes and their types.
    pub fn create(&self, table: &str, keys: &[(&str, &str)]) {
        let types: Vec<Value> = keys
            .iter()
            .map(|(name, form)| json!({ "AttributeName": name, "AttributeType": form }))
            .collect();
        let schema: Vec<Value> = keys
            .iter()
            .zip(["HASH", "RANGE"])
            .map(|((name, _), kind)| json!({ "AttributeName": name, "KeyType": kind }))
            .collect();
        self.call(
            "CreateTable",
            &json!({ "TableName": table, "AttributeDefinitions": types, "KeySchema": schema, "BillingMode": "PAY_PER_REQUEST" }),
        );
    }

    /// One operation of DynamoDB's JSON protocol. moto looks at the scope of the signature, not at the signature.
    fn call(&self, operation: &str, body: &Value) -> Value {
        let body = body.to_string();
        let scope = format!("test-key/20260101/{REGION}/dynamodb/aws4_request");
        let request = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.0\r\n\
             x-amz-target: DynamoDB_20120810.{operation}\r\nx-amz-date: 20260101T000000Z\r\n\
             authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00\r\n\
             content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let answer = exchange(self.address, request.as_bytes());
        let (head, content) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{operation}: {answer}");
        serde_json::from_str(content).unwrap_or_else(|e| panic!("{content}: {e}"))
    }
}

/// One request to a server that closes after its answer.
pub fn exchange(server: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}
