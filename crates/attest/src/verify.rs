//! The one constructor of [`VerifiedDoc`], and so the order of all checks.
//!
//! Do not add a second constructor: a `VerifiedDoc` means that AWS (or whoever holds the given root) signed
//! the claims and that the caller's policy holds. Spec: `SPEC.md` section 4.

use core::fmt;

use crate::chain::{self, ChainError};
use crate::cose::{CoseError, Envelope};
use crate::doc::{Claims, DocError};
use crate::policy::{Moment, Policy, PolicyError};
use crate::root::TrustRoot;

/// A step of a verification, in the order they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Size, CBOR and headers of the `COSE_Sign1`.
    Envelope,
    /// CBOR, presence and limits of every claim.
    Payload,
    /// Certificates from the trust root to the signing key, and their dates.
    Chain,
    /// The signature over the payload.
    Signature,
    /// What the caller demands.
    Policy,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Envelope => "envelope",
            Self::Payload => "payload",
            Self::Chain => "chain",
            Self::Signature => "signature",
            Self::Policy => "policy",
        })
    }
}

/// Why a document was refused. Everything before [`VerifyError::step`] held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Not a `COSE_Sign1` with ES384.
    #[error("the envelope is not that of a signed attestation document")]
    Envelope(#[from] CoseError),
    /// Not the claims of an attestation document.
    #[error("the payload is not that of an attestation document")]
    Payload(#[from] DocError),
    /// The certificates do not lead from the trust root to the signer.
    #[error("the certificate chain does not hold")]
    Chain(#[from] ChainError),
    /// The signature is not by the leaf's key over this payload.
    #[error("the signature over the payload is not by the key of the document's certificate")]
    Signature,
    /// The document is genuine but not what the caller demands.
    #[error("the document is genuine but not acceptable")]
    Policy(#[from] PolicyError),
}

impl VerifyError {
    /// The step that failed.
    #[must_use]
    pub const fn step(&self) -> Step {
        match self {
            Self::Envelope(_) => Step::Envelope,
            Self::Payload(_) => Step::Payload,
            Self::Chain(_) => Step::Chain,
            Self::Signature => Step::Signature,
            Self::Policy(_) => Step::Policy,
        }
    }
}

/// A document whose every check held: form, chain to the trust root, dates, signature, policy.
///
/// It does not prove that the enclave still runs, nor (without a nonce or an age in the policy) that the
/// document is not a replay. Its bytes do not identify it: another signature over the same claims
/// verifies too.
#[derive(Clone, Debug)]
pub struct VerifiedDoc<'a> {
    claims: Claims<'a>,
}

impl<'a> VerifiedDoc<'a> {
    /// What the document claims; proven.
    #[must_use]
    pub const fn claims(&self) -> &Claims<'a> {
        &self.claims
    }
}

/// Verifies a document against `root` at `moment` and then against `policy`.
///
/// The certificates must be valid at the document's timestamp and, with [`Moment::Now`], also now. Memory is
/// bounded by the document, which is at most [`crate::MAX_DOCUMENT_LEN`] bytes.
///
/// # Errors
/// [`VerifyError`] of the first check that fails.
pub fn verify<'a>(
    document: &'a [u8],
    root: &TrustRoot,
    moment: Moment,
    policy: &Policy,
) -> Result<VerifiedDoc<'a>, VerifyError> {
    let envelope = Envelope::parse(document)?;
    envelope.require_es384()?;
    let claims = Claims::parse(envelope.payload())?;
    let made = claims.timestamp;
    let key = match moment {
        Moment::Now(now) => chain::verify(&claims, root, &[made, now]),
        Moment::OfDocument => chain::verify(&claims, root, &[made]),
    }?;
    if !envelope.is_signed_by(&key) {
        return Err(VerifyError::Signature);
    }
    policy.check(&claims, moment)?;
    Ok(VerifiedDoc { claims })
}
