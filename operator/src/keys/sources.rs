//! What is in the files and folders that a person names: keystores, deposit data, and things that are neither.
//!
//! Nothing is decrypted here. A folder is not entered further; its files are taken in order of their names. Of a folder, a
//! JSON object with a member `crypto`, or a file that is named `keystore*.json`, must be a keystore; `deposit_data*.json` is
//! the deposit data of staking-deposit-cli; everything else is left alone and named. A file that is named itself must be a
//! keystore.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::text::PublicKey;
use keystore::{Keystore, MAX_KEYSTORE_LEN, ParseError};
use serde_json::Value;

/// Most files of one folder.
const MAX_FILES: usize = 65_536;
/// Longest file of deposit data, bytes: about a kilobyte for each validator.
const MAX_DEPOSIT_BYTES: usize = 32 * 1024 * 1024;

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It cannot be read.
    #[error("cannot read {path}", path = .path.display())]
    Read {
        /// File or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A folder with too many files.
    #[error("{path} has more than {MAX_FILES} files", path = .path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
    /// It should be a keystore and is none.
    #[error("{path} is not a keystore", path = .path.display())]
    Keystore {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ParseError,
    },
    /// The same key twice. Which of the two would be written is nobody's guess to make.
    #[error("{path} has the key of {other}", path = .path.display(), other = .other.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The one before it.
        other: PathBuf,
    },
    /// Deposit data that cannot be read.
    #[error("{path} is not the deposit data of staking-deposit-cli", path = .path.display())]
    Deposit {
        /// The file.
        path: PathBuf,
    },
    /// A key that was made for another network.
    #[error("{path}: its deposit data are for network {found:?}, the config is for {expected}", path = .path.display())]
    Network {
        /// The keystore.
        path: PathBuf,
        /// What the deposit data say.
        found: String,
        /// The config's.
        expected: String,
    },
}

/// A keystore, parsed but not opened.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its file.
    pub path: PathBuf,
    /// Its text, as it is.
    pub json: Vec<u8>,
    /// Its content.
    pub keystore: Keystore,
    /// Its key.
    pub pubkey: PublicKey,
    /// Its entry of the deposit data: base64 of JSON.
    pub deposit_b64: Option<String>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Sources {
    /// Keystores, in the order of the paths and names.
    pub keystores: Vec<Source>,
    /// Files that should be used and cannot.
    pub bad: Vec<SourceError>,
    /// Files that are something else.
    pub ignored: Vec<PathBuf>,
}

struct Deposit {
    network: Option<String>,
    b64: String,
}

/// Looks through files and folders. `network` is the config's, which deposit data must be for.
#[must_use]
pub fn scan(paths: &[PathBuf], network: &str) -> Sources {
    let mut sources = Sources::default();
    let mut deposits = BTreeMap::new();
    for path in paths {
        if path.is_dir() {
            match files(path) {
                Ok(files) => files
                    .iter()
                    .for_each(|file| from_folder(file, &mut sources, &mut deposits)),
                Err(error) => sources.bad.push(error),
            }
        } else {
            match read(path, MAX_KEYSTORE_LEN) {
                Ok(json) => keystore(path, json, &mut sources),
                Err(error) => sources.bad.push(error),
            }
        }
    }
    join(&mut sources, &deposits, network);
    sources
}

/// Leaves each key once, and adds its deposit data.
fn join(sources: &mut Sources, deposits: &BTreeMap<String, Deposit>, network: &str) {
    let mut seen: BTreeMap<PublicKey, PathBuf> = BTreeMap::new();
    let mut good = Vec::new();
    for mut source in std::mem::take(&mut sources.keystores) {
        if let Some(other) = seen.get(&source.pubkey) {
            let (path, other) = (source.path, other.clone());
            sources.bad.push(SourceError::Duplicate { path, other });
            continue;
        }
        seen.insert(source.pubkey.clone(), source.path.clone());
        if let Some(deposit) = deposits.get(source.pubkey.as_str()) {
            if let Some(found) = deposit.network.as_ref().filter(|found| *found != network) {
                sources.bad.push(SourceError::Network {
                    path: source.path,
                    found: found.chars().filter(|c| !c.is_control()).take(32).collect(),
                    expected: network.to_owned(),
                });
                continue;
            }
            source.deposit_b64 = Some(deposit.b64.clone());
        }
        good.push(source);
    }
    sources.keystores = good;
}

fn from_folder(path: &Path, sources: &mut Sources, deposits: &mut BTreeMap<String, Deposit>) {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let kind = path.extension().and_then(|kind| kind.to_str());
    if kind != Some("json") || path.is_dir() {
        // Passwords are looked for by the name of their keystore.
        if kind != Some("txt") {
            sources.ignored.push(path.to_owned());
        }
        return;
    }
    if name.starts_with("deposit_data") {
        match read(path, MAX_DEPOSIT_BYTES).and_then(|json| deposit_data(path, &json)) {
            Ok(found) => deposits.extend(found),
            Err(error) => sources.bad.push(error),
        }
        return;
    }
    let named = name.starts_with("keystore");
    match read(path, MAX_KEYSTORE_LEN) {
        Ok(json) => {
            let value = serde_json::from_slice::<Value>(&json).ok();
            if named || value.is_some_and(|value| value.get("crypto").is_some()) {
                keystore(path, json, sources);
            } else {
                sources.ignored.push(path.to_owned());
            }
        }
        Err(error) => sources.bad.push(error),
    }
}

fn keystore(path: &Path, json: Vec<u8>, sources: &mut Sources) {
    let parsed = Keystore::parse(&json);
    // The text form is the same in both crates; a key that was parsed always has it.
    let pubkey = parsed
        .as_ref()
        .ok()
        .and_then(|keystore| keystore.public_key().to_string().parse().ok());
    match (parsed, pubkey) {
        (Ok(keystore), Some(pubkey)) => sources.keystores.push(Source {
            path: path.to_owned(),
            json,
            keystore,
            pubkey,
            deposit_b64: None,
        }),
        (Err(source), _) => sources.bad.push(SourceError::Keystore {
            path: path.to_owned(),
            source,
        }),
        (Ok(_), None) => sources.ignored.push(path.to_owned()),
    }
}

fn deposit_data(path: &Path, json: &[u8]) -> Result<BTreeMap<String, Deposit>, SourceError> {
    let wrong = || SourceError::Deposit {
        path: path.to_owned(),
    };
    let Ok(Value::Array(entries)) = serde_json::from_slice(json) else {
        return Err(wrong());
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let key = entry
            .get("pubkey")
            .and_then(Value::as_str)
            .and_then(|key| key.parse::<PublicKey>().ok());
        let deposit = Deposit {
            network: entry
                .get("network_name")
                .and_then(Value::as_str)
                .map(str::to_owned),
            b64: STANDARD.encode(entry.to_string()),
        };
        found.insert(key.ok_or_else(wrong)?.to_string(), deposit);
    }
    Ok(found)
}

#[expect(clippy::disallowed_methods, reason = "sorted below")]
fn files(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let failed = |source| SourceError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        files.push(entry.map_err(failed)?.path());
        if files.len() > MAX_FILES {
            return Err(SourceError::TooMany {
                path: folder.to_owned(),
            });
        }
    }
    files.sort();
    Ok(files)
}

/// At most one byte more than `limit`: the parser then says that it is too long.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, SourceError> {
    let failed = |source| SourceError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}
