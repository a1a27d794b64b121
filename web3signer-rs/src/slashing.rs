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
pub mod interchange;
pub mod key;
pub mod memory;
pub mod observe;
pub mod postgres;
pub mod refusal;
pub mod report;
pub mod rules;
pub mod watermark;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use self::dynamodb::DynamoDb;
use self::health::Health;
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
    healthy: AtomicBool,
}

#[derive(Debug)]
enum Store {
    Off,
    Memory(Memory),
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
        Self::new(Store::Memory(memory), observer)
    }

    fn new(store: Store, observer: Arc<dyn Observer>) -> Self {
        Self {
            store,
            observer,
            healthy: AtomicBool::new(true),
        }
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
            Store::Memory(_) => {
                "slashing protection is in memory only: two enclaves at once on the same keys are NOT protected"
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
            Store::Memory(memory) => memory.permit(key, asked),
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
            Store::Memory(memory) => memory.register(keys),
        }
    }

    /// Tells the store that keys are gone. Their floors stay.
    ///
    /// # Errors
    /// [`StoreError`]; the keys must then be kept from signing by other means.
    pub async fn disable(&self, keys: &[ValidatorKey], _why: Leaving) -> Result<(), StoreError> {
        match &self.store {
            Store::Off => Ok(()),
            Store::Memory(memory) => memory.disable(keys),
        }
    }

    /// State of the last periodic query; `true` before the first and without protection.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Does what must be done from time to time (health query, pruning), for ever. Run it in a task of its own.
    pub async fn maintain(&self) {
        match &self.store {
            Store::Off => std::future::pending().await,
            Store::Memory(memory) => loop {
                self.healthy.store(memory.is_healthy(), Ordering::Relaxed);
                tokio::time::sleep(std::time::Duration::from_secs(30)).await;
            },
        }
    }

    /// The high watermark.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn high_watermark(&self) -> Result<Option<HighWatermark>, StoreError> {
        match &self.store {
            Store::Off => Err(StoreError::Off),
            Store::Memory(memory) => memory.high_watermark(),
        }
    }

    /// Sets or removes the high watermark (`watermark-repair --set-high-watermark`, `--remove-high-watermark`).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_high_watermark(&self, mark: Option<HighWatermark>) -> Result<(), StoreError> {
        match &self.store {
            Store::Off => Err(StoreError::Off),
            Store::Memory(memory) => memory.set_high_watermark(mark),
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
            Store::Memory(memory) => memory.raise_low_watermarks(floor),
        }
    }

    /// Takes over the history of an interchange file. For the key manager, cut it to the keys at hand first
    /// ([`Interchange::only`]).
    ///
    /// # Errors
    /// [`ImportError`].
    pub async fn import(&self, interchange: &Interchange) -> Result<ImportReport, ImportError> {
        match &self.store {
            Store::Off => Err(ImportError::Store(StoreError::Off)),
            Store::Memory(memory) => memory.import(interchange),
        }
    }

    /// The history of `keys`, or of every validator on record. Keys without a record are not in the answer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn export(&self, keys: Option<&[ValidatorKey]>) -> Result<Interchange, StoreError> {
        match &self.store {
            Store::Off => Err(StoreError::Off),
            Store::Memory(memory) => memory.export(keys),
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
