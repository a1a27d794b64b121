//! The deployment config: what binds one running enclave to one operator.
//!
//! It comes from the image's manifest or once through `configure`. The agent extends PCR16 with the SHA-384 of its
//! [`DeploymentConfig::canonical`] text before any KMS call, so the key policy can demand it and an auditor can see it.
//!
//! ```text
//! {"artefact_versions":{"clients":1,"slashing_credential":0,"tls_key":1},
//!  "client_authentication":"known-clients",
//!  "kms_key_arn":"arn:aws:kms:eu-central-1:111122223333:key/…",
//!  "network":"mainnet",
//!  "outbound":[{"name":"dynamodb.eu-central-1.amazonaws.com","port":443,"vsock_port":8001}],
//!  "region":"eu-central-1",
//!  "schema":1,
//!  "slashing_store":{"kind":"dynamodb","table_arn":"arn:aws:dynamodb:eu-central-1:111122223333:table/…",
//!                    "table_id":"12345678-0000-4000-8000-00000000000b"},
//!  "stacks":["0f9e8d7c-0000-4000-8000-00000000000a"]}
//! ```
//! Every field must be given; only `outbound` may be empty. Lists have no order of their own: they are kept
//! sorted and a repetition is refused. What weakens trust (`any-client`, `memory`) is also a key of the manifest, without
//! which the agent refuses such a config.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::canonical::{CanonicalError, MAX_NUMBER, canonical};
use super::text::{DatabaseName, HostName, KeyArn, Network, Region, StackId, TableArn, TableId};
use abi::vsock::{BOOT_REPORT_PORT, HEARTBEAT_PORT, KMS_PROXY_PORT, LOG_PORT};

/// The layout that this version reads and writes.
pub const SCHEMA: u32 = 1;

/// Most stacks of one enclave.
pub const MAX_STACKS: usize = 16;

/// Most outbound tunnels of one enclave.
pub const MAX_TUNNELS: usize = 16;

/// First vsock port of the parent that a tunnel may use.
pub const FIRST_TUNNEL_PORT: u32 = 1024;

/// A config that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawConfig", into = "RawConfig")]
pub struct DeploymentConfig(RawConfig);

/// The fields as they are written. They prove nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Region of the KMS key, and of the endpoint that is called.
    pub region: Region,
    /// The one key that artefacts may be encrypted under.
    pub kms_key_arn: KeyArn,
    /// Stacks whose artefacts may be used, 1 to [`MAX_STACKS`].
    pub stacks: Vec<StackId>,
    /// The network that is signed for.
    pub network: Network,
    /// Who may use the signer.
    pub client_authentication: ClientAuthentication,
    /// Where the signer keeps what it has signed.
    pub slashing_store: SlashingStore,
    /// Ways out of the enclave beside the one to KMS, at most [`MAX_TUNNELS`].
    pub outbound: Vec<Tunnel>,
    /// Oldest artefacts that may be used.
    pub artefact_versions: ArtefactVersions,
}

/// Which TLS clients may use the signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuthentication {
    /// Those whose certificate's name and SHA-256 are listed.
    KnownClients,
    /// Those whose certificate chains to the client CA.
    ClientCa,
    /// Either.
    KnownClientsOrCa,
    /// All. The manifest must allow it.
    AnyClient,
}

/// Where the signer keeps what it has signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SlashingStore {
    /// A DynamoDB table (native signer).
    Dynamodb {
        /// Its full ARN.
        table_arn: TableArn,
        /// Its `TableId`. The signer compares both before it uses the table: one that was restored or made anew under the
        /// same ARN is refused.
        table_id: TableId,
    },
    /// A PostgreSQL database, over TLS that ends in the enclave.
    Postgresql {
        /// Name that its certificate must have; one of the tunnels leads there.
        host: HostName,
        /// Its port.
        port: u16,
        /// Name of the database.
        database: DatabaseName,
    },
    /// Memory of the enclave: forgotten when it ends. The manifest must allow it.
    Memory {},
}

/// A way out: connections inside the enclave to `name:port` go to this vsock port of the parent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tunnel {
    /// Name of the server inside the enclave (there is no DNS; the agent binds it to a loopback address). TLS checks it.
    pub name: HostName,
    /// TCP port of the server.
    pub port: u16,
    /// Port of the parent's vsock-proxy, from [`FIRST_TUNNEL_PORT`]; each once.
    pub vsock_port: u32,
}

/// Lowest versions of artefacts. An artefact says its own version inside its ciphertext; 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtefactVersions {
    /// Of the TLS key.
    pub tls_key: u64,
    /// Of the list of clients or client CA.
    pub clients: u64,
    /// Of the slashing store's credential.
    pub slashing_credential: u64,
}

/// Why fields are no config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A layout of another version of this project.
    #[error("schema is {found}, this version reads {SCHEMA}")]
    Schema {
        /// What it is.
        found: u32,
    },
    /// A list too short or too long.
    #[error("{field} has {found} entries, expected {least} to {most}")]
    Count {
        /// Name of the field.
        field: &'static str,
        /// How many it has.
        found: usize,
        /// Fewest.
        least: usize,
        /// Most.
        most: usize,
    },
    /// An entry twice.
    #[error("{field} has {entry} twice")]
    Repeated {
        /// Name of the field.
        field: &'static str,
        /// What repeats.
        entry: String,
    },
    /// An ARN of another region.
    #[error("{field} is in region {found}, region is {expected}")]
    Region {
        /// Name of the field.
        field: &'static str,
        /// Region of the ARN.
        found: String,
        /// Region of the config.
        expected: Region,
    },
    /// TCP port 0.
    #[error("{field}: port is 0, expected 1 to 65535")]
    Port {
        /// Name of the field.
        field: &'static str,
    },
    /// A vsock port that a tunnel may not use.
    #[error(
        "outbound: vsock_port {found} is below {FIRST_TUNNEL_PORT} or has another use (8000 KMS, 9000 heartbeat, 9001 boot report, 9002 logs)"
    )]
    VsockPort {
        /// The port.
        found: u32,
    },
    /// The slashing store cannot be reached.
    #[error("slashing_store: no tunnel of outbound leads to {name}:{port}")]
    NoTunnel {
        /// Server of the store.
        name: String,
        /// Its port.
        port: u16,
    },
    /// A version above [`MAX_NUMBER`].
    #[error("artefact_versions: {field} is above 9007199254740991")]
    Version {
        /// Name of the field.
        field: &'static str,
    },
}

impl TryFrom<RawConfig> for DeploymentConfig {
    type Error = ConfigError;

    fn try_from(mut raw: RawConfig) -> Result<Self, ConfigError> {
        if raw.schema != SCHEMA {
            return Err(ConfigError::Schema { found: raw.schema });
        }
        sort("stacks", &mut raw.stacks, 1, MAX_STACKS, ToString::to_string)?;
        let endpoint = |tunnel: &Tunnel| format!("{}:{}", tunnel.name, tunnel.port);
        sort("outbound", &mut raw.outbound, 0, MAX_TUNNELS, endpoint)?;
        in_region("kms_key_arn", raw.kms_key_arn.region(), &raw.region)?;
        check_tunnels(&raw.outbound)?;
        check_store(&raw)?;
        let ArtefactVersions {
            tls_key,
            clients,
            slashing_credential,
        } = raw.artefact_versions;
        for (field, version) in [
            ("tls_key", tls_key),
            ("clients", clients),
            ("slashing_credential", slashing_credential),
        ] {
            if version > MAX_NUMBER {
                return Err(ConfigError::Version { field });
            }
        }
        Ok(Self(raw))
    }
}

impl From<DeploymentConfig> for RawConfig {
    fn from(config: DeploymentConfig) -> Self {
        config.0
    }
}

impl DeploymentConfig {
    /// The fields; lists are sorted and without repetition.
    #[must_use]
    pub const fn fields(&self) -> &RawConfig {
        &self.0
    }

    /// The text whose SHA-384 goes into PCR16, see [`super::canonical`].
    ///
    /// # Errors
    /// None that a checked config can have; a `Result` because the types cannot say so.
    pub fn canonical(&self) -> Result<String, CanonicalError> {
        canonical(&self.0)
    }
}

/// Sorts a list that stands for a set; `identity` is what may stand in it once.
fn sort<T: Ord>(
    field: &'static str,
    list: &mut [T],
    least: usize,
    most: usize,
    identity: impl Fn(&T) -> String,
) -> Result<(), ConfigError> {
    if !(least..=most).contains(&list.len()) {
        return Err(ConfigError::Count {
            field,
            found: list.len(),
            least,
            most,
        });
    }
    list.sort();
    let mut seen = BTreeSet::new();
    for entry in list.iter().map(identity) {
        if !seen.insert(entry.clone()) {
            return Err(ConfigError::Repeated { field, entry });
        }
    }
    Ok(())
}

fn in_region(field: &'static str, found: &str, expected: &Region) -> Result<(), ConfigError> {
    if found == expected.as_str() {
        return Ok(());
    }
    Err(ConfigError::Region {
        field,
        found: found.to_owned(),
        expected: expected.clone(),
    })
}

fn check_tunnels(tunnels: &[Tunnel]) -> Result<(), ConfigError> {
    let mut ports = BTreeSet::new();
    for tunnel in tunnels {
        let found = tunnel.vsock_port;
        if tunnel.port == 0 {
            return Err(ConfigError::Port { field: "outbound" });
        }
        let taken = [KMS_PROXY_PORT, HEARTBEAT_PORT, BOOT_REPORT_PORT, LOG_PORT].contains(&found);
        // All ones stands for "any port" on a vsock.
        if found < FIRST_TUNNEL_PORT || found == u32::MAX || taken {
            return Err(ConfigError::VsockPort { found });
        }
        if !ports.insert(found) {
            return Err(ConfigError::Repeated {
                field: "outbound",
                entry: format!("vsock_port {found}"),
            });
        }
    }
    Ok(())
}

/// The store's region may be another than the key's. Its server must be reachable.
fn check_store(raw: &RawConfig) -> Result<(), ConfigError> {
    let (name, port) = match &raw.slashing_store {
        SlashingStore::Memory {} => return Ok(()),
        SlashingStore::Dynamodb { table_arn, .. } => (dynamodb_host(table_arn), 443),
        SlashingStore::Postgresql { port: 0, .. } => {
            return Err(ConfigError::Port {
                field: "slashing_store",
            });
        }
        SlashingStore::Postgresql { host, port, .. } => (host.to_string(), *port),
    };
    let reached = |tunnel: &Tunnel| tunnel.name.as_str() == name && tunnel.port == port;
    if raw.outbound.iter().any(reached) {
        Ok(())
    } else {
        Err(ConfigError::NoTunnel { name, port })
    }
}

/// The endpoint of a table's region.
///
/// Source: AWS general reference, "Amazon DynamoDB endpoints and quotas".
#[must_use]
pub fn dynamodb_host(table: &TableArn) -> String {
    let suffix = if table.as_str().starts_with("arn:aws-cn:") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("dynamodb.{}.{suffix}", table.region())
}

#[cfg(test)]
mod tests;
