//! The program as its users meet it: command line, HTTP, TLS, signals, bad input, and clients that others wrote.
//!
//! PostgreSQL and foreign clients must be there: `scripts/with-stores.sh scripts/with-clients.sh cargo test --package
//! web3signer-rs`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    reason = "helpers of tests: what cannot be done is a failed test"
)]

mod abuse;
mod cli;
mod foreign;
mod http;
mod keymanager;
mod secure;
mod sequences;
mod support;
mod tls;
