//! Opens the store of slashing protection that the configuration names.

use std::num::NonZeroU64;
use std::sync::Arc;

use crate::app::causes;
use crate::clock::Clock;
use crate::config::{self, Slashing, Store};
use crate::consensus::Network;
use crate::genesis;
use crate::slashing::Protection;
use crate::slashing::chain;
use crate::slashing::dynamodb::{DynamoDb, DynamoDbConfig};
use crate::slashing::health::HealthTimes;
use crate::slashing::memory::{Memory, MemoryConfig};
use crate::slashing::observe::Observer;
use crate::slashing::postgres::jdbc::{JdbcUrl, Password};
use crate::slashing::postgres::{Postgres, PostgresConfig, Pruning};

/// Why a store cannot be opened: what was tried, and all causes.
#[derive(Debug, thiserror::Error)]
#[error("Failed to initialise Slashing Protection ({store}): {why}")]
pub struct ProtectError {
    store: &'static str,
    why: String,
}

/// The program's clock as slashing protection asks for it.
struct Seconds(Arc<dyn Clock>);

impl chain::Clock for Seconds {
    fn unix_seconds(&self) -> u64 {
        self.0.now() / 1000
    }
}

/// Opens the store.
///
/// # Errors
/// [`ProtectError`].
pub async fn open(
    slashing: Option<&Slashing>,
    network: &Network,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
) -> Result<Protection, ProtectError> {
    let Some(slashing) = slashing else {
        return Ok(Protection::off(observer));
    };
    let wrong = |why: String| ProtectError {
        store: slashing.store.name(),
        why,
    };
    let health = HealthTimes {
        timeout: slashing.health.timeout,
        interval: slashing.health.interval,
    };
    match &slashing.store {
        Store::Postgres {
            url,
            username,
            password,
        } => {
            let url: JdbcUrl = url.parse().map_err(|e| wrong(causes(&e)))?;
            let config = PostgresConfig {
                url,
                username: username.clone(),
                password: password.clone().map(Password::new),
                genesis_validators_root: network.genesis_validators_root(),
                pruning: slashing.pruning.and_then(pruning),
                health,
            };
            let database = Postgres::open(config).await.map_err(|e| wrong(causes(&e)))?;
            Ok(Protection::postgres(database, observer))
        }
        Store::DynamoDb {
            table_arn,
            table_id,
            credential_file,
            endpoint,
            ca_file,
            artefacts_file: _,
        } => {
            let root = network.genesis_validators_root().ok_or_else(|| {
                wrong(format!(
                    "the genesis validators root of network {} is not known here",
                    network.name()
                ))
            })?;
            let config = DynamoDbConfig {
                table: table_arn.parse().map_err(|e| wrong(causes(&e)))?,
                table_id: table_id.clone(),
                credential_file: credential_file.clone(),
                ca_file: ca_file.clone(),
                endpoint: endpoint.clone(),
                genesis_validators_root: root,
                health,
            };
            let table = DynamoDb::open(config).await.map_err(|e| wrong(causes(&e)))?;
            Ok(Protection::dynamodb(table, observer))
        }
        Store::Memory { journal } => {
            let chain = genesis::chain(network).ok_or_else(|| {
                wrong(format!(
                    "the genesis time of network {} is not known here; use another store",
                    network.name()
                ))
            })?;
            let config = MemoryConfig {
                journal: journal.clone(),
                chain,
                clock: Arc::new(Seconds(clock)),
            };
            let memory = Memory::open(config).map_err(|e| wrong(causes(&e)))?;
            Ok(Protection::memory(memory, observer))
        }
    }
}

fn pruning(pruning: config::Pruning) -> Option<Pruning> {
    Some(Pruning {
        epochs_to_keep: NonZeroU64::new(pruning.epochs_to_keep)?,
        slots_per_epoch: NonZeroU64::new(pruning.slots_per_epoch)?,
        interval: pruning.interval,
        at_boot: pruning.at_boot,
    })
}
