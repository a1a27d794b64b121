//! Carries bytes between two streams until both have ended.
//!
//! A side that ends its sending has that passed on (half-close), and the other direction goes on. Memory is bounded: one
//! buffer each way, and nothing is read that the other side does not take. A connection on which nothing moved for the idle
//! time is closed; bytes that one side sends but the other does not take are no movement.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};

/// Bounds of one relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Buffer for each direction, bytes.
    pub buffer_bytes: usize,
    /// How long nothing may move.
    pub idle: Duration,
}

/// How a relay ended.
#[derive(Debug)]
pub enum End {
    /// Both sides had ended their sending.
    Closed,
    /// Nothing moved for the idle time.
    Idle,
    /// A side broke.
    Broken(io::Error),
}

/// Bytes moved, by all relays that share it.
#[derive(Debug, Default)]
pub struct Traffic {
    /// To the first stream.
    pub to_first: Arc<AtomicU64>,
    /// To the second stream.
    pub to_second: Arc<AtomicU64>,
}

/// How many looks an idle time has: a relay ends after the idle time, and at most a quarter later.
const LOOKS: u32 = 4;

/// Carries bytes until both sides have ended, or neither moves.
pub async fn relay(
    first: impl AsyncRead + AsyncWrite + Unpin,
    second: impl AsyncRead + AsyncWrite + Unpin,
    bounds: Bounds,
    traffic: &Traffic,
) -> End {
    let moved = AtomicU64::new(0);
    let mut first = Counted {
        inner: first,
        total: &traffic.to_first,
        moved: &moved,
    };
    let mut second = Counted {
        inner: second,
        total: &traffic.to_second,
        moved: &moved,
    };
    let copy =
        copy_bidirectional_with_sizes(&mut first, &mut second, bounds.buffer_bytes, bounds.buffer_bytes);
    tokio::select! {
        copied = copy => match copied {
            Ok(_) => End::Closed,
            Err(error) => End::Broken(error),
        },
        () = idle(&moved, bounds.idle) => End::Idle,
    }
}

/// Returns when the number has not changed for the time.
async fn idle(moved: &AtomicU64, time: Duration) {
    let (mut last, mut looks) = (0, 0);
    while looks < LOOKS {
        tokio::time::sleep(time / LOOKS).await;
        let now = moved.load(Ordering::Relaxed);
        looks = if now == last { looks + 1 } else { 0 };
        last = now;
    }
}

/// Counts what is written.
struct Counted<'a, S> {
    inner: S,
    total: &'a AtomicU64,
    moved: &'a AtomicU64,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = &written {
            let count = u64::try_from(*count).unwrap_or(u64::MAX);
            self.total.fetch_add(count, Ordering::Relaxed);
            self.moved.fetch_add(count, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
