//! Decides whether a client certificate is welcome: on the list, or vouched for by a CA of the operator's file.
//!
//! For the list neither chain, dates, key usage nor CA flag is looked at: the fingerprint names one certificate, and
//! the handshake proves that the client owns its key.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme};

use super::certificate::{CertificateFault, ClientName};
use super::known_clients::KnownClients;

/// Why a client is turned away. The text goes to the log; the client sees a TLS alert.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The certificate names nobody.
    #[error(transparent)]
    Certificate(#[from] CertificateFault),
    /// Neither on the list nor vouched for.
    #[error("the client '{common_name}' with the fingerprint {fingerprint} is not known")]
    Unknown {
        /// Its common name.
        common_name: String,
        /// SHA-256 of its certificate, in hex.
        fingerprint: String,
    },
}

/// The rules for client certificates.
pub struct Verifier {
    known: KnownClients,
    authorities: Option<Arc<dyn ClientCertVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Verifier({} known clients)", self.known.len())
    }
}

impl Verifier {
    /// `known` may be empty; without `authorities` nobody may connect then.
    #[must_use]
    pub fn new(
        known: KnownClients,
        authorities: Option<Arc<dyn ClientCertVerifier>>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self {
            known,
            authorities,
            provider,
        }
    }

    /// How many clients the list has.
    #[must_use]
    pub fn known_len(&self) -> usize {
        self.known.len()
    }

    /// Whether a certificate is welcome now. Used in the handshake, and again for open connections after a reload.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn welcome(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientName, Refusal> {
        let client = ClientName::of(certificate)?;
        let vouched = |authorities: &Arc<dyn ClientCertVerifier>| {
            authorities
                .verify_client_cert(certificate, intermediates, now)
                .is_ok()
        };
        if self.known.knows(&client) || self.authorities.as_ref().is_some_and(vouched) {
            return Ok(client);
        }
        Err(Refusal::Unknown {
            common_name: client.common_name,
            fingerprint: hex::encode(client.fingerprint),
        })
    }
}

impl ClientCertVerifier for Verifier {
    /// No hints: a client with a certificate of its own making would send none.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match self.welcome(end_entity, intermediates, now) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(refusal) => Err(CertificateError::Other(OtherError(Arc::new(refusal))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
