//! Stand-ins on loopback for the instance metadata service (version 2) and for DynamoDB: the few requests that are made.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::listener;

/// What a test must not find anywhere but in the message to the enclave.
pub(crate) const SECRET: &str = "wJalrXUtnFEMIplantedSECRET";
pub(crate) const TOKEN: &str = "IQoJb3JpZ2luplantedTOKEN";

struct Asked {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// One request; every connection carries one.
async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head).unwrap();
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked { line, headers, body })
}

async fn write(stream: &mut TcpStream, status: u16, body: &str) {
    let text = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.ok();
}

/// The metadata service. `lives` is how long the credentials that it gives hold.
pub(crate) async fn imds(lives: Arc<Mutex<Duration>>) -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let Some(asked) = read(&mut stream).await else {
                continue;
            };
            let has_token = asked
                .headers
                .get("x-aws-ec2-metadata-token")
                .is_some_and(|token| token == "session-token");
            let roles = "/latest/meta-data/iam/security-credentials/";
            let (status, body) = match asked.line.as_str() {
                "PUT /latest/api/token HTTP/1.1"
                    if asked.headers.contains_key("x-aws-ec2-metadata-token-ttl-seconds") =>
                {
                    (200, "session-token".to_owned())
                }
                _ if !has_token => (401, String::new()),
                line if line == format!("GET {roles} HTTP/1.1") => (200, "enclave-role\n".to_owned()),
                line if line == format!("GET {roles}enclave-role HTTP/1.1") => {
                    let expires = DateTime::from(SystemTime::now() + *lives.lock().unwrap());
                    let body = json!({
                        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z", "AccessKeyId": "ASIAEXAMPLE",
                        "SecretAccessKey": SECRET, "Token": TOKEN, "Expiration": expires.fmt(Format::DateTime).unwrap(),
                    });
                    (200, body.to_string())
                }
                _ => (404, String::new()),
            };
            write(&mut stream, status, &body).await;
        }
    });
    address
}

/// Tables. `keys` are items of the validator table in order of their sort key.
pub(crate) struct Tables {
    pub(crate) tls: Option<Value>,
    pub(crate) keys: Vec<Value>,
    /// Whether the TLS table's key is a number.
    pub(crate) number: bool,
    /// Pages that were asked for.
    pub(crate) pages: usize,
}

pub(crate) async fn dynamodb(tables: Arc<Mutex<Tables>>) -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let Some(asked) = read(&mut stream).await else {
                continue;
            };
            let (status, body) = answer(&mut tables.lock().unwrap(), &asked);
            write(&mut stream, status, &body.to_string()).await;
        }
    });
    address
}

fn answer(tables: &mut Tables, asked: &Asked) -> (u16, Value) {
    let signed = asked
        .headers
        .get("authorization")
        .is_some_and(|text| text.starts_with("AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/"));
    let with_token = asked
        .headers
        .get("x-amz-security-token")
        .is_some_and(|token| token == TOKEN);
    assert!(signed && with_token, "{:?}", asked.headers.keys());
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(body["ConsistentRead"], json!(true));
    match asked.headers["x-amz-target"].as_str() {
        "DynamoDB_20120810.GetItem" => {
            let is_number = body["Key"]["key_id"].get("N").is_some();
            if is_number != tables.number {
                let error = json!({ "__type": "com.amazon.coral.validate#ValidationException", "message": "The provided key element does not match the schema" });
                return (400, error);
            }
            (
                200,
                tables
                    .tls
                    .as_ref()
                    .map_or_else(|| json!({}), |item| json!({ "Item": item })),
            )
        }
        "DynamoDB_20120810.Query" => {
            tables.pages += 1;
            let stack = &body["ExpressionAttributeValues"][":stack"]["S"];
            let mine: Vec<&Value> = tables
                .keys
                .iter()
                .filter(|item| &item["web3signer_uuid"]["S"] == stack)
                .collect();
            let after = &body["ExclusiveStartKey"]["pubkey"]["S"];
            let from = mine
                .iter()
                .position(|item| &item["pubkey"]["S"] == after)
                .map_or(0, |at| at + 1);
            let limit = body["Limit"]
                .as_u64()
                .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
            let page: Vec<&&Value> = mine.iter().skip(from).take(limit).collect();
            let mut answer = json!({ "Items": page, "Count": page.len() });
            // As the service does: a full page has a key even when nothing follows.
            if let Some(last) = page.last().filter(|_| page.len() == limit) {
                answer["LastEvaluatedKey"] =
                    json!({ "web3signer_uuid": last["web3signer_uuid"], "pubkey": last["pubkey"] });
            }
            (200, answer)
        }
        other => panic!("{other}"),
    }
}
