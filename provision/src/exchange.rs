//! The socket to the agent: connect, check who listens, read one job, write one outcome.

use std::io;
use std::path::Path;

use control::provision::{
    FrameError, Job, MAX_JOB_BYTES, MAX_OUTCOME_BYTES, Outcome, PREFIX_BYTES, content, frame, length,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

/// Why there is no job, or nobody to answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The agent does not listen.
    #[error("cannot connect to the agent at {path}")]
    Connect {
        /// The socket.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Somebody else does.
    #[error("user {found} listens at the agent's socket, expected {expected}")]
    Peer {
        /// Who.
        found: u32,
        /// The agent.
        expected: u32,
    },
    /// The connection broke.
    #[error("the agent is gone")]
    Broken(#[source] io::Error),
    /// What it says is not of the form.
    #[error("the agent and `provision` do not understand each other")]
    Frame(#[from] FrameError),
}

/// A connection to the agent.
#[derive(Debug)]
pub struct Exchange(UnixStream);

impl Exchange {
    /// Connects to the socket, behind which must be the user `agent`.
    ///
    /// # Errors
    /// [`ExchangeError::Connect`], [`ExchangeError::Peer`].
    pub async fn connect(path: &Path, agent: u32) -> Result<Self, ExchangeError> {
        let failed = |source| ExchangeError::Connect {
            path: path.display().to_string(),
            source,
        };
        let stream = UnixStream::connect(path).await.map_err(failed)?;
        let found = stream.peer_cred().map_err(failed)?.uid();
        if found != agent {
            return Err(ExchangeError::Peer {
                found,
                expected: agent,
            });
        }
        Ok(Self(stream))
    }

    /// The job.
    ///
    /// # Errors
    /// [`ExchangeError::Broken`], [`ExchangeError::Frame`].
    pub async fn job(&mut self) -> Result<Job, ExchangeError> {
        let mut prefix = [0; PREFIX_BYTES];
        self.0
            .read_exact(&mut prefix)
            .await
            .map_err(ExchangeError::Broken)?;
        let mut bytes = Zeroizing::new(vec![0; length(prefix, MAX_JOB_BYTES)?]);
        self.0
            .read_exact(&mut bytes)
            .await
            .map_err(ExchangeError::Broken)?;
        Ok(content(&bytes)?)
    }

    /// The outcome, and the end of the connection.
    ///
    /// # Errors
    /// [`ExchangeError::Broken`], [`ExchangeError::Frame`].
    pub async fn answer(mut self, outcome: &Outcome) -> Result<(), ExchangeError> {
        let bytes = frame(outcome, MAX_OUTCOME_BYTES)?;
        self.0.write_all(&bytes).await.map_err(ExchangeError::Broken)?;
        self.0.shutdown().await.map_err(ExchangeError::Broken)
    }
}
