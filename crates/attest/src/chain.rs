//! The certificate chain of a document: from the trust root down to the key that signed it.
//!
//! The bundle is ordered root first and each certificate is signed by the one before it, so no path is
//! searched. Revocation is not checked: AWS says to leave it out. Spec: `SPEC.md` section 3, after RFC 5280
//! section 6 and "Certificates validity" in the docs of aws-nitro-enclaves-nsm-api.

use core::fmt;

use crate::cert::{Cert, CertError, P384Key};
use crate::doc::Claims;
use crate::root::{TrustRoot, sha256};
use crate::time::UnixMs;

/// Which certificate of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// `cabundle[n]`; 0 is the root.
    Bundle(usize),
    /// `certificate`, whose key signed the document.
    Leaf,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundle(index) => write!(f, "cabundle[{index}]"),
            Self::Leaf => f.write_str("certificate"),
        }
    }
}

/// Why the certificates of a document do not lead from the trust root to its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The first bundle entry is not the trust root, byte for byte.
    #[error("cabundle[0] has SHA-256 {}, expected the trust root {}", hex::encode(.found), hex::encode(.expected))]
    RootMismatch {
        /// SHA-256 of the bundle's root.
        found: [u8; 32],
        /// SHA-256 of the trust root.
        expected: [u8; 32],
    },
    /// A certificate that Nitro chains do not have.
    #[error("{position} is not a certificate of a Nitro chain")]
    Certificate {
        /// Which.
        position: Position,
        /// Why.
        #[source]
        source: CertError,
    },
    /// Issuer and subject of the certificate before differ.
    #[error("{position} was issued by another name than the subject of the certificate before it")]
    Issuer {
        /// Which.
        position: Position,
    },
    /// A certificate below the root names itself as issuer.
    #[error("{position} is self-issued; only the root may be")]
    SelfIssued {
        /// Which.
        position: Position,
    },
    /// Not signed by the key of the certificate before.
    #[error("{position} is not signed by the key of the certificate before it")]
    Signature {
        /// Which.
        position: Position,
    },
    /// Not valid at an instant that matters.
    #[error("{position} is valid from {not_before} to {not_after}, not at {at}")]
    Time {
        /// Which.
        position: Position,
        /// The instant that was asked for.
        at: UnixMs,
        /// First valid instant.
        not_before: UnixMs,
        /// Last valid instant.
        not_after: UnixMs,
    },
    /// A bundle entry that may not sign certificates.
    #[error("{position} is not a CA with key usage keyCertSign")]
    NotCa {
        /// Which.
        position: Position,
    },
    /// More certificate authorities below than allowed.
    #[error("{position} allows {allowed} CA certificates below it, there are {below}")]
    PathLen {
        /// Which.
        position: Position,
        /// Its path length constraint.
        allowed: u8,
        /// How many there are.
        below: usize,
    },
    /// The leaf is a certificate authority or has a path length.
    #[error(
        "{} is a CA or has a path length; a signer of documents must not",
        Position::Leaf
    )]
    LeafIsCa,
    /// The leaf may not sign data.
    #[error("{} lacks key usage digitalSignature", Position::Leaf)]
    LeafUsage,
}

/// What one certificate of a document says, for people to read. Nothing is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnverifiedCert {
    /// Which.
    pub position: Position,
    /// The subject, as RFC 4514 text.
    pub subject: String,
    /// First valid instant.
    pub not_before: UnixMs,
    /// Last valid instant.
    pub not_after: UnixMs,
}

/// Reads the certificates of a document without believing any, root first, leaf last.
pub fn unverified_certs(claims: &Claims<'_>) -> impl Iterator<Item = Result<UnverifiedCert, ChainError>> {
    positions(claims).map(|(position, der)| {
        let cert = parse(position, der)?;
        Ok(UnverifiedCert {
            position,
            subject: cert.subject.to_string(),
            not_before: cert.not_before,
            not_after: cert.not_after,
        })
    })
}

/// Checks the chain at each of `instants` and returns the leaf's key.
pub(crate) fn verify(
    claims: &Claims<'_>,
    root: &TrustRoot,
    instants: &[UnixMs],
) -> Result<P384Key, ChainError> {
    let first = claims.cabundle.first().copied().unwrap_or_default();
    if first != root.der() {
        return Err(ChainError::RootMismatch {
            found: sha256(first),
            expected: root.sha256(),
        });
    }
    let below = |index| claims.cabundle.len() - 1 - index;
    let top = Position::Bundle(0);
    let mut issuer = parse(top, first)?;
    valid_at(top, &issuer, instants)?;
    authority(top, &issuer, below(0))?;
    for (index, der) in claims.cabundle.iter().enumerate().skip(1) {
        let position = Position::Bundle(index);
        let cert = issued_by(&issuer, position, der, instants)?;
        authority(position, &cert, below(index))?;
        issuer = cert;
    }
    let leaf = issued_by(&issuer, Position::Leaf, claims.certificate, instants)?;
    signer(&leaf)?;
    Ok(leaf.key)
}

fn parse(position: Position, der: &[u8]) -> Result<Cert<'_>, ChainError> {
    Cert::parse(der).map_err(|source| ChainError::Certificate { position, source })
}

/// Reads the certificate at `position` and checks that `issuer` made it and that it is valid.
fn issued_by<'a>(
    issuer: &Cert<'_>,
    position: Position,
    der: &'a [u8],
    instants: &[UnixMs],
) -> Result<Cert<'a>, ChainError> {
    let cert = parse(position, der)?;
    if cert.issuer != issuer.subject {
        return Err(ChainError::Issuer { position });
    }
    // RFC 5280 exempts self-issued certificates from path lengths; without them there is no exemption.
    if cert.issuer == cert.subject {
        return Err(ChainError::SelfIssued { position });
    }
    if !cert.is_signed_by(&issuer.key) {
        return Err(ChainError::Signature { position });
    }
    valid_at(position, &cert, instants)?;
    Ok(cert)
}

fn valid_at(position: Position, cert: &Cert<'_>, instants: &[UnixMs]) -> Result<(), ChainError> {
    let (not_before, not_after) = (cert.not_before, cert.not_after);
    match instants.iter().find(|at| !(not_before..=not_after).contains(*at)) {
        Some(at) => Err(ChainError::Time {
            position,
            at: *at,
            not_before,
            not_after,
        }),
        None => Ok(()),
    }
}

/// A certificate that may sign certificates, with at most `path_len` further ones of its kind below.
fn authority(position: Position, cert: &Cert<'_>, below: usize) -> Result<(), ChainError> {
    if !(cert.is_ca && cert.usage.key_cert_sign()) {
        return Err(ChainError::NotCa { position });
    }
    match cert.path_len {
        Some(allowed) if below > usize::from(allowed) => Err(ChainError::PathLen {
            position,
            allowed,
            below,
        }),
        _ => Ok(()),
    }
}

/// A certificate that may sign documents and nothing below it.
fn signer(leaf: &Cert<'_>) -> Result<(), ChainError> {
    if leaf.is_ca || leaf.path_len.is_some() {
        Err(ChainError::LeafIsCa)
    } else if leaf.usage.digital_signature() {
        Ok(())
    } else {
        Err(ChainError::LeafUsage)
    }
}

fn positions<'a>(claims: &Claims<'a>) -> impl Iterator<Item = (Position, &'a [u8])> {
    let bundle = claims
        .cabundle
        .iter()
        .enumerate()
        .map(|(index, der)| (Position::Bundle(index), *der));
    bundle.chain([(Position::Leaf, claims.certificate)])
}
