//! What a network fixes: slots per epoch, tree sizes, fork epochs, and the fork versions that the network decides.
//!
//! Most domains take their fork version from the request. The network decides three things: the form of an aggregate,
//! the domain of exits since Deneb and of registrations, and whether a duty exists yet at a slot.
//!
//! `table` has the networks known by name, `config` reads a consensus configuration file.

mod config;
mod table;

mod fork;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use config::{ConfigError, MAX_CONFIG_LEN};
pub use fork::Fork;

use crate::duty::Root;

/// The epoch of a fork that is not scheduled.
pub const NEVER: u64 = u64::MAX;

/// Which sizes shape the Merkle trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sizes {
    Mainnet,
    Minimal,
}

/// A network.
///
/// Invariants: `slots_per_epoch > 0`; fork epochs never go down from one fork to the next, and phase0 is at 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    name: String,
    sizes: Sizes,
    slots_per_epoch: u64,
    genesis_fork_version: [u8; 4],
    capella_fork_version: [u8; 4],
    /// By the order of [`Fork::ALL`].
    fork_epochs: [u64; Fork::ALL.len()],
    genesis_validators_root: Option<Root>,
}

/// `--network` or a fork epoch given beside it cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A network that Web3Signer knows and this program does not.
    #[error(
        "network ephemery: it is reset every few weeks and its fork versions change; give its current config.yaml by path"
    )]
    Ephemery,
    /// A URL instead of a name or path.
    #[error("network {url:?}: a configuration is not fetched; download it and give its path")]
    Url {
        /// The value given.
        url: String,
    },
    /// Neither a known name nor a readable file.
    #[error("network {value:?} is none of {} and not a readable file", Network::names().collect::<Vec<_>>().join(", "))]
    Unknown {
        /// The value given.
        value: String,
        /// Why the file cannot be read.
        #[source]
        source: io::Error,
    },
    /// The file is no usable consensus configuration.
    #[error("network configuration {}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ConfigError,
    },
    /// Phase0 begins at 0 on every chain.
    #[error("network {network}: PHASE0 cannot begin at epoch {epoch}")]
    Genesis {
        /// The network.
        network: String,
        /// The epoch given.
        epoch: u64,
    },
    /// A fork before the one that it builds on.
    #[error(
        "network {network}: {} at epoch {epoch} is before {} at epoch {previous_epoch}; set the epochs of all earlier forks too",
        fork.name(), previous.name()
    )]
    Order {
        /// The network.
        network: String,
        /// The fork.
        fork: Fork,
        /// Its epoch.
        epoch: u64,
        /// The fork before it.
        previous: Fork,
        /// Its epoch; [`NEVER`] if it is not scheduled.
        previous_epoch: u64,
    },
}

impl Network {
    /// The network that `--network` names: a known name (in any case) or the path of a consensus configuration file.
    ///
    /// # Errors
    /// All of [`NetworkError`].
    pub fn from_option(value: &str) -> Result<Self, NetworkError> {
        if let Some(network) = table::find(value) {
            return Ok(network);
        }
        if value.eq_ignore_ascii_case("ephemery") {
            return Err(NetworkError::Ephemery);
        }
        if value.contains("://") {
            return Err(NetworkError::Url {
                url: value.to_owned(),
            });
        }
        let path = Path::new(value);
        let text = read_bounded(path).map_err(|source| NetworkError::Unknown {
            value: value.to_owned(),
            source,
        })?;
        let config = |source| NetworkError::Config {
            path: path.to_owned(),
            source,
        };
        config::parse(&text).map_err(config)?.checked()
    }

    /// A network from the text of a consensus configuration file (YAML).
    ///
    /// # Errors
    /// [`ConfigError`] as the source of [`NetworkError::Config`], with an empty path; [`NetworkError::Order`].
    pub fn from_config(text: &[u8]) -> Result<Self, NetworkError> {
        let config = |source| NetworkError::Config {
            path: PathBuf::new(),
            source,
        };
        config::parse(text).map_err(config)?.checked()
    }

    /// The same network with fork epochs replaced, as `--Xnetwork-<fork>-fork-epoch` asks. [`NEVER`] takes a fork off.
    ///
    /// # Errors
    /// [`NetworkError::Order`] and [`NetworkError::Genesis`].
    pub fn with_fork_epochs(
        mut self,
        epochs: impl IntoIterator<Item = (Fork, u64)>,
    ) -> Result<Self, NetworkError> {
        for (fork, epoch) in epochs {
            if let Some(own) = self.fork_epochs.get_mut(fork as usize) {
                *own = epoch;
            }
        }
        self.checked()
    }

    /// The names of the known networks.
    pub fn names() -> impl Iterator<Item = &'static str> {
        table::names()
    }

    /// The network's name, as the table or `CONFIG_NAME` spells it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The genesis validators root, where it is a known fact.
    #[must_use]
    pub fn genesis_validators_root(&self) -> Option<Root> {
        self.genesis_validators_root
    }

    /// Slots of an epoch, more than 0.
    #[must_use]
    pub fn slots_per_epoch(&self) -> u64 {
        self.slots_per_epoch
    }

    /// The fork version at genesis.
    #[must_use]
    pub fn genesis_fork_version(&self) -> [u8; 4] {
        self.genesis_fork_version
    }

    /// The epoch of a slot.
    #[must_use]
    pub fn epoch_of(&self, slot: u64) -> u64 {
        // The divisor is never 0: both ways to a network see to it.
        slot.checked_div(self.slots_per_epoch).unwrap_or(NEVER)
    }

    /// The fork that the network is in at an epoch.
    #[must_use]
    pub fn fork_at_epoch(&self, epoch: u64) -> Fork {
        let forks = Fork::ALL.into_iter().zip(self.fork_epochs).rev();
        // An epoch of `NEVER` itself is in no scheduled fork's future: no chain lives that long.
        forks
            .into_iter()
            .find(|(_, begins)| *begins <= epoch && *begins != NEVER)
            .map_or(Fork::Phase0, |(fork, _)| fork)
    }

    /// The fork that the network is in at a slot.
    #[must_use]
    pub fn fork_at_slot(&self, slot: u64) -> Fork {
        self.fork_at_epoch(self.epoch_of(slot))
    }

    /// The epoch at which a fork begins, if it is scheduled.
    #[must_use]
    pub fn fork_epoch(&self, fork: Fork) -> Option<u64> {
        self.fork_epochs
            .get(fork as usize)
            .copied()
            .filter(|epoch| *epoch != NEVER)
    }

    /// The version of an exit's domain where the fork no longer decides it: Capella's, from Deneb on (EIP-7044).
    pub(super) fn exit_version_since_deneb(&self, epoch: u64) -> Option<[u8; 4]> {
        (self.fork_at_epoch(epoch) >= Fork::Deneb).then_some(self.capella_fork_version)
    }

    pub(super) fn sizes(&self) -> Sizes {
        self.sizes
    }

    fn checked(self) -> Result<Self, NetworkError> {
        if let [epoch, ..] = self.fork_epochs
            && epoch != 0
        {
            return Err(NetworkError::Genesis {
                network: self.name,
                epoch,
            });
        }
        let forks: Vec<_> = Fork::ALL.into_iter().zip(self.fork_epochs).collect();
        for pair in forks.windows(2) {
            if let [(previous, previous_epoch), (fork, epoch)] = *pair
                && epoch < previous_epoch
            {
                return Err(NetworkError::Order {
                    network: self.name,
                    fork,
                    epoch,
                    previous,
                    previous_epoch,
                });
            }
        }
        Ok(self)
    }
}

/// Reads a file, at most one byte more than a configuration may have: enough for `config` to refuse it.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?
        .take(MAX_CONFIG_LEN as u64 + 1)
        .read_to_end(&mut text)?;
    Ok(text)
}
