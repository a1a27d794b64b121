//! The host program `eif-builder`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    eif_builder::enter::dispatch(std::env::args_os().skip(1)).unwrap_or_else(|| ExitCode::from(2))
}
