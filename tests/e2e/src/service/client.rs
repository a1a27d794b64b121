//! A validator client: HTTPS with a client certificate, one request a connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use crate::service::artefacts::{Certificate, SERVER};

/// Who asks, and whom it trusts.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    address: SocketAddr,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{self:?}: {e}"))
    }
}

impl Client {
    /// Trusts `server` alone; shows `own` if there is one.
    pub fn new(address: SocketAddr, server: &Certificate, own: Option<&Certificate>) -> Self {
        Self::trusting(address, CertificateDer::from(server.der.clone()), own)
    }

    /// The same, where the server's key is not here.
    pub fn trusting(address: SocketAddr, server: CertificateDer<'_>, own: Option<&Certificate>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(server).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            Some(own) => {
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.key_der.clone()));
                let chain = vec![CertificateDer::from(own.der.clone())];
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        Self {
            config: Arc::new(config),
            address,
        }
    }

    /// What went wrong, as text, if there is no answer.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Result<Answer, String> {
        self.exchange(method, path, body)
            .map_err(|error| error.to_string())
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
            .unwrap_or_else(|e| panic!("GET {path}: {e}"))
    }

    pub fn sign(&self, key: &str, body: &Value) -> Answer {
        let path = format!("/api/v1/eth2/sign/{key}");
        self.ask("POST", &path, &body.to_string())
            .unwrap_or_else(|e| panic!("POST {path}: {e}"))
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> std::io::Result<Answer> {
        let tcp = TcpStream::connect(self.address)?;
        tcp.set_read_timeout(Some(Duration::from_mins(1)))?;
        let name = ServerName::try_from(SERVER).unwrap();
        let connection =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(std::io::Error::other)?;
        let mut tls = StreamOwned::new(connection, tcp);
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {SERVER}\r\nconnection: close\r\naccept: application/json, text/plain\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        tls.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        let read = tls.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            read?;
            return Err(std::io::Error::other(format!("no answer: {text:?}")));
        };
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap();
        Ok(Answer {
            status,
            body: body.to_owned(),
        })
    }
}
