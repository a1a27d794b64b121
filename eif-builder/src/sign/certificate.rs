//! The certificate of a signing key: what it says, whether it is valid at an instant, and what its key signed.
//!
//! Nobody vouches for it but PCR8, which is a hash over it: AWS's tools follow no chain, and neither does this. Forms
//! accepted are those of AWS's tools: X.509 of any version with a key on P-256, P-384 or P-521.
//! Source: Nitro Enclaves user guide, "Creating a signed enclave image"; RFC 5280, section 4; RFC 5480, section 2.1.1.

use attest::UnixMs;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, UnparsedPublicKey,
};
use der::Decode as _;
use der::asn1::ObjectIdentifier;
use eif::{PemError, SignatureAlgorithm, SignedPcr};
use x509_cert::Certificate;
use x509_cert::time::Time;

use crate::cpio_read::printable;
use crate::digest::Sha256;

/// id-ecPublicKey (RFC 5480, section 2.1.1).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// Curve, the algorithm that goes with it, bytes of an uncompressed point.
const CURVES: [(ObjectIdentifier, SignatureAlgorithm, usize); 3] = [
    (
        ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"),
        SignatureAlgorithm::Es256,
        65,
    ),
    (
        ObjectIdentifier::new_unwrap("1.3.132.0.34"),
        SignatureAlgorithm::Es384,
        97,
    ),
    (
        ObjectIdentifier::new_unwrap("1.3.132.0.35"),
        SignatureAlgorithm::Es512,
        133,
    ),
];

/// Why there is no usable certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Not a PEM text.
    #[error("it is not a certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    Pem(#[from] PemError),
    /// Not an X.509 certificate.
    #[error("it is not the DER of one X.509 certificate")]
    Der(#[from] der::Error),
    /// A key that no image can be signed with.
    #[error("its key ({algorithm}, {bytes} bytes) is not an uncompressed point on P-256, P-384 or P-521")]
    Key {
        /// The algorithm of the key.
        algorithm: ObjectIdentifier,
        /// Length of the key.
        bytes: usize,
    },
    /// Not valid yet.
    #[error("it is valid from {not_before} on, not yet at {at}")]
    NotYet {
        /// First valid instant.
        not_before: UnixMs,
        /// The instant asked for.
        at: UnixMs,
    },
    /// Not valid any more.
    #[error("it expired at {not_after}, before {at}; the Nitro hypervisor refuses an image signed under it")]
    Expired {
        /// Last valid instant.
        not_after: UnixMs,
        /// The instant asked for.
        at: UnixMs,
    },
}

/// A certificate that was read. That it is valid now is [`SigningCertificate::check_dates`]'s.
#[derive(Clone, Debug)]
pub struct SigningCertificate {
    /// Its text, as it goes into an image.
    pub pem: Vec<u8>,
    /// SHA-256 of its DER bytes.
    pub sha256: Sha256,
    /// Whose it is, as RFC 4514 text that is safe to show.
    pub subject: String,
    /// Who issued it, likewise.
    pub issuer: String,
    /// First valid instant.
    pub not_before: UnixMs,
    /// Last valid instant.
    pub not_after: UnixMs,
    /// What its key signs with.
    pub algorithm: SignatureAlgorithm,
    /// Its public key: 0x04, x, y.
    pub point: Vec<u8>,
}

impl SigningCertificate {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// [`CertificateError::Pem`], [`CertificateError::Der`] or [`CertificateError::Key`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let der = eif::certificate_der(pem)?;
        let certificate = Certificate::from_der(&der)?;
        let certificate = certificate.tbs_certificate();
        let key = certificate.subject_public_key_info();
        let point = key.subject_public_key.as_bytes().unwrap_or_default();
        let curve = key
            .algorithm
            .parameters
            .as_ref()
            .and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
        let known = CURVES.into_iter().find(|(oid, _, bytes)| {
            key.algorithm.oid == EC_PUBLIC_KEY
                && curve.as_ref() == Some(oid)
                && point.len() == *bytes
                && point.first() == Some(&4)
        });
        let (_, algorithm, _) = known.ok_or(CertificateError::Key {
            algorithm: key.algorithm.oid,
            bytes: point.len(),
        })?;
        let shown = |name: &dyn std::fmt::Display| printable(name.to_string().as_bytes());
        let validity = certificate.validity();
        Ok(Self {
            pem: pem.to_vec(),
            sha256: Sha256::of(&der),
            subject: shown(certificate.subject()),
            issuer: shown(certificate.issuer()),
            not_before: instant(validity.not_before),
            not_after: instant(validity.not_after),
            algorithm,
            point: point.to_vec(),
        })
    }

    /// Whether it is valid at `at`; both ends are inside.
    ///
    /// # Errors
    /// [`CertificateError::NotYet`] or [`CertificateError::Expired`].
    pub const fn check_dates(&self, at: UnixMs) -> Result<(), CertificateError> {
        let (not_before, not_after) = (self.not_before, self.not_after);
        if at.as_millis() < not_before.as_millis() {
            return Err(CertificateError::NotYet { not_before, at });
        }
        // The last second counts as a whole.
        if at.as_millis() / 1000 > not_after.as_millis() / 1000 {
            return Err(CertificateError::Expired { not_after, at });
        }
        Ok(())
    }

    /// Whether its key made this signature.
    #[must_use]
    pub fn made(&self, signed: &SignedPcr) -> bool {
        if signed.algorithm != self.algorithm {
            return false;
        }
        let algorithm = match signed.algorithm {
            SignatureAlgorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            SignatureAlgorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
            SignatureAlgorithm::Es512 => &ECDSA_P521_SHA512_FIXED,
        };
        UnparsedPublicKey::new(algorithm, &self.point)
            .verify(&signed.to_be_signed(), &signed.signature)
            .is_ok()
    }
}

fn instant(time: Time) -> UnixMs {
    UnixMs::from_duration(time.to_unix_duration()).unwrap_or(UnixMs::new(u64::MAX))
}
