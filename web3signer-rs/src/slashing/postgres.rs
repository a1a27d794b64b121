//! Slashing protection in PostgreSQL.

pub mod jdbc;

use std::num::NonZeroU64;
use std::time::Duration;

use super::health::{Health, HealthTimes};
use super::interchange::Interchange;
use super::key::ValidatorKey;
use super::observe::Observer;
use super::refusal::Refusal;
use super::report::{ImportError, ImportReport, Registration};
use super::watermark::HighWatermark;
use crate::duty::{Root, SlashableDuty};

/// Why PostgreSQL failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {}

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

/// The PostgreSQL store.
#[derive(Debug)]
pub struct Postgres {
    pub(super) health: Health,
}

impl Postgres {
    /// Connects, and checks that the schema is version 12.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn open(_config: PostgresConfig) -> Result<Self, PostgresError> {
        std::future::pending().await
    }

    pub(super) async fn permit(&self, _: &ValidatorKey, _: &SlashableDuty) -> Result<(), Refusal> {
        std::future::pending().await
    }
    pub(super) async fn register(&self, _: &[ValidatorKey]) -> Result<Registration, PostgresError> {
        std::future::pending().await
    }
    pub(super) async fn disable(&self, _: &[ValidatorKey]) -> Result<(), PostgresError> {
        std::future::pending().await
    }
    pub(super) async fn high_watermark(&self) -> Result<Option<HighWatermark>, PostgresError> {
        std::future::pending().await
    }
    pub(super) async fn set_high_watermark(&self, _: Option<HighWatermark>) -> Result<(), PostgresError> {
        std::future::pending().await
    }
    pub(super) async fn raise_low_watermarks(&self, _: HighWatermark) -> Result<usize, PostgresError> {
        std::future::pending().await
    }
    pub(super) async fn import(&self, _: &Interchange) -> Result<ImportReport, ImportError> {
        std::future::pending().await
    }
    pub(super) async fn export(&self, _: Option<&[ValidatorKey]>) -> Result<Interchange, PostgresError> {
        std::future::pending().await
    }
    pub(super) async fn maintain(&self, _: &dyn Observer) {
        std::future::pending().await
    }
}
