//! The services of the parent that every boot needs: the heartbeat and the boot report, in one thread.
//!
//! What an enclave said before its end waits in a socket; `Settler` makes sure that it is in the record before
//! the end is.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use abi::vsock::{BOOT_REPORT_PORT, HEARTBEAT_PORT};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use crate::record::{Milestone, Record};
use crate::vsock::backend::{BackendError, listen_port};
use crate::{boot_report, heartbeat};

/// How long an enclave may take for one of these short messages.
const MESSAGE_TIME: Duration = Duration::from_secs(10);

/// The running services. Dropping them ends them.
#[derive(Debug)]
pub struct Parent {
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

/// Waits once until everything that an enclave has sent is in the record.
#[derive(Debug)]
pub(crate) struct Settler {
    ask: OwnedFd,
    done: Receiver<()>,
}

impl Settler {
    pub(crate) fn wait(self) {
        signal(&self.ask);
        // An error means that the services have ended, and no more will come.
        self.done.recv_timeout(MESSAGE_TIME).ok();
    }
}

/// An event descriptor takes a number unless it is full, and then whoever waits for it wakes as well.
fn signal(event: &OwnedFd) {
    rustix::io::write(event, &1_u64.to_ne_bytes()).ok();
}

/// What the thread waits for.
struct Services {
    heartbeat: UnixListener,
    report: UnixListener,
    stop: OwnedFd,
    settle: OwnedFd,
    settled: Sender<()>,
}

impl Parent {
    /// Serves both ports in `dir`, and writes what comes into `record`.
    ///
    /// # Errors
    /// [`BackendError`] when a socket or thread can not be made.
    pub(crate) fn start(dir: &Path, record: Arc<Record>) -> Result<(Self, Settler), BackendError> {
        let heartbeat = listen_port(dir, HEARTBEAT_PORT)?;
        let report = listen_port(dir, BOOT_REPORT_PORT)?;
        let set_up = |e: rustix::io::Errno| BackendError::SetUp(e.into());
        let event = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(set_up);
        let (stop, settle) = (event()?, event()?);
        let (send, settled) = mpsc::channel();
        let services = Services {
            heartbeat,
            report,
            stop: stop.try_clone().map_err(BackendError::SetUp)?,
            settle: settle.try_clone().map_err(BackendError::SetUp)?,
            settled: send,
        };
        let body = move || {
            if let Err(e) = serve(&services, &record) {
                record.wrong(format!("the parent's services failed: {e}"));
            }
        };
        let thread = thread::Builder::new()
            .name("parent".into())
            .spawn(body)
            .map_err(BackendError::SetUp)?;
        let settler = Settler {
            ask: settle,
            done: settled,
        };
        Ok((
            Self {
                stop,
                thread: Some(thread),
            },
            settler,
        ))
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        signal(&self.stop);
        self.thread.take().map(|thread| thread.join().ok());
    }
}

fn serve(services: &Services, record: &Record) -> io::Result<()> {
    let Services {
        heartbeat, report, ..
    } = services;
    loop {
        let mut waiting = [
            heartbeat.as_fd(),
            report.as_fd(),
            services.settle.as_fd(),
            services.stop.as_fd(),
        ]
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut waiting, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let [beats, reports, settles, stops] = waiting.map(|fd| !fd.revents().is_empty());
        if beats {
            let beat = || record.pass(Milestone::Heartbeat);
            if let Err(e) = heartbeat::answer(&mut accept(heartbeat)?, beat) {
                record.wrong(chain(&e));
            }
        }
        if reports {
            match boot_report::read(&mut accept(report)?) {
                Ok(report) => record.fatal(report),
                Err(e) => record.wrong(chain(&e)),
            }
        }
        // What waits is taken first.
        if beats || reports {
            continue;
        }
        if settles {
            rustix::io::read(&services.settle, &mut [0; 8])?;
            services.settled.send(()).ok();
        }
        if stops {
            return Ok(());
        }
    }
}

fn accept(listener: &UnixListener) -> io::Result<UnixStream> {
    let (stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(MESSAGE_TIME))?;
    Ok(stream)
}

fn chain(error: &dyn std::error::Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
