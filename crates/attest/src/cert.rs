//! One X.509 certificate of a Nitro chain: DER to the few fields that the chain rules need.
//!
//! It proves what a certificate says, not that it may be believed: signatures, dates and roles are judged
//! in [`crate::chain`]. Spec: RFC 5280 section 4, narrowed by `SPEC.md` section 3.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1, UnparsedPublicKey};
use der::asn1::{BitStringRef, ObjectIdentifier};
use der::oid::AssociatedOid;
use der::{Decode, Reader as _, SliceReader};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::name::Name;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::{TbsCertificate, Version};

use crate::time::UnixMs;

/// ecdsa-with-SHA384 (RFC 5758 section 3.2).
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
/// id-ecPublicKey (RFC 5480 section 2.1.1).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// secp384r1, that is P-384 (RFC 5480 section 2.1.1.1).
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// Why bytes are not a certificate as Nitro chains have them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// Not the DER of a certificate, or bytes follow it.
    #[error("it is not the DER of one X.509 certificate")]
    Der(#[from] der::Error),
    /// Not version 3.
    #[error("its version is {found:?}, expected V3")]
    Version {
        /// Its version.
        found: Version,
    },
    /// Signed with something else than ecdsa-with-SHA384, or the two places that say so differ.
    #[error("it is signed with {found}, expected {ECDSA_WITH_SHA384} (ecdsa-with-SHA384) without parameters")]
    SignatureAlgorithm {
        /// The first algorithm that is not that one.
        found: ObjectIdentifier,
    },
    /// Its key is not an uncompressed point on P-384.
    #[error(
        "its key is {found} with {len} bytes, expected an uncompressed P-384 point of {} bytes",
        P384Key::LEN
    )]
    Key {
        /// The algorithm of the key.
        found: ObjectIdentifier,
        /// Length of the key.
        len: usize,
    },
    /// The same extension twice.
    #[error("it has extension {oid} twice")]
    DuplicateExtension {
        /// Which.
        oid: ObjectIdentifier,
    },
    /// A critical extension that this verifier does not process.
    #[error("it has the unknown critical extension {oid}")]
    UnknownCritical {
        /// Which.
        oid: ObjectIdentifier,
    },
    /// An extension that every Nitro certificate has is absent.
    #[error("it lacks extension {oid} ({name})")]
    MissingExtension {
        /// Which.
        oid: ObjectIdentifier,
        /// Its name.
        name: &'static str,
    },
}

/// A point on P-384, uncompressed: 0x04, x, y, 48 bytes each, big-endian.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct P384Key([u8; P384Key::LEN]);

impl P384Key {
    const LEN: usize = 97;
}

impl AsRef<[u8]> for P384Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl core::fmt::Debug for P384Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "P384Key({})", hex::encode(self.0))
    }
}

/// What a certificate says. Nothing is proven but its form.
#[derive(Clone, Debug)]
pub(crate) struct Cert<'a> {
    signed_part: &'a [u8],
    signature: &'a [u8],
    pub(crate) issuer: Name,
    pub(crate) subject: Name,
    /// Both ends are inside.
    pub(crate) not_before: UnixMs,
    pub(crate) not_after: UnixMs,
    pub(crate) key: P384Key,
    pub(crate) is_ca: bool,
    pub(crate) path_len: Option<u8>,
    pub(crate) usage: KeyUsage,
}

impl<'a> Cert<'a> {
    /// Reads one certificate.
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, CertError> {
        let (signed_part, outer_algorithm, signature) = split(der)?;
        let tbs = TbsCertificate::from_der(signed_part)?;
        if tbs.version() != Version::V3 {
            return Err(CertError::Version { found: tbs.version() });
        }
        for algorithm in [&outer_algorithm, tbs.signature()] {
            if algorithm.oid != ECDSA_WITH_SHA384 || algorithm.parameters.is_some() {
                return Err(CertError::SignatureAlgorithm { found: algorithm.oid });
            }
        }
        let (constraints, usage) = extensions(&tbs)?;
        let validity = tbs.validity();
        Ok(Self {
            signed_part,
            signature,
            issuer: tbs.issuer().clone(),
            subject: tbs.subject().clone(),
            not_before: instant(validity.not_before),
            not_after: instant(validity.not_after),
            key: key(tbs.subject_public_key_info())?,
            is_ca: constraints.ca,
            path_len: constraints.path_len_constraint,
            usage,
        })
    }

    /// Whether the certificate was signed by `key`.
    pub(crate) fn is_signed_by(&self, key: &P384Key) -> bool {
        UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, key)
            .verify(self.signed_part, self.signature)
            .is_ok()
    }
}

/// The signed part as it was received (never encoded again), the outer algorithm and the signature.
fn split(der: &[u8]) -> Result<(&[u8], AlgorithmIdentifierOwned, &[u8]), der::Error> {
    let mut reader = SliceReader::new(der)?;
    let parts = reader.sequence(|inner| {
        let signed_part = inner.tlv_bytes()?;
        let algorithm = AlgorithmIdentifierOwned::decode(inner)?;
        let signature = BitStringRef::decode(inner)?;
        let whole_bytes = signature
            .as_bytes()
            .ok_or_else(|| inner.error(der::Tag::BitString.value_error()))?;
        Ok::<_, der::Error>((signed_part, algorithm, whole_bytes))
    })?;
    reader.finish()?;
    Ok(parts)
}

/// Basic constraints and key usage, which every Nitro certificate has. Other extensions may be there
/// unless they are critical.
fn extensions(tbs: &TbsCertificate) -> Result<(BasicConstraints, KeyUsage), CertError> {
    let all = tbs.extensions().map(Vec::as_slice).unwrap_or_default();
    let mut constraints = None;
    let mut usage = None;
    for (index, extension) in all.iter().enumerate() {
        let oid = extension.extn_id;
        if all.iter().take(index).any(|earlier| earlier.extn_id == oid) {
            return Err(CertError::DuplicateExtension { oid });
        }
        let value = extension.extn_value.as_bytes();
        match oid {
            BasicConstraints::OID => constraints = Some(BasicConstraints::from_der(value)?),
            KeyUsage::OID => usage = Some(KeyUsage::from_der(value)?),
            _ if extension.critical => return Err(CertError::UnknownCritical { oid }),
            _ => {}
        }
    }
    let missing = |oid, name| CertError::MissingExtension { oid, name };
    Ok((
        constraints.ok_or_else(|| missing(BasicConstraints::OID, "basic constraints"))?,
        usage.ok_or_else(|| missing(KeyUsage::OID, "key usage"))?,
    ))
}

fn key(spki: &SubjectPublicKeyInfoOwned) -> Result<P384Key, CertError> {
    let bytes = spki.subject_public_key.as_bytes().unwrap_or_default();
    let found = spki.algorithm.oid;
    let curve = spki
        .algorithm
        .parameters
        .as_ref()
        .and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    if found == EC_PUBLIC_KEY
        && curve == Some(SECP384R1)
        && bytes.first() == Some(&0x04)
        && let Ok(point) = bytes.try_into()
    {
        return Ok(P384Key(point));
    }
    Err(CertError::Key {
        found: curve.unwrap_or(found),
        len: bytes.len(),
    })
}

/// Certificate times have whole seconds and end with the year 9999, so milliseconds fit.
fn instant(time: x509_cert::time::Time) -> UnixMs {
    UnixMs::new(time.to_unix_duration().as_secs().saturating_mul(1000))
}
