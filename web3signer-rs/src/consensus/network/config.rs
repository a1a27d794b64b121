//! Reads a consensus configuration file: the `config.yaml` of a network, or what a beacon node answers to
//! `/eth/v1/config/spec`, as YAML.
//!
//! Only what shapes a signature is read. A value that contradicts its preset, and a scheduled fork that is unknown here,
//! are refused: signing by half of a configuration is signing wrong roots.
//!
//! Source: consensus-specs `configs/` and `presets/`; Teku's `swift` and `gnosis` presets.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{Fork, NEVER, Network, Sizes};
use crate::consensus::text::decimal;

/// Most bytes of a configuration file. Real ones have 10 KiB.
pub const MAX_CONFIG_LEN: usize = 1024 * 1024;

/// A consensus configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// More bytes than [`MAX_CONFIG_LEN`].
    #[error("more than {MAX_CONFIG_LEN} bytes")]
    TooLong,
    /// Not one YAML mapping, or a key twice.
    #[error("not a YAML mapping of a consensus configuration")]
    Yaml {
        /// What and where.
        #[source]
        source: serde_saphyr::Error,
    },
    /// A key that must be there is not.
    #[error("{key} is missing")]
    Missing {
        /// The key.
        key: String,
    },
    /// A preset without known sizes.
    #[error("PRESET_BASE {value:?} is none of mainnet, minimal, gnosis, swift")]
    Preset {
        /// The value.
        value: String,
    },
    /// Not a decimal number of 64 bits, or not 4 bytes of hexadecimal after `0x`.
    #[error("{key}: {value:?} is not {expected}")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A value that differs from its preset's.
    #[error("{key} is {actual}, but PRESET_BASE {preset} has {expected}; sizes of one's own are not offered")]
    Differs {
        /// The key.
        key: String,
        /// The preset.
        preset: &'static str,
        /// The preset's value.
        expected: u64,
        /// The file's value.
        actual: u64,
    },
    /// A scheduled fork that this program does not know.
    #[error("{key} schedules a fork that is not known here at epoch {epoch}; use a newer release")]
    Fork {
        /// The key.
        key: String,
        /// Its epoch.
        epoch: u64,
    },
}

/// A preset: its name, its tree sizes, and the values that a file may repeat.
struct Preset {
    name: &'static str,
    sizes: Sizes,
    slots_per_epoch: u64,
    max_committees_per_slot: u64,
    sync_committee_size: u64,
}

const PRESETS: [Preset; 4] = [
    Preset {
        name: "mainnet",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 32,
        max_committees_per_slot: 64,
        sync_committee_size: 512,
    },
    Preset {
        name: "gnosis",
        sizes: Sizes::Mainnet,
        slots_per_epoch: 16,
        max_committees_per_slot: 64,
        sync_committee_size: 512,
    },
    Preset {
        name: "minimal",
        sizes: Sizes::Minimal,
        slots_per_epoch: 8,
        max_committees_per_slot: 4,
        sync_committee_size: 32,
    },
    Preset {
        name: "swift",
        sizes: Sizes::Minimal,
        slots_per_epoch: 4,
        max_committees_per_slot: 4,
        sync_committee_size: 32,
    },
];

/// Values that are the same in every preset, where a file repeats them.
const SHARED: [(&str, u64); 7] = [
    ("MAX_VALIDATORS_PER_COMMITTEE", 2048),
    ("SYNC_COMMITTEE_SUBNET_COUNT", 4),
    ("MAX_PROPOSER_SLASHINGS", 16),
    ("MAX_ATTESTER_SLASHINGS", 2),
    ("MAX_ATTESTATIONS", 128),
    ("MAX_DEPOSITS", 16),
    ("MAX_VOLUNTARY_EXITS", 16),
];

/// Reads a configuration. The order of its fork epochs is the caller's check.
pub(super) fn parse(text: &[u8]) -> Result<Network, ConfigError> {
    if text.len() > MAX_CONFIG_LEN {
        return Err(ConfigError::TooLong);
    }
    let config: Config = serde_saphyr::from_slice(text).map_err(|source| ConfigError::Yaml { source })?;
    let base = config.text("PRESET_BASE")?;
    let preset = PRESETS
        .iter()
        .find(|preset| preset.name == base)
        .ok_or_else(|| ConfigError::Preset {
            value: base.to_owned(),
        })?;
    let repeated = [
        ("SLOTS_PER_EPOCH", preset.slots_per_epoch),
        ("MAX_COMMITTEES_PER_SLOT", preset.max_committees_per_slot),
        ("SYNC_COMMITTEE_SIZE", preset.sync_committee_size),
    ];
    for (key, expected) in repeated.into_iter().chain(SHARED) {
        if let Some(actual) = config.number(key)?
            && actual != expected
        {
            return Err(ConfigError::Differs {
                key: key.to_owned(),
                preset: preset.name,
                expected,
                actual,
            });
        }
    }
    let mut fork_epochs = [NEVER; Fork::ALL.len()];
    for (epoch, fork) in fork_epochs.iter_mut().zip(Fork::ALL) {
        *epoch = match fork {
            Fork::Phase0 => 0,
            _ => config
                .number(&format!("{}{FORK_EPOCH}", fork.name()))?
                .unwrap_or(NEVER),
        };
    }
    config.refuse_unknown_forks()?;
    Ok(Network {
        name: config
            .values
            .get("CONFIG_NAME")
            .map_or(preset.name, String::as_str)
            .to_owned(),
        sizes: preset.sizes,
        slots_per_epoch: preset.slots_per_epoch,
        genesis_fork_version: config.version("GENESIS_FORK_VERSION")?,
        capella_fork_version: config.version("CAPELLA_FORK_VERSION")?,
        fork_epochs,
        genesis_validators_root: None,
    })
}

const FORK_EPOCH: &str = "_FORK_EPOCH";

/// The text of the scalars that matter, by key.
struct Config {
    values: BTreeMap<String, String>,
}

impl Config {
    fn text(&self, key: &str) -> Result<&str, ConfigError> {
        self.values
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| ConfigError::Missing { key: key.to_owned() })
    }

    fn number(&self, key: &str) -> Result<Option<u64>, ConfigError> {
        let Some(value) = self.values.get(key) else {
            return Ok(None);
        };
        let wrong = || ConfigError::Value {
            key: key.to_owned(),
            value: value.clone(),
            expected: "a decimal number of 64 bits",
        };
        decimal(value).ok_or_else(wrong).map(Some)
    }

    fn version(&self, key: &str) -> Result<[u8; 4], ConfigError> {
        let value = self.text(key)?;
        let wrong = || ConfigError::Value {
            key: key.to_owned(),
            value: value.to_owned(),
            expected: "4 bytes of hexadecimal after 0x",
        };
        let digits = value.strip_prefix("0x").ok_or_else(wrong)?;
        let mut version = [0; 4];
        hex::decode_to_slice(digits, &mut version).map_err(|_| wrong())?;
        Ok(version)
    }

    fn refuse_unknown_forks(&self) -> Result<(), ConfigError> {
        for key in self.values.keys() {
            let Some(fork) = key.strip_suffix(FORK_EPOCH) else {
                continue;
            };
            let known = Fork::ALL.iter().any(|known| known.name() == fork);
            if let Some(epoch) = self.number(key)?
                && !known
                && epoch != NEVER
            {
                return Err(ConfigError::Fork {
                    key: key.clone(),
                    epoch,
                });
            }
        }
        Ok(())
    }
}

/// Whether a key's value is a scalar that is read here.
fn matters(key: &str) -> bool {
    key.ends_with(FORK_EPOCH)
        || matches!(
            key,
            "PRESET_BASE"
                | "CONFIG_NAME"
                | "GENESIS_FORK_VERSION"
                | "CAPELLA_FORK_VERSION"
                | "SLOTS_PER_EPOCH"
                | "MAX_COMMITTEES_PER_SLOT"
                | "SYNC_COMMITTEE_SIZE"
        )
        || SHARED.iter().any(|(name, _)| *name == key)
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Config;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
                let mut values = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    // As text: 0x00000001 must keep its zeros.
                    if !matters(&key) {
                        map.next_value::<IgnoredAny>()?;
                    } else if values.insert(key.clone(), map.next_value()?).is_some() {
                        return Err(serde::de::Error::custom(format_args!("{key} stands twice")));
                    }
                }
                Ok(Config { values })
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
