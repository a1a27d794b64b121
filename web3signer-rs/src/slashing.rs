//! Slashing protection: no signature of a block or a vote leaves before a store has noted it for good (EIP-3076).
//!
//! [`Protection`] is all that the HTTP service sees. Behind it is one of four stores, chosen at the start:
//!
//! - [`dynamodb`]: Amazon DynamoDB, one item per validator, for any number of signers at once;
//! - [`postgres`]: PostgreSQL with the tables of Web3Signer, shared with it if need be;
//! - [`memory`]: a journal on a tmpfs, for one enclave at a time;
//! - none: slashing protection is off.
//!
//! [`rules`] is the law, pure; [`interchange`] the file that signers hand to each other; [`chain`] the network and the time;
//! [`refusal`] the answers; [`report`] what an operator learns. The layouts of the journal and of the items are in `SPEC.md`.

pub mod chain;
pub mod dynamodb;
pub mod health;
pub mod memory;
pub mod observe;
pub mod postgres;
pub mod refusal;
pub mod report;

mod trust;

pub use slashing_table::{interchange, key, rules, watermark};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use self::dynamodb::DynamoDb;
use self::health::{Health, HealthTimes};
use self::interchange::Interchange;
use self::key::ValidatorKey;
use self::memory::Memory;
use self::observe::{Observer, Outcome};
use self::postgres::Postgres;
use self::refusal::{Permit, Refusal, StoreError};
use self::report::{ImportError, ImportReport, Registration};
use self::watermark::HighWatermark;
use crate::duty::SlashableDuty;

/// The store of slashing protection, for the HTTP service.
///
/// A call may be dropped at any await: a decision that was on its way then counts as made, never as not made.
pub struct Protection {
    store: Store,
    observer: Arc<dyn Observer>,
}

#[derive(Debug)]
enum Store {
    Off,
    Memory(Memory, Health),
    DynamoDb(DynamoDb),
    Postgres(Postgres),
}

/// Whose import it is. It matters where a missing record is a refusal: in DynamoDB only the operator makes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportBy {
    /// `eth2 import`, with a credential that may make records.
    Operator,
    /// The key manager of a running signer.
    KeyManager,
}

/// Why keys go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// The key manager deleted them: they must not sign here or anywhere else until they are imported again.
    Deleted,
    /// Their files were gone at a reload. Other signers may still hold them.
    Reloaded,
}

impl Protection {
    /// No protection: every duty is permitted.
    #[must_use]
    pub fn off(observer: Arc<dyn Observer>) -> Self {
        Self::new(Store::Off, observer)
    }

    /// A journal in memory.
    #[must_use]
    pub fn memory(memory: Memory, observer: Arc<dyn Observer>) -> Self {
        Self::new(Store::Memory(memory, Health::new()), observer)
    }

    /// A table in Amazon DynamoDB.
    #[must_use]
    pub fn dynamodb(table: DynamoDb, observer: Arc<dyn Observer>) -> Self {
        Self::new(Store::DynamoDb(table), observer)
    }

    /// A PostgreSQL database.
    #[must_use]
    pub fn postgres(database: Postgres, observer: Arc<dyn Observer>) -> Self {
        Self::new(Store::Postgres(database), observer)
    }

    fn new(store: Store, observer: Arc<dyn Observer>) -> Self {
        Self { store, observer }
    }

    /// Whether there is any protection.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !matches!(self.store, Store::Off)
    }

    /// One line that says what protects and what does not, for the log at the start.
    #[must_use]
    pub const fn describe(&self) -> &'static str {
        match self.store {
            Store::Off => "slashing protection is OFF: this signer will sign slashable duties",
            Store::Memory(..) => {
                "slashing protection is in memory only: two enclaves at once on the same keys are NOT protected"
            }
            Store::DynamoDb(_) => "slashing protection is in DynamoDB, shared by all signers of the table",
            Store::Postgres(_) => {
                "slashing protection is in PostgreSQL, shared by all signers of the database"
            }
        }
    }

    /// Asks for one duty of one validator. On `Ok` the decision is durable: no signer on the same store will permit a
    /// duty that conflicts with it.
    ///
    /// # Errors
    /// [`Refusal`]; the signature must then be thrown away.
    pub async fn permit(&self, key: &ValidatorKey, asked: &SlashableDuty) -> Result<Permit, Refusal> {
        let started = Instant::now();
        let decision = match &self.store {
            Store::Off => return Ok(Permit(())),
            Store::Memory(memory, _) => memory.permit(key, asked),
            Store::DynamoDb(table) => table.permit(key, asked).await,
            Store::Postgres(database) => database.permit(key, asked).await,
        };
        let outcome = match &decision {
            Ok(()) => Outcome::Permitted,
            Err(Refusal::Prevented(_)) => Outcome::Prevented,
            Err(_) => Outcome::Failed,
        };
        self.observer
            .decided(asked.duty.into(), outcome, started.elapsed());
        decision.map(Permit)
    }

    /// Tells the store which keys are loaded. Call it at the start, after a reload and after an import of keys: without it
    /// no duty of theirs is permitted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn register(&self, keys: &[ValidatorKey]) -> Result<Registration, StoreError> {
        match &self.store {
            Store::Off => Ok(Registration::default()),
            Store::Memory(memory, _) => memory.register(keys),
            Store::DynamoDb(table) => Ok(table.register(keys).await?),
            Store::Postgres(database) => Ok(database.register(keys).await?),
        }
    }

    /// Notes which versions of artefacts (by kind: TLS key, clients, ...) this signer uses, so that no signer of the same table
    /// is ever given an older one. Only `DynamoDB` keeps them.
    ///
    /// # Errors
    /// [`StoreError`]: a higher version was seen, or the operator made no record of the kind.
    pub async fn use_artefacts(&self, versions: &BTreeMap<String, u64>) -> Result<(), StoreError> {
        if let Store::DynamoDb(table) = &self.store {
            for (kind, version) in versions {
                table.use_artefact(kind, *version).await?;
            }
        }
        Ok(())
    }

    /// Lets keys sign again that the key manager deleted before and has just imported, history included. In DynamoDB that is
    /// the operator's to do; see [`DynamoDb::enable`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn enable(&self, keys: &[ValidatorKey]) -> Result<(), StoreError> {
        match &self.store {
            Store::Off | Store::DynamoDb(_) => Ok(()),
            Store::Memory(memory, _) => memory.register(keys).map(|_| ()),
            Store::Postgres(database) => Ok(database.enable(keys).await?),
        }
    }

    /// Tells the store that keys are gone. Their floors stay.
    ///
    /// # Errors
    /// [`StoreError`]; the keys must then be kept from signing by other means.
    pub async fn disable(&self, keys: &[ValidatorKey], why: Leaving) -> Result<(), StoreError> {
        match (&self.store, why) {
            // Another signer may hold the key still, and only the operator could enable it again.
            (Store::Off, _) | (Store::DynamoDb(_) | Store::Postgres(_), Leaving::Reloaded) => Ok(()),
            (Store::Memory(memory, _), _) => memory.disable(keys),
            (Store::DynamoDb(table), Leaving::Deleted) => Ok(table.disable(keys).await?),
            (Store::Postgres(database), Leaving::Deleted) => Ok(database.disable(keys).await?),
        }
    }

    /// State of the last periodic query; `true` before the first and without protection.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        match &self.store {
            Store::Off => true,
            Store::Memory(_, health) => health.get(),
            Store::DynamoDb(table) => table.health.get(),
            Store::Postgres(database) => database.health.get(),
        }
    }

    /// Does what must be done from time to time (health query, pruning), for ever. Run it in a task of its own.
    pub async fn maintain(&self) {
        match &self.store {
            Store::Off => std::future::pending().await,
            Store::Memory(memory, health) => loop {
                health.set(memory.is_healthy());
                tokio::time::sleep(HealthTimes::default().interval).await;
            },
            Store::DynamoDb(table) => table.watch(&*self.observer).await,
            Store::Postgres(database) => database.maintain(&*self.observer).await,
        }
    }

    /// The high watermark.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn high_watermark(&self) -> Result<Option<HighWatermark>, StoreError> {
        match &self.store {
            Store::Off => Err(StoreError::Off),
            Store::Memory(memory, _) => memory.high_watermark(),
            Store::DynamoDb(table) => Ok(table.high_watermark().await?),
            Store::Postgres(database) => Ok(database.high_watermark().await?),
        }
    }

    /// Sets or removes the high watermark (`watermark-repair --set-high-watermark`, `--remove-high-watermark`).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_high_watermark(&self, mark: Option<HighWatermark>) -> Result<(), StoreError> {
        match &self.store {
            Store::Off => Err(StoreError::Off),
            Store::Memory(memory, _) => memory.set_high_watermark(mark),
            Store::DynamoDb(table) => Ok(table.set_high_watermark(mark).await?),
            Store::Postgres(database) => Ok(database.set_high_watermark(mark).await?),
        }
    }

    /// Raises the low watermarks of every validator to at least this epoch and slot (`watermark-repair`). Lowers none.
    /// Answers how many validators there are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn raise_low_watermarks(&self, floor: HighWatermark) -> Result<usize, StoreError> {
        match &self.store {
            Store::Off => Err(StoreError::Off),
            Store::Memory(memory, _) => memory.raise_low_watermarks(floor),
            Store::DynamoDb(table) => Ok(table.raise_low_watermarks(floor).await?),
            Store::Postgres(database) => Ok(database.raise_low_watermarks(floor).await?),
        }
    }

    /// Takes over the history of an interchange file. For the key manager, cut it to the keys at hand first
    /// ([`Interchange::only`]).
    ///
    /// # Errors
    /// [`ImportError`].
    pub async fn import(&self, interchange: &Interchange, by: ImportBy) -> Result<ImportReport, ImportError> {
        let report = match (&self.store, by) {
            (Store::Off, _) => return Err(StoreError::Off.into()),
            (Store::Memory(memory, _), _) => return memory.import(interchange),
            (Store::Postgres(database), _) => return database.import(interchange).await,
            (Store::DynamoDb(table), _)
                if table.genesis_validators_root() != interchange.genesis_validators_root =>
            {
                return Err(ImportError::GenesisValidatorsRoot {
                    expected: table.genesis_validators_root(),
                    actual: interchange.genesis_validators_root,
                });
            }
            (Store::DynamoDb(table), ImportBy::Operator) => table.import_by_operator(interchange).await,
            (Store::DynamoDb(table), ImportBy::KeyManager) => table.import_by_signer(interchange).await,
        };
        report.map_err(|error| StoreError::from(error).into())
    }

    /// The history of `keys`, or of every validator on record. Keys without a record are not in the answer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn export(&self, keys: Option<&[ValidatorKey]>) -> Result<Interchange, StoreError> {
        match &self.store {
            Store::Off => Err(StoreError::Off),
            Store::Memory(memory, _) => memory.export(keys),
            Store::DynamoDb(table) => Ok(table.export(keys).await?),
            Store::Postgres(database) => Ok(database.export(keys).await?),
        }
    }
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protection")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
