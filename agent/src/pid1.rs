//! Requests to PID 1: one byte out, one byte back, one request at a time.
//!
//! A reply that does not come in time could be taken for that of the next request, so the channel is given up then: the agent
//! ends, and PID 1 starts it again with a new one.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use std::time::Duration;

use abi::request::{Reply, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Mutex, Notify};

use crate::channel::Channel;

/// How long PID 1 may take; it does nothing that blocks.
const WITHIN: Duration = Duration::from_secs(10);

/// The channel.
#[derive(Debug)]
pub struct Pid1 {
    stream: Mutex<Option<UnixStream>>,
    lost: Notify,
}

/// Why PID 1 did not answer.
#[derive(Debug, thiserror::Error)]
#[error("PID 1 does not answer on the request channel")]
pub struct Lost(#[source] Option<io::Error>);

impl Pid1 {
    /// Must be called within the runtime.
    ///
    /// # Errors
    /// When the socket cannot be made one that does not block.
    pub fn new(channel: &Channel) -> io::Result<Self> {
        let stream = StdStream::from(channel.as_fd().try_clone_to_owned()?);
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: Mutex::new(Some(UnixStream::from_std(stream)?)),
            lost: Notify::new(),
        })
    }

    /// Makes a request.
    ///
    /// # Errors
    /// [`Lost`], and for every request after it.
    pub async fn ask(&self, request: Request) -> Result<Reply, Lost> {
        let mut guard = self.stream.lock().await;
        let Some(stream) = guard.as_mut() else {
            return Err(Lost(None));
        };
        let exchange = async {
            stream.write_all(&[request as u8]).await?;
            stream.read_u8().await
        };
        let error = match tokio::time::timeout(WITHIN, exchange).await {
            Ok(Ok(byte)) => match Reply::from_byte(byte) {
                Some(reply) => return Ok(reply),
                None => io::ErrorKind::InvalidData.into(),
            },
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        *guard = None;
        self.lost.notify_waiters();
        self.lost.notify_one();
        Err(Lost(Some(error)))
    }

    /// Returns when the channel is given up.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }
}
