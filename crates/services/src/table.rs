//! The types of the service table. Data only: [`crate::rules`] says which values are allowed.
//!
//! Whatever has no order of its own is kept in a sorted map or set, so that one table has one encoding.
//! A service's place in [`Table::services`] is its number: the `N` of `/init exec N`.

use std::collections::{BTreeMap, BTreeSet};

/// Everything that PID 1 is told about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Group that may open `/dev/nsm` (mode 0660, owner root).
    pub nsm_gid: u32,
    /// First port that a process without capabilities may bind, in `0..=1024`.
    pub ip_unprivileged_port_start: u16,
    /// Where the wall clock comes from.
    pub clock: Clock,
    /// Memory file systems by mount point, mounted in the order of their paths, so parents come first.
    pub mounts: BTreeMap<Vec<u8>, TmpfsMount>,
    /// The services in the order in which those of [`Start::Boot`] are started.
    pub services: Vec<Service>,
}

/// Where the wall clock comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Whatever the kernel found at boot; PID 1 never sets it.
    None,
    /// `/dev/ptp0`, the clock of the KVM host. An absent device is reported and is no error.
    PtpKvm {
        /// Seconds between two readings, 1 or more. The first reading is at boot.
        period_s: u32,
        /// The clock is set only when it is off by more than this many milliseconds.
        step_over_ms: u32,
    },
}

/// One memory file system; always mounted nosuid and nodev.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TmpfsMount {
    /// Size limit in bytes, more than 0.
    pub size_bytes: u64,
    /// Mode of its root, at most 0o1777.
    pub mode: u16,
    /// Owner of its root.
    pub uid: u32,
    /// Group of its root.
    pub gid: u32,
    /// Nothing on it can be executed.
    pub noexec: bool,
}

/// One program that PID 1 can start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// 1 to 32 bytes of `[a-z0-9-]`, starting with a letter; unique in the table.
    pub name: String,
    /// Arguments, the first of which is also the absolute path of the program. No NUL.
    pub argv: Vec<Vec<u8>>,
    /// The whole environment. Names are not empty and have no `=`; no NUL.
    pub env: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Absolute path of the working directory.
    pub cwd: Vec<u8>,
    /// User, never root.
    pub uid: u32,
    /// Group, never root's.
    pub gid: u32,
    /// Supplementary groups, never root's.
    pub groups: BTreeSet<u32>,
    /// Capabilities that are kept (bit n = capability n of `linux/capability.h`). Normally 0.
    pub capabilities: u64,
    /// Resource limits; resources that are not named keep PID 1's limits.
    pub rlimits: BTreeMap<Resource, Limit>,
    /// File mode creation mask, at most 0o777.
    pub umask: u16,
    /// When it is started.
    pub start: Start,
    /// Whether it is expected to end.
    pub kind: Kind,
    /// Milliseconds between SIGTERM and SIGKILL when it is stopped.
    pub grace_ms: u32,
    /// `-1000..=1000`, as `/proc/self/oom_score_adj`.
    pub oom_score_adj: i16,
    /// Gets the request socket to PID 1 as descriptor 0. At most one service of a table.
    pub channel: bool,
    /// Where descriptors 1 and 2 go; descriptor 0 is `/dev/null`, or the request socket.
    pub stdio: Stdio,
    /// The system call filter, loaded just before exec: it must allow `execve` and, for the default SIGPIPE, `rt_sigaction`.
    pub seccomp: Seccomp,
}

/// When a service is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// By PID 1 at the end of the boot.
    Boot,
    /// When the agent asks for it.
    OnRequest,
}

/// Whether a service is expected to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Runs for ever; started again when it ends, whatever its status.
    Daemon(Restart),
    /// Runs to its end and is not started again by itself. With [`Start::Boot`] a failure is fatal.
    OneShot,
}

/// How a daemon that ended is started again.
///
/// The first restart waits `backoff_initial_ms`, each further one twice as long up to `backoff_max_ms`;
/// a run of at least `window_ms` sets the wait back. More than `max_restarts` within `window_ms` are a crash loop,
/// which is fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// First wait, milliseconds.
    pub backoff_initial_ms: u32,
    /// Longest wait, milliseconds, not below `backoff_initial_ms`.
    pub backoff_max_ms: u32,
    /// Restarts allowed within `window_ms`; 0 makes the first end fatal.
    pub max_restarts: u16,
    /// Length of the sliding window, milliseconds, more than 0.
    pub window_ms: u32,
}

/// Where a service's standard output and error go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    /// `/dev/null`.
    Null,
    /// The console, which only a debug-mode enclave shows to the parent.
    Console,
    /// A pipe that the service with the request socket reads, see `abi::events`.
    Log,
}

/// A service's system call filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seccomp {
    /// No filter, said explicitly.
    None,
    /// A classic BPF program, 1 to 4096 instructions.
    Filter(Vec<Instruction>),
}

/// One classic BPF instruction, as `struct sock_filter` of `linux/filter.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when the test holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// A soft and a hard limit; `u64::MAX` is "no limit".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Not above `hard`.
    pub soft: u64,
    /// The most that the process may give itself.
    pub hard: u64,
}

macro_rules! resources {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        /// A limited resource. The numbers are those of `asm-generic/resource.h` (x86-64 and arm64 alike).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Resource { $($(#[$doc])* $name = $code,)+ }

        impl Resource {
            /// Every resource, in order of number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The resource's number.
            #[must_use]
            pub const fn code(self) -> u8 { self as u8 }

            /// The resource with this number.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

resources! {
    /// CPU time, seconds.
    Cpu = 0,
    /// Largest file, bytes.
    Fsize = 1,
    /// Data segment, bytes.
    Data = 2,
    /// Stack, bytes.
    Stack = 3,
    /// Core dump, bytes.
    Core = 4,
    /// Resident set, bytes (Linux ignores it).
    Rss = 5,
    /// Processes and threads of the user.
    Nproc = 6,
    /// Open descriptors.
    Nofile = 7,
    /// Locked memory, bytes.
    Memlock = 8,
    /// Address space, bytes.
    As = 9,
    /// File locks.
    Locks = 10,
    /// Queued signals.
    Sigpending = 11,
    /// POSIX message queues, bytes.
    Msgqueue = 12,
    /// Ceiling of the nice value.
    Nice = 13,
    /// Ceiling of the real-time priority.
    Rtprio = 14,
    /// Real-time CPU time, microseconds.
    Rttime = 15,
}
