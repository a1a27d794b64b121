//! The registry: one published snapshot that anyone may look at, and one writer at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use keystore::PublicKey;

use super::decrypt::Kitchen;
use super::entry::LoadedKey;
use super::load::{Counter, Files, Loader, Source};
use super::pool::MemoryGate;
use super::report::{Changes, Counts, Duplicate, LoadReport, Progress};
use super::settings::Settings;
use super::snapshot::Snapshot;

/// All keys of this signer. Share it with an `Arc`.
///
/// Readers take a snapshot and never wait for a load. Loads, imports and deletions wait for each other, so a reload
/// cannot lose a key that was imported meanwhile.
#[derive(Debug)]
pub struct Keys {
    pub(super) settings: Settings,
    pub(super) gate: MemoryGate,
    published: RwLock<Arc<Snapshot>>,
    writer: Mutex<Held>,
}

/// What is known about the sources; only the writer sees it.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) config: Files,
    pub(super) bulk: Files,
    /// Imports that were not stored.
    pub(super) memory: BTreeMap<PublicKey, Arc<LoadedKey>>,
}

impl Keys {
    /// No keys yet. [`Keys::load`] reads them.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let gate = MemoryGate::new(settings.effort.kdf_memory_bytes);
        Self {
            settings,
            gate,
            published: RwLock::default(),
            writer: Mutex::default(),
        }
    }

    /// What is loaded now. It stays as it is while the caller holds it.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The key that an identifier of a URL names; see [`Snapshot::find`].
    #[must_use]
    pub fn find(&self, identifier: &str) -> Option<Arc<LoadedKey>> {
        self.snapshot().find(identifier).cloned()
    }

    /// Reads all sources and publishes what they give: the first load and every reload.
    ///
    /// Files that have not changed since the last load are not read again; keys whose file is gone or can no longer be
    /// used are dropped; imports that were not stored stay. Faults of single files are in the report, not errors.
    ///
    /// `before` sees what will change before anyone can use it: register new keys with slashing protection there. If it
    /// fails, nothing changes. `progress` is called from several threads, often.
    ///
    /// # Errors
    /// Only what `before` returns.
    pub fn load<E>(
        &self,
        progress: &(dyn Fn(Progress) + Sync),
        before: impl FnOnce(&Changes) -> Result<(), E>,
    ) -> Result<LoadReport, E> {
        let mut held = self.writer();
        let counter = Counter::new(progress);
        let loader = Loader {
            effort: &self.settings.effort,
            kitchen: self.kitchen(),
            progress: &counter,
        };
        let config = loader.config(&self.settings.config, &held.config);
        let bulk = self
            .settings
            .bulk
            .as_ref()
            .map(|bulk| loader.bulk(bulk, &held.bulk));
        let counts = Counts {
            config: config.count(),
            bulk: bulk.as_ref().map(Source::count),
        };

        let bulk = bulk.unwrap_or_default();
        let mut chosen = Chosen::default();
        let files = config.files.values().chain(bulk.files.values());
        files
            .flat_map(|file| &file.keys)
            .chain(held.memory.values())
            .for_each(|key| chosen.take(key));
        let old = self.snapshot();
        let changes = chosen.changes(&old);
        before(&changes)?;

        let snapshot = Snapshot::new(chosen.keys.into_values().collect(), counts);
        let report = LoadReport {
            counts,
            keys: snapshot.len(),
            unchanged_files: config.unchanged.saturating_add(bulk.unchanged),
            problems: config.problems.into_iter().chain(bulk.problems).collect(),
            duplicates: chosen.duplicates,
            changes,
        };
        held.config = config.files;
        held.bulk = bulk.files;
        self.publish(snapshot);
        Ok(report)
    }

    pub(super) fn kitchen(&self) -> Kitchen<'_> {
        Kitchen {
            gate: &self.gate,
            limits: &self.settings.effort.limits,
        }
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Held> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only with the writer's lock held.
    pub(super) fn publish(&self, snapshot: Snapshot) {
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }
}

/// Each key once; the first place wins.
#[derive(Default)]
struct Chosen {
    keys: BTreeMap<PublicKey, Arc<LoadedKey>>,
    duplicates: Vec<Duplicate>,
}

impl Chosen {
    fn take(&mut self, key: &Arc<LoadedKey>) {
        let name = *key.public_key();
        if let Some(kept) = self.keys.get(&name) {
            self.duplicates.push(Duplicate {
                public_key: name,
                kept: kept.file().map(ToOwned::to_owned),
                ignored: key.file().map(ToOwned::to_owned),
            });
            return;
        }
        self.keys.insert(name, Arc::clone(key));
    }

    fn changes(&self, old: &Snapshot) -> Changes {
        Changes {
            added: self
                .keys
                .keys()
                .filter(|key| old.get(key).is_none())
                .copied()
                .collect(),
            removed: old
                .iter()
                .map(|key| *key.public_key())
                .filter(|key| !self.keys.contains_key(key))
                .collect(),
        }
    }
}
