//! The command `simulator`: reads the command line and the environment, and turns the outcome into an exit code.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use simulator::cli::{Cli, Command, Run};
use simulator::kms::cli::{Control, Serve};
use simulator::kms::clock::Clock;
use simulator::kms::command;
use simulator::{guard, run};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Launch { words } => Err(guard::become_child(&words).into()),
        Command::Run(run) => start(&run),
        Command::Kms(flags) => start_kms(&flags),
        Command::KmsControl(flags) => control_kms(&flags),
        Command::Completions(flags) => complete(flags),
        Command::Man(flags) => write_pages(&flags),
    };
    done.unwrap_or_else(|error| {
        report(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

fn start(flags: &Run) -> anyhow::Result<ExitCode> {
    if let Err(error) = run::check(flags) {
        report(&error.to_string());
        return Ok(ExitCode::from(2));
    }
    let stop = stop_flag()?;
    raise_descriptor_limit().context("cannot raise the limit of open files")?;
    let launcher = std::env::current_exe().context("cannot find this program")?;
    let path = std::env::var_os("PATH");
    let outcome = run::run(
        flags,
        path.as_deref(),
        &launcher,
        &std::env::temp_dir(),
        &stop,
        &mut std::io::stdout(),
    )?;
    Ok(ExitCode::from(outcome as u8))
}

fn start_kms(flags: &Serve) -> anyhow::Result<ExitCode> {
    if let Err(error) = command::check(flags) {
        report(&error.to_string());
        return Ok(ExitCode::from(2));
    }
    let stop = stop_flag()?;
    let clock = Clock::system();
    command::serve(flags, &std::env::temp_dir(), clock, &stop, &mut std::io::stdout())?;
    Ok(ExitCode::SUCCESS)
}

fn control_kms(flags: &Control) -> anyhow::Result<ExitCode> {
    if command::ask(flags, &mut std::io::stdout())?.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    report("there is no such fault, or --ms does not go with it: see `simulator kms-control fault --help`");
    Ok(ExitCode::from(2))
}

fn complete(flags: manual::Completions) -> anyhow::Result<ExitCode> {
    flags.write(Cli::command(), &mut std::io::stdout())?;
    Ok(ExitCode::SUCCESS)
}

fn write_pages(flags: &manual::Man) -> anyhow::Result<ExitCode> {
    let pages = flags.write(Cli::command());
    pages.with_context(|| format!("cannot write man pages to {}", flags.dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Set by Ctrl-C.
fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot handle signals")?;
    }
    Ok(stop)
}

/// Each connection takes a descriptor or more, and the usual soft limit is 1024.
fn raise_descriptor_limit() -> std::io::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

#[expect(clippy::print_stderr, reason = "the one place where errors are shown")]
fn report(text: &str) {
    eprintln!("simulator: {text}");
}
