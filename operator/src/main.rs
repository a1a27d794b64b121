//! The program `nitro-operator`: gives the real world to [`operator::run`] and exits with its code.
#![forbid(unsafe_code)]

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser as _;
use operator::cli::Cli;
use operator::exit::Exit;
use operator::machine;
use operator::run::{Outside, run};

#[expect(clippy::print_stderr, reason = "the last word of a program that failed")]
fn main() -> ExitCode {
    let cli = Cli::parse();
    let exit = machine::refuse_enclave_hosts(Path::new("/"))
        .map_err(anyhow::Error::from)
        .and_then(|()| {
            machine::keep_memory_private()?;
            run(cli, outside()?)
        });
    let exit = exit.unwrap_or_else(|error| {
        eprintln!("nitro-operator: {error:#}");
        Exit::of(&error)
    });
    ExitCode::from(exit as u8)
}

#[expect(clippy::disallowed_methods, reason = "here the program meets the clock")]
fn outside() -> anyhow::Result<Outside> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(Outside {
        now_unix_s: now,
        out: Box::new(io::stdout()),
        notes: Box::new(io::stderr()),
        terminal: io::stderr().is_terminal(),
    })
}
