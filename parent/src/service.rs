//! The signer as its clients see it: TLS and HTTP, over any stream.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use control::text::{HostName, PublicKey};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

use crate::config::Service;
use crate::transport::BoxStream;

/// Longest answer that is read, bytes: the public keys of [`control::MAX_KEYS`] validators.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Time for the handshake and one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the service is not seen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A file of the configuration cannot be used.
    #[error("cannot use {path}: {problem}")]
    File {
        /// Its path.
        path: String,
        /// Why.
        problem: String,
    },
    /// Nothing says whom to trust.
    #[error("nothing says which certificate the signer has: set service.trust")]
    NoTrust,
    /// The connection or the handshake failed.
    #[error("no TLS connection to the signer")]
    Connection(#[source] io::Error),
    /// The answer is not what it should be.
    #[error("{path} answered with status {status}")]
    Status {
        /// Path of the request.
        path: &'static str,
        /// Status of the answer.
        status: u16,
    },
    /// The answer is not what it should be.
    #[error("the answer to {path} is not {expected}")]
    Form {
        /// Path of the request.
        path: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// Whom to trust, and who we are.
#[derive(Clone)]
pub struct Client {
    tls: TlsConnector,
    name: ServerName<'static>,
    host: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// From the configuration. `certificate_pem` is trusted where the configuration names no file.
    ///
    /// # Errors
    /// [`ServiceError::File`] and [`ServiceError::NoTrust`].
    pub fn new(config: &Service, certificate_pem: Option<&[u8]>) -> Result<Self, ServiceError> {
        let trust = match (&config.trust, certificate_pem) {
            (Some(path), _) => certificates(path)?,
            (None, Some(pem)) => {
                pem_certificates(pem).map_err(|problem| file("cert_pem of the TLS table", problem))?
            }
            (None, None) => return Err(ServiceError::NoTrust),
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            Arc::new(Verifier::new(trust, &provider).map_err(|problem| file("service.trust", problem))?);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| file("TLS", error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let tls = match (&config.client_certificate, &config.client_key) {
            (Some(certificate), Some(key)) => {
                let shown = key.display().to_string();
                let private = PrivateKeyDer::from_pem_file(key).map_err(|error| file(&shown, error))?;
                builder
                    .with_client_auth_cert(certificates(certificate)?, private)
                    .map_err(|error| file(&shown, error))?
            }
            _ => builder.with_no_client_auth(),
        };
        // Without a name only the very certificate of the table can be accepted; an address sends no name.
        let host = config
            .server_name
            .as_ref()
            .map_or("127.0.0.1", HostName::as_str)
            .to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|error| file("service.server_name", error))?;
        Ok(Self {
            tls: TlsConnector::from(Arc::new(tls)),
            name,
            host,
        })
    }

    /// Whether `/upcheck` is good.
    ///
    /// # Errors
    /// [`ServiceError`], by its variants.
    pub async fn upcheck(&self, stream: BoxStream) -> Result<(), ServiceError> {
        self.request(stream, "/upcheck").await.map(drop)
    }

    /// The signer's public keys, ascending.
    ///
    /// # Errors
    /// [`ServiceError`], by its variants.
    pub async fn public_keys(&self, stream: BoxStream) -> Result<Vec<PublicKey>, ServiceError> {
        let path = "/api/v1/eth2/publicKeys";
        let body = self.request(stream, path).await?;
        let form = |_| ServiceError::Form {
            path,
            expected: "a JSON list of public keys",
        };
        let mut keys: Vec<PublicKey> = serde_json::from_slice(&body).map_err(form)?;
        keys.sort();
        Ok(keys)
    }

    async fn request(&self, stream: BoxStream, path: &'static str) -> Result<Bytes, ServiceError> {
        let late =
            |_| ServiceError::Connection(io::Error::new(io::ErrorKind::TimedOut, "no answer within 10 s"));
        let answered = tokio::time::timeout(PATIENCE, self.exchange(stream, path))
            .await
            .map_err(late)?;
        let (status, body) = answered.map_err(ServiceError::Connection)?;
        if status == StatusCode::OK {
            Ok(body)
        } else {
            Err(ServiceError::Status {
                path,
                status: status.as_u16(),
            })
        }
    }

    async fn exchange(&self, stream: BoxStream, path: &str) -> io::Result<(StatusCode, Bytes)> {
        let stream = self.tls.connect(self.name.clone(), stream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let driver = tokio::spawn(connection);
        let request = Request::get(path)
            .header("host", &self.host)
            .body(Empty::<Bytes>::new())
            .map_err(io::Error::other)?;
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BODY_BYTES)
            .collect()
            .await
            .map_err(io::Error::other)?;
        driver.abort();
        Ok((status, body.to_bytes()))
    }
}

fn file(path: &str, problem: impl std::fmt::Display) -> ServiceError {
    ServiceError::File {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServiceError> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| file(&shown, error))?;
    pem_certificates(&bytes).map_err(|problem| file(&shown, problem))
}

fn pem_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() {
        Err("no certificate in it".to_owned())
    } else {
        Ok(found)
    }
}

/// Accepts a certificate that is one of the trusted ones, byte for byte, or chains to one of them and has the server's name.
///
/// The first is for the self-signed certificates of the published guidance, which have a common name only: whoever has the
/// very certificate was given it by the operator, so its name adds nothing. The handshake proves the private key in both cases.
#[derive(Debug)]
struct Verifier {
    exact: Vec<CertificateDer<'static>>,
    chain: Arc<WebPkiServerVerifier>,
}

impl Verifier {
    fn new(exact: Vec<CertificateDer<'static>>, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in &exact {
            roots
                .add(certificate.clone())
                .map_err(|error| error.to_string())?;
        }
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let chain = chain.build().map_err(|error| error.to_string())?;
        Ok(Self { exact, chain })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self
            .exact
            .iter()
            .any(|exact| exact.as_ref() == end_entity.as_ref())
        {
            return Ok(ServerCertVerified::assertion());
        }
        self.chain
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
