//! The deployment config as a file: reading it, its canonical text, and the register that results.

use std::path::Path;

use anyhow::{Context as _, bail};
use aws_lc_rs::digest::{Context as Hash, SHA384, digest};
use control::config::DeploymentConfig;
use control::text::StackId;
use serde::Serialize;

/// Longest file, bytes.
const MAX_BYTES: usize = 64 * 1024;

/// Reads and checks a config.
///
/// # Errors
/// That it cannot be read, or what is wrong in it.
pub fn read(path: &Path) -> anyhow::Result<DeploymentConfig> {
    let bytes = crate::secret::read_file(path, MAX_BYTES)?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not a deployment config", path.display()))
}

/// The hashes of a config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hashes {
    /// SHA-384 of the canonical text, hex.
    pub config_sha384: String,
    /// PCR16 once the agent has extended it: SHA-384 over 48 zero bytes and that hash.
    pub pcr16: String,
}

impl Hashes {
    /// Of this config.
    ///
    /// # Errors
    /// None that a checked config can have.
    pub fn of(config: &DeploymentConfig) -> anyhow::Result<Self> {
        let hash = digest(&SHA384, config.canonical()?.as_bytes());
        let mut register = Hash::new(&SHA384);
        register.update(&[0; 48]);
        register.update(hash.as_ref());
        Ok(Self {
            config_sha384: hex::encode(hash),
            pcr16: hex::encode(register.finish()),
        })
    }
}

/// The stack that artefacts are for: the one that was asked for, or the config's only one.
///
/// # Errors
/// When it is not the config's, or several could be meant.
pub fn stack(config: &DeploymentConfig, wanted: Option<&StackId>) -> anyhow::Result<StackId> {
    let stacks = &config.fields().stacks;
    match (wanted, stacks.as_slice()) {
        (Some(wanted), _) if stacks.contains(wanted) => Ok(wanted.clone()),
        (Some(wanted), _) => {
            bail!("stack {wanted} is not one of the config's: the enclave would not take its artefacts")
        }
        (None, [only]) => Ok(only.clone()),
        (None, _) => bail!("the config names {} stacks; say which with --stack", stacks.len()),
    }
}
