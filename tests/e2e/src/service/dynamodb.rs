//! Amazon DynamoDB as its clients see it: HTTPS under the name of the region's endpoint, by the tests' authority, before moto. It
//! does what moto leaves out: it gives each table a `TableId`, and one request at a time, for moto takes two steps for what
//! DynamoDB does in one.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use simulator::kms::pki::Ca;

use crate::service::artefacts::REGION;
use crate::service::moto::exchange;
use crate::top;

/// `TableId` of every table.
pub const TABLE_ID: &str = "0f3f1b1c-0000-4000-8000-123456789abc";

/// A running front. It ends with the test's process.
pub struct DynamoDb {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

/// Host of the region's endpoint.
pub fn host() -> String {
    format!("dynamodb.{REGION}.amazonaws.com")
}

impl DynamoDb {
    /// Starts one before this moto.
    pub fn before(moto: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ca = Ca::in_folder(&top().join("tests/e2e/data/kms-ca")).unwrap();
        let names = [host(), "localhost".to_owned()];
        let config = ca.identity(&names).unwrap().server_config();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let front = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::clone(&seen),
        };
        let alone = Arc::new(Mutex::new(()));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, seen) = (Arc::clone(&config), Arc::clone(&seen));
                let alone = Arc::clone(&alone);
                thread::spawn(move || {
                    // A client that closes, or does not believe the certificate, ends its connection and no more.
                    serve(stream.unwrap(), config, moto, &seen, &alone).ok();
                });
            }
        });
        front
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// For clients on this machine.
    pub fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.port())
    }

    /// Names that clients asked for in TLS, each with `operation`, in order: `dynamodb.….amazonaws.com UpdateItem`.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// One request of a connection after the other.
fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    moto: SocketAddr,
    seen: &Mutex<Vec<String>>,
    alone: &Mutex<()>,
) -> io::Result<()> {
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut client = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if client.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let header = |name: &str| {
            head.iter().find_map(|line| {
                let (key, value) = line.split_once(": ")?;
                key.eq_ignore_ascii_case(name).then(|| value.to_owned())
            })
        };
        let length = header("content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        client.read_exact(&mut body)?;
        let target = header("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let name = client.get_ref().conn.server_name().unwrap_or_default();
        seen.lock().unwrap().push(format!("{name} {operation}"));
        let request = request(&head, moto, &body);
        let answer = {
            let _turn = alone.lock().unwrap();
            exchange(moto, &request)
        };
        let answer = with_table_id(&answer, &operation);
        client.get_mut().write_all(answer.as_bytes())?;
        client.get_mut().flush()?;
    }
}

/// The same for moto, which closes after its answer.
fn request(head: &[String], moto: SocketAddr, body: &[u8]) -> Vec<u8> {
    let mut text = format!("{}\r\nhost: {moto}\r\nconnection: close\r\n", head[0]);
    for line in &head[1..] {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if !["host", "connection"].contains(&name.as_str()) {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    [text.as_bytes(), b"\r\n", body].concat()
}

/// moto's answer, for a connection that goes on.
fn with_table_id(answer: &str, operation: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    let mut body = body.to_owned();
    if operation == "DescribeTable" {
        let mut said: Value = serde_json::from_str(&body).unwrap();
        if let Some(table) = said.get_mut("Table") {
            table["TableId"] = TABLE_ID.into();
        }
        body = said.to_string();
    }
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
