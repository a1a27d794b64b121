//! Hands a job to `provision` and takes its outcome. What they say is in [`control::provision`].
//!
//! The agent listens on a socket in a folder that only it and the signer's user can enter, asks PID 1 to start `provision`, and
//! takes the first connection whose peer has the signer's user id. It never learns a plaintext.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use abi::request::{Reply, Request};
use control::provision::{self, FrameError, Job, MAX_JOB_BYTES, MAX_OUTCOME_BYTES, Outcome, PREFIX_BYTES};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, sleep, timeout_at};
use zeroize::Zeroizing;

use crate::pid1::{Lost, Pid1};

/// Mode of the socket: who may connect is decided by the folder that it is in, and by the peer's user.
const MODE: u32 = 0o666;

/// How long `provision` may take from its start to its connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// Pause while an earlier `provision` still ends.
const PAUSE: Duration = Duration::from_millis(100);

/// The way to `provision`.
#[derive(Debug)]
pub struct Handover {
    listener: UnixListener,
    user: u32,
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// The image has no service of that name.
    #[error("the image has no service `provision`")]
    Absent,
    /// PID 1 could not start it.
    #[error("PID 1 could not start `provision`")]
    NotStarted,
    /// PID 1 is gone.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// It did not connect, or not end its job, in time.
    #[error("`provision` did not {step} in time")]
    Late {
        /// What it was to do.
        step: &'static str,
    },
    /// The connection broke: it was ended, or it died.
    #[error("`provision` ended without an outcome")]
    Broken(#[source] io::Error),
    /// What it says is not of the form.
    #[error("`provision` and the agent do not understand each other")]
    Frame(#[from] FrameError),
}

impl Handover {
    /// Listens. `user` is the signer's user id. A socket that an agent before this one has left is replaced.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn listen(path: &Path, user: u32) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(MODE))?;
        Ok(Self { listener, user })
    }

    /// Runs one job. The caller sees to it that there is one at a time.
    ///
    /// # Errors
    /// [`HandoverError`], by its variants. Whether the job was done is not known then; `provision` has its own deadline.
    pub async fn run(&self, pid1: &Pid1, job: &Job, within: Duration) -> Result<Outcome, HandoverError> {
        let bytes = provision::frame(job, MAX_JOB_BYTES)?;
        let end = Instant::now() + within;
        self.start(pid1, end).await?;
        let mut stream = self.accept(end.min(Instant::now() + CONNECT_WITHIN)).await?;
        let late = |_| HandoverError::Late { step: "end its job" };
        let exchange = async {
            stream.write_all(&bytes).await?;
            drop(bytes);
            read(&mut stream).await
        };
        let outcome = timeout_at(end, exchange).await.map_err(late)?;
        let outcome = outcome.map_err(HandoverError::Broken)??;
        Ok(provision::content(&outcome)?)
    }

    async fn start(&self, pid1: &Pid1, end: Instant) -> Result<(), HandoverError> {
        loop {
            match pid1.ask(Request::StartProvision).await? {
                Reply::Accepted => return Ok(()),
                Reply::Absent => return Err(HandoverError::Absent),
                Reply::Already if Instant::now() < end => sleep(PAUSE).await,
                Reply::Already => {
                    return Err(HandoverError::Late {
                        step: "end an earlier job",
                    });
                }
                _ => return Err(HandoverError::NotStarted),
            }
        }
    }

    async fn accept(&self, end: Instant) -> Result<UnixStream, HandoverError> {
        loop {
            let accepted = timeout_at(end, self.listener.accept()).await;
            let (stream, _) = accepted
                .map_err(|_| HandoverError::Late { step: "connect" })?
                .map_err(HandoverError::Broken)?;
            if stream.peer_cred().is_ok_and(|peer| peer.uid() == self.user) {
                return Ok(stream);
            }
        }
    }
}

async fn read(stream: &mut UnixStream) -> io::Result<Result<Zeroizing<Vec<u8>>, FrameError>> {
    let mut prefix = [0; PREFIX_BYTES];
    stream.read_exact(&mut prefix).await?;
    let length = match provision::length(prefix, MAX_OUTCOME_BYTES) {
        Ok(length) => length,
        Err(error) => return Ok(Err(error)),
    };
    let mut bytes = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut bytes).await?;
    Ok(Ok(bytes))
}
