//! One enclave: the emulator, its vsock and the parent's services, from start to end.
//!
//! ```text
//! Config -> Enclave::spawn -> running  (the kernel boots; milestones come)
//!        -> Enclave::boot  -> answered heartbeat, or an error; tries again where the emulator was at fault
//! ```

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use abi::boot::FatalReport;
use thiserror::Error;

use crate::emulator::Emulator;
use crate::guard::{Guard, GuardError, Killer, Output};
use crate::heartbeat;
use crate::image::{ImageError, Wanted};
use crate::parent::{Parent, Settler};
use crate::qemu::Machine;
use crate::record::{Milestone, Record};
use crate::vsock::backend::{Backend, BackendError, listen_port};
use crate::vsock::muxer::Limits;
use crate::vsock::stats::Stats;

/// How long the emulator may live on after its guest's kernel.
const STOP_TIME: Duration = Duration::from_secs(8);

const HOUR: Duration = Duration::from_hours(1);

/// Longest console line, in bytes; a longer one is cut into several.
const MAX_LINE: u64 = 4096;

/// How an enclave is to be started.
#[derive(Clone, Debug)]
pub struct Config {
    /// The EIF.
    pub image: PathBuf,
    /// The emulator.
    pub emulator: Emulator,
    /// A program that calls [`crate::guard::become_child`]; the `simulator` binary is one.
    pub launcher: PathBuf,
    /// Folder for the sockets, private to this enclave; it must exist.
    pub dir: PathBuf,
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// Number of processors.
    pub cpus: u32,
    /// The enclave's context id, 4 or more.
    pub cid: u32,
    /// How long [`Enclave::boot`] waits for the heartbeat; at first as long as nitro-cli.
    pub heartbeat_time: Duration,
    /// How often [`Enclave::boot`] tries when the emulator's NSM device loses a request.
    pub attempts: u32,
    /// Of the vsock.
    pub limits: Limits,
}

impl Config {
    /// The machine that the image asks for, with the published guidance's context id.
    ///
    /// # Errors
    /// [`ImageError`] when the image is none.
    pub fn new(
        image: PathBuf,
        emulator: Emulator,
        launcher: PathBuf,
        dir: PathBuf,
    ) -> Result<Self, ImageError> {
        let wanted = Wanted::of(&image)?;
        Ok(Self {
            image,
            emulator,
            launcher,
            dir,
            memory_mib: wanted.memory_mib,
            cpus: wanted.cpus,
            cid: abi::vsock::ENCLAVE_CID,
            heartbeat_time: heartbeat::wait(wanted.bytes, wanted.memory_mib),
            attempts: 3,
            limits: Limits::default(),
        })
    }
}

/// Why an enclave did not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EnclaveError {
    /// The vsock or a service of the parent failed.
    #[error("the enclave's vsock failed")]
    Vsock(#[from] BackendError),
    /// The emulator could not be started or ended.
    #[error("the emulator failed")]
    Emulator(#[from] GuardError),
    /// A thread could not be made.
    #[error("cannot watch the emulator's output")]
    Watch(#[source] io::Error),
    /// The enclave ended, or broke the boot contract, or took too long.
    #[error("boot failed after {last}{}", describe(.report.as_ref(), .said))]
    Boot {
        /// The last milestone that was passed.
        last: Milestone,
        /// What the enclave reported.
        report: Option<FatalReport>,
        /// What else is known.
        said: String,
    },
    /// Nothing of the guest listens on that port, or it does not answer.
    #[error("cannot connect to port {port} of the enclave")]
    Connect {
        /// The port.
        port: u32,
        /// What the socket says.
        source: io::Error,
    },
}

fn describe(report: Option<&FatalReport>, said: &str) -> String {
    let reported = report.map_or_else(String::new, |r| {
        format!(
            ": PID 1 reports {} in stage {} (errno {}, detail {})",
            r.code, r.stage, r.errno, r.detail
        )
    });
    if said.is_empty() {
        reported
    } else {
        format!("{reported}: {said}")
    }
}

impl EnclaveError {
    /// The same error with all that is known after the enclave's end: its console and its report come by other ways
    /// than what made the wait end, and may come later.
    #[must_use]
    pub fn complete(self, record: &Record) -> Self {
        match self {
            Self::Boot { said, .. } => Self::Boot {
                last: last(record),
                report: record.fatal_report(),
                said,
            },
            other => other,
        }
    }
}

/// The last milestone of the boot.
fn last(record: &Record) -> Milestone {
    let milestones = record.milestones();
    let mut booting = milestones.iter().map(|(m, _)| *m);
    booting
        .rfind(|m| !matches!(m, Milestone::Stopped | Milestone::Ended))
        .unwrap_or(Milestone::Spawned)
}

/// A running enclave. Dropping it ends it.
#[derive(Debug)]
pub struct Enclave {
    record: Arc<Record>,
    dir: PathBuf,
    // In the order in which they end.
    guard: Guard,
    readers: Vec<JoinHandle<()>>,
    parent: Parent,
    backend: Backend,
}

impl Enclave {
    /// Starts the emulator and returns at once.
    ///
    /// # Errors
    /// [`EnclaveError`] when something can not be started.
    pub fn spawn(config: &Config) -> Result<Self, EnclaveError> {
        let record = Arc::new(Record::default());
        let backend = Backend::start(&config.dir, config.cid, config.limits)?;
        let (parent, settler) = Parent::start(&config.dir, Arc::clone(&record))?;
        let machine = Machine {
            image: config.image.clone(),
            vsock: backend.device_socket(),
            memory_mib: config.memory_mib,
            cpus: config.cpus,
            id: format!("simulator-enc{}", config.cid),
        };
        let words = config.emulator.command(machine.arguments());
        let (guard, output) = Guard::start(&config.launcher, &words)?;
        record.pass(Milestone::Spawned);
        let readers = watch(output, &record, guard.killer()?, settler).map_err(EnclaveError::Watch)?;
        Ok(Self {
            record,
            dir: config.dir.clone(),
            guard,
            readers,
            parent,
            backend,
        })
    }

    /// Starts the emulator and waits for the heartbeat, as `nitro-cli run-enclave` does.
    ///
    /// When the emulator's NSM device has lost a request (see [`Record::nsm_race`]), the enclave is started again,
    /// [`Config::attempts`] times in all; `say` is told so.
    ///
    /// # Errors
    /// [`EnclaveError::Boot`] names how far it came and why it ended, others when something can not be started.
    pub fn boot(config: &Config, mut say: impl FnMut(&str)) -> Result<Self, EnclaveError> {
        let limit = config.heartbeat_time;
        let mut attempt = 1;
        loop {
            let enclave = Self::spawn(config)?;
            let Err(error) = enclave.wait_for(Milestone::Heartbeat, limit) else {
                return Ok(enclave);
            };
            let record = Arc::clone(&enclave.record);
            enclave.stop()?;
            if !record.nsm_race() || attempt >= config.attempts {
                return Err(error.complete(&record));
            }
            attempt += 1;
            say(&format!(
                "the emulator's NSM device lost a request (a known race of QEMU); attempt {attempt} of {}",
                config.attempts
            ));
        }
    }

    /// Waits until a milestone is passed and returns its time since the start.
    ///
    /// # Errors
    /// [`EnclaveError::Boot`] when the enclave ended, broke the boot contract, or `limit` was over.
    pub fn wait_for(&self, milestone: Milestone, limit: Duration) -> Result<Duration, EnclaveError> {
        self.record
            .wait_for(milestone, limit)
            .ok_or_else(|| self.boot_error(milestone, limit))
    }

    /// What is known of it.
    #[must_use]
    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// Counts of its vsock.
    #[must_use]
    pub fn vsock_stats(&self) -> Stats {
        self.backend.stats()
    }

    /// Connects to a port of the enclave.
    ///
    /// # Errors
    /// [`EnclaveError::Connect`] when nobody listens there (`UnexpectedEof`), or the enclave does not answer in time.
    pub fn connect(&self, port: u32) -> Result<UnixStream, EnclaveError> {
        connect(&self.backend.host_socket(), port).map_err(|source| EnclaveError::Connect { port, source })
    }

    /// Listens for the enclave's connections to a port of the parent.
    ///
    /// # Errors
    /// [`EnclaveError::Vsock`].
    pub fn listen(&self, port: u32) -> Result<UnixListener, EnclaveError> {
        Ok(listen_port(&self.dir, port)?)
    }

    /// Whether the emulator has ended by itself.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.guard.has_ended()
    }

    /// Ends it, and says how the emulator ended and what its vsock has seen.
    ///
    /// # Errors
    /// [`EnclaveError`] for whatever could not be cleaned up.
    pub fn stop(self) -> Result<(ExitStatus, Stats), EnclaveError> {
        let Self {
            guard,
            readers,
            parent,
            backend,
            ..
        } = self;
        let ended = guard.end();
        // They end with the emulator's output; a panic of theirs would be a panic of `Record`.
        for reader in readers {
            drop(reader.join());
        }
        drop(parent);
        let stopped = backend.stop();
        Ok((ended?, stopped?))
    }

    /// What [`Enclave::boot`] or [`Enclave::wait_for`] would say if the wait for `awaited` ended now.
    #[must_use]
    pub fn boot_error(&self, awaited: Milestone, limit: Duration) -> EnclaveError {
        let said = match self.record.wrong_text() {
            Some(text) => text,
            None if self.record.passed(Milestone::Ended).is_some() => "the emulator has ended".into(),
            None => format!("{awaited} did not come within {} s", limit.as_secs()),
        };
        EnclaveError::Boot {
            last: last(&self.record),
            report: self.record.fatal_report(),
            said,
        }
    }
}

/// Says the line of [`crate::vsock::hello`] on `socket` and reads the answer.
///
/// # Errors
/// `UnexpectedEof` when nobody listens on `port`, `InvalidData` for another answer, else what the socket says.
pub fn connect(socket: &Path, port: u32) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    writeln!(stream, "CONNECT {port}")?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the line is the caller's.
    while answer.last() != Some(&b'\n') && answer.len() < crate::vsock::hello::MAX_LINE {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.extend(byte);
    }
    if answer.starts_with(b"OK ") {
        Ok(stream)
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Reads the emulator's output into the record until it ends, which it does soon after its guest's kernel.
fn watch(
    output: Output,
    record: &Arc<Record>,
    killer: Killer,
    settler: Settler,
) -> io::Result<Vec<JoinHandle<()>>> {
    let (console, emulator) = (Arc::clone(record), Arc::clone(record));
    let mut readers = Vec::new();
    let stopping = Arc::clone(record);
    let body = move || {
        // Nothing before the end of the enclave ends this wait.
        while !stopping.wait_stopped(HOUR) {}
        if stopping.wait_for(Milestone::Ended, STOP_TIME).is_none() && killer.kill().is_ok() {
            stopping.emulator("the machine has stopped but its emulator has not ended: killed");
        }
    };
    readers.push(thread::Builder::new().name("stopping".into()).spawn(body)?);
    let stderr = thread::Builder::new().name("emulator".into());
    let body = move || lines(output.stderr, |line| emulator.emulator(line));
    let stderr = stderr.spawn(body)?;
    let stdout = thread::Builder::new().name("console".into());
    readers.push(stdout.spawn(move || {
        lines(output.stdout, |line| console.console(line));
        // The other stream ends with the same process; what it said must be known when the end is.
        stderr.join().ok();
        settler.wait();
        console.pass(Milestone::Ended);
    })?);
    Ok(readers)
}

fn lines(from: impl Read, mut each: impl FnMut(&str)) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    // An error here is the end of the stream, as good as any.
    while matches!(from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line), Ok(n) if n > 0) {
        each(&String::from_utf8_lossy(&line));
        line.clear();
    }
}
