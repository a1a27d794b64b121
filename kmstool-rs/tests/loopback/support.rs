//! A KMS on the loopback for the tests of the client: TLS with a test CA, scripted faults, and a recorded conversation.
//!
//! It does not check signatures or policies. It encrypts its answers in KMS's own BER layout with an encoder of its own.

pub(crate) mod cms;
pub(crate) mod nsm;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64ct::{Base64, Encoding as _};
use kmstool_rs::clock::{Clock, Jitter};
use kmstool_rs::transport::{Connect, Connecting, Stream};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const KEY_ARN: &str =
    "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
pub(crate) const HOST: &str = "kms.us-east-1.amazonaws.com";

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers as KMS does.
    Answer,
    /// Answers as KMS does, with these keys of the JSON replaced.
    Changed(Value),
    /// Status and body.
    Refuse(u16, String),
    /// As above, with a `Date` header.
    RefuseAt(u16, String, &'static str),
    /// Answers after this long.
    Slow(Duration),
    /// Closes the connection without an answer.
    Reset,
    /// These bytes, then closes.
    Raw(Vec<u8>),
    /// Answers, then closes the connection.
    LastAnswer,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

#[derive(Default)]
pub(crate) struct Log {
    pub(crate) acts: VecDeque<Act>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) sessions: usize,
    pub(crate) handshakes_failed: usize,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) log: Arc<Mutex<Log>>,
    pub(crate) ca_pem: String,
}

fn pki(name: &str) -> (String, Arc<rustls::ServerConfig>) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    (ca_pem, Arc::new(config))
}

impl Server {
    pub(crate) fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        Self::with_name(HOST, acts)
    }

    /// A server whose certificate is for `name`. It ends with the test's process.
    pub(crate) fn with_name(name: &str, acts: impl IntoIterator<Item = Act>) -> Self {
        let (ca_pem, tls) = pki(name);
        let log = Arc::new(Mutex::new(Log {
            acts: acts.into_iter().collect(),
            ..Log::default()
        }));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::clone(&log);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(serve(stream, Arc::clone(&tls), Arc::clone(&shared)));
                }
            });
        });
        Self { port, log, ca_pem }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().seen.clone()
    }

    pub(crate) fn sessions(&self) -> usize {
        self.log.lock().unwrap().sessions
    }

    pub(crate) fn write_ca(&self, path: &Path) {
        std::fs::write(path, &self.ca_pem).unwrap();
    }
}

async fn serve(stream: TcpStream, tls: Arc<rustls::ServerConfig>, log: Arc<Mutex<Log>>) {
    let Ok(mut stream) = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await else {
        log.lock().unwrap().handshakes_failed += 1;
        return;
    };
    log.lock().unwrap().sessions += 1;
    let mut buffer = Vec::new();
    while let Some((headers, body)) = request(&mut stream, &mut buffer).await {
        let seen = Seen { headers, body };
        let act = {
            let mut log = log.lock().unwrap();
            log.seen.push(seen.clone());
            log.acts.pop_front().unwrap_or(Act::Answer)
        };
        let last = matches!(act, Act::LastAnswer | Act::Raw(_));
        let bytes = match act {
            Act::Answer | Act::LastAnswer => http(200, &answer(&seen).to_string(), None),
            Act::Changed(changes) => {
                let mut reply = answer(&seen);
                for (key, value) in changes.as_object().unwrap() {
                    reply[key] = value.clone();
                }
                http(200, &reply.to_string(), None)
            }
            Act::Refuse(status, body) => http(status, &body, None),
            Act::RefuseAt(status, body, date) => http(status, &body, Some(date)),
            Act::Slow(time) => {
                tokio::time::sleep(time).await;
                http(200, &answer(&seen).to_string(), None)
            }
            Act::Reset => return,
            Act::Raw(bytes) => bytes,
        };
        if stream.write_all(&bytes).await.is_err() || last {
            stream.shutdown().await.ok();
            return;
        }
    }
}

async fn request(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Option<(BTreeMap<String, String>, Value)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let mut lines = head.lines();
            assert_eq!(lines.next(), Some("POST / HTTP/1.1"));
            let headers: BTreeMap<String, String> = lines
                .map(|line| line.split_once(':').unwrap())
                .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
                .collect();
            let length: usize = headers["content-length"].parse().unwrap();
            if buffer.len() >= end + 4 + length {
                let body = serde_json::from_slice(&buffer[end + 4..end + 4 + length]).unwrap();
                buffer.drain(..end + 4 + length);
                return Some((headers, body));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

pub(crate) fn http(status: u16, body: &str, date: Option<&str>) -> Vec<u8> {
    let date = date.map(|date| format!("Date: {date}\r\n")).unwrap_or_default();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Text\r\nContent-Type: application/x-amz-json-1.1\r\nx-amzn-RequestId: request-1\r\n{date}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// What this KMS answers: plaintexts are the ciphertexts; keys and random bytes are all the byte 7.
pub(crate) fn answer(seen: &Seen) -> Value {
    let decode = |text: &Value| Base64::decode_vec(text.as_str().unwrap()).unwrap();
    let document = decode(&seen.body["Recipient"]["AttestationDocument"]);
    let public_key = &document[nsm::MARK.len()..];
    let envelope = |plaintext: &[u8]| Base64::encode_string(&cms::envelope(public_key, plaintext));
    match seen.headers["x-amz-target"].as_str() {
        "TrentService.Decrypt" => {
            let plaintext = decode(&seen.body["CiphertextBlob"]);
            json!({"KeyId": KEY_ARN, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "CiphertextForRecipient": envelope(&plaintext), "Plaintext": null})
        }
        "TrentService.GenerateDataKey" => {
            let length = if seen.body["KeySpec"] == "AES_128" { 16 } else { 32 };
            json!({"KeyId": KEY_ARN, "CiphertextBlob": "BAUG", "CiphertextForRecipient": envelope(&vec![7; length]), "Plaintext": ""})
        }
        "TrentService.GenerateDataKeyPair" => {
            json!({"KeyId": KEY_ARN, "PublicKey": "AQID", "PrivateKeyCiphertextBlob": "BAUG", "CiphertextForRecipient": envelope(&[7; 1000])})
        }
        "TrentService.GenerateRandom" => {
            let length = seen.body["NumberOfBytes"].as_u64().unwrap();
            json!({"CiphertextForRecipient": envelope(&vec![7; usize::try_from(length).unwrap()])})
        }
        other => json!({"unknown": other}),
    }
}

/// Connects to a port of the loopback.
#[derive(Clone, Copy)]
pub(crate) struct Loopback(pub u16);

impl Connect for Loopback {
    fn connect(&self) -> Connecting<'_> {
        let port = self.0;
        Box::pin(
            async move { Ok(Box::new(TcpStream::connect(("127.0.0.1", port)).await?) as Box<dyn Stream>) },
        )
    }
}

/// A clock that is set by hand.
pub(crate) struct HandClock(pub Mutex<SystemTime>);

impl HandClock {
    pub(crate) fn at(seconds: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        )))
    }
}

impl Clock for HandClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// No wait at all.
pub(crate) struct NoJitter;

impl Jitter for NoJitter {
    fn up_to(&self, _: Duration) -> Duration {
        Duration::ZERO
    }
}
