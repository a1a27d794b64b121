//! Whether a deployment config is the one of this enclave: PCR16 is locked and holds it, whatever the agent says.
//!
//! ```text
//! PCR16 = SHA-384( 48 zero bytes ‖ SHA-384( canonical config ) )
//! ```

use aws_lc_rs::digest::{Context, SHA384, digest};
use control::config::DeploymentConfig;
use nsm::{Nsm, NsmError, Pcr, PcrIndex};

/// The register.
const CONFIG_PCR: u16 = 16;

/// Why a config is not this enclave's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasuredError {
    /// The module did not answer, or there is no such register.
    #[error("the NSM does not say what PCR16 is")]
    Nsm(#[source] Option<NsmError>),
    /// The register can still change.
    #[error("PCR16 is not locked")]
    Unlocked,
    /// Another config was measured, or none.
    #[error("PCR16 is {found}, the config gives {expected}")]
    Other {
        /// The register.
        found: Pcr,
        /// What it would be with this config.
        expected: Pcr,
    },
}

/// The register's value once it was extended with this config, and nothing else.
#[must_use]
pub fn register(config: &DeploymentConfig) -> Pcr {
    // A checked config has a canonical text; were there none, the value would be no config's.
    let canonical = config.canonical().unwrap_or_default();
    let mut hash = Context::new(&SHA384);
    hash.update(&Pcr::ZERO.0);
    hash.update(digest(&SHA384, canonical.as_bytes()).as_ref());
    let mut value = Pcr::ZERO;
    value.0.copy_from_slice(hash.finish().as_ref());
    value
}

/// Compares the register with the config.
///
/// # Errors
/// [`MeasuredError`].
pub fn check(nsm: &(impl Nsm + ?Sized), config: &DeploymentConfig) -> Result<(), MeasuredError> {
    let index = PcrIndex::new(CONFIG_PCR).ok_or(MeasuredError::Nsm(None))?;
    let state = nsm
        .describe_pcr(index)
        .map_err(|error| MeasuredError::Nsm(Some(error)))?;
    let expected = register(config);
    if !state.locked {
        return Err(MeasuredError::Unlocked);
    }
    if state.value != expected {
        return Err(MeasuredError::Other {
            found: state.value,
            expected,
        });
    }
    Ok(())
}
