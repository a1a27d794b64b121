//! Asks the agent: one connection, one message, one answer.

use std::io;
use std::time::Duration;

use abi::vsock::{CONTROL_PORT, SERVICE_PORT};
use control::MAX_ANSWER_BYTES;
use control::answer::{self, AnswerError};
use control::request::Request;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::transport::Dialer;

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The agent could not be reached, or the connection broke.
    #[error("cannot ask {operation} on vsock port {port}")]
    Connection {
        /// The operation.
        operation: &'static str,
        /// The port.
        port: u32,
        /// What went wrong.
        source: io::Error,
    },
    /// It refused, or its answer is none.
    #[error("{operation}")]
    Answer {
        /// The operation.
        operation: &'static str,
        /// What it said.
        source: AnswerError,
    },
}

impl AskError {
    /// The refusal, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&answer::Refusal> {
        match self {
            Self::Answer {
                source: AnswerError::Refused { refusal, .. },
                ..
            } => Some(refusal),
            _ => None,
        }
    }
}

/// Sends a message to the port that serves it and reads the answer within `patience`.
///
/// # Errors
/// [`AskError`], by its variants.
pub async fn ask<B: DeserializeOwned>(
    dialer: &Dialer,
    request: &Request,
    patience: Duration,
) -> Result<B, AskError> {
    let operation = request.name();
    let port = if request.allowed_on(control::Surface::Control) {
        CONTROL_PORT
    } else {
        SERVICE_PORT
    };
    let exchange = exchange(dialer, port, request);
    let late = |_| {
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", patience.as_secs_f32()),
        )
    };
    let bytes = tokio::time::timeout(patience, exchange)
        .await
        .map_err(late)
        .and_then(|bytes| bytes);
    let bytes = bytes.map_err(|source| AskError::Connection {
        operation,
        port,
        source,
    })?;
    answer::read(&bytes).map_err(|source| AskError::Answer { operation, source })
}

async fn exchange(dialer: &Dialer, port: u32, request: &Request) -> io::Result<Vec<u8>> {
    let mut stream = dialer.dial(port).await?;
    let message = request.to_bytes();
    // An agent that refuses early answers before it has read all; then the answer tells more than the broken write.
    let written = stream.write_all(&message).await;
    let flushed = stream.flush().await;
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_ANSWER_BYTES).unwrap_or(u64::MAX) + 1;
    let read = stream.take(most).read_to_end(&mut bytes).await;
    if bytes.is_empty() {
        written.and(flushed)?;
        read?;
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "closed without an answer",
        ));
    }
    Ok(bytes)
}
