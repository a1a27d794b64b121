//! One connection: one message in, one answer out, close.
//!
//! The caller closes nothing to mark the end of its message: the message is one JSON object and ends where that ends.
//! A caller that sends nothing gets nothing.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::answer::{Answer, Outcome};
use crate::frame::{Frame, FrameError, Limits};
use crate::message::MessageError;
use crate::operations::Operations;

/// Bytes that are read at once.
const PIECE: usize = 4096;

/// Bytes that are thrown away after the answer at most, so that closing does not reset the connection before the caller
/// has read.
const MAX_DRAINED: usize = 64 * 1024;

/// Bounds of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bounds of the message.
    pub message: Limits,
    /// How long the message may take to arrive.
    pub receive: Duration,
    /// How long the answer may take to be taken.
    pub send: Duration,
    /// How long the caller may take to close after the answer.
    pub linger: Duration,
}

/// Bounds for the operations of [`crate::message`]: the longest of their messages has under 200 bytes.
pub const CONTROL: Bounds = Bounds {
    message: Limits {
        bytes: 4096,
        depth: 8,
    },
    receive: Duration::from_secs(5),
    send: Duration::from_secs(5),
    linger: Duration::from_secs(1),
};

/// What arrived.
enum Received {
    Message(Vec<u8>),
    Nothing,
    Refused(Answer),
}

/// Serves one connection to its end.
///
/// # Errors
/// When the connection breaks, or the caller does not take the answer in time.
pub async fn serve<S>(mut stream: S, operations: &Operations, bounds: &Bounds) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let received = timeout(bounds.receive, receive(&mut stream, bounds.message)).await;
    let answer = match received {
        Ok(received) => match received? {
            Received::Message(message) => operations.answer(&message).await,
            Received::Refused(answer) => answer,
            Received::Nothing => return Ok(()),
        },
        Err(_) => Answer::refusal(Outcome::Timeout, &MessageError::Late),
    };
    let send = async {
        stream.write_all(&answer.to_bytes()).await?;
        stream.flush().await?;
        stream.shutdown().await
    };
    timeout(bounds.send, send).await??;
    // Whether the caller still sends or just closes makes no difference now.
    let drained = timeout(bounds.linger, drain(&mut stream)).await;
    drained.unwrap_or(Ok(()))
}

async fn receive(stream: &mut (impl AsyncRead + Unpin), limits: Limits) -> io::Result<Received> {
    let refused = |error: &MessageError| Received::Refused(Answer::refusal(Outcome::BadRequest, error));
    let mut frame = Frame::new(limits);
    let mut piece = [0; PIECE];
    loop {
        let count = stream.read(&mut piece).await?;
        let piece = piece.get(..count).unwrap_or_default();
        if piece.is_empty() {
            return Ok(if frame.is_blank() {
                Received::Nothing
            } else {
                refused(&MessageError::CutOff)
            });
        }
        match frame.push(piece) {
            Ok(None) => {}
            Ok(Some(used)) => {
                let blank = piece.iter().skip(used).all(u8::is_ascii_whitespace);
                return Ok(if blank {
                    Received::Message(frame.into_bytes())
                } else {
                    refused(&MessageError::Trailing)
                });
            }
            Err(error) => {
                let too_large = matches!(error, FrameError::TooLarge { .. });
                let outcome = if too_large {
                    Outcome::TooLarge
                } else {
                    Outcome::BadRequest
                };
                return Ok(Received::Refused(Answer::refusal(outcome, &error)));
            }
        }
    }
}

async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut piece = [0; PIECE];
    let mut drained = 0;
    while drained < MAX_DRAINED {
        match stream.read(&mut piece).await? {
            0 => break,
            count => drained += count,
        }
    }
    Ok(())
}
