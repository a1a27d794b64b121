//! Who a client certificate says it is: the first common name of its subject, and its fingerprint. Nothing here says
//! that the client is welcome, or that it owns the key; the handshake proves the latter.

use aws_lc_rs::digest::{SHA256, digest};
use x509_cert::certificate::{Certificate, Version};
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::asn1::{BmpString, Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::{Decode, Tag, Tagged};

/// SHA-256 of a certificate in DER.
pub type Fingerprint = [u8; 32];

/// `2.5.4.3`, X.520.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

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
        let mut names = certificate
            .subject()
            .iter()
            .filter(|part| part.oid == COMMON_NAME);
        let name = names.next().ok_or(CertificateFault::NoCommonName)?;
        let common_name = text(AnyRef::from(&name.value)).ok_or(CertificateFault::UnreadableCommonName)?;
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

fn text(value: AnyRef<'_>) -> Option<String> {
    match value.tag() {
        Tag::Utf8String => value
            .decode_as::<Utf8StringRef<'_>>()
            .ok()
            .map(|t| t.as_str().to_owned()),
        Tag::PrintableString => value
            .decode_as::<PrintableStringRef<'_>>()
            .ok()
            .map(|t| t.as_str().to_owned()),
        Tag::Ia5String => value
            .decode_as::<Ia5StringRef<'_>>()
            .ok()
            .map(|t| t.as_str().to_owned()),
        Tag::TeletexString => value
            .decode_as::<TeletexStringRef<'_>>()
            .ok()
            .map(|t| t.as_str().to_owned()),
        Tag::BmpString => value.decode_as::<BmpString>().ok().map(|t| t.to_string()),
        _ => None,
    }
}
