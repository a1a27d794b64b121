//! The registry of keys over real folders: one test program, for each would link everything again.
#![expect(clippy::unwrap_used, reason = "a step that fails is a failed test")]

mod cases;
mod manager;
mod reload;
mod sources;
mod support;
