//! Runs one command inside an extracted root: no root rights, no network, nothing of the host but what is named.
//!
//! The program starts itself again as `enter-1`, which makes the namespaces, and that starts itself as
//! `enter-2`, process 1 of the new process namespace, which builds the mounts and executes the command:
//!
//! ```text
//! eif-builder --job, parent's pid--> enter-1 --job--> enter-2 = the command
//!      ^------------ a fault in setting up, as JSON ------'
//! ```
//!
//! Two programs, not two functions, because namespaces can only be made by a process with one thread and a
//! safe `fork` does not exist. Each dies with the one before it, and with `enter-2` the kernel kills all that
//! it started. It is not a sandbox for hostile code: it keeps the host out of what is built.
//! Source: `namespaces(7)`, `user_namespaces(7)`, `pivot_root(2)`.

pub mod advice;
mod inside;
mod mounts;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde::{Deserialize, Serialize};

use advice::Advice;
pub use inside::{Fault, Step, dispatch};

/// Changes whenever the surroundings that [`run`] makes change; goes into the key of everything built in them.
pub const FORM: u32 = 1;
/// First argument of the process that makes the namespaces.
const STAGE_1: &str = "enter-1";
/// First argument of the process that makes the mounts.
const STAGE_2: &str = "enter-2";
/// Longest job and longest fault, in bytes. Real ones have a few thousand.
const MAX_MESSAGE_BYTES: u64 = 1 << 20;

/// What to run, and in which surroundings.
///
/// The command sees: the root read-only, `/proc`, an empty writable `/tmp`, `/dev` with `null`, `zero`,
/// `full`, `random` and `urandom`, the [binds](Job::binds), host name `build`, umask 022, standard input
/// empty, exactly [`Job::env`], user and group 0 without capabilities, no network, not even loopback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The extracted root.
    pub root: PathBuf,
    /// An empty folder; the new root is mounted there, seen by the command alone.
    pub stage: PathBuf,
    /// Host files and folders to show.
    pub binds: Vec<Bind>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Program (absolute path inside) and arguments.
    pub command: Vec<String>,
    /// Working folder inside.
    pub dir: String,
    /// Resource limits, soft and hard alike.
    pub limits: Limits,
}

/// A host file or folder shown inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// On the host; must exist.
    pub host: PathBuf,
    /// Inside, absolute. Its first component must not be a folder of the root unless the whole path exists there.
    pub inside: String,
    /// Whether the command may write there.
    pub writable: bool,
}

/// Resource limits of the command. Core dumps are always off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Open files per process; cut to what the host allows.
    pub open_files: u64,
    /// Address space per process in bytes, when limited.
    pub address_space_bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            open_files: 4096,
            address_space_bytes: None,
        }
    }
}

/// Why the command did not run to a good end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnterError {
    /// This program could not start itself again.
    #[error("cannot start {} again to enter the build root", exe.display())]
    Start {
        /// The program.
        exe: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The processes that set up the surroundings could not be told or asked.
    #[error("lost contact with the process that enters the build root")]
    Contact(#[source] io::Error),
    /// The host does not let an ordinary user make namespaces.
    #[error("this machine does not allow entering a build root without root rights (at {step}): {advice}")]
    Forbidden {
        /// What was refused.
        step: Step,
        /// Which setting refuses it and how to change that.
        advice: Advice,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The surroundings could not be made for another reason.
    #[error("cannot set up the build root: {step}{}", on(path.as_deref()))]
    Setup {
        /// What failed.
        step: Step,
        /// On which path, where there is one.
        path: Option<PathBuf>,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The command ran and failed.
    #[error("the command in the build root ended with status {status}")]
    Failed {
        /// Its exit status; 128 + N when signal N killed it.
        status: i32,
    },
}

fn on(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |p| format!(" {}", p.display()))
}

/// What the parent tells `enter-1`.
#[derive(Serialize, Deserialize)]
struct Message {
    /// Whoever is the parent then must have this process id, else the real one died meanwhile.
    parent: u32,
    job: Job,
}

/// Runs a job to its end; all its output goes to `log`.
///
/// `exe` is a program whose `main` calls [`dispatch`] first: this one, in the product.
///
/// # Errors
/// [`EnterError::Forbidden`] with advice when the host refuses namespaces; [`EnterError::Failed`] when the
/// command failed; the others when it was never started.
pub fn run(exe: &Path, job: &Job, log: &File) -> Result<(), EnterError> {
    let clone = || log.try_clone().map_err(EnterError::Contact);
    let mut child = Command::new(exe)
        .arg(STAGE_1)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(clone()?)
        .spawn()
        .map_err(|source| EnterError::Start {
            exe: exe.to_path_buf(),
            source,
        })?;
    let message = Message {
        parent: std::process::id(),
        job: job.clone(),
    };
    let told = match child.stdin.take() {
        Some(mut pipe) => serde_json::to_writer(&mut pipe, &message)
            .map_err(io::Error::from)
            .and_then(|()| pipe.flush()),
        None => Ok(()),
    };
    let mut answer = Vec::new();
    let heard = match child.stdout.take() {
        Some(pipe) => pipe.take(MAX_MESSAGE_BYTES).read_to_end(&mut answer),
        None => Ok(0),
    };
    let status = child.wait().map_err(EnterError::Contact)?;
    heard.map_err(EnterError::Contact)?;
    if let Ok(fault) = serde_json::from_slice::<Fault>(&answer) {
        return Err(explain(fault));
    }
    // Only now: a child that died early explains a broken pipe better than the pipe does.
    if status.success() {
        return told.map_err(EnterError::Contact);
    }
    Err(EnterError::Failed {
        status: status_number(status),
    })
}

/// The exit status as shells count it: 128 + N for signal N.
fn status_number(status: ExitStatus) -> i32 {
    let signal = status.signal().map(|s| 128 + s);
    status.code().or(signal).unwrap_or(-1)
}

fn explain(fault: Fault) -> EnterError {
    let source = fault.source();
    let refused = matches!(
        source.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::StorageFull | io::ErrorKind::Unsupported
    );
    if refused && fault.step.needs_namespace_rights() {
        return EnterError::Forbidden {
            step: fault.step,
            advice: Advice::of_host(),
            source,
        };
    }
    EnterError::Setup {
        step: fault.step,
        path: fault.path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_namespaces_carry_advice_and_other_faults_their_path() {
        let fault = |step, errno| Fault {
            step,
            path: Some("/x".into()),
            errno: Some(errno),
        };
        let error = explain(fault(Step::Namespaces, rustix::io::Errno::PERM.raw_os_error()));
        assert!(
            matches!(
                error,
                EnterError::Forbidden {
                    step: Step::Namespaces,
                    ..
                }
            ),
            "{error}"
        );
        let error = explain(fault(Step::Bind, rustix::io::Errno::NOENT.raw_os_error()));
        assert_eq!(error.to_string(), "cannot set up the build root: showing /x");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let job = Job {
            root: "/".into(),
            stage: "/".into(),
            binds: Vec::new(),
            env: BTreeMap::new(),
            command: Vec::new(),
            dir: "/".to_owned(),
            limits: Limits::default(),
        };
        let log = tempfile::tempfile().unwrap();
        let error = run(Path::new("/nonexistent/eif-builder"), &job, &log).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/eif-builder"), "{error}");
    }
}
