//! **Danger.** Documents that nobody signed, as QEMU's `nitro-enclave` machine makes them: for the simulator.
//!
//! Anyone can write such a document, so nothing that this module returns is evidence of anything. It exists
//! because a laptop has no Nitro hardware: the simulator's KMS evaluates the same policies on the PCRs that
//! QEMU measured. No feature, environment or argument of product code leads here: a caller names this
//! module, makes an [`UnsignedSimulator`], and gets an [`UnsignedDoc`], which no function that asks for a
//! [`crate::VerifiedDoc`] takes. Only the simulator and the end-to-end tests may name it.
//!
//! Source of the shape: `hw/virtio/virtio-nsm.c` of QEMU: algorithm -1; certificate, single bundle entry and
//! signature of 64 zero bytes each.

use crate::doc::{Claims, UnverifiedDoc, UnverifiedError};
use crate::policy::{Moment, Policy, PolicyError};

/// The algorithm number that stands for "not signed" in QEMU.
const ALGORITHM_NONE: i128 = -1;
/// What stands for the certificates and the signature.
const NOTHING: [u8; 64] = [0; 64];

/// The decision to take unsigned documents for those of a simulated enclave.
#[derive(Debug)]
pub struct UnsignedSimulator(());

impl UnsignedSimulator {
    /// Makes that decision. Its name is what a reviewer searches for.
    #[must_use]
    pub const fn danger_believe_documents_that_nobody_signed() -> Self {
        Self(())
    }

    /// Reads a document of exactly QEMU's unsigned shape and applies `policy`.
    ///
    /// A signed document, genuine or forged, is refused: this is no way around [`crate::verify()`].
    ///
    /// # Errors
    /// [`UnsignedError`] of the first check that fails.
    pub fn danger_accept<'a>(
        &self,
        document: &'a [u8],
        moment: Moment,
        policy: &Policy,
    ) -> Result<UnsignedDoc<'a>, UnsignedError> {
        let doc = UnverifiedDoc::parse(document)?;
        let envelope = doc.unverified_envelope();
        let claims = doc.unverified_claims();
        if envelope.algorithm() != Some(ALGORITHM_NONE)
            || envelope.signature() != NOTHING
            || claims.certificate != NOTHING
            || claims.cabundle != [NOTHING]
        {
            return Err(UnsignedError::NotUnsigned);
        }
        policy.check(claims, moment)?;
        Ok(UnsignedDoc {
            claims: claims.clone(),
        })
    }
}

/// Why a document is not one of a simulated enclave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsignedError {
    /// Not even a document.
    #[error("the document is malformed")]
    Form(#[from] UnverifiedError),
    /// The document has a certificate, a signature or a real algorithm.
    #[error("the document is not of QEMU's unsigned shape (algorithm -1; certificates and signature zero)")]
    NotUnsigned,
    /// The document is not what the caller demands.
    #[error("the document is not acceptable")]
    Policy(#[from] PolicyError),
}

/// A document that nobody signed, believed by decision.
#[derive(Clone, Debug)]
pub struct UnsignedDoc<'a> {
    claims: Claims<'a>,
}

impl<'a> UnsignedDoc<'a> {
    /// What the document claims; proven by nothing.
    #[must_use]
    pub const fn danger_claims(&self) -> &Claims<'a> {
        &self.claims
    }
}
