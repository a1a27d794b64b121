//! Whose attestation documents are believed, and what is taken from one.
//!
//! AWS hardware signs documents under the AWS root; a test signs them under a root of its own; QEMU does not sign them at
//! all. Which of these this KMS believes is one value, given when it starts.

use std::time::Duration;

use attest::danger::{UnsignedError, UnsignedSimulator};
use attest::{Claims, Moment, PcrSet, Policy, TrustRoot, UnixMs, VerifyError, verify};

use super::envelope::{NotRecipient, Recipient};
use super::error::with_causes;

/// Longest age of a document. AWS does not publish its own limit.
pub const MAX_AGE: Duration = Duration::from_mins(5);

/// Whose documents are believed.
#[derive(Debug)]
pub enum Trust {
    /// Documents signed under this root, verified as AWS specifies.
    Root(TrustRoot),
    /// **Danger.** Documents that nobody signed, of exactly QEMU's shape. Anyone who reaches this KMS can write one with any
    /// PCRs, so it must never hold a secret. Signed documents are refused.
    DangerUnsignedSimulator(UnsignedSimulator),
}

impl Trust {
    /// The AWS Nitro root.
    #[must_use]
    pub const fn aws() -> Self {
        Self::Root(TrustRoot::aws())
    }

    /// **Danger.** See [`Self::DangerUnsignedSimulator`].
    #[must_use]
    pub const fn danger_unsigned_simulator() -> Self {
        Self::DangerUnsignedSimulator(UnsignedSimulator::danger_believe_documents_that_nobody_signed())
    }

    /// What the trust is, in words for an operator.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Root(root) if *root == TrustRoot::aws() => {
                "attestation documents signed under the AWS Nitro root".to_owned()
            }
            Self::Root(root) => {
                let sha256 = hex::encode(root.sha256());
                format!("attestation documents signed under the given root, SHA-256 {sha256}")
            }
            Self::DangerUnsignedSimulator(_) => {
                "DANGER: attestation documents that NOBODY SIGNED are believed (simulator only)".to_owned()
            }
        }
    }

    /// Verifies a document at `now`. Debug mode is no obstacle, as on AWS: its zero PCRs are for the key policy to refuse.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn examine(&self, document: &[u8], now: UnixMs, max_age: Duration) -> Result<Attested, TrustError> {
        let policy = Policy::new().allow_debug().max_age(max_age);
        let moment = Moment::Now(now);
        match self {
            Self::Root(root) => Attested::new(verify(document, root, moment, &policy)?.claims()),
            Self::DangerUnsignedSimulator(simulator) => {
                let believed = simulator.danger_accept(document, moment, &policy)?;
                Attested::new(believed.danger_claims())
            }
        }
    }
}

/// Why a document does not lead to a recipient.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Not verified.
    #[error("attestation document refused at its {}: {}", .0.step(), with_causes(.0))]
    Verify(#[from] VerifyError),
    /// Not of QEMU's unsigned shape, or too old.
    #[error("attestation document refused: {}", with_causes(.0))]
    Unsigned(#[from] UnsignedError),
    /// There is no key to encrypt to.
    #[error("the attestation document has no public key")]
    NoPublicKey,
    /// The key is of another kind.
    #[error("the attestation document's public key: {0}")]
    PublicKey(#[from] NotRecipient),
}

/// What is believed of an enclave.
#[derive(Debug)]
pub struct Attested {
    /// Its identifier.
    pub module_id: String,
    /// Its registers, as far as the document lists them.
    pub pcrs: PcrSet,
    /// Whom answers are encrypted to.
    pub recipient: Recipient,
}

impl Attested {
    fn new(claims: &Claims<'_>) -> Result<Self, TrustError> {
        let spki = claims.public_key.ok_or(TrustError::NoPublicKey)?;
        Ok(Self {
            module_id: claims.module_id.to_owned(),
            pcrs: claims.pcrs.clone(),
            recipient: Recipient::from_spki(spki)?,
        })
    }
}
