//! The image policy: what the image's manifest says about trust, in one measured file that the agent and `provision` read.
//!
//! `eif-builder` writes [`PATH`] into the app ramdisk, so every word of it is in PCR0 and PCR2. It is the canonical text
//! ([`super::canonical`]) of an [`ImagePolicy`]; a file with another text for the same policy is refused.
//!
//! ```text
//! {"schema":1,
//!  "signer":{"distribution":"native","start_within_s":60,"upcheck_every_s":5,"upcheck_within_s":3},
//!  "trust":{"allow_any_client":false,"legacy_no_context":false,"memory_slashing":false},
//!  "users":{"agent":101,"signer":102}}
//! ```
//! `deployment` (a whole config) and `trust.kms_ca` are there only where the manifest has them. An image without a signer has no
//! `users.signer`; `init` is refused there.

use serde::{Deserialize, Serialize};

use super::canonical::{CanonicalError, canonical};
use super::config::{ClientAuthentication, DeploymentConfig, SlashingStore};
use super::text::DerText;

/// Where the file is in the image.
pub const PATH: &str = "/etc/nitro/policy.json";

/// The layout that this version reads and writes.
pub const SCHEMA: u32 = 1;

/// Longest file, bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// Most certificates of a test CA.
pub const MAX_KMS_CAS: usize = 4;

/// The policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagePolicy {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What weakens trust; all absent or `false` in an image that ships.
    pub trust: Trust,
    /// The one deployment config of this image. `configure` is refused then, but for the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Box<DeploymentConfig>>,
    /// The signer.
    pub signer: Signer,
    /// Users of the image by their service.
    pub users: Users,
}

/// What weakens trust. Absent is safe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// A config may say [`ClientAuthentication::AnyClient`].
    #[serde(default)]
    pub allow_any_client: bool,
    /// A config may say [`SlashingStore::Memory`].
    #[serde(default)]
    pub memory_slashing: bool,
    /// Artefacts may be encrypted without context, as the published guidance does.
    #[serde(default)]
    pub legacy_no_context: bool,
    /// The only roots that the KMS endpoint's certificate may chain to, instead of the image's own list. For tests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kms_ca: Vec<DerText>,
}

impl Trust {
    /// The keys that weaken trust in this policy, by their name in the manifest.
    #[must_use]
    pub fn weakened(&self) -> Vec<&'static str> {
        [
            (self.allow_any_client, "allow_any_client"),
            (!self.kms_ca.is_empty(), "kms_ca"),
            (self.legacy_no_context, "legacy_no_context"),
            (self.memory_slashing, "memory_slashing"),
        ]
        .into_iter()
        .filter_map(|(set, name)| set.then_some(name))
        .collect()
    }
}

/// What the image's signer is and how its health is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// Which one.
    pub distribution: Distribution,
    /// How long it may take from its start to its first good health check, seconds.
    pub start_within_s: u32,
    /// Pause between health checks, seconds.
    pub upcheck_every_s: u32,
    /// How long one may take, seconds.
    pub upcheck_within_s: u32,
}

impl Default for Signer {
    fn default() -> Self {
        Self {
            distribution: Distribution::Native,
            start_within_s: 120,
            upcheck_every_s: 5,
            upcheck_within_s: 3,
        }
    }
}

/// Which signer the image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// `web3signer-rs`.
    Native,
    /// Upstream Web3Signer.
    Consensys,
}

impl Distribution {
    /// Whether SIGHUP makes it read its keys and clients again. Else it must be started again.
    #[must_use]
    pub const fn reloads(self) -> bool {
        matches!(self, Self::Native)
    }
}

/// Users of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// The agent's.
    pub agent: u32,
    /// That of the signer and of provision; absent in an image without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<u32>,
}

/// Why there is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Longer than [`MAX_BYTES`].
    #[error("the image policy has {found} bytes, expected at most {MAX_BYTES}")]
    TooLong {
        /// How long it is.
        found: usize,
    },
    /// Not JSON of this form.
    #[error("the image policy is not of its form: {reason}")]
    Form {
        /// What is wrong.
        reason: String,
    },
    /// Right, but not the canonical text.
    #[error("the image policy is not in its canonical form")]
    NotCanonical,
    /// A layout of another version of this project.
    #[error("the image policy has schema {found}, this version reads {SCHEMA}")]
    Schema {
        /// What it is.
        found: u32,
    },
    /// A value out of its range.
    #[error("the image policy has {found} for {field}, expected {expected}")]
    Value {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        found: u64,
        /// What is allowed.
        expected: &'static str,
    },
    /// The manifest's own config asks for what the manifest does not allow.
    #[error("the image policy's deployment: {0}")]
    NotAllowed(#[from] NotAllowed),
}

/// A config asks for something that the image's manifest does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} needs `{key} = true` under [trust] of the image's manifest")]
pub struct NotAllowed {
    /// What it asks for.
    pub what: &'static str,
    /// The key that would allow it.
    pub key: &'static str,
}

impl ImagePolicy {
    /// Reads the file's bytes.
    ///
    /// # Errors
    /// [`PolicyError`], by its variants.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > MAX_BYTES {
            return Err(PolicyError::TooLong { found: bytes.len() });
        }
        let form = |e: serde_json::Error| PolicyError::Form {
            reason: e.to_string(),
        };
        let policy: Self = serde_json::from_slice(bytes).map_err(form)?;
        policy.check()?;
        let text = policy.canonical().map_err(|_| PolicyError::NotCanonical)?;
        if text.as_bytes() == bytes {
            Ok(policy)
        } else {
            Err(PolicyError::NotCanonical)
        }
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`PolicyError::Schema`], [`PolicyError::Value`] and [`PolicyError::NotAllowed`].
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.schema != SCHEMA {
            return Err(PolicyError::Schema { found: self.schema });
        }
        let seconds = |field, found: u32, most: u32| {
            if (1..=most).contains(&found) {
                Ok(())
            } else {
                Err(PolicyError::Value {
                    field,
                    found: found.into(),
                    expected: "1 to 600 s (an upcheck: 1 to 60 s)",
                })
            }
        };
        seconds("signer.start_within_s", self.signer.start_within_s, 600)?;
        seconds("signer.upcheck_every_s", self.signer.upcheck_every_s, 600)?;
        seconds("signer.upcheck_within_s", self.signer.upcheck_within_s, 60)?;
        for id in [Some(self.users.agent), self.users.signer].into_iter().flatten() {
            if id == 0 || id == u32::MAX {
                return Err(PolicyError::Value {
                    field: "users",
                    found: id.into(),
                    expected: "an id that is neither root's nor 4294967295",
                });
            }
        }
        if self.users.signer == Some(self.users.agent) {
            return Err(PolicyError::Value {
                field: "users.signer",
                found: self.users.agent.into(),
                expected: "another id than the agent's",
            });
        }
        if self.trust.kms_ca.len() > MAX_KMS_CAS {
            return Err(PolicyError::Value {
                field: "trust.kms_ca",
                found: u64::try_from(self.trust.kms_ca.len()).unwrap_or(u64::MAX),
                expected: "at most 4 certificates",
            });
        }
        if let Some(config) = &self.deployment {
            self.allows(config)?;
        }
        Ok(())
    }

    /// Whether a config asks only for what the image allows.
    ///
    /// # Errors
    /// [`NotAllowed`] for the first thing that is not.
    pub fn allows(&self, config: &DeploymentConfig) -> Result<(), NotAllowed> {
        let fields = config.fields();
        if fields.client_authentication == ClientAuthentication::AnyClient && !self.trust.allow_any_client {
            return Err(NotAllowed {
                what: "client_authentication \"any-client\"",
                key: "allow_any_client",
            });
        }
        if matches!(fields.slashing_store, SlashingStore::Memory {}) && !self.trust.memory_slashing {
            return Err(NotAllowed {
                what: "slashing_store \"memory\"",
                key: "memory_slashing",
            });
        }
        Ok(())
    }

    /// The file's text.
    ///
    /// # Errors
    /// None that a policy can have; a `Result` because the types cannot say so.
    pub fn canonical(&self) -> Result<String, CanonicalError> {
        canonical(self)
    }
}

#[cfg(test)]
mod tests;
