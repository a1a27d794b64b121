//! What the key manager keeps in the folder of key configuration files: three files for each key, named by it.
//!
//! Each file appears whole or not at all, readable by its owner alone. The configuration file comes last, for it is what
//! makes the other two count; it goes first when the key is deleted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use keystore::PublicKey;

/// Only the owner reads and writes.
const MODE: u32 = 0o600;

/// Why files of the key manager could not be written or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct StoreError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl StoreError {
    fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// The three paths of one key.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) config: PathBuf,
    pub(super) keystore: PathBuf,
    pub(super) password: PathBuf,
}

impl Names {
    pub(super) fn of(key: &PublicKey, folder: &Path) -> Self {
        let name = |extension: &str| folder.join(format!("{key}.{extension}"));
        Self {
            config: name("yaml"),
            keystore: name("json"),
            password: name("password"),
        }
    }

    /// The configuration file first: without it the others count for nothing.
    fn all(&self) -> [&Path; 3] {
        [&self.config, &self.keystore, &self.password]
    }
}

/// Writes the three files, and waits until they are on the disk. On failure none of them is left.
///
/// `password` is normalized: no line end is in it, so it is the first line of its file.
pub(super) fn write(
    key: &PublicKey,
    folder: &Path,
    keystore: &[u8],
    password: &[u8],
) -> Result<Names, StoreError> {
    let names = Names::of(key, folder);
    let config = format!(
        "type: \"file-keystore\"\nkeyType: \"BLS\"\nkeystoreFile: \"{key}.json\"\nkeystorePasswordFile: \"{key}.password\"\n"
    );
    let outcome = write_whole(&names.password, password)
        .and_then(|()| write_whole(&names.keystore, keystore))
        .and_then(|()| write_whole(&names.config, config.as_bytes()))
        .and_then(|()| sync(folder));
    if let Err(error) = outcome {
        // The first fault is the one to tell. Without a configuration file, which was renamed last, whatever cannot be
        // removed either is without effect.
        for path in names.all() {
            drop(fs::remove_file(path));
        }
        return Err(error);
    }
    Ok(names)
}

/// Removes the three files, and waits until that is on the disk. Files that are not there are no fault.
pub(super) fn remove(names: &Names, folder: &Path) -> Result<(), StoreError> {
    for path in names.all() {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::at("remove", path)(error));
            }
            _ => {}
        }
    }
    sync(folder)
}

/// Under a hidden name first, then renamed over whatever is there.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(path.file_name().unwrap_or_default());
    hidden.push(".new");
    let new = path.with_file_name(hidden);
    // Left behind by a crash, perhaps with other rights.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::at("remove", &new)(error));
        }
        _ => {}
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(&new)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, path));
    written.map_err(|error| {
        // Best effort: the next attempt removes it too.
        drop(fs::remove_file(&new));
        StoreError::at("write", path)(error)
    })
}

fn sync(folder: &Path) -> Result<(), StoreError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(StoreError::at("sync", folder))
}
