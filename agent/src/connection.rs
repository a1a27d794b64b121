//! One connection: TLS that is carried to the signer, or one message and one answer.
//!
//! The first byte decides: 0x16 is a TLS handshake record, `{` a message. A caller closes nothing to mark the end of its message:
//! it is one JSON object and ends where that ends. A caller that sends nothing gets nothing.
//!
//! A message must keep coming: it has a grace, and a second more for each half MiB that has arrived. So a connection that says
//! nothing is gone soon, and a long message has its time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use control::answer::UNAVAILABLE;
use control::{MAX_DEPTH, MAX_REQUEST_BYTES, Surface};
use relay::{Bounds as RelayBounds, End, relay};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use crate::answer::Answer;
use crate::budget::Buffer;
use crate::core::Core;
use crate::counters::count;
use crate::frame::{Frame, Limits};
use crate::listen::Places;
use crate::operations;

/// First byte of a TLS connection. Source: RFC 8446, section 5.1 (`handshake(22)`).
const TLS_HANDSHAKE: u8 = 0x16;

/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;

/// Bytes that are thrown away after the answer at most, so that closing does not reset the connection before the caller
/// has read.
const MAX_DRAINED: usize = 64 * 1024;

/// Bytes of a message that earn it another second.
const BYTES_PER_S: usize = 512 * 1024;

/// Bounds of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bounds of the message.
    pub message: Limits,
    /// How long the message may take to arrive, and a second more for each half MiB of it.
    pub receive: Duration,
    /// How long the answer may take to be taken.
    pub send: Duration,
    /// How long the caller may take to close after the answer.
    pub linger: Duration,
    /// How long the signer may take to accept.
    pub connect: Duration,
    /// Bounds of TLS that is carried.
    pub tls: RelayBounds,
}

/// Bounds of both ports.
pub const BOUNDS: Bounds = Bounds {
    message: Limits {
        bytes: MAX_REQUEST_BYTES,
        depth: MAX_DEPTH,
    },
    receive: Duration::from_secs(5),
    send: Duration::from_secs(5),
    linger: Duration::from_secs(1),
    connect: Duration::from_secs(5),
    tls: RelayBounds {
        // As the https-proxy has: with half of it one busy connection costs a sixth more CPU time (`bench-tunnel`).
        buffer_bytes: 64 * 1024,
        idle: Duration::from_mins(10),
    },
};

/// What arrived.
enum Received {
    Message(Buffer),
    Tls(Vec<u8>),
    Nothing,
    Garbage,
    Refused(Answer),
}

/// Serves one connection to its end. `place` is given back when it turns out to be TLS, which has places of its own.
///
/// # Errors
/// When the connection breaks, or the caller does not take the answer in time.
pub async fn serve<S>(
    mut stream: S,
    surface: Surface,
    core: &Arc<Core>,
    places: &Places,
    place: OwnedSemaphorePermit,
    bounds: &Bounds,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answer = match receive(&mut stream, surface, core, bounds).await? {
        Received::Message(message) => operations::answer(core, surface, message).await,
        Received::Refused(answer) => {
            count(&core.counters.answers_refused);
            answer
        }
        Received::Nothing => return Ok(()),
        Received::Garbage => {
            count(&core.counters.garbage);
            return Ok(());
        }
        Received::Tls(start) => {
            drop(place);
            carry(stream, &start, core, places, bounds).await;
            return Ok(());
        }
    };
    let send = async {
        stream.write_all(&answer.to_bytes()).await?;
        stream.flush().await?;
        stream.shutdown().await
    };
    timeout(bounds.send, send).await??;
    // Whether the caller still sends or just closes makes no difference now.
    let drained = timeout(bounds.linger, drain(&mut stream)).await;
    drop(place);
    drained.unwrap_or(Ok(()))
}

async fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    surface: Surface,
    core: &Core,
    bounds: &Bounds,
) -> io::Result<Received> {
    let mut frame = Frame::new(bounds.message);
    let mut message = Buffer::new(core.budget.clone(), bounds.message.bytes);
    // On the heap: a task for each connection would hold it otherwise even while it waits for its answer.
    let mut piece = zeroize::Zeroizing::new(vec![0; PIECE]);
    let began = Instant::now();
    let mut first = true;
    loop {
        let arrived = message.bytes().len();
        let earned = u64::try_from(arrived / BYTES_PER_S).unwrap_or(u64::MAX);
        let end = began + bounds.receive + Duration::from_secs(earned);
        let Ok(count) = timeout_at(end, stream.read(&mut piece)).await else {
            return Ok(Received::Refused(Answer::late()));
        };
        let count = count?;
        let piece = piece.get(..count).unwrap_or_default();
        let Some(&byte) = piece.first() else {
            return Ok(if frame.is_blank() {
                Received::Nothing
            } else {
                let text = "the connection ended within the message";
                Received::Refused(Answer::refused(control::answer::BAD_REQUEST, "cut-off", text))
            });
        };
        if first && surface == Surface::Service {
            match byte {
                TLS_HANDSHAKE => return Ok(Received::Tls(piece.to_vec())),
                b'{' => {}
                _ => return Ok(Received::Garbage),
            }
        }
        first = false;
        let used = match frame.push(piece) {
            Ok(used) => used,
            Err(error) => return Ok(Received::Refused(Answer::frame(&error))),
        };
        let (object, rest) = piece.split_at(used.unwrap_or(count));
        if let Err(error) = message.extend(object) {
            return Ok(Received::Refused(Answer::worded(UNAVAILABLE, &error)));
        }
        if used.is_some() {
            return Ok(if rest.iter().all(u8::is_ascii_whitespace) {
                Received::Message(message)
            } else {
                let text = "there are bytes after the message";
                Received::Refused(Answer::refused(
                    control::answer::BAD_REQUEST,
                    "trailing-bytes",
                    text,
                ))
            });
        }
    }
}

async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let mut drained = 0;
    while drained < MAX_DRAINED {
        match stream.read(&mut piece).await? {
            0 => break,
            count => drained += count,
        }
    }
    Ok(())
}

/// Carries TLS to the signer, once it was started; closes it at once before.
async fn carry(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    start: &[u8],
    core: &Core,
    places: &Places,
    bounds: &Bounds,
) {
    let counters = &core.counters;
    let initialised = core.with_machine(|machine| machine.is_initialised());
    let place = places.tls.try_acquire().ok().filter(|_| initialised);
    let connected = async {
        let mut signer = TcpStream::connect(core.parts.signer).await?;
        // Small answers must not wait for more to come. A socket that refuses this still carries bytes.
        drop(signer.set_nodelay(true));
        signer.write_all(start).await?;
        io::Result::Ok(signer)
    };
    let signer = match &place {
        Some(_) => timeout(bounds.connect, connected).await,
        None => Ok(Err(io::ErrorKind::ConnectionRefused.into())),
    };
    let Ok(Ok(signer)) = signer else {
        count(&counters.tls_refused);
        return;
    };
    count(&counters.tls);
    let carried = u64::try_from(start.len()).unwrap_or(u64::MAX);
    counters.traffic.to_second.fetch_add(carried, Ordering::Relaxed);
    counters.tls_open.fetch_add(1, Ordering::Relaxed);
    match relay(stream, signer, bounds.tls, &counters.traffic).await {
        End::Closed | End::Idle | End::Broken(_) => {}
    }
    counters.tls_open.fetch_sub(1, Ordering::Relaxed);
    drop(place);
}
