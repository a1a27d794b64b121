//! Slashing protection through its public interface: every store against the interchange tests of EIP-3076, races, crashes,
//! and what is particular to each.
//!
//! DynamoDB (moto in its place) and PostgreSQL must run: `scripts/with-stores.sh cargo test --package web3signer-rs`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "helpers of tests: what cannot be done is a failed test"
)]

mod dynamodb;
mod front;
mod memory;
mod postgres;
mod race;
mod support;
mod vectors;
