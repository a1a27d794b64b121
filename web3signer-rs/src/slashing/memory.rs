//! Slashing protection that lives as long as the enclave: a journal on a tmpfs.
//!
//! It knows what this enclave signed since it booted, and nothing of the time before. So it refuses, for every validator:
//!
//! - at the start, whatever is at or below the present epoch: a signer before it may have signed that;
//! - always, whatever is beyond the next epoch: no honest client asks for it, and a later start could not refuse it.
//!
//! What it does not do: **two enclaves at once on the same keys are not protected**, and neither is an enclave that is
//! started while the epoch that the one before it was asked to sign ahead of time is still to come, nor one whose clock is
//! wrong. Amazon DynamoDB and PostgreSQL are for that.
//!
//! After a start of the process alone, the floors of the journal hold as well.
//!
//! `journal` is the file, `record` its 160-byte records (layout in `SPEC.md`).

mod journal;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use self::journal::Journal;
pub use self::journal::JournalError;
use self::record::Record;
use super::chain::{Chain, Clock};
use super::interchange::{History, Interchange};
use super::key::ValidatorKey;
use super::refusal::{Refusal, StoreError};
use super::report::{ImportError, ImportReport, Registration};
use super::rules::minimal::Marks;
use super::rules::{Rule, Standing, Step};
use super::watermark::HighWatermark;
use crate::duty::{Duty, Root, SlashableDuty};

/// Why the memory store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal is of another chain.
    #[error(
        "the journal is for genesis validators root 0x{}, the network has 0x{}; use another file",
        hex::encode(journal),
        hex::encode(network)
    )]
    OtherChain {
        /// The journal's.
        journal: Root,
        /// The network's.
        network: Root,
    },
    /// A task panicked while it held the store.
    #[error("an earlier failure left the store in an unknown state; restart the signer")]
    Poisoned,
}

/// What the memory store needs.
pub struct MemoryConfig {
    /// The journal, on a tmpfs that outlives the process. Made if absent; `.lock` and `.new` are put beside it.
    pub journal: PathBuf,
    /// The network.
    pub chain: Chain,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for MemoryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryConfig")
            .field("journal", &self.journal)
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}

/// The memory store.
pub struct Memory {
    chain: Chain,
    clock: Arc<dyn Clock>,
    /// The present epoch when the store was opened; `None` before genesis, when nothing can have been signed.
    start: Option<u64>,
    state: Mutex<State>,
}

struct State {
    journal: Journal,
    genesis_validators_root: Option<Root>,
    high_watermark: Option<HighWatermark>,
    /// By validator, also of those that are not active: floors outlive keys.
    marks: BTreeMap<ValidatorKey, Marks>,
    active: BTreeSet<ValidatorKey>,
    /// Whether the last rewriting of the journal succeeded.
    is_compact: bool,
}

impl Memory {
    /// Opens the journal and takes the present epoch as floor.
    ///
    /// # Errors
    /// [`MemoryError`]: the journal is in use, damaged, or of another chain.
    pub fn open(config: MemoryConfig) -> Result<Self, MemoryError> {
        let mut marks = BTreeMap::new();
        let mut bound = None;
        let mut high_watermark = None;
        let journal = Journal::open(&config.journal, |record| match record {
            Record::Chain(root) => bound = root,
            Record::Validator(key, newest) => {
                marks.insert(key, newest);
            }
            Record::HighWatermark(mark) => high_watermark = mark,
        })?;
        let mut state = State {
            journal,
            genesis_validators_root: bound,
            high_watermark,
            marks,
            active: BTreeSet::new(),
            is_compact: true,
        };
        match (bound, config.chain.genesis_validators_root) {
            (Some(journal), Some(network)) if journal != network => {
                return Err(MemoryError::OtherChain { journal, network });
            }
            (None, Some(network)) => state.bind(network)?,
            _ => {}
        }
        Ok(Self {
            start: config.chain.epoch_at(config.clock.unix_seconds()),
            chain: config.chain,
            clock: config.clock,
            state: Mutex::new(state),
        })
    }

    /// Judges and notes. The journal is synced before this returns; nothing else runs in between. It does not yield: on a
    /// tmpfs a write and its sync take microseconds, less than handing the work to another thread.
    pub(super) fn permit(&self, key: &ValidatorKey, asked: &SlashableDuty) -> Result<(), Refusal> {
        let mut state = self.lock()?;
        let standing = Standing {
            genesis_validators_root: state.genesis_validators_root,
            enabled: true,
            high_watermark: state.high_watermark,
        };
        if !state.active.contains(key) {
            return Err(Refusal::UnknownValidator(*key));
        }
        standing.judge(asked).map_err(Refusal::Prevented)?;
        self.judge_by_time(asked.duty).map_err(Refusal::Prevented)?;
        let mut marks = state.marks.get(key).copied().unwrap_or_default();
        let step = marks
            .judge(asked.duty, &asked.signing_root)
            .map_err(Refusal::Prevented)?;
        if step == Step::Repeat {
            return Ok(());
        }
        if state.genesis_validators_root.is_none() {
            state.bind(asked.genesis_validators_root)?;
        }
        marks.advance(asked.duty, asked.signing_root);
        state.note(*key, marks)?;
        Ok(())
    }

    /// The rules that stand in for what this store cannot know.
    fn judge_by_time(&self, duty: Duty) -> Result<(), Rule> {
        let present = self.chain.epoch_at(self.clock.unix_seconds());
        let last = present.map_or(0, |present| present.saturating_add(1));
        let epoch = match duty {
            Duty::Block { slot } => self.chain.epoch_of(slot),
            Duty::Attestation { target, .. } => target,
        };
        if epoch > last {
            return Err(Rule::BeyondNextEpoch { epoch, last });
        }
        let Some(start) = self.start else { return Ok(()) };
        if epoch <= start {
            return Err(Rule::BeforeStart { epoch, start });
        }
        // A vote for the epoch of the start came from a source below it: a lower one now would surround that.
        let floor = start.saturating_sub(1);
        match duty {
            Duty::Attestation { source, .. } if source < floor => Err(Rule::SourceBelowFloor {
                source_epoch: source,
                floor,
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn register(&self, keys: &[ValidatorKey]) -> Result<Registration, StoreError> {
        self.lock()?.active.extend(keys);
        Ok(Registration::default())
    }

    pub(super) fn disable(&self, keys: &[ValidatorKey]) -> Result<(), StoreError> {
        let mut state = self.lock()?;
        for key in keys {
            state.active.remove(key);
        }
        Ok(())
    }

    pub(super) fn high_watermark(&self) -> Result<Option<HighWatermark>, StoreError> {
        Ok(self.lock()?.high_watermark)
    }

    pub(super) fn set_high_watermark(&self, mark: Option<HighWatermark>) -> Result<(), StoreError> {
        let mut state = self.lock()?;
        state
            .journal
            .append(&Record::HighWatermark(mark))
            .map_err(MemoryError::from)?;
        state.high_watermark = mark;
        Ok(())
    }

    pub(super) fn raise_low_watermarks(&self, floor: HighWatermark) -> Result<usize, StoreError> {
        let mut state = self.lock()?;
        let keys: BTreeSet<_> = state.marks.keys().chain(&state.active).copied().collect();
        for key in &keys {
            let mut marks = state.marks.get(key).copied().unwrap_or_default();
            marks.raise_floors(floor.slot, floor.epoch);
            state.note(*key, marks)?;
        }
        Ok(keys.len())
    }

    pub(super) fn import(&self, interchange: &Interchange) -> Result<ImportReport, ImportError> {
        let mut state = self.lock().map_err(StoreError::from)?;
        match state.genesis_validators_root {
            Some(expected) if expected != interchange.genesis_validators_root => {
                return Err(ImportError::GenesisValidatorsRoot {
                    expected,
                    actual: interchange.genesis_validators_root,
                });
            }
            Some(_) => {}
            None => state
                .bind(interchange.genesis_validators_root)
                .map_err(StoreError::from)?,
        }
        for (key, history) in &interchange.validators {
            let mut marks = state.marks.get(key).copied().unwrap_or_default();
            marks.raise_by(history);
            state.note(*key, marks).map_err(StoreError::from)?;
        }
        Ok(ImportReport {
            imported: interchange.validators.keys().copied().collect(),
            ..ImportReport::default()
        })
    }

    /// The newest duties of `keys`, or of every validator on record.
    pub(super) fn export(&self, keys: Option<&[ValidatorKey]>) -> Result<Interchange, StoreError> {
        let state = self.lock()?;
        let mut interchange = Interchange::empty(state.genesis_validators_root.unwrap_or_default());
        for (key, marks) in &state.marks {
            if keys.is_none_or(|keys| keys.contains(key)) {
                interchange.validators.insert(*key, History::from(*marks));
            }
        }
        Ok(interchange)
    }

    /// Whether the store can still be asked.
    pub(super) fn is_healthy(&self) -> bool {
        self.lock()
            .is_ok_and(|state| state.journal.is_usable() && state.is_compact)
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>, MemoryError> {
        self.state.lock().map_err(|_| MemoryError::Poisoned)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("chain", &self.chain)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

impl State {
    fn bind(&mut self, root: Root) -> Result<(), MemoryError> {
        self.journal.append(&Record::Chain(Some(root)))?;
        self.genesis_validators_root = Some(root);
        Ok(())
    }

    fn note(&mut self, key: ValidatorKey, marks: Marks) -> Result<(), MemoryError> {
        self.journal.append(&Record::Validator(key, marks))?;
        self.marks.insert(key, marks);
        if self.journal.wants_compaction(self.marks.len() + 2) {
            let head = [
                Record::Chain(self.genesis_validators_root),
                Record::HighWatermark(self.high_watermark),
            ];
            let validators = self
                .marks
                .iter()
                .map(|(key, marks)| Record::Validator(*key, *marks));
            // The note itself is durable, so a decision does not fail with the rewriting; the health query tells.
            self.is_compact = self.journal.compact(head.into_iter().chain(validators)).is_ok();
        }
        Ok(())
    }
}
