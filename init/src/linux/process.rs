//! Child processes: starting, signalling, waiting for and reaping them, and the agent's request socket.
//!
//! SIGCHLD is blocked and read from a signalfd. Children inherit the mask; [`crate::child`] takes it off.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::WaitOptions;

use crate::system::{Errno, Pid, Result, Signal, Spawn, Status};

/// The running executable, wherever the root is now. See [`crate::boot`].
const SELF: &str = "/proc/self/exe";
/// What a child finds as its argument 0 until it becomes its service.
const ARG0: &str = "/init";

/// What PID 1 holds for its children.
#[derive(Debug, Default)]
pub(super) struct Children {
    signals: Option<SignalFd>,
    channel: Option<OwnedFd>,
    /// By the number of the service: the end that it writes to, and the one that keeps the pipe alive.
    outputs: BTreeMap<usize, (OwnedFd, OwnedFd)>,
}

/// Mode of a pipe for a service's output; its owner is root.
const PIPE_MODE: u32 = 0o640;
/// What a pipe holds while its reader is started again, bytes. A kernel that gives less is no error.
const PIPE_BYTES: usize = 1024 * 1024;

impl Children {
    pub(super) fn watch(&mut self) -> Result<()> {
        let mut mask = SigSet::empty();
        mask.add(nix::sys::signal::Signal::SIGCHLD);
        mask.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        self.signals = Some(SignalFd::with_flags(&mask, flags)?);
        Ok(())
    }

    pub(super) fn make_pipe(&mut self, index: usize, path: &str, gid: u32) -> Result<()> {
        let mode = Mode::from_raw_mode(PIPE_MODE);
        rustix::fs::mknodat(CWD, path, FileType::Fifo, mode, 0)?;
        std::os::unix::fs::chown(path, Some(0), Some(gid))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(PIPE_MODE))?;
        // Open for both, so that it neither waits for a reader nor ends without a writer.
        let kept = rustix::fs::open(
            path,
            OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        // The service's own end blocks: few programs can do with less. It waits only while the agent is being started again.
        let output = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        let _as_large_as_it_goes = rustix::pipe::fcntl_setpipe_size(&kept, PIPE_BYTES);
        self.outputs.insert(index, (output, kept));
        Ok(())
    }

    pub(super) fn spawn(&mut self, spawn: Spawn) -> Result<Pid> {
        let mut command = Command::new(SELF);
        command
            .arg0(ARG0)
            .arg("exec")
            .arg(spawn.index.to_string())
            .env_clear()
            .process_group(0);
        if spawn.stdio == services::Stdio::Null {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        if spawn.stdio == services::Stdio::Log {
            let (output, _) = self.outputs.get(&spawn.index).ok_or(Errno::NOT_FOUND)?;
            command.stdout(output.try_clone()?).stderr(output.try_clone()?);
        }
        let mut channel = None;
        if spawn.channel {
            let (ours, theirs) = rustix::net::socketpair(
                AddressFamily::UNIX,
                SocketType::STREAM,
                SocketFlags::CLOEXEC,
                None,
            )?;
            command.stdin(theirs);
            channel = Some(ours);
        } else {
            command.stdin(Stdio::null());
        }
        let child = command.spawn()?;
        if spawn.channel {
            self.channel = channel;
        }
        Ok(child.id())
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        let timeout = timeout
            .map(Timespec::try_from)
            .transpose()
            .map_err(|_| Errno::NONE)?;
        let fds = self
            .signals
            .iter()
            .map(AsFd::as_fd)
            .chain(self.channel.iter().map(AsFd::as_fd));
        let mut fds: Vec<_> = fds
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if let Some(signals) = &self.signals {
            while signals.read_signal()?.is_some() {}
        }
        Ok(())
    }

    pub(super) fn read_request(&mut self) -> Option<u8> {
        let mut byte = [0];
        let received = rustix::net::recv(self.channel.as_ref()?, &mut byte[..], RecvFlags::DONTWAIT);
        match received {
            Ok((1, _)) => {
                let [byte] = byte;
                Some(byte)
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => None,
            // The agent has closed its end; it gets a new socket when it is started again.
            Ok(_) | Err(_) => {
                self.channel = None;
                None
            }
        }
    }

    pub(super) fn answer_request(&mut self, byte: u8) {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        if self
            .channel
            .as_ref()
            .is_some_and(|channel| rustix::net::send(channel, &[byte], flags).is_err())
        {
            self.channel = None;
        }
    }
}

pub(super) fn signal_group(leader: Pid, signal: Signal) -> Result<()> {
    // Group 1 would mean "every process" to kill(2).
    let leader = leader.try_into().ok().and_then(rustix::process::Pid::from_raw);
    let leader = leader.filter(|pid| !pid.is_init()).ok_or(Errno::NONE)?;
    let signal = match signal {
        Signal::Term => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
        Signal::Hup => rustix::process::Signal::HUP,
    };
    Ok(rustix::process::kill_process_group(leader, signal)?)
}

pub(super) fn reap() -> Result<Option<(Pid, Status)>> {
    let (pid, status) = match rustix::process::wait(WaitOptions::NOHANG) {
        Ok(Some(ended)) => ended,
        Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let status = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Status::Exited(code),
        (None, signal) => Status::Signaled(signal.unwrap_or(0)),
    };
    Ok(Some((pid.as_raw_nonzero().get().unsigned_abs(), status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_does_not_exist_cannot_be_signalled() {
        // No process has a number above 2^22 (`PID_MAX_LIMIT`).
        assert_eq!(signal_group(1 << 30, Signal::Term), Err(Errno(3)));
        for none in [0, 1, Pid::MAX] {
            assert_eq!(signal_group(none, Signal::Kill), Err(Errno::NONE));
        }
    }

    #[test]
    fn without_a_channel_there_is_no_request() {
        let mut children = Children::default();
        children.answer_request(1);
        assert_eq!(children.read_request(), None);
    }

    #[test]
    fn a_pipe_outlives_its_reader_and_its_writer() {
        use std::io::{Read, Write};

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signer");
        let mut children = Children::default();
        // Only root may give it away; a test is not always root.
        match children.make_pipe(3, path.to_str().unwrap(), 0) {
            Ok(()) => {}
            Err(errno) => {
                assert_eq!(errno, Errno(1));
                return;
            }
        }
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            PIPE_MODE
        );
        let write = |text: &str| {
            let (output, _) = children.outputs.get(&3).unwrap();
            std::fs::File::from(output.try_clone().unwrap())
                .write_all(text.as_bytes())
                .unwrap();
        };
        write("before anybody reads\n");
        for expected in ["before anybody reads\n", "once more\n"] {
            let mut reader = std::fs::File::open(&path).unwrap();
            let mut bytes = vec![0; expected.len()];
            reader.read_exact(&mut bytes).unwrap();
            assert_eq!(bytes, expected.as_bytes());
            drop(reader);
            write("once more\n");
        }
        assert_eq!(
            children.make_pipe(3, path.to_str().unwrap(), 0),
            Err(Errno(17)),
            "it exists"
        );
    }

    #[test]
    fn requests_are_read_byte_by_byte_until_the_agent_closes() {
        let flags = SocketFlags::CLOEXEC;
        let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let (ours, theirs) = pair.unwrap();
        let mut children = Children {
            channel: Some(ours),
            ..Children::default()
        };
        assert_eq!(children.read_request(), None);
        assert_eq!(rustix::net::send(&theirs, &[5, 42], SendFlags::empty()), Ok(2));
        assert_eq!(
            [children.read_request(), children.read_request()],
            [Some(5), Some(42)]
        );
        children.answer_request(7);
        let mut answer = [0; 2];
        let (received, _) = rustix::net::recv(&theirs, &mut answer[..], RecvFlags::empty()).unwrap();
        assert_eq!(answer.get(..received), Some(&[7][..]));
        drop(theirs);
        assert_eq!(children.read_request(), None);
        assert!(children.channel.is_none());
    }
}
