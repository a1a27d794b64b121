//! `provision` against the simulated KMS and a simulated security module, without an enclave: every kind of job, every fault, and
//! the real signer on the files that come out.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a failed assumption should fail the test"
)]

mod faults;
mod filter;
mod scale;
mod signer;
mod story;
mod world;
