//! What is loaded at one moment. It never changes; a reload makes another one.

use std::sync::Arc;

use keystore::PublicKey;

use super::entry::LoadedKey;
use super::report::Counts;

/// All loaded keys, sorted by public key, each there once.
#[derive(Debug, Default)]
pub struct Snapshot {
    keys: Vec<Arc<LoadedKey>>,
    counts: Counts,
}

impl Snapshot {
    /// Sorts. The keys must be distinct.
    pub(super) fn new(mut keys: Vec<Arc<LoadedKey>>, counts: Counts) -> Self {
        keys.sort_unstable_by_key(|key| *key.public_key());
        keys.shrink_to_fit();
        Self { keys, counts }
    }

    /// The key with this name.
    #[must_use]
    pub fn get(&self, key: &PublicKey) -> Option<&Arc<LoadedKey>> {
        self.by_bytes(key.as_bytes())
    }

    /// The key that an identifier of a URL names: any case, `0x` added if absent. Anything that is not the hexadecimal
    /// text of a loaded key is not found.
    #[must_use]
    pub fn find(&self, identifier: &str) -> Option<&Arc<LoadedKey>> {
        let digits = identifier
            .strip_prefix("0x")
            .or_else(|| identifier.strip_prefix("0X"))
            .unwrap_or(identifier);
        let mut bytes = [0; 48];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        self.by_bytes(&bytes)
    }

    /// The keys, sorted by public key.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<LoadedKey>> {
        self.keys.iter()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What the last load found, for the health check. Imports and deletions since then do not change it.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The same with one key more.
    pub(super) fn with(&self, key: Arc<LoadedKey>) -> Self {
        let mut keys = Vec::with_capacity(self.keys.len() + 1);
        keys.extend(self.keys.iter().cloned());
        keys.push(key);
        Self::new(keys, self.counts)
    }

    /// The same without one key.
    pub(super) fn without(&self, key: &PublicKey) -> Self {
        let keys = self
            .keys
            .iter()
            .filter(|k| k.public_key() != key)
            .cloned()
            .collect();
        Self {
            keys,
            counts: self.counts,
        }
    }

    fn by_bytes(&self, bytes: &[u8; 48]) -> Option<&Arc<LoadedKey>> {
        let index = self
            .keys
            .binary_search_by(|key| key.public_key().as_bytes().cmp(bytes))
            .ok()?;
        self.keys.get(index)
    }
}
