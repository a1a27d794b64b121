//! A thousand ciphertexts of 2 KB through the simulated KMS: one `decrypt --batch` against one process for each, as the C
//! tool must be used; the time of the parts; memory.
//!
//! The product speaks vsock and has a security module. Here the same program runs as processes of this machine, over a Unix
//! socket and with a module made of software ([`module`]); nothing else of it is replaced. Run by `make bench`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

mod measure;
mod module;
mod parts;
mod pki;
mod tool;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

/// First argument of the processes that play the tool; a folder and the tool's own arguments follow.
const TOOL: &str = "tool";

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        None => measure::all().map(|()| ExitCode::SUCCESS),
        Some(word) if word == TOOL => {
            let folder = PathBuf::from(arguments.next().context("no folder")?);
            tool::tool(&folder, arguments.collect()).map(ExitCode::from)
        }
        Some(_) => bail!("usage: bench-kms; it takes no argument"),
    }
}
