//! The deployment config in PCR16: measured once, then every register is locked.
//!
//! Register 16 becomes SHA-384(48 zero bytes ‖ SHA-384(canonical config)). The register is the only memory that a restarted agent
//! trusts: a config is the right one when its measurement is the register's value.

use control::config::DeploymentConfig;
use control::text::Sha384Hex;
use nsm::{Nsm, NsmError, PCR_COUNT, Pcr, PcrIndex};
use sha2::{Digest, Sha384};

/// The register.
pub const CONFIG_PCR: u16 = 16;

/// What register 16 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// Its value.
    pub value: Pcr,
    /// It can no longer change.
    pub locked: bool,
}

/// SHA-384 of a config's canonical text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigHash([u8; 48]);

impl ConfigHash {
    /// Of this config.
    #[must_use]
    pub fn of(config: &DeploymentConfig) -> Self {
        // A checked config has a canonical text; were there none, the hash of nothing would be no config's.
        Self(sha384(&[config.canonical().unwrap_or_default().as_bytes()]))
    }

    /// The bytes that the register is extended with.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 48] {
        &self.0
    }

    /// As text.
    #[must_use]
    pub fn text(&self) -> Option<Sha384Hex> {
        Pcr(self.0).to_string().parse().ok()
    }

    /// The register's value once it was extended with this hash, and nothing else.
    #[must_use]
    pub fn register(&self) -> Pcr {
        Pcr(sha384(&[&Pcr::ZERO.0, &self.0]))
    }
}

/// SHA-384 of parts that follow one another.
#[must_use]
pub fn sha384(parts: &[&[u8]]) -> [u8; 48] {
    let mut hash = Sha384::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Why a config could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// This build has no such register; never.
    #[error("there is no register {0}")]
    Index(u16),
    /// The module does not do it.
    #[error(transparent)]
    Nsm(#[from] NsmError),
    /// The module did something else.
    #[error("PCR16 is {found} after it was extended, expected {expected}")]
    Value {
        /// What the register is.
        found: Pcr,
        /// What it should be.
        expected: Pcr,
    },
    /// The module says that it locked the register, and then that it is open.
    #[error("PCR16 is not locked although the module locked it")]
    Open,
}

/// Reads register 16.
///
/// # Errors
/// [`MeasureError::Nsm`].
pub fn read(nsm: &dyn Nsm) -> Result<Register, MeasureError> {
    let state = nsm.describe_pcr(index(CONFIG_PCR)?)?;
    Ok(Register {
        value: state.value,
        locked: state.locked,
    })
}

/// Extends register 16 when it is still zero, locks every register, and reads it back. Blocks while the module works.
///
/// # Errors
/// [`MeasureError`]; the register may have been extended, but not be locked yet: the same config may be measured again.
pub fn measure(nsm: &dyn Nsm, hash: &ConfigHash) -> Result<Register, MeasureError> {
    let config = index(CONFIG_PCR)?;
    if read(nsm)?.value == Pcr::ZERO {
        nsm.extend_pcr(config, hash.bytes())?;
    }
    let (found, expected) = (read(nsm)?.value, hash.register());
    if found != expected {
        return Err(MeasureError::Value { found, expected });
    }
    nsm.lock_pcrs_through(index(PCR_COUNT - 1)?)?;
    let register = read(nsm)?;
    if register.value != expected {
        return Err(MeasureError::Value {
            found: register.value,
            expected,
        });
    }
    if register.locked {
        Ok(register)
    } else {
        Err(MeasureError::Open)
    }
}

fn index(number: u16) -> Result<PcrIndex, MeasureError> {
    PcrIndex::new(number).ok_or(MeasureError::Index(number))
}
