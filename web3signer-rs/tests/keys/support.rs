//! A folder of key files for one test, and the registry over it.

use std::convert::Infallible;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystore::{Description, Kdf, Keystore, Password, Randomness, SecretKey};
use tempfile::TempDir;
use web3signer_rs::keys::{
    Bulk, BulkPasswords, ConfigFolder, Effort, ImportStorage, Keys, LoadReport, LoadedKey, Settings,
};

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        fs::create_dir(folder.path("keys")).unwrap();
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn remove(&self, name: &str) -> &Self {
        fs::remove_file(self.path(name)).unwrap();
        self
    }

    /// A keystore with the password `pass`, under a cheap derivation.
    pub(crate) fn keystore(&self, name: &str, number: u8) -> &Self {
        self.write(name, keystore(number))
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            config: ConfigFolder {
                path: self.path("keys"),
                max_file_bytes: ConfigFolder::DEFAULT_MAX_FILE_BYTES,
            },
            bulk: None,
            import: ImportStorage::ConfigFolder,
            effort: Effort::with_threads(NonZeroUsize::new(2).unwrap()),
        }
    }

    pub(crate) fn with_bulk(&self, passwords: Option<BulkPasswords>) -> Settings {
        Settings {
            bulk: Some(Bulk {
                keystores: self.path("bulk"),
                passwords,
            }),
            ..self.settings()
        }
    }

    pub(crate) fn keys(&self) -> Keys {
        Keys::new(self.settings())
    }
}

/// The secret key with one number in every byte; all below the group order for numbers below 0x73.
pub(crate) fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32]).unwrap()
}

pub(crate) fn name(number: u8) -> String {
    secret(number).public_key().to_string()
}

pub(crate) fn raw(number: u8) -> String {
    format!(
        "type: file-raw\nprivateKey: \"0x{}\"\n",
        hex::encode([number; 32])
    )
}

pub(crate) fn keystore(number: u8) -> String {
    keystore_with(number, "pass")
}

pub(crate) fn keystore_with(number: u8, password: &str) -> String {
    let random = Randomness {
        salt: [number; 32],
        iv: [number; 16],
        uuid: [number; 16],
    };
    let description = Description {
        path: "m/12381/3600/0/0/0",
        description: None,
    };
    let password = Password::new(password).unwrap();
    Keystore::encrypt(&secret(number), &password, Kdf::DANGER_WEAK, &random, description)
        .unwrap()
        .to_json()
}

pub(crate) fn load(keys: &Keys) -> LoadReport {
    let Ok(report) = keys.load::<Infallible>(&|_| (), |_| Ok(()));
    report
}

/// The names of all loaded keys, in the order of the registry.
pub(crate) fn names(keys: &Keys) -> Vec<String> {
    keys.snapshot()
        .iter()
        .map(|key| key.public_key().to_string())
        .collect()
}

/// The names of the given keys, sorted.
pub(crate) fn sorted(numbers: &[u8]) -> Vec<String> {
    let mut names: Vec<_> = numbers.iter().map(|number| name(*number)).collect();
    names.sort();
    names
}

pub(crate) fn key(keys: &Keys, number: u8) -> Arc<LoadedKey> {
    keys.find(&name(number)).unwrap()
}

/// The text of every problem, one a line.
pub(crate) fn problems(report: &LoadReport) -> String {
    report.problems.iter().fold(String::new(), |text, problem| {
        text + &format!(
            "{problem}
"
        )
    })
}

pub(crate) fn exists(path: &Path) -> bool {
    path.try_exists().unwrap()
}
