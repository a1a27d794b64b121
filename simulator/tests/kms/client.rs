//! A client of KMS over TLS: signs as it is told, sends as it is told, reads one answer.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attest::UnixMs;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

pub(crate) const HOST: &str = "kms.us-east-1.amazonaws.com";

/// Bytes both ways.
pub(crate) trait Stream: Read + Write {
    /// Says that no more will be sent.
    fn close(&mut self);
}

impl<T: Read + Write> Stream for StreamOwned<ClientConnection, T> {
    fn close(&mut self) {
        self.conn.send_close_notify();
        drop(self.flush());
    }
}

/// Credentials and the clock that requests are stamped with.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) access_key: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) region: String,
    pub(crate) now: UnixMs,
}

impl Signer {
    pub(crate) fn new(access_key: &str, token: Option<&str>, now: UnixMs) -> Self {
        Self {
            access_key: access_key.to_owned(),
            secret: format!("{access_key}-SECRET"),
            token: token.map(str::to_owned),
            region: "us-east-1".to_owned(),
            now,
        }
    }

    /// All headers of a request, signed.
    pub(crate) fn headers(&self, operation: &str, body: &[u8]) -> Vec<(String, String)> {
        let target = format!("TrentService.{operation}");
        let mut headers = vec![
            ("host".to_owned(), HOST.to_owned()),
            ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target".to_owned(), target),
        ];
        let identity = aws_credential_types::Credentials::new(
            &self.access_key,
            &self.secret,
            self.token.clone(),
            None,
            "test",
        )
        .into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("kms")
            .time(time(self.now))
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let signed: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let uri = format!("https://{HOST}/");
        let request =
            SignableRequest::new("POST", uri, signed.into_iter(), SignableBody::Bytes(body)).unwrap();
        let (instructions, _) = sign(request, &params).unwrap().into_parts();
        let added: Vec<_> = instructions
            .headers()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        headers.extend(added);
        headers
    }
}

fn time(at: UnixMs) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(at.as_millis())
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("no header {name}")).1
    }

    /// The error's name; empty when there is none.
    pub(crate) fn error(&self) -> String {
        if self.status == 200 {
            return String::new();
        }
        self.json()["__type"].as_str().unwrap_or_default().to_owned()
    }
}

/// A TLS connection that is kept.
pub(crate) struct Connection(BufReader<Box<dyn Stream>>);

/// What trusts the CA.
pub(crate) fn trusting(ca_pem: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(cert.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

impl Connection {
    pub(crate) fn unix(path: &Path, tls: &Arc<ClientConfig>) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self::over(stream, tls, HOST)
    }

    pub(crate) fn tcp(address: std::net::SocketAddr, tls: &Arc<ClientConfig>, name: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self::over(stream, tls, name)
    }

    fn over(stream: impl Read + Write + 'static, tls: &Arc<ClientConfig>, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let tls = ClientConnection::new(Arc::clone(tls), name).unwrap();
        Self(BufReader::new(Box::new(StreamOwned::new(tls, stream))))
    }

    /// Sends a request and reads its answer.
    pub(crate) fn send(&mut self, headers: &[(String, String)], body: &[u8]) -> io::Result<Answer> {
        let mut head = "POST / HTTP/1.1\r\n".to_owned();
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.extend(["content-length: ", &body.len().to_string(), "\r\n\r\n"]);
        self.raw(&[head.as_bytes(), body].concat())
    }

    /// Sends bytes and reads an answer.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<Answer> {
        let stream = self.0.get_mut();
        stream.write_all(bytes)?;
        stream.flush()?;
        let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or_else(ended)?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.push((name.to_owned(), value.to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
        self.0.read_exact(&mut body)?;
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// Sends bytes, says that no more will come, and reads to the end. The status of what comes first, if it is an answer.
    pub(crate) fn raw_then_close(&mut self, bytes: &[u8]) -> Option<u16> {
        let stream = self.0.get_mut();
        // The server may have had enough in the middle.
        drop(stream.write_all(bytes).and_then(|()| stream.flush()));
        stream.close();
        let mut answer = Vec::new();
        drop(self.0.read_to_end(&mut answer));
        let text = String::from_utf8_lossy(&answer).into_owned();
        text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    }

    /// Signs and sends.
    pub(crate) fn call(&mut self, signer: &Signer, operation: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let headers = signer.headers(operation, body.as_bytes());
        self.send(&headers, body.as_bytes()).unwrap()
    }
}
