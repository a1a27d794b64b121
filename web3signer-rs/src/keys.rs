//! The keys that this signer holds: where they come from, how they are loaded, and who finds them.
//!
//! It knows nothing of HTTP, of slashing protection or of who may use a key. It blocks (files, key derivations), so an
//! async caller runs [`Keys::load`], [`Keys::open_import`], [`Keys::import`] and [`Keys::delete`] on a thread for
//! blocking work. Looking keys up ([`Keys::find`], [`Keys::snapshot`]) never waits for any of those.
//!
//! - [`Keys`]: the registry; load, reload, look up, import, delete
//! - [`Snapshot`]: what is loaded at one moment; [`LoadedKey`]: one key; [`Origin`]: where it came from
//! - [`Settings`]: folders, limits, threads
//! - [`LoadReport`]: what a load found; [`Changes`]: what it will change, for whoever must know before
//! - [`check_config_file`]: a configuration file without the load
//! - [`lock_memory`]: keeps secrets out of swap
//!
//! Source: Web3Signer's key configuration files and bulk loading, release 26.4.2; EIP-2335.

mod registry;

mod import;
mod load;

mod bulk;
mod config_file;
mod store;

mod decrypt;
mod document;
mod entry;
mod file;
mod memory;
mod pool;
mod report;
mod settings;
mod snapshot;

pub use config_file::{ConfigFileError, check_config_file};
pub use decrypt::KeyError;
pub use document::DocumentError;
pub use entry::{LoadedKey, Origin};
pub use file::FileError;
pub use import::{DeleteError, DeleteOutcome, ImportError, ImportOutcome, Opened, PendingImport};
pub use memory::{MemoryError, lock_memory};
pub use registry::Keys;
pub use report::{Changes, Counts, Duplicate, LoadReport, Problem, Progress, SourceCount, SourceError};
pub use settings::{Bulk, BulkPasswords, ConfigFolder, Effort, ImportStorage, Settings};
pub use snapshot::Snapshot;
pub use store::StoreError;
