//! The two processes between this program and the command in the root: namespaces first, then mounts and rights.
//!
//! Each has one thread, reads one message from standard input, and says what went wrong on standard output.
//! Standard error is the log of the command.

use core::fmt;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::sched::CloneFlags;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};

use super::mounts::make_root;
use super::{Job, Limits, MAX_MESSAGE_BYTES, Message, STAGE_1, STAGE_2, status_number};

/// A step of setting up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Step {
    /// Reading the job.
    Job,
    /// The process that asked for this has gone.
    Orphaned,
    /// Making the namespaces.
    Namespaces,
    /// Mapping user and group ids.
    Ids,
    /// Starting the second process.
    Start,
    /// Making the mounts private.
    Private,
    /// Mounting a file system of the new root.
    Mount,
    /// Making a folder, file or link of the new root.
    Make,
    /// Showing a file or folder of the host.
    Bind,
    /// Changing to the new root.
    Pivot,
    /// Setting limits and giving up rights.
    Confine,
    /// Executing the command.
    Execute,
}

impl Step {
    /// Whether a refusal at this step means that the host forbids namespaces or takes the rights in them.
    #[must_use]
    pub const fn needs_namespace_rights(self) -> bool {
        matches!(self, Self::Namespaces | Self::Ids | Self::Private | Self::Mount)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Job => "reading the job",
            Self::Orphaned => "the program that asked for it has gone",
            Self::Namespaces => "making namespaces",
            Self::Ids => "mapping user ids in",
            Self::Start => "starting the second process",
            Self::Private => "making the mounts private",
            Self::Mount => "mounting",
            Self::Make => "making",
            Self::Bind => "showing",
            Self::Pivot => "changing to the new root",
            Self::Confine => "giving up rights",
            Self::Execute => "executing",
        })
    }
}

/// What went wrong, where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// At which step.
    pub step: Step,
    /// On which path, where there is one.
    pub path: Option<PathBuf>,
    /// The operating system's error number, where there is one.
    pub errno: Option<i32>,
}

impl Fault {
    /// The operating system's reason.
    #[must_use]
    pub fn source(&self) -> io::Error {
        self.errno.map_or_else(
            || io::Error::other("no reason was given"),
            io::Error::from_raw_os_error,
        )
    }
}

/// Makes a [`Fault`] out of an error of a step.
pub(super) fn at<E: Into<io::Error>>(step: Step, path: impl AsRef<Path>) -> impl FnOnce(E) -> Fault {
    move |error| Fault {
        step,
        path: Some(path.as_ref().to_path_buf()),
        errno: error.into().raw_os_error(),
    }
}

pub(super) fn in_step<E: Into<io::Error>>(step: Step) -> impl FnOnce(E) -> Fault {
    move |error| Fault {
        step,
        path: None,
        errno: error.into().raw_os_error(),
    }
}

/// Runs a hidden subcommand if `args` (without the program's name) asks for one. `main` calls this before
/// anything else, while the process has one thread.
pub fn dispatch(mut args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let stage: fn() -> Result<ExitCode, Fault> = match args.next()?.to_str()? {
        STAGE_1 => first,
        STAGE_2 => second,
        _ => return None,
    };
    // A handle of its own: a failed `exec` has already given the command's standard output another target.
    let answer = io::stdout().as_fd().try_clone_to_owned();
    Some(stage().unwrap_or_else(|fault| {
        if let Ok(answer) = answer {
            // When no one listens the exit code still tells.
            drop(serde_json::to_writer(fs::File::from(answer), &fault));
        }
        ExitCode::FAILURE
    }))
}

/// `enter-1`: namespaces and ids, then waits for the second process and takes over its exit status.
fn first() -> Result<ExitCode, Fault> {
    let Message { parent, job } =
        serde_json::from_reader(io::stdin().lock().take(MAX_MESSAGE_BYTES)).map_err(in_step(Step::Job))?;
    die_with_parent()?;
    let real = rustix::process::getppid().map(rustix::process::Pid::as_raw_nonzero);
    if real.is_none_or(|pid| u32::try_from(pid.get()) != Ok(parent)) {
        return Err(orphaned());
    }
    let (uid, gid) = (
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    nix::sched::unshare(
        CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS,
    )
    .map_err(in_step(Step::Namespaces))?;
    // The kernel lets an ordinary user map one group only after it gave up `setgroups`.
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {uid} 1")),
        ("/proc/self/gid_map", format!("0 {gid} 1")),
    ] {
        fs::write(file, text).map_err(at(Step::Ids, file))?;
    }
    let mut child = Command::new("/proc/self/exe")
        .arg(STAGE_2)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(in_step(Step::Start))?;
    // Kept open until the end: while it is open the second process knows that this one lives.
    let mut lifeline = child.stdin.take();
    if let Some(pipe) = &mut lifeline {
        let mut line = serde_json::to_vec(&job).map_err(in_step(Step::Job))?;
        line.push(b'\n');
        // A second process that could not read has said why itself.
        drop(pipe.write_all(&line));
    }
    let status = child.wait().map_err(in_step(Step::Start))?;
    drop(lifeline);
    Ok(ExitCode::from(
        u8::try_from(status_number(status)).unwrap_or(u8::MAX),
    ))
}

/// `enter-2`: mounts, limits, rights, then becomes the command.
fn second() -> Result<ExitCode, Fault> {
    let mut line = Vec::new();
    BufReader::new(io::stdin().lock())
        .take(MAX_MESSAGE_BYTES)
        .read_until(b'\n', &mut line)
        .map_err(in_step(Step::Job))?;
    let job: Job = serde_json::from_slice(&line).map_err(in_step(Step::Job))?;
    die_with_parent()?;
    let stdin = io::stdin();
    let mut lifeline = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::empty())];
    rustix::event::poll(
        &mut lifeline,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    )
    .map_err(in_step(Step::Job))?;
    if lifeline.iter().any(|fd| fd.revents().contains(PollFlags::HUP)) {
        return Err(orphaned());
    }
    make_root(&job)?;
    confine(job.limits)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    rustix::process::chdir(&*job.dir).map_err(at(Step::Execute, &job.dir))?;
    let (program, arguments) = job.command.split_first().ok_or(Fault {
        step: Step::Execute,
        path: None,
        errno: None,
    })?;
    let error = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(&job.env)
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .exec();
    Err(at(Step::Execute, program)(error))
}

const fn orphaned() -> Fault {
    Fault {
        step: Step::Orphaned,
        path: None,
        errno: None,
    }
}

fn die_with_parent() -> Result<(), Fault> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(in_step(Step::Start))
}

/// Sets the host name and limits, then gives up every capability for good.
fn confine(limits: Limits) -> Result<(), Fault> {
    rustix::system::sethostname(b"build").map_err(in_step(Step::Confine))?;
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
    let files = hard.map_or(limits.open_files, |hard| hard.min(limits.open_files));
    let mut wanted = vec![(Resource::Core, 0), (Resource::Nofile, files)];
    wanted.extend(limits.address_space_bytes.map(|bytes| (Resource::As, bytes)));
    for (resource, value) in wanted {
        let limit = Rlimit {
            current: Some(value),
            maximum: Some(value),
        };
        rustix::process::setrlimit(resource, limit).map_err(in_step(Step::Confine))?;
    }
    rustix::thread::set_no_new_privs(true).map_err(in_step(Step::Confine))?;
    for capability in CapabilitySet::all().iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // A kernel that does not know a capability does not give it.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(in_step(Step::Confine)(error)),
        }
    }
    Ok(())
}
