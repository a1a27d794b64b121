//! Where keys come from and what loading them may cost. Plain values; nothing is read here.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use keystore::Limits;

/// Everything that the registry must be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `--key-config-path`.
    pub config: ConfigFolder,
    /// `--keystores-path` and its passwords, if given.
    pub bulk: Option<Bulk>,
    /// Where the key manager puts imported keys.
    pub import: ImportStorage,
    /// Threads and memory.
    pub effort: Effort,
}

/// A folder of key configuration files.
#[derive(Debug, Clone)]
pub struct ConfigFolder {
    /// The folder. Not read recursively.
    pub path: PathBuf,
    /// `--key-store-config-file-max-size` in bytes, for each file.
    pub max_file_bytes: u64,
}

impl ConfigFolder {
    /// Web3Signer's default of `--key-store-config-file-max-size`: 100 MiB.
    pub const DEFAULT_MAX_FILE_BYTES: u64 = 104_857_600;
}

/// A folder of keystores.
#[derive(Debug, Clone)]
pub struct Bulk {
    /// `--keystores-path`: every `*.json` in it is a keystore. Not read recursively.
    pub keystores: PathBuf,
    /// The passwords. `None` (neither flag given) loads nothing and counts as one error, as upstream has it.
    pub passwords: Option<BulkPasswords>,
}

/// Where the passwords of a folder of keystores are. The whole file is the password; control codes do not count.
#[derive(Debug, Clone)]
pub enum BulkPasswords {
    /// `--keystores-passwords-path`: `<name>.txt` for `<name>.json`.
    Folder(PathBuf),
    /// `--keystores-password-file`: one for all.
    File(PathBuf),
}

/// What becomes of a key that the key manager imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportStorage {
    /// `<pubkey>.yaml`, `.json` and `.password` in the folder of key configuration files.
    ConfigFolder,
    /// Nothing is written (`--Xkey-manager-skip-keystore-storage`): the key is gone when the process ends. It survives a
    /// reload.
    MemoryOnly,
}

/// What loading may use.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Threads that parse, derive and decrypt.
    pub threads: NonZeroUsize,
    /// Memory in bytes that all key derivations running at once may hold together. A single one that needs more than
    /// all of it still runs, alone; [`Effort::limits`] bounds that one.
    pub kdf_memory_bytes: u64,
    /// What one keystore may cost.
    pub limits: Limits,
}

impl Effort {
    /// Two standard scrypts at once.
    pub const DEFAULT_KDF_MEMORY_BYTES: u64 = 2 * (256 << 20) + (1 << 20);

    /// The given number of threads, and the default bounds.
    #[must_use]
    pub fn with_threads(threads: NonZeroUsize) -> Self {
        Self {
            threads,
            kdf_memory_bytes: Self::DEFAULT_KDF_MEMORY_BYTES,
            limits: Limits::default(),
        }
    }
}
