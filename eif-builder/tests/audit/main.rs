//! What an auditor calls: verify, sign, diff, extract, policy lint. Images are made by the library, or by hand where it
//! refuses to; `hostile` runs the program itself on input that nobody should have to trust.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step is a failed test"
)]

mod archives;
mod diff;
mod extract;
mod hostile;
mod keys;
mod legible;
mod lint;
mod sign;
mod support;
mod verify;
