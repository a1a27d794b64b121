//! A TLS client that shows which certificate a server has, and can send one of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned, SupportedProtocolVersion};

use crate::support::{Answer, PATIENCE, parse, request};

#[path = "pinned.rs"]
mod pinned;

use pinned::Exactly;

/// A certificate and its key, in DER.
pub(crate) type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// A client of the shared TLS files.
pub(crate) fn identity(name: &str) -> Identity {
    let file = |end: &str| crate::support::data(&format!("tls/{name}.{end}"));
    (
        CertificateDer::from_pem_file(file("crt")).unwrap(),
        PrivateKeyDer::from_pem_file(file("key")).unwrap(),
    )
}

/// A client with or without a certificate.
pub(crate) fn client(
    server: &str,
    identity: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let certificate =
        CertificateDer::from_pem_file(crate::support::data(&format!("tls/{server}.crt"))).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Exactly(certificate, provider)));
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(vec![certificate.clone()], key.clone_key())
            .unwrap(),
    })
}

/// An open connection.
pub(crate) struct Secure(StreamOwned<ClientConnection, TcpStream>);

impl Secure {
    pub(crate) fn connect(port: u16, config: &Arc<ClientConfig>) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        Self(StreamOwned::new(connection, stream))
    }

    /// Sends bytes and reads one answer with a length. An error or the end: `None`.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Option<Answer> {
        self.0.write_all(bytes).ok()?;
        let mut found = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count = self.0.read(&mut buffer).ok()?;
            if count == 0 {
                return None;
            }
            found.extend_from_slice(&buffer[..count]);
            if let Some(answer) = parse(&found) {
                let length: usize = answer.headers.get("content-length")?.parse().ok()?;
                if answer.body.len() >= length {
                    return Some(answer);
                }
            }
        }
    }

    /// A request that leaves the connection open.
    pub(crate) fn get(&mut self, path: &str) -> Option<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
    }
}

/// One request on a connection of its own.
pub(crate) fn ask(
    port: u16,
    config: &Arc<ClientConfig>,
    method: &str,
    path: &str,
    body: &[u8],
) -> Option<Answer> {
    Secure::connect(port, config).send(&request(method, path, &[], body))
}
