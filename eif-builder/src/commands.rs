//! The commands: each turns its arguments into one call of a step, and the outcome into text and an exit code.

mod assemble;
mod attest;
mod audit;
mod build;
mod describe;
mod diff;
mod doctor;
mod extract;
mod lock;
mod manual;
mod policy;
mod report;
mod sbom;
mod sign;
mod verify;

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context as _;

use crate::cli::{AttestCommand, Command, StoreArgs};
use crate::fetch::FetchError;
use crate::fetch::progress::{Bar, Lines, Progress};
use crate::host::Host;
use crate::store::Store;

/// How a command ended. The numbers are the exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A check failed.
    Refused = 3,
    /// A locked input could not be had.
    Absent = 4,
}

impl Outcome {
    /// The exit code of an error: [`Outcome::Absent`] when an input could not be fetched and nobody gave it, else [`Outcome::Failed`].
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        let absent = error.chain().any(|cause| {
            matches!(
                cause.downcast_ref(),
                Some(FetchError::Failed(_) | FetchError::Offline(_))
            )
        });
        if absent { Self::Absent } else { Self::Failed }
    }
}

/// Runs a command; what it has to say goes to `out`.
///
/// # Errors
/// Whatever failed, with the step it failed in; the exit code is then [`Outcome::of`] it.
pub fn run(command: &Command, host: &Host, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    match command {
        Command::Build(args) => build::build(args, host, out),
        Command::Recipe(args) => build::recipe(args, host, out),
        Command::Describe(args) => describe::run(args, out),
        Command::Diff(args) => diff::run(args, out),
        Command::Extract(args) => extract::run(args, out),
        Command::Lock(args) => lock::run(args, host, out),
        Command::Report(args) => report::run(args, out),
        Command::Sbom(args) => sbom::run(args, host, out),
        Command::Assemble(args) => assemble::run(args, host, out),
        Command::Sign(args) => sign::run(args, host, out),
        Command::Verify(args) => audit::run(args, host, out),
        Command::Policy(args) => policy::run(args, out),
        Command::Attest(AttestCommand::Verify(args)) => attest::verify(args, host, out),
        Command::Attest(AttestCommand::Show(args)) => attest::show(args, out),
        Command::Doctor(args) => doctor::run(args, host, out),
        Command::Completions(args) => manual::completions(*args, out),
        Command::Man(args) => manual::man(args, out),
    }
}

/// `text` without anything that a terminal obeys: an error may quote what a stranger wrote.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        if character.is_control() && !matches!(character, '\n' | '\t') {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Opens the store that the arguments or the machine name.
fn open_store(args: &StoreArgs, host: &Host) -> anyhow::Result<Store> {
    let path = args.store.as_ref().or(host.store.as_ref());
    let path =
        path.context("no place for the store is known: give --store, or set HOME or XDG_CACHE_HOME")?;
    Store::open(path).context("cannot use the store")
}

/// Whoever is told about long work: a bar on a terminal, plain lines elsewhere.
fn progress(host: &Host) -> Box<dyn Progress> {
    if host.terminal {
        Box::new(Bar::new())
    } else {
        Box::new(Lines::new(io::stderr()))
    }
}

/// Reads a file of at most `limit` bytes.
fn read_limited(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    use std::io::Read as _;
    let name = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(name)?;
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .with_context(name)?;
    anyhow::ensure!(
        bytes.len() as u64 <= limit,
        "{} has more than {limit} bytes",
        path.display()
    );
    Ok(bytes)
}

/// Writes a file whole or not at all: beside its place first, then renamed.
fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = || format!("cannot write {}", path.display());
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let written = std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, path));
    if written.is_err() {
        drop(std::fs::remove_file(&partial));
    }
    written.with_context(name)
}

/// One register a line, as people compare them.
fn print_pcrs(measurements: &eif::Measurements, out: &mut dyn Write) -> io::Result<()> {
    let named = [
        ("PCR0", measurements.pcr0),
        ("PCR1", measurements.pcr1),
        ("PCR2", measurements.pcr2),
    ];
    for (name, pcr) in named
        .into_iter()
        .chain(measurements.pcr8.map(|pcr| ("PCR8", pcr)))
    {
        writeln!(out, "{name} {pcr}")?;
    }
    Ok(())
}
