//! From package names to verified bytes and unpacked archives, through the public interface.
//!
//! One program, so that what the tests share is compiled once: [`keys`], [`server`], [`archive`].
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test should stop where it fails"
)]

mod archive;
mod dpkg;
mod fetch;
mod frame;
mod hostile;
mod keys;
mod locking;
mod outside;
mod release;
mod server;
mod settings;
mod signature;
mod snapshot;
mod tls;
