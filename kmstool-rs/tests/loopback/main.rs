//! The client and the program against a KMS on the loopback.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed assumption should fail the test"
)]

mod cli;
mod client;
mod endpoints;
mod faults;
mod setup;
mod support;
