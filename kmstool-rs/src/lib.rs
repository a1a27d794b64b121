//! Attested AWS KMS client for Nitro Enclaves.
//!
//! A module uses only modules that are listed below it.

#![forbid(unsafe_code)]

mod ber;
pub mod envelope;
pub mod secret;
pub mod unwrap_key;

pub use ber::BerError;
