//! The program `parent`: gives the real world to [`parent::run`] and exits with its code.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Parser;
use parent::cli::Cli;
use parent::config::ConfigError;
use parent::exit::Exit;
use parent::notify;
use parent::run::{Outside, run};

#[expect(clippy::disallowed_methods, reason = "here the program meets the world")]
#[expect(clippy::print_stderr, reason = "the last word of a program that failed")]
fn main() -> ExitCode {
    let variable = |name| std::env::var(name).ok();
    let outside = Outside {
        clock: Arc::new(SystemTime::now),
        log: Box::new(std::io::stderr()),
        out: Box::new(std::io::stdout()),
        notify_socket: std::env::var_os("NOTIFY_SOCKET"),
        alive: notify::interval(
            variable("WATCHDOG_USEC").as_deref(),
            variable("WATCHDOG_PID").as_deref(),
            std::process::id(),
        ),
    };
    let exit = run(Cli::parse(), outside).unwrap_or_else(|error| {
        eprintln!("parent: {error:#}");
        if error.is::<ConfigError>() {
            Exit::Usage
        } else {
            Exit::Failure
        }
    });
    ExitCode::from(exit as u8)
}
