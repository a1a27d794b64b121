//! The simulated KMS over real TLS connections: what it answers, what it refuses, and in which words.
//!
//! The client here is made of `rustls` and `aws-sigv4`, so signatures are verified against AWS's own signer; envelopes are
//! opened by the `openssl` command.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption should fail the test"
)]

mod client;
mod setup;

mod attestation;
mod command;
mod connections;
mod faults;
mod operations;
mod policies;
mod signatures;
mod signed;
