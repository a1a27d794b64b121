//! Slashing protection in PostgreSQL, with the tables of Web3Signer (schema version 12) and its locks, so that both
//! programs can share one database.
//!
//! The schema is the operator's to make and to migrate; its version is checked at the start. One decision is one transaction
//! (`permit`). The rules are the complete ones. What the database answers is trusted: a database that was rolled back
//! protects from nothing.
//!
//! [`jdbc`] reads the URL, `tls` checks the server, `pool` lends connections; `admin`, `import`, `export` and
//! `prune` are what the operator and time ask for.

pub mod jdbc;

mod admin;
mod export;
mod import;
mod permit;
mod pool;
mod prune;
mod row;
mod tls;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use self::pool::Pool;
use super::health::{Health, HealthTimes};
use super::key::ValidatorKey;
use super::observe::{Observer, chain_of};
use super::trust::TrustError;
use crate::duty::Root;

/// The one version of the schema.
const SCHEMA_VERSION: i32 = 12;

/// Longest wait for one decision, connection and lock included. A vote is worth little after four seconds; a block after
/// twelve.
const DECISION: Duration = Duration::from_secs(10);

/// What the PostgreSQL store needs.
#[derive(Debug)]
pub struct PostgresConfig {
    /// `--slashing-protection-db-url`.
    pub url: jdbc::JdbcUrl,
    /// `--slashing-protection-db-username`; wins over the URL's.
    pub username: Option<String>,
    /// `--slashing-protection-db-password`; wins over the URL's.
    pub password: Option<jdbc::Password>,
    /// The network's `genesis_validators_root`, where it is known. A database of another chain is then refused.
    pub genesis_validators_root: Option<Root>,
    /// When to cut off old entries; `None` for never.
    pub pruning: Option<Pruning>,
    /// When to ask whether the database still answers.
    pub health: HealthTimes,
}

/// What is kept of a validator's history, and when the rest goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruning {
    /// Epochs that are kept, at least 1.
    pub epochs_to_keep: NonZeroU64,
    /// Slots of an epoch, for blocks.
    pub slots_per_epoch: NonZeroU64,
    /// From one run to the next, and from the start to the first.
    pub interval: Duration,
    /// Whether to run at the start as well.
    pub at_boot: bool,
}

impl Default for Pruning {
    /// The defaults of `--slashing-protection-pruning-*`.
    fn default() -> Self {
        Self {
            epochs_to_keep: NonZeroU64::MIN.saturating_add(249),
            slots_per_epoch: NonZeroU64::MIN.saturating_add(31),
            interval: Duration::from_hours(12),
            at_boot: false,
        }
    }
}

/// Why PostgreSQL could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// No authorities.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// No session.
    #[error("cannot connect to the database")]
    Connect {
        /// What the driver says.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A statement failed.
    #[error("{what} failed")]
    Query {
        /// The statement.
        what: &'static str,
        /// What the driver says.
        #[source]
        source: tokio_postgres::Error,
    },
    /// Something took too long.
    #[error("the database did not give {what} in time")]
    Time {
        /// What was waited for.
        what: &'static str,
    },
    /// The schema is not ours.
    #[error(
        "the schema of the database has version {found}, expected {SCHEMA_VERSION}: apply the migrations of Web3Signer 26.4.2"
    )]
    Schema {
        /// What was found.
        found: String,
    },
    /// The database is of another chain.
    #[error(
        "the database is for genesis validators root 0x{}, the network has 0x{}",
        hex::encode(database),
        hex::encode(network)
    )]
    OtherChain {
        /// The database's.
        database: Root,
        /// The network's.
        network: Root,
    },
    /// A value that the schema does not allow.
    #[error("column {column} has a value that is not as the schema says")]
    Malformed {
        /// The column.
        column: &'static str,
    },
}

/// The PostgreSQL store.
pub struct Postgres {
    pool: Pool,
    genesis_validators_root: Option<Root>,
    pruning: Option<Pruning>,
    health_times: HealthTimes,
    pub(super) health: Health,
    /// `validators.id` by key. Rows are never removed, so an id holds for ever.
    ids: RwLock<BTreeMap<ValidatorKey, i32>>,
}

impl Postgres {
    /// Connects, and checks that the schema is version 12 and the database of the network's chain.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn open(config: PostgresConfig) -> Result<Self, PostgresError> {
        let store = Self {
            pool: Pool::new(&config)?,
            genesis_validators_root: config.genesis_validators_root,
            pruning: config.pruning,
            health_times: config.health,
            health: Health::new(),
            ids: RwLock::new(BTreeMap::new()),
        };
        store.check_schema().await?;
        let stored = store.stored_genesis_validators_root().await?;
        match (stored, store.genesis_validators_root) {
            (Some(database), Some(network)) if database != network => {
                Err(PostgresError::OtherChain { database, network })
            }
            _ => Ok(store),
        }
    }

    async fn check_schema(&self) -> Result<(), PostgresError> {
        let lease = self.pool.lend().await?;
        let version = lease
            .client()?
            .query_typed("SELECT version FROM database_version WHERE id = 1", &[])
            .await;
        let found = match version {
            Ok(rows) => match rows.first().map(|row| row.try_get::<_, i32>("version")) {
                Some(Ok(SCHEMA_VERSION)) => {
                    lease.done();
                    return Ok(());
                }
                Some(Ok(other)) => other.to_string(),
                _ => "none".to_owned(),
            },
            // The table is absent: an empty database, or another one.
            Err(error) if error.code().is_some() => "none".to_owned(),
            Err(source) => {
                return Err(PostgresError::Query {
                    what: "SELECT of the schema version",
                    source,
                });
            }
        };
        Err(PostgresError::Schema { found })
    }

    /// The id of a validator's row; `None` without one.
    async fn id_of(&self, client: &Client, key: &ValidatorKey) -> Result<Option<i32>, PostgresError> {
        let known = self
            .ids
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .copied();
        if known.is_some() {
            return Ok(known);
        }
        let bytes = key.as_bytes().as_slice();
        let rows = query(
            client.query_typed(
                "SELECT id FROM validators WHERE public_key = $1",
                &[(&bytes, Type::BYTEA)],
            ),
            "SELECT of a validator",
        )
        .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let id = row.try_get("id").map_err(|_| row::malformed("id"))?;
        self.remember(*key, id);
        Ok(Some(id))
    }

    fn remember(&self, key: ValidatorKey, id: i32) {
        self.ids
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, id);
    }

    /// Queries and prunes for ever.
    pub(super) async fn maintain(&self, observer: &dyn Observer) {
        tokio::join!(self.watch(observer), self.prune_for_ever(observer));
    }

    async fn watch(&self, observer: &dyn Observer) {
        loop {
            let answer = tokio::time::timeout(self.health_times.timeout, self.ping()).await;
            let problem = match answer {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(chain_of(&error)),
                Err(_) => Some("no answer in time".to_owned()),
            };
            let healthy = problem.is_none();
            if self.health.set(healthy) != healthy {
                observer.noted(&problem.map_or_else(
                    || "the database of slashing protection answers again".to_owned(),
                    |problem| format!("the database of slashing protection does not answer: {problem}"),
                ));
            }
            tokio::time::sleep(self.health_times.interval).await;
        }
    }

    async fn ping(&self) -> Result<(), PostgresError> {
        let lease = self.pool.lend().await?;
        query(
            lease.client()?.query_typed("SELECT 1 FROM database_version", &[]),
            "the health query",
        )
        .await?;
        lease.done();
        Ok(())
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("pruning", &self.pruning)
            .finish_non_exhaustive()
    }
}

/// Waits for a statement and names it in its error.
async fn query<T>(
    statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    what: &'static str,
) -> Result<T, PostgresError> {
    statement
        .await
        .map_err(|source| PostgresError::Query { what, source })
}
