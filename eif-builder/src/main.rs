//! The host program `eif-builder`: reads the command line and the machine, runs one command, reports.
#![forbid(unsafe_code)]

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::Parser as _;
use eif_builder::cli::Cli;
use eif_builder::commands::{self, Outcome};
use eif_builder::enter;
use eif_builder::host::Host;

fn main() -> ExitCode {
    // Started again by itself to enter a build root: nothing else may run in that process.
    if let Some(code) = enter::dispatch(std::env::args_os().skip(1)) {
        return code;
    }
    let cli = Cli::parse();
    let outcome = host().and_then(|host| commands::run(&cli.command, &host, &mut io::stdout().lock()));
    ExitCode::from(outcome.unwrap_or_else(|error| report(&error)) as u8)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
fn host() -> anyhow::Result<Host> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_secs();
    Ok(Host::new(
        std::env::current_exe()?,
        now,
        io::stderr().is_terminal(),
        |name| std::env::var_os(name),
    ))
}

#[expect(clippy::print_stderr, reason = "the one place where errors are shown")]
fn report(error: &anyhow::Error) -> Outcome {
    eprintln!("eif-builder: {}", commands::plain(&format!("{error:#}")));
    Outcome::of(error)
}
