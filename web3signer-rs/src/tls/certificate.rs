//! Who a client certificate says it is: the first common name of its subject, and its fingerprint. Nothing here says
//! that the client is welcome, or that it owns the key; the handshake proves the latter.

use aws_lc_rs::digest::{SHA256, digest};
use certificate::CommonName;
use x509_cert::certificate::{Certificate, Version};
use x509_cert::der::Decode as _;

/// SHA-256 of a certificate in DER.
pub type Fingerprint = [u8; 32];

/// A client as its certificate names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientName {
    /// First common name of the subject.
    pub common_name: String,
    /// SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
}

/// Why a certificate names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Not a certificate.
    #[error("the client certificate cannot be read: {0}")]
    Malformed(String),
    /// Version 1, which `openssl x509 -req` makes without an extension file.
    #[error(
        "the client certificate is X.509 version 1, which TLS libraries refuse; make it with extensions \
         (openssl req -x509, or openssl x509 -req -extfile)"
    )]
    VersionOne,
    /// No common name.
    #[error("the client certificate has no common name in its subject")]
    NoCommonName,
    /// A common name in a form that cannot be compared with a list.
    #[error("the common name of the client certificate is not readable text")]
    UnreadableCommonName,
}

impl ClientName {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// See [`CertificateFault`].
    pub fn of(der: &[u8]) -> Result<Self, CertificateFault> {
        let certificate =
            Certificate::from_der(der).map_err(|e| CertificateFault::Malformed(e.to_string()))?;
        let certificate = certificate.tbs_certificate();
        if certificate.version() == Version::V1 {
            return Err(CertificateFault::VersionOne);
        }
        let common_name = match CommonName::of(certificate.subject()) {
            CommonName::Text(text) => text,
            CommonName::Absent => return Err(CertificateFault::NoCommonName),
            CommonName::Unreadable => return Err(CertificateFault::UnreadableCommonName),
        };
        Ok(Self {
            common_name,
            fingerprint: fingerprint(der),
        })
    }
}

/// SHA-256 of a certificate.
#[must_use]
pub fn fingerprint(der: &[u8]) -> Fingerprint {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, der).as_ref());
    out
}
