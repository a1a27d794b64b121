//! `/init exec N`: the stage between PID 1 and a service. It runs in the service's own process, as root, confines itself
//! step by step to what entry N of the table says, and becomes the service. PID 1 started it; nothing else can use it,
//! because a process without capabilities fails at the first step that needs one.
//!
//! The order matters: what needs capabilities comes first, the system call filter last. After the filter only the calls of
//! `exec` follow (`rt_sigaction` to give the service the default SIGPIPE, then `execve`).

use std::collections::{BTreeMap, BTreeSet};

use abi::boot::Stage;
use abi::events::{Event, Key, Kind};
use services::codec::MAX_TABLE_BYTES;
use services::{Instruction, Limit, Resource, Seccomp, Service, Table};

use crate::system::{Errno, Result};

/// Exit status of a process that could not be confined or not become its service. A service's own exit with this
/// status is taken for the same; both are fatal.
pub const SETUP_FAILED: i32 = 113;

/// The operations that confine a process; [`crate::linux`] has the real ones. Each acts on the calling process.
///
/// # Errors
/// Every method that can fail returns the error number of the call that failed.
#[expect(
    clippy::missing_errors_doc,
    reason = "all methods fail alike, said at the trait"
)]
pub trait Confine {
    /// Milliseconds since the kernel started.
    fn uptime_ms(&self) -> u64;
    /// Writes a line to descriptor 2.
    fn say(&mut self, line: &str);
    /// Reads a file of at most `max` bytes; a longer one is an error.
    fn read_file(&mut self, path: &str, max: usize) -> Result<Vec<u8>>;
    /// Makes descriptor 0 `/dev/null`.
    fn null_stdin(&mut self) -> Result<()>;
    /// Fails unless exactly the descriptors 0, 1 and 2 stay open across exec.
    fn check_descriptors(&mut self) -> Result<()>;
    /// Unblocks all signals: PID 1 blocks SIGCHLD, and a mask passes through exec.
    fn unblock_signals(&mut self) -> Result<()>;
    /// Sets the OOM score adjustment.
    fn set_oom_score_adj(&mut self, value: i16) -> Result<()>;
    /// Sets a resource limit.
    fn set_limit(&mut self, resource: Resource, limit: Limit) -> Result<()>;
    /// Sets the file mode creation mask.
    fn set_umask(&mut self, mask: u16);
    /// Sets the supplementary groups, all others are dropped.
    fn set_groups(&mut self, groups: &BTreeSet<u32>) -> Result<()>;
    /// Sets the real, effective and saved group.
    fn set_gid(&mut self, gid: u32) -> Result<()>;
    /// Drops all capabilities but `keep` from the bounding set.
    fn bound_capabilities(&mut self, keep: u64) -> Result<()>;
    /// Locks the secure bits: a change of user neither gives nor takes capabilities, exec as root gives none;
    /// without `ambient` none can be made ambient.
    fn lock_secure_bits(&mut self, ambient: bool) -> Result<()>;
    /// Sets the real, effective and saved user.
    fn set_uid(&mut self, uid: u32) -> Result<()>;
    /// Makes `keep` the effective, permitted, inheritable and ambient set, and reads all of them back.
    fn set_capabilities(&mut self, keep: u64) -> Result<()>;
    /// Changes the working directory.
    fn change_dir(&mut self, path: &[u8]) -> Result<()>;
    /// Sets `no_new_privs`.
    fn forbid_new_privileges(&mut self) -> Result<()>;
    /// Loads a system call filter.
    fn load_filter(&mut self, program: &[Instruction]) -> Result<()>;
    /// Becomes the program; returns only when that failed.
    fn exec(&mut self, argv: &[Vec<u8>], env: &BTreeMap<Vec<u8>, Vec<u8>>) -> Errno;
}

/// The step that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Name of the step.
    pub step: &'static str,
    /// Its error number.
    pub errno: Errno,
}

/// Becomes the service with this number (a decimal argument). Returns only when that failed; the caller exits with
/// [`SETUP_FAILED`].
pub fn exec(system: &mut dyn Confine, number: &str) -> Failure {
    let mut name = String::new();
    let failure = match find(system, number) {
        Ok(service) => {
            name.clone_from(&service.name);
            confine(system, &service).err().unwrap_or_else(|| Failure {
                step: "exec",
                errno: system.exec(&service.argv, &service.env),
            })
        }
        Err(failure) => failure,
    };
    let event = Event::new(system.uptime_ms(), Stage::Services, Kind::Failed)
        .with(Key::Service, name)
        .with(Key::Target, failure.step)
        .with(Key::Errno, failure.errno);
    system.say(&event.to_string());
    failure
}

/// Names the step of a failed call.
fn step<T>(step: &'static str, result: Result<T>) -> core::result::Result<T, Failure> {
    result.map_err(|errno| Failure { step, errno })
}

fn find(system: &mut dyn Confine, number: &str) -> core::result::Result<Service, Failure> {
    let bytes = step("read-table", system.read_file(services::PATH, MAX_TABLE_BYTES))?;
    let table = step("decode-table", Table::decode(&bytes).map_err(|_| Errno::NONE))?;
    let index = step("service-number", number.parse::<usize>().map_err(|_| Errno::NONE))?;
    step(
        "service-number",
        table.services.into_iter().nth(index).ok_or(Errno::NONE),
    )
}

fn confine(system: &mut dyn Confine, service: &Service) -> core::result::Result<(), Failure> {
    // The request socket comes as descriptor 0, and stays there for the one service that the table gives it to.
    if !service.channel {
        step("null-stdin", system.null_stdin())?;
    }
    step("descriptors", system.check_descriptors())?;
    step("signals", system.unblock_signals())?;
    step("oom-score-adj", system.set_oom_score_adj(service.oom_score_adj))?;
    for (&resource, &limit) in &service.rlimits {
        step("limits", system.set_limit(resource, limit))?;
    }
    // Whatever the table says: no core dumps.
    step(
        "limits",
        system.set_limit(Resource::Core, Limit { soft: 0, hard: 0 }),
    )?;
    system.set_umask(service.umask);
    step("groups", system.set_groups(&service.groups))?;
    step("gid", system.set_gid(service.gid))?;
    step("bounding-set", system.bound_capabilities(service.capabilities))?;
    step("secure-bits", system.lock_secure_bits(service.capabilities != 0))?;
    step("uid", system.set_uid(service.uid))?;
    step("capabilities", system.set_capabilities(service.capabilities))?;
    step("cwd", system.change_dir(&service.cwd))?;
    step("no-new-privs", system.forbid_new_privileges())?;
    if let Seccomp::Filter(program) = &service.seccomp {
        step("seccomp", system.load_filter(program))?;
    }
    Ok(())
}
