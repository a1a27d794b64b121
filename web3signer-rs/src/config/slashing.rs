//! The options of slashing protection: one store, and how it is looked after.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::option::Level;
use crate::cli::values::Values;

use super::unsigned;

/// Slashing protection that is on.
#[derive(Debug, Clone)]
pub struct Slashing {
    /// Where its records are.
    pub store: Store,
    /// Removal of old records (PostgreSQL).
    pub pruning: Option<Pruning>,
    /// The periodic query of the health check.
    pub health: HealthQuery,
}

/// Where records are.
#[derive(Clone)]
pub enum Store {
    /// PostgreSQL with upstream's schema.
    Postgres {
        /// JDBC URL.
        url: String,
        /// User, if it is not in the URL.
        username: Option<String>,
        /// Password, if it is not in the URL.
        password: Option<String>,
    },
    /// Amazon DynamoDB.
    DynamoDb {
        /// Full ARN of the table.
        table_arn: String,
        /// `TableId` that it must have.
        table_id: String,
        /// File with the credential.
        credential_file: PathBuf,
        /// Another URL of the service than that of the table's region.
        endpoint: Option<String>,
        /// CAs for that service.
        ca_file: Option<PathBuf>,
        /// Versions of artefacts that the table must not have seen higher.
        artefacts_file: Option<PathBuf>,
    },
    /// Memory, with a journal.
    Memory {
        /// The journal.
        journal: PathBuf,
    },
}

impl std::fmt::Debug for Store {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name())
    }
}

impl Store {
    /// The file of artefacts' versions.
    #[must_use]
    pub fn artefacts_file(&self) -> Option<&std::path::Path> {
        match self {
            Self::DynamoDb { artefacts_file, .. } => artefacts_file.as_deref(),
            Self::Postgres { .. } | Self::Memory { .. } => None,
        }
    }

    /// For the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Postgres { .. } => "PostgreSQL",
            Self::DynamoDb { .. } => "DynamoDB",
            Self::Memory { .. } => "memory",
        }
    }
}

/// Removal of old records.
#[derive(Debug, Clone, Copy)]
pub struct Pruning {
    /// Epochs to keep.
    pub epochs_to_keep: u64,
    /// Slots in an epoch.
    pub slots_per_epoch: u64,
    /// Time between two prunings.
    pub interval: Duration,
    /// Prune at start as well.
    pub at_boot: bool,
}

/// The periodic query of the health check.
#[derive(Debug, Clone, Copy)]
pub struct HealthQuery {
    /// How long it may take.
    pub timeout: Duration,
    /// Time between two.
    pub interval: Duration,
}

const HOUR: u64 = 3600;

impl Slashing {
    pub(super) fn new(level: Level, values: &Values) -> Result<Option<Self>, String> {
        let only_command = level != Level::Eth2;
        command_options(level, values)?;
        let enabled = values.flag("--slashing-protection-enabled");
        let store = store(values)?;
        if store.is_none() && only_command {
            return Err("--slashing-protection-db-url has not been specified".to_owned());
        }
        if store.is_none() && enabled {
            return Err(
                "Missing slashing protection database url: give --slashing-protection-db-url, or \
                 --dynamodb-slashing-table-arn or --memory-slashing-journal of this signer"
                    .to_owned(),
            );
        }
        for (key, what) in [
            (
                "--slashing-protection-pruning-epochs-to-keep",
                "Pruning epochsToKeep",
            ),
            ("--slashing-protection-pruning-interval", "Pruning interval"),
            (
                "--slashing-protection-pruning-slots-per-epoch",
                "Pruning slots per epoch",
            ),
            (
                "--slashing-protection-db-health-check-timeout-milliseconds",
                "Health check timeout",
            ),
            (
                "--slashing-protection-db-health-check-interval-milliseconds",
                "Health check interval",
            ),
        ] {
            let value = values.number(key);
            if value < 1 {
                return Err(format!("{what} must be 1 or more. Value was {value}."));
            }
        }
        let millis = |key| Duration::from_millis(unsigned(values, key));
        let pruning = values
            .flag("--slashing-protection-pruning-enabled")
            .then(|| Pruning {
                epochs_to_keep: unsigned(values, "--slashing-protection-pruning-epochs-to-keep"),
                slots_per_epoch: unsigned(values, "--slashing-protection-pruning-slots-per-epoch"),
                interval: Duration::from_secs(
                    unsigned(values, "--slashing-protection-pruning-interval").saturating_mul(HOUR),
                ),
                at_boot: values.flag("--slashing-protection-pruning-at-boot-enabled"),
            });
        Ok(store.filter(|_| enabled || only_command).map(|store| Self {
            store,
            pruning,
            health: HealthQuery {
                timeout: millis("--slashing-protection-db-health-check-timeout-milliseconds"),
                interval: millis("--slashing-protection-db-health-check-interval-milliseconds"),
            },
        }))
    }
}

/// What the sub-commands need to know.
fn command_options(level: Level, values: &Values) -> Result<(), String> {
    let missing = match level {
        Level::Import => values.text("--from").is_none().then_some("--from"),
        Level::Export => values.text("--to").is_none().then_some("--to"),
        Level::WatermarkRepair if !values.flag("--remove-high-watermark") => {
            let missing = |key| values.unsigned(key).is_none();
            ["--epoch", "--slot"].into_iter().find(|key| missing(key))
        }
        _ => None,
    };
    missing.map_or(Ok(()), |key| Err(format!("{key} has not been specified")))
}

fn store(values: &Values) -> Result<Option<Store>, String> {
    let text = |key| values.text(key).map(str::to_owned);
    let path = |key| values.text(key).map(PathBuf::from);
    let mut found = Vec::new();
    if let Some(url) = text("--slashing-protection-db-url") {
        found.push(Store::Postgres {
            url,
            username: text("--slashing-protection-db-username"),
            password: text("--slashing-protection-db-password"),
        });
    }
    let parts = [
        "--dynamodb-slashing-table-id",
        "--dynamodb-slashing-credential-file",
        "--dynamodb-slashing-endpoint",
        "--dynamodb-slashing-ca-file",
        "--dynamodb-slashing-artefacts-file",
    ];
    match (
        text("--dynamodb-slashing-table-arn"),
        text(parts[0]),
        path(parts[1]),
    ) {
        (Some(table_arn), Some(table_id), Some(credential_file)) => found.push(Store::DynamoDb {
            table_arn,
            table_id,
            credential_file,
            endpoint: text(parts[2]),
            ca_file: path(parts[3]),
            artefacts_file: path(parts[4]),
        }),
        (Some(_), _, _) => {
            return Err(format!(
                "--dynamodb-slashing-table-arn must be specified together with {} and {}",
                parts[0], parts[1]
            ));
        }
        (None, _, _) => {
            if let Some(key) = parts.into_iter().find(|key| values.text(key).is_some()) {
                return Err(format!(
                    "{key} has no effect without --dynamodb-slashing-table-arn"
                ));
            }
        }
    }
    if let Some(journal) = path("--memory-slashing-journal") {
        found.push(Store::Memory { journal });
    }
    if found.len() > 1 {
        let names: Vec<&str> = found.iter().map(Store::name).collect();
        return Err(format!(
            "Slashing protection has one store, and {} are given",
            names.join(" and ")
        ));
    }
    Ok(found.pop())
}
