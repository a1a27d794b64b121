//! Trust roots as values: the AWS Nitro root by default, any other by an explicit choice of the caller.
//!
//! A root is a certificate, compared byte for byte with the first one of a document's bundle. There is no
//! switch, feature or variable that changes which root is the AWS one.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};
use der::Document;

use crate::cert::{Cert, CertError};

/// The certificate "CN=aws.nitro-enclaves, C=US, O=Amazon, OU=AWS", serial
/// f9:31:75:68:1b:90:af:e1:1d:46:cc:b4:e4:e7:f8:56, valid 2019-10-28 to 2049-10-28, P-384.
///
/// Source: AWS publishes it as a zip archive named `AWS_NitroEnclaves_Root-G1.zip` on its host for Nitro
/// Enclaves artefacts (linked from "Verifying the root of trust" in the AWS Nitro Enclaves user guide);
/// these are the DER bytes of the PEM file in it. It is also the first bundle entry of every genuine
/// document. It serves the commercial partition; others have roots of their own.
const AWS_ROOT: &[u8] = include_bytes!("aws_nitro_root_g1.der");

/// SHA-256 of the DER of the AWS Nitro root, the value that AWS documents as its fingerprint
/// (64:1A:03:21:…:79:BB:5B). A test holds the embedded bytes to it.
pub const AWS_ROOT_SHA256: [u8; 32] = [
    0x64, 0x1a, 0x03, 0x21, 0xa3, 0xe2, 0x44, 0xef, 0xe4, 0x56, 0x46, 0x31, 0x95, 0xd6, 0x06, 0x31, 0x7e,
    0xd7, 0xcd, 0xcc, 0x3c, 0x17, 0x56, 0xe0, 0x98, 0x93, 0xf3, 0xc6, 0x8f, 0x79, 0xbb, 0x5b,
];

/// Why bytes cannot be a trust root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// Not PEM.
    #[error("the trust root is not PEM with one certificate")]
    Pem(#[source] der::Error),
    /// PEM of something else.
    #[error("the trust root's PEM is not labelled CERTIFICATE")]
    Label,
    /// Not a certificate as Nitro chains have them.
    #[error("the trust root is not usable")]
    Certificate(#[from] CertError),
    /// Not a certificate authority that may sign certificates.
    #[error("the trust root is not a CA with key usage keyCertSign")]
    NotCa,
    /// Not signed by its own key.
    #[error("the trust root is not self-signed")]
    NotSelfSigned,
}

/// A root certificate that the caller has decided to trust.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustRoot {
    der: Cow<'static, [u8]>,
}

impl TrustRoot {
    /// The AWS Nitro Enclaves root of the commercial partition, [`AWS_ROOT_SHA256`].
    #[must_use]
    pub const fn aws() -> Self {
        Self {
            der: Cow::Borrowed(AWS_ROOT),
        }
    }

    /// Another root: the one of another AWS partition, or of a test.
    ///
    /// # Errors
    /// [`RootError`] unless `der` is a self-signed P-384 certificate authority; its dates are judged
    /// with each document.
    pub fn from_der(der: &[u8]) -> Result<Self, RootError> {
        let cert = Cert::parse(der)?;
        if !(cert.is_ca && cert.usage.key_cert_sign()) {
            return Err(RootError::NotCa);
        }
        if cert.issuer != cert.subject || !cert.is_signed_by(&cert.key) {
            return Err(RootError::NotSelfSigned);
        }
        Ok(Self {
            der: Cow::Owned(der.to_vec()),
        })
    }

    /// As [`Self::from_der`], from one PEM block labelled `CERTIFICATE`.
    ///
    /// # Errors
    /// [`RootError`].
    pub fn from_pem(pem: &str) -> Result<Self, RootError> {
        let (label, document) = Document::from_pem(pem).map_err(RootError::Pem)?;
        if label != "CERTIFICATE" {
            return Err(RootError::Label);
        }
        Self::from_der(document.as_bytes())
    }

    /// The certificate.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the certificate.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&self.der)
    }
}

impl core::fmt::Debug for TrustRoot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "TrustRoot(sha256 {})", hex::encode(self.sha256()))
    }
}

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut value = [0; 32];
    for (to, from) in value.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNTHETIC: &[u8] = include_bytes!("../tests/data/synthetic/root.der");

    fn pem(label: &'static str) -> String {
        Document::try_from(SYNTHETIC)
            .unwrap()
            .to_pem(label, der::pem::LineEnding::LF)
            .unwrap()
    }

    #[test]
    fn the_embedded_root_is_the_published_one() {
        assert_eq!(TrustRoot::aws().sha256(), AWS_ROOT_SHA256);
        assert_eq!(
            hex::encode(AWS_ROOT_SHA256),
            "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
        );
        let cert = Cert::parse(AWS_ROOT).unwrap();
        assert_eq!(
            cert.subject.to_string(),
            "CN=aws.nitro-enclaves,OU=AWS,O=Amazon,C=US"
        );
        assert_eq!(cert.not_before.to_string(), "2019-10-28T13:28:05.000Z");
        assert_eq!(cert.not_after.to_string(), "2049-10-28T14:28:05.000Z");
        assert_eq!(TrustRoot::from_der(AWS_ROOT), Ok(TrustRoot::aws()));
    }

    #[test]
    fn another_root_is_a_value() {
        let root = TrustRoot::from_der(SYNTHETIC).unwrap();
        assert_ne!(root, TrustRoot::aws());
        assert_eq!(TrustRoot::from_pem(&pem("CERTIFICATE")), Ok(root));
    }

    #[test]
    fn what_is_not_a_root_is_refused() {
        assert_eq!(TrustRoot::from_pem(&pem("X509 CRL")), Err(RootError::Label));
        assert!(matches!(TrustRoot::from_pem("no"), Err(RootError::Pem(_))));
        assert!(matches!(
            TrustRoot::from_der(&[]),
            Err(RootError::Certificate(CertError::Der(_)))
        ));
        // The last byte belongs to the signature.
        let mut forged = SYNTHETIC.to_vec();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(TrustRoot::from_der(&forged), Err(RootError::NotSelfSigned));
        // One certificate only.
        let twice = [SYNTHETIC, SYNTHETIC].concat();
        assert!(matches!(
            TrustRoot::from_der(&twice),
            Err(RootError::Certificate(CertError::Der(_)))
        ));
    }

    #[test]
    fn a_certificate_below_the_root_is_not_a_root() {
        let document = include_bytes!("../tests/data/nitro/valid/anjuna_prod_2021_no_optionals.cbor");
        let doc = crate::UnverifiedDoc::parse(document).unwrap();
        let claims = doc.unverified_claims();
        assert_eq!(
            TrustRoot::from_der(claims.cabundle[1]),
            Err(RootError::NotSelfSigned)
        );
        assert_eq!(TrustRoot::from_der(claims.certificate), Err(RootError::NotCa));
    }
}
