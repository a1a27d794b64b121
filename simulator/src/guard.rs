//! A child process that never outlives us: not when we return, panic, or are killed with SIGKILL.
//!
//! The kernel can send a process a signal when its parent ends (`PR_SET_PDEATHSIG`), but only the child itself may
//! ask for it. So the child is first a launcher, a program that calls [`become_child`] (the `simulator` binary is
//! one), which asks, checks that its parent is still there, and then becomes the real program.
//!
//! The kernel means the parent *thread*, so a thread of its own starts the child and waits for it.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use thiserror::Error;

/// First argument of a launcher; then come the parent's process number, the program and its arguments.
pub const LAUNCH: &str = "launch-child";

/// What went wrong with a child.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GuardError {
    /// It could not be started.
    #[error("cannot start {launcher}")]
    Start {
        /// The launcher.
        launcher: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// It could not be ended, or its end not be waited for.
    #[error("cannot end the child process")]
    End(#[source] io::Error),
    /// The thread that waits for it panicked.
    #[error("the thread of the child process panicked")]
    Panicked,
}

/// A running child. Dropping it kills it and waits for its end.
#[derive(Debug)]
pub struct Guard {
    pidfd: OwnedFd,
    thread: Option<JoinHandle<io::Result<ExitStatus>>>,
}

/// What a child says.
#[derive(Debug)]
pub struct Output {
    /// Its standard output.
    pub stdout: ChildStdout,
    /// Its standard error.
    pub stderr: ChildStderr,
}

impl Guard {
    /// Starts `words` (a program and its arguments) through `launcher`, in a process group of its own, so that
    /// a Ctrl-C on the terminal is left to us.
    ///
    /// # Errors
    /// [`GuardError::Start`].
    pub fn start(launcher: &Path, words: &[OsString]) -> Result<(Self, Output), GuardError> {
        let mut command = Command::new(launcher);
        command
            .arg(LAUNCH)
            .arg(std::process::id().to_string())
            .args(words)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let failed = |source| GuardError::Start {
            launcher: launcher.to_owned(),
            source,
        };
        let (send, started) = mpsc::channel();
        let body = move || keep(command, &send);
        let thread = thread::Builder::new()
            .name("child".into())
            .spawn(body)
            .map_err(failed)?;
        let Ok((pidfd, output)) = started.recv() else {
            return Err(match thread.join() {
                Ok(Err(source)) => failed(source),
                Ok(Ok(_)) | Err(_) => GuardError::Panicked,
            });
        };
        Ok((
            Self {
                pidfd,
                thread: Some(thread),
            },
            output,
        ))
    }

    /// Something that can end this child later, and never another process.
    ///
    /// # Errors
    /// [`GuardError::End`] when descriptors are lacking.
    pub fn killer(&self) -> Result<Killer, GuardError> {
        self.pidfd.try_clone().map(Killer).map_err(GuardError::End)
    }

    /// Whether it has ended by itself.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Kills it, unless it has ended, and says how it ended.
    ///
    /// # Errors
    /// [`GuardError::End`].
    pub fn end(mut self) -> Result<ExitStatus, GuardError> {
        self.kill().and_then(|status| status.ok_or(GuardError::Panicked))
    }

    fn kill(&mut self) -> Result<Option<ExitStatus>, GuardError> {
        let Some(thread) = self.thread.take() else {
            return Ok(None);
        };
        kill(&self.pidfd)?;
        let status = thread.join().map_err(|_| GuardError::Panicked)?;
        status.map(Some).map_err(GuardError::End)
    }
}

/// Ends one child, see [`Guard::killer`].
#[derive(Debug)]
pub struct Killer(OwnedFd);

impl Killer {
    /// Kills the child, unless it has ended.
    ///
    /// # Errors
    /// [`GuardError::End`].
    pub fn kill(&self) -> Result<(), GuardError> {
        kill(&self.0)
    }
}

fn kill(pidfd: &OwnedFd) -> Result<(), GuardError> {
    match rustix::process::pidfd_send_signal(pidfd.as_fd(), Signal::KILL) {
        // It has ended already.
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(e) => Err(GuardError::End(e.into())),
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Whoever wants to know calls `end`.
        self.kill().ok();
    }
}

/// Starts the child, hands out its descriptors, waits for its end. The child must not outlive this thread.
fn keep(mut command: Command, send: &Sender<(OwnedFd, Output)>) -> io::Result<ExitStatus> {
    let mut child = command.spawn()?;
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(io::ErrorKind::InvalidData)?;
    match (
        rustix::process::pidfd_open(pid, PidfdFlags::empty()),
        child.stdout.take(),
        child.stderr.take(),
    ) {
        (Ok(pidfd), Some(stdout), Some(stderr)) => {
            // The receiver waits for exactly this.
            send.send((pidfd, Output { stdout, stderr })).ok();
            child.wait()
        }
        (pidfd, ..) => {
            child.kill()?;
            child.wait()?;
            Err(pidfd
                .err()
                .map_or_else(|| io::ErrorKind::BrokenPipe.into(), io::Error::from))
        }
    }
}

/// What a launcher does: ties this process to its parent, then becomes the program. `words` are the launcher's
/// arguments after [`LAUNCH`]. Returns only when that failed.
#[must_use]
pub fn become_child(words: &[OsString]) -> io::Error {
    let [parent, program, arguments @ ..] = words else {
        return io::ErrorKind::InvalidInput.into();
    };
    let parent = parent
        .to_str()
        .and_then(|p| p.parse().ok())
        .and_then(Pid::from_raw);
    if let Err(e) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        return e.into();
    }
    // It may have ended before the line above.
    if parent.is_none() || rustix::process::getppid() != parent {
        return io::Error::other("the parent process has ended");
    }
    Command::new(program).args(arguments).exec()
}
