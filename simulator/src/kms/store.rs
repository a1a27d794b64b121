//! The keys of one KMS and their aliases: in memory, and in a folder if there is one.
//!
//! In the folder, `keys/ID.json` is a key, its material in clear, and `aliases.json` the aliases; both readable by their owner
//! only. A file is replaced as a whole, before the change is seen by anybody.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use attest::UnixMs;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key::{Key, KeyId, KeyPolicy, Material, State};

/// Why a folder of keys cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot read or write {}", .path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what this program wrote.
    #[error("{} is damaged: {what}; move it away, or start with another --state folder", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// Keys and aliases.
#[derive(Debug, Default)]
pub struct Store {
    keys: BTreeMap<KeyId, Arc<Key>>,
    aliases: BTreeMap<String, KeyId>,
    folder: Option<PathBuf>,
}

impl Store {
    /// Reads what `folder` has, and keeps every later change there. The folder is made if it is absent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let keys = folder.join("keys");
        std::fs::create_dir_all(&keys).map_err(io_error(&keys))?;
        let mut store = Self {
            folder: Some(folder.to_owned()),
            ..Self::default()
        };
        for path in sorted(&keys)? {
            if path.extension().is_some_and(|e| e == "json") {
                let key = read_key(&path)?;
                store.keys.insert(key.id, Arc::new(key));
            }
        }
        let path = folder.join("aliases.json");
        if path.exists() {
            let read = std::fs::read(&path).map_err(io_error(&path))?;
            let aliases: BTreeMap<String, String> = serde_json::from_slice(&read).map_err(damaged(&path))?;
            for (alias, id) in aliases {
                let id = id.parse().map_err(damaged(&path))?;
                store.aliases.insert(alias, id);
            }
        }
        Ok(store)
    }

    /// The key with this id.
    #[must_use]
    pub fn key(&self, id: KeyId) -> Option<Arc<Key>> {
        self.keys.get(&id).cloned()
    }

    /// The key that `alias/NAME` leads to.
    #[must_use]
    pub fn alias(&self, alias: &str) -> Option<Arc<Key>> {
        self.aliases.get(alias).and_then(|id| self.key(*id))
    }

    /// All keys, by id.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.keys.values()
    }

    /// Adds a key, or puts it in place of the one with its id.
    ///
    /// # Errors
    /// [`StoreError::Io`]; nothing has changed then.
    pub fn put(&mut self, key: Key) -> Result<Arc<Key>, StoreError> {
        if let Some(folder) = &self.folder {
            let path = folder.join("keys").join(format!("{}.json", key.id));
            replace(&path, &write_key(&key))?;
        }
        let key = Arc::new(key);
        self.keys.insert(key.id, Arc::clone(&key));
        Ok(key)
    }

    /// Changes the key with this id, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Io`]; nothing has changed then.
    pub fn change(&mut self, id: KeyId, change: impl FnOnce(&mut Key)) -> Result<(), StoreError> {
        if let Some(key) = self.keys.get(&id) {
            let mut key = Key::clone(key);
            change(&mut key);
            self.put(key)?;
        }
        Ok(())
    }

    /// Lets `alias` lead to the key, or to nothing.
    ///
    /// # Errors
    /// [`StoreError::Io`]; nothing has changed then.
    pub fn set_alias(&mut self, alias: &str, id: Option<KeyId>) -> Result<(), StoreError> {
        let mut aliases = self.aliases.clone();
        match id {
            Some(id) => aliases.insert(alias.to_owned(), id),
            None => aliases.remove(alias),
        };
        if let Some(folder) = &self.folder {
            let shown: BTreeMap<&String, String> = aliases
                .iter()
                .map(|(alias, id)| (alias, id.to_string()))
                .collect();
            let path = folder.join("aliases.json");
            replace(&path, &serde_json::to_vec(&shown).map_err(damaged(&path))?)?;
        }
        self.aliases = aliases;
        Ok(())
    }
}

/// A key in its file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    arn: String,
    material: String,
    policy: String,
    description: String,
    created_ms: u64,
    state: String,
    deletion_ms: Option<u64>,
}

fn write_key(key: &Key) -> Zeroizing<Vec<u8>> {
    let file = KeyFile {
        arn: key.arn.clone(),
        material: hex::encode(key.material.expose()),
        policy: key.policy.text().to_owned(),
        description: key.description.clone(),
        created_ms: key.created.as_millis(),
        state: key.state.name().to_owned(),
        deletion_ms: match key.state {
            State::PendingDeletion(at) => Some(at.as_millis()),
            State::Enabled | State::Disabled => None,
        },
    };
    // A struct of texts and numbers has a JSON form.
    Zeroizing::new(serde_json::to_vec_pretty(&file).unwrap_or_default())
}

fn read_key(path: &Path) -> Result<Key, StoreError> {
    let bytes = Zeroizing::new(std::fs::read(path).map_err(io_error(path))?);
    let file: KeyFile = serde_json::from_slice(&bytes).map_err(damaged(path))?;
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let state = match (file.state.as_str(), file.deletion_ms) {
        ("Enabled", None) => State::Enabled,
        ("Disabled", None) => State::Disabled,
        ("PendingDeletion", Some(at)) => State::PendingDeletion(UnixMs::new(at)),
        _ => return Err(damaged(path)("its state is unknown")),
    };
    Ok(Key {
        id: stem.parse().map_err(damaged(path))?,
        arn: file.arn,
        material: Material::from_hex(&file.material)
            .ok_or("its material is not 64 hex digits")
            .map_err(damaged(path))?,
        policy: KeyPolicy::parse(&file.policy).map_err(damaged(path))?,
        description: file.description,
        created: UnixMs::new(file.created_ms),
        state,
    })
}

/// Writes a file as a whole, for its owner only.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let write = || -> io::Result<()> {
        // Such files are made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        io::Write::write_all(&mut file, bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(io_error(path))
}

#[expect(clippy::disallowed_methods, reason = "collected and sorted here")]
fn sorted(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries: io::Result<Vec<PathBuf>> =
        std::fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths = entries.map_err(io_error(folder))?;
    paths.sort();
    Ok(paths)
}

pub(crate) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    move |source| StoreError::Io {
        path: path.to_owned(),
        source,
    }
}

fn damaged<T: std::fmt::Display>(path: &Path) -> impl Fn(T) -> StoreError + '_ {
    move |what| StoreError::Damaged {
        path: path.to_owned(),
        what: what.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}]}"#;

    fn key() -> Key {
        Key {
            id: KeyId([5; 16]),
            arn: "arn:aws:kms:us-east-1:111122223333:key/05050505-0505-0505-0505-050505050505".into(),
            material: Material::random().unwrap(),
            policy: KeyPolicy::parse(POLICY).unwrap(),
            description: "d".into(),
            created: UnixMs::new(5),
            state: State::PendingDeletion(UnixMs::new(9)),
        }
    }

    #[test]
    fn a_folder_keeps_keys_and_aliases() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        let put = store.put(key()).unwrap();
        store.set_alias("alias/a", Some(put.id)).unwrap();
        store.set_alias("alias/b", Some(put.id)).unwrap();
        store.set_alias("alias/b", None).unwrap();

        let again = Store::open(folder.path()).unwrap();
        let read = again.alias("alias/a").unwrap();
        assert_eq!(read.material.expose(), put.material.expose());
        assert_eq!(
            (&read.arn, &read.policy, read.state),
            (&put.arn, &put.policy, put.state)
        );
        assert!(again.alias("alias/b").is_none());
        assert_eq!(again.keys().count(), 1);

        let file = folder.path().join(format!("keys/{}.json", put.id));
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn damage_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        let id = store.put(key()).unwrap().id;
        let file = folder.path().join(format!("keys/{id}.json"));
        let good = std::fs::read_to_string(&file).unwrap();
        for bad in [
            String::new(),
            good.replace("PendingDeletion", "Gone"),
            good.replace("material\": \"", "material\": \"x"),
            good.replace("Statement", "Statements"),
        ] {
            std::fs::write(&file, bad).unwrap();
            let text = Store::open(folder.path()).unwrap_err().to_string();
            assert!(text.contains(&format!("{id}.json is damaged")), "{text}");
        }
    }
}
