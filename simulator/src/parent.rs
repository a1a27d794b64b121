//! The services of the parent that every boot needs: the heartbeat and the boot report, in one thread.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
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

impl Parent {
    /// Serves both ports in `dir`, and writes what comes into `record`.
    ///
    /// # Errors
    /// [`BackendError`] when a socket or thread can not be made.
    pub fn start(dir: &Path, record: Arc<Record>) -> Result<Self, BackendError> {
        let heartbeat = listen_port(dir, HEARTBEAT_PORT)?;
        let report = listen_port(dir, BOOT_REPORT_PORT)?;
        let set_up = |e: rustix::io::Errno| BackendError::SetUp(e.into());
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(set_up)?;
        let stopped = stop.try_clone().map_err(BackendError::SetUp)?;
        let body = move || {
            if let Err(e) = serve(&heartbeat, &report, &stopped, &record) {
                record.wrong(format!("the parent's services failed: {e}"));
            }
        };
        let thread = thread::Builder::new()
            .name("parent".into())
            .spawn(body)
            .map_err(BackendError::SetUp)?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        // An event descriptor takes a number unless it is full, and then the thread ends as well.
        rustix::io::write(&self.stop, &1_u64.to_ne_bytes()).ok();
        self.thread.take().map(|thread| thread.join().ok());
    }
}

fn serve(heartbeat: &UnixListener, report: &UnixListener, stop: &OwnedFd, record: &Record) -> io::Result<()> {
    loop {
        let mut waiting = [heartbeat.as_fd(), report.as_fd(), stop.as_fd()]
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut waiting, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let [beats, reports, stops] = waiting.map(|fd| !fd.revents().is_empty());
        if stops {
            return Ok(());
        }
        if beats {
            match heartbeat::answer(&mut accept(heartbeat)?) {
                Ok(()) => record.pass(Milestone::Heartbeat),
                Err(e) => record.wrong(chain(&e)),
            }
        }
        if reports {
            match boot_report::read(&mut accept(report)?) {
                Ok(report) => record.fatal(report),
                Err(e) => record.wrong(chain(&e)),
            }
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
