//! The signer's health: `GET /upcheck` over TLS on loopback, with the certificate that `provision` reported and no other, as the
//! client that `provision` made for this.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::provision::State;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The request. The signer's list of hosts has `localhost`.
const REQUEST: &[u8] =
    b"GET /upcheck HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain\r\nConnection: close\r\n\r\n";
/// How its good answer starts.
const GOOD: &[u8] = b"HTTP/1.1 200 ";

/// A way to ask the signer.
#[derive(Clone)]
pub struct Upcheck {
    connector: TlsConnector,
    signer: SocketAddr,
    within: Duration,
}

impl std::fmt::Debug for Upcheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upcheck")
            .field("signer", &self.signer)
            .finish_non_exhaustive()
    }
}

/// Why the signer is not healthy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpcheckError {
    /// It does not listen, breaks the connection, or has another certificate.
    #[error("the signer cannot be asked")]
    Connection(#[source] io::Error),
    /// It does not answer in time.
    #[error("the signer did not answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// It says that it is not up.
    #[error("the signer does not say that it is up")]
    Answer,
}

/// What `provision` gave is no certificate or no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Not base64.
    #[error("a certificate or key of provision is not base64")]
    Base64,
    /// Not what rustls can use.
    #[error("the health client's certificate or key cannot be used")]
    Tls(#[from] rustls::Error),
}

impl Upcheck {
    /// Makes the client for a signer that listens there.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn new(state: &State, signer: SocketAddr, within: Duration) -> Result<Self, ClientError> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| ClientError::Base64);
        let pinned = CertificateDer::from(decode(state.tls.certificate.as_str())?);
        let certificate = CertificateDer::from(decode(state.health.certificate.as_str())?);
        let key = PrivatePkcs8KeyDer::from(decode(&state.health.private_key)?);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = Pinned {
            certificate: pinned,
            provider: Arc::clone(&provider),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(vec![certificate], PrivateKeyDer::Pkcs8(key))?;
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            signer,
            within,
        })
    }

    /// Asks once.
    ///
    /// # Errors
    /// [`UpcheckError`]: it is not healthy.
    pub async fn ask(&self) -> Result<(), UpcheckError> {
        let answered = timeout(self.within, self.exchange()).await;
        let start = answered
            .map_err(|_| UpcheckError::Late(self.within))?
            .map_err(UpcheckError::Connection)?;
        if start == GOOD {
            Ok(())
        } else {
            Err(UpcheckError::Answer)
        }
    }

    async fn exchange(&self) -> io::Result<[u8; GOOD.len()]> {
        let mut stream = self.send(REQUEST).await?;
        let mut start = [0; GOOD.len()];
        stream.read_exact(&mut start).await?;
        Ok(start)
    }

    /// How long one question may take.
    pub(crate) const fn within(&self) -> Duration {
        self.within
    }

    /// Connects and sends a request; the answer can be read.
    pub(crate) async fn send(&self, request: &[u8]) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.signer).await?;
        // The name is nothing that the verifier looks at.
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let mut stream = self.connector.connect(name, stream).await?;
        stream.write_all(request).await?;
        stream.flush().await?;
        Ok(stream)
    }
}

/// Accepts one certificate. Its dates do not matter here: `status` tells them, and a signer with an expired certificate is
/// still the signer.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
