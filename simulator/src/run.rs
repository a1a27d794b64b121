//! `simulator run`: boots an image, shows what happens, ends with the enclave or with Ctrl-C.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;

use crate::cli::Run;
use crate::emulator::Emulator;
use crate::enclave::{Config, Enclave};
use crate::forward::{Target, check_loopback};
use crate::record::{Milestone, News, Record};
use crate::show::Show;

/// How long the loop sleeps when there is no news; a Ctrl-C is seen after that at the latest.
const LOOK: Duration = Duration::from_millis(100);

/// How a run ended, as the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The enclave ended by itself, or on request.
    Clean = 0,
    /// The enclave did not boot.
    NotBooted = 3,
}

/// Refuses addresses that the flags do not permit.
///
/// # Errors
/// [`crate::forward::ForwardError::NotLoopback`], a wrong usage.
pub fn check(run: &Run) -> Result<(), crate::forward::ForwardError> {
    let to = run.forward.iter().filter_map(|forward| match forward.target {
        Target::Tcp(address) => Some(address),
        Target::Unix(_) => None,
    });
    let mut addresses = to.chain(run.listen.iter().map(|listen| listen.address));
    if run.allow_non_loopback {
        Ok(())
    } else {
        addresses.try_for_each(check_loopback)
    }
}

/// Runs the image until it ends or `stop` is set, and writes to `out` what happens. `path` is the value of `PATH`,
/// `launcher` this program.
///
/// # Errors
/// Whatever is a failure of the simulator and not of the image.
pub fn run(
    run: &Run,
    path: Option<&OsStr>,
    launcher: &Path,
    temporary: &Path,
    stop: &Arc<AtomicBool>,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let emulator = Emulator::find(run.emulator.as_deref(), path)?;
    let private = match &run.dir {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new()
                .prefix("enclave-")
                .tempdir_in(temporary)?,
        ),
    };
    let dir = run
        .dir
        .as_deref()
        .or_else(|| private.as_ref().map(tempfile::TempDir::path))
        .context("no folder")?;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut config = Config::new(run.image.clone(), emulator, launcher.to_owned(), dir.to_owned())?;
    config.memory_mib = run.memory.unwrap_or(config.memory_mib);
    config.cpus = run.cpus.unwrap_or(config.cpus);
    config.cid = run.cid;
    let limit = run.timeout.unwrap_or(config.heartbeat_time);

    let mut show = Show::new(run.json, out);
    show.note(&format!("sockets are in {}", dir.display()))?;
    for forward in &run.forward {
        forward.start(dir)?;
    }
    let mut attempt = 1;
    loop {
        let enclave = Enclave::spawn(&config)?;
        if attempt == 1 {
            for listen in &run.listen {
                let bound = listen.start(&dir.join(crate::vsock::backend::HOST_SOCKET))?;
                show.note(&format!("{bound} leads to port {} of the enclave", listen.port))?;
            }
        }
        let booted = follow(enclave.record(), limit, stop, &mut show)?;
        let (record, failure) = (
            Arc::clone(enclave.record()),
            enclave.boot_error(Milestone::Heartbeat, limit),
        );
        let (ended, vsock) = enclave.stop()?;
        let failure = failure.complete(&record);
        if !booted && record.nsm_race() && attempt < config.attempts && !stop.load(Ordering::Relaxed) {
            attempt += 1;
            show.note(&format!(
                "QEMU's NSM device lost a request (a known race); attempt {attempt}"
            ))?;
            continue;
        }
        show.note(&format!("emulator: {ended}; vsock: {vsock:?}"))?;
        if booted || stop.load(Ordering::Relaxed) {
            return Ok(Outcome::Clean);
        }
        show.failure(&failure)?;
        return Ok(Outcome::NotBooted);
    }
}

/// Shows the news until the enclave ends, fails to boot, or `stop` is set. Returns whether it had booted.
fn follow(record: &Record, limit: Duration, stop: &AtomicBool, show: &mut Show<'_>) -> io::Result<bool> {
    let mut next = 0;
    loop {
        let (news, after) = record.news(next, LOOK);
        next = after;
        for (at, news) in &news {
            show.news(*at, news)?;
        }
        let booted = record.passed(Milestone::Heartbeat).is_some();
        let over = news.iter().any(|(_, n)| *n == News::Passed(Milestone::Ended));
        let failed = !booted && (record.wrong_text().is_some() || record.age() > limit);
        // An NSM that hangs will not come back.
        if over || failed || (record.nsm_race() && !booted) || stop.load(Ordering::Relaxed) {
            return Ok(booted && record.fatal_report().is_none());
        }
    }
}
