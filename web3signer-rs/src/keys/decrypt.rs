//! From a definition or a keystore file to a key. Key derivations wait for their share of the memory.

use std::path::Path;

use keystore::{
    DecryptError, Keystore, Limits, MAX_KEYSTORE_LEN, ParseError, Password, PasswordError, SecretKey,
    SecretKeyError,
};
use zeroize::Zeroizing;

use super::document::Definition;
use super::entry::{LoadedKey, Origin};
use super::file::{self, FileError, Stamp};
use super::pool::MemoryGate;

/// The largest file that may hold a password.
const MAX_PASSWORD_FILE_LEN: u64 = 64 * 1024;

/// Why there is no key. Never with a secret in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The private key is none.
    #[error("privateKey is no BLS key")]
    PrivateKey(#[from] SecretKeyError),
    /// The keystore was refused.
    #[error("the keystore was refused")]
    Keystore(#[from] ParseError),
    /// The password was refused.
    #[error("the password was refused")]
    Password(#[from] PasswordError),
    /// The keystore does not open.
    #[error("the keystore does not open")]
    Decrypt(#[from] DecryptError),
}

/// What key derivations may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kitchen<'a> {
    pub(super) gate: &'a MemoryGate,
    pub(super) limits: &'a Limits,
}

/// How a password stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PasswordForm {
    /// The first line, as for `file-keystore` entries.
    FirstLine,
    /// All of it, as for folders of keystores.
    WholeFile,
}

/// A key, and the stamps of the files that it came from.
pub(super) struct Made {
    pub(super) key: LoadedKey,
    pub(super) stamps: Vec<Stamp>,
}

/// The key that a document of a configuration file asks for.
pub(super) fn define(definition: &Definition, kitchen: Kitchen<'_>) -> Result<Made, KeyError> {
    match definition {
        Definition::Raw(bytes) => {
            let secret = SecretKey::from_bytes(bytes)?;
            let public_key = secret.public_key();
            Ok(Made {
                key: LoadedKey::new(secret, public_key, Origin::RawConfig),
                stamps: Vec::new(),
            })
        }
        Definition::Keystore { keystore, password } => {
            let (password, stamp) = read_password(password, PasswordForm::FirstLine)?;
            let mut made = open_file(keystore, &password, Origin::KeystoreConfig, kitchen)?;
            made.stamps.push(stamp);
            Ok(made)
        }
    }
}

/// The key in a keystore file.
pub(super) fn open_file(
    path: &Path,
    password: &Password,
    origin: Origin,
    kitchen: Kitchen<'_>,
) -> Result<Made, KeyError> {
    // A keystore cannot be longer than fits; usize to u64 loses nothing.
    let (json, stamp) = file::read(path, u64::try_from(MAX_KEYSTORE_LEN).unwrap_or(u64::MAX))?;
    let keystore = Keystore::parse_within(&json, kitchen.limits)?;
    Ok(Made {
        key: open(&keystore, password, origin, kitchen)?,
        stamps: vec![stamp],
    })
}

/// The key in a keystore.
pub(super) fn open(
    keystore: &Keystore,
    password: &Password,
    origin: Origin,
    kitchen: Kitchen<'_>,
) -> Result<LoadedKey, DecryptError> {
    let share = kitchen.gate.take(keystore.kdf().memory_bytes());
    let secret = keystore.decrypt(password)?;
    drop(share);
    Ok(LoadedKey::new(secret, *keystore.public_key(), origin).with_derivation_path(keystore.path()))
}

/// A password from its file.
pub(super) fn read_password(path: &Path, form: PasswordForm) -> Result<(Password, Stamp), KeyError> {
    let (bytes, stamp) = file::read(path, MAX_PASSWORD_FILE_LEN)?;
    Ok((password(&bytes, form)?, stamp))
}

fn password(bytes: &Zeroizing<Vec<u8>>, form: PasswordForm) -> Result<Password, PasswordError> {
    let text = match form {
        PasswordForm::WholeFile => bytes.as_slice(),
        PasswordForm::FirstLine => bytes
            .split(|byte| matches!(byte, b'\n' | b'\r'))
            .next()
            .unwrap_or_default(),
    };
    Password::from_utf8(text)
}
