//! Reads a request's body: at most 10 MiB, in bounded time, and with bounded memory for all requests together.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Largest body, in bytes. Source: the limit of Vert.x.
pub const LIMIT: usize = 10 << 20;

/// Up to this size bodies are not counted: the number of connections bounds them.
const SMALL: usize = 64 << 10;

/// How many larger bodies are read at one time. The others wait.
const LARGE_AT_ONCE: usize = 8;

/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a body that is refused is taken.
const DISCARD: Duration = Duration::from_secs(3);

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFault {
    /// Larger than [`LIMIT`].
    TooLarge,
    /// Not sent in time.
    TooSlow,
    /// The connection broke, or the framing is wrong.
    Broken,
}

/// Places for large bodies.
#[derive(Debug)]
pub struct Bodies {
    large: Semaphore,
}

/// A body, with its place if it is large.
#[derive(Debug)]
pub struct Received<'a> {
    /// The bytes.
    pub bytes: Bytes,
    _place: Option<SemaphorePermit<'a>>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self {
            large: Semaphore::new(LARGE_AT_ONCE),
        }
    }
}

impl Bodies {
    /// Reads a body to its end.
    ///
    /// # Errors
    /// See [`BodyFault`].
    pub async fn receive<B>(&self, mut body: B) -> Result<Received<'_>, BodyFault>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        match tokio::time::timeout(PATIENCE, self.collect(&mut body)).await {
            Ok(Err(BodyFault::TooLarge)) => {
                discard(&mut body).await;
                Err(BodyFault::TooLarge)
            }
            Ok(outcome) => outcome,
            Err(_) => Err(BodyFault::TooSlow),
        }
    }

    async fn collect<B>(&self, body: &mut B) -> Result<Received<'_>, BodyFault>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        // A length that is announced and too large is refused before a byte of it is read.
        if body.size_hint().lower() > u64::try_from(LIMIT).unwrap_or(u64::MAX) {
            return Err(BodyFault::TooLarge);
        }
        let mut place = None;
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyFault::Broken)?.into_data() else {
                continue;
            };
            let total = bytes.len() + data.len();
            if total > LIMIT {
                return Err(BodyFault::TooLarge);
            }
            if total > SMALL && place.is_none() {
                place = Some(self.large.acquire().await.map_err(|_| BodyFault::Broken)?);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Received {
            bytes: bytes.into(),
            _place: place,
        })
    }
}

/// Takes some of a body that is refused, and forgets it. A client that still sends would get a broken connection instead
/// of the answer.
async fn discard<B>(body: &mut B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let read = async {
        let mut left = 2 * LIMIT;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    if tokio::time::timeout(DISCARD, read).await.is_err() {
        // The client is slow; the answer goes out all the same.
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    async fn len(size: usize) -> Result<usize, BodyFault> {
        let bodies = Bodies::default();
        bodies
            .receive(Full::new(Bytes::from(vec![b'x'; size])))
            .await
            .map(|received| received.bytes.len())
    }

    #[tokio::test]
    async fn ten_mebibytes_and_not_one_byte_more() {
        assert_eq!(len(0).await, Ok(0));
        assert_eq!(len(SMALL + 1).await, Ok(SMALL + 1));
        assert_eq!(len(LIMIT).await, Ok(LIMIT));
        assert_eq!(len(LIMIT + 1).await, Err(BodyFault::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_waits_for_a_place_and_small_ones_do_not() {
        let bodies = Bodies::default();
        let large = || Full::new(Bytes::from(vec![b'x'; SMALL + 1]));
        let mut held = Vec::new();
        for _ in 0..LARGE_AT_ONCE {
            held.push(bodies.receive(large()).await.unwrap());
        }
        assert_eq!(bodies.receive(large()).await.unwrap_err(), BodyFault::TooSlow);
        bodies.receive(Full::new(Bytes::from_static(b"x"))).await.unwrap();
        held.pop();
        bodies.receive(large()).await.unwrap();
    }
}
