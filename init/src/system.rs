//! Every operation of the operating system that PID 1 needs, as a trait, so that the boot and the supervision can be
//! tested call by call. [`crate::linux`] is the real one. No policy here: which path, which order and what a failure
//! means is decided by the callers.

use core::fmt;
use std::io;
use std::time::Duration;

use nsm::Nsm;
use nsm::entropy::Pool;
use rustix::mount::MountFlags;
use services::Stdio;

/// Error number of a system call; 0 when the failure has none (a wrong length, a bad answer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub u16);

impl Errno {
    /// "No such file or directory".
    pub const NOT_FOUND: Self = Self(2);
    /// "Protocol error": the other side did not keep to its part.
    pub const PROTOCOL: Self = Self(71);
    /// A failure without a number.
    pub const NONE: Self = Self(0);
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        Self(
            error
                .raw_os_error()
                .and_then(|raw| raw.try_into().ok())
                .unwrap_or(0),
        )
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(error: rustix::io::Errno) -> Self {
        Self(error.raw_os_error().try_into().unwrap_or(0))
    }
}

impl From<nix::errno::Errno> for Errno {
    fn from(error: nix::errno::Errno) -> Self {
        Self::from(io::Error::from(error))
    }
}

/// Result of an operation.
pub type Result<T> = core::result::Result<T, Errno>;

/// A file system to mount.
#[derive(Clone, Copy, Debug)]
pub struct Mount<'a> {
    /// Mount point.
    pub target: &'a str,
    /// File system type; also used as the source, which a pseudo file system ignores.
    pub kind: &'a str,
    /// Mount flags.
    pub flags: MountFlags,
    /// Options of the file system.
    pub options: &'a str,
}

/// Number of a process.
pub type Pid = u32;

/// A signal that PID 1 sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
    /// SIGHUP.
    Hup,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exit:{status}"),
            Self::Signaled(signal) => write!(f, "signal:{signal}"),
        }
    }
}

/// What differs between the processes that [`System::spawn`] starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spawn {
    /// The service's number in the table.
    pub index: usize,
    /// Give it a new request socket (the one before is closed).
    pub channel: bool,
    /// Where its descriptors 1 and 2 go.
    pub stdio: Stdio,
}

/// The operations, in the order in which a boot uses them first. Paths are absolute unless a method says otherwise.
///
/// # Errors
/// Every method that can fail returns the error number of the call that failed.
#[expect(
    clippy::missing_errors_doc,
    reason = "all methods fail alike, said at the trait"
)]
pub trait System {
    /// Milliseconds since the kernel started, time asleep included.
    fn uptime_ms(&self) -> u64;
    /// Writes one line to the console, as well as it goes.
    fn console(&mut self, line: &str);

    /// Sets both limits of core dumps to 0 for this process and all that it starts.
    fn forbid_core_dumps(&mut self) -> Result<()>;
    /// Ctrl-Alt-Del no longer restarts the machine (it becomes a SIGINT for PID 1, which ignores it).
    fn ignore_ctrl_alt_del(&mut self) -> Result<()>;
    /// Makes a directory with mode 0755; one that exists is left as it is.
    fn make_dir(&mut self, path: &str) -> Result<()>;
    /// Mounts a file system.
    fn mount(&mut self, mount: &Mount<'_>) -> Result<()>;
    /// Makes a symbolic link at `path`.
    fn link(&mut self, path: &str, target: &str) -> Result<()>;
    /// Makes the console descriptors 1 and 2, and `/dev/null` descriptor 0.
    fn open_console(&mut self) -> Result<()>;
    /// Writes a kernel setting.
    fn write_setting(&mut self, path: &str, value: &str) -> Result<()>;
    /// Reads a file of at most `max` bytes; a longer one is an error.
    fn read_file(&mut self, path: &str, max: usize) -> Result<Vec<u8>>;
    /// Makes the file anew with mode 0644 and this content, in one step for its readers.
    fn replace_file(&mut self, path: &str, content: &str) -> Result<()>;
    /// Appends to an existing file.
    fn append_file(&mut self, path: &str, content: &str) -> Result<()>;
    /// Loads a kernel module.
    fn load_module(&mut self, path: &str) -> Result<()>;
    /// Removes a file.
    fn remove_file(&mut self, path: &str) -> Result<()>;

    /// Opens the NSM.
    fn open_nsm(&mut self) -> Result<Box<dyn Nsm>>;
    /// Opens the kernel's random pool.
    fn open_pool(&mut self) -> Result<Box<dyn Pool>>;
    /// Brings the loopback interface up.
    fn loopback_up(&mut self) -> Result<()>;
    /// Connects to the parent's `port`, sends one byte, reads one byte, closes. Every step is bounded in time.
    fn exchange_byte(&mut self, port: u32, byte: u8) -> Result<u8>;
    /// Connects to the parent's `port`, sends `message` and waits, bounded, until the parent has closed.
    fn tell(&mut self, port: u32, message: &[u8]) -> Result<()>;
    /// Sleeps.
    fn sleep(&mut self, time: Duration);

    /// Mounts the directory on itself.
    fn bind(&mut self, path: &str) -> Result<()>;
    /// Moves a mount. `from` may be relative.
    fn move_mount(&mut self, from: &str, to: &str) -> Result<()>;
    /// Sets the flags of an existing mount (not of its file system).
    fn remount_bind(&mut self, path: &str, flags: MountFlags) -> Result<()>;
    /// Changes the working directory.
    fn change_dir(&mut self, path: &str) -> Result<()>;
    /// Changes the root to a directory, which may be relative.
    fn change_root(&mut self, path: &str) -> Result<()>;
    /// Sets owner and mode of a file.
    fn set_access(&mut self, path: &str, uid: u32, gid: u32, mode: u32) -> Result<()>;

    /// How far the KVM host's clock is ahead of the wall clock, nanoseconds. `None` when there is no such clock.
    fn clock_offset_ns(&mut self) -> Result<Option<i64>>;
    /// Sets the wall clock forward (or back, when negative) by this many nanoseconds.
    fn step_clock(&mut self, offset_ns: i64) -> Result<()>;

    /// From now on the end of a child ends a [`Self::wait`].
    fn watch_children(&mut self) -> Result<()>;
    /// Makes a pipe at `path` that `gid` may read, for the output of the service with this number. It is kept open at both ends:
    /// a reader that comes and goes loses nothing that was written meanwhile, up to the pipe's size.
    fn make_pipe(&mut self, index: usize, path: &str, gid: u32) -> Result<()>;
    /// Starts `/init exec index` as the leader of a new process group and returns its process number.
    fn spawn(&mut self, spawn: Spawn) -> Result<Pid>;
    /// Sends a signal to all processes of the process group that a spawned process leads.
    /// The group outlives its leader when the leader left others behind.
    fn signal_group(&mut self, leader: Pid, signal: Signal) -> Result<()>;
    /// Waits until a child ended, a request came, or the time is over; may return early.
    fn wait(&mut self, timeout: Option<Duration>) -> Result<()>;
    /// Takes one child that ended, `None` when there is none.
    fn reap(&mut self) -> Result<Option<(Pid, Status)>>;
    /// The next byte from the request socket, `None` when there is none (or no socket).
    fn read_request(&mut self) -> Option<u8>;
    /// Answers a request; an agent that does not read loses it.
    fn answer_request(&mut self, byte: u8);

    /// Ends the machine. It returns only when the kernel refuses.
    fn power_off(&mut self);
}
