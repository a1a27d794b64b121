//! Attested AWS KMS client for Nitro Enclaves.
//!
//! Layers, each using only those after it: the program ([`cli`], [`batch`], [`output`]); the client ([`client`]); the recipient key and its document ([`recipient`]); the
//! way to KMS ([`vsock`], [`tls`], [`transport`]); operations and replies ([`ops`], [`request`], [`reply`], [`key_id`],
//! [`service_error`]); the
//! envelope that replies come in ([`envelope`], [`unwrap_key`]); rules without I/O ([`outage`], [`retry`], [`clock`], [`sign`],
//! [`endpoint`], [`credentials`], [`secret`]).

#![forbid(unsafe_code)]

pub mod batch;
mod ber;
pub mod cli;
pub mod client;
pub mod clock;
pub mod credentials;
pub mod endpoint;
pub mod envelope;
pub mod key_id;
pub mod ops;
pub mod outage;
pub mod output;
pub mod recipient;
pub mod reply;
pub mod request;
pub mod retry;
pub mod secret;
pub mod service_error;
pub mod sign;
pub mod tls;
pub mod transport;
pub mod unwrap_key;
pub mod vsock;

pub use ber::BerError;
