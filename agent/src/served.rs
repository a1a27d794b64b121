//! Which validator keys the signer serves: `GET /api/v1/eth2/publicKeys`, asked as the health check is. A change of keys counts as
//! done only when the signer serves exactly what `provision` wrote: a signer that reloads goes on with its old keys meanwhile.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use control::MAX_KEYS;
use control::text::PublicKey;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, sleep, timeout};

use crate::upcheck::Upcheck;

const REQUEST: &[u8] =
    b"GET /api/v1/eth2/publicKeys HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nConnection: close\r\n\r\n";
/// Longest head of an answer, bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Longest body: every key of a full enclave as `"0x…",` and some space.
const MAX_BODY_BYTES: usize = MAX_KEYS * 104 + 1024;
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Why the signer does not serve what it was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotServed {
    /// It serves others.
    #[error("after {} ms the signer serves {served} keys: {missing} of its {expected} are missing, {foreign} are not its own", .within.as_millis())]
    Others {
        /// How long was waited.
        within: Duration,
        /// How many it serves.
        served: usize,
        /// How many it should serve.
        expected: usize,
        /// How many of those it does not serve.
        missing: usize,
        /// How many it serves that it was not given.
        foreign: usize,
    },
    /// It does not say which it serves.
    #[error("after {} ms the signer does not say which keys it serves", .within.as_millis())]
    Silent {
        /// How long was waited.
        within: Duration,
        /// What was wrong the last time.
        source: io::Error,
    },
}

/// Waits until the signer serves exactly these keys.
///
/// # Errors
/// [`NotServed`], when it does not within this time.
pub async fn serves(signer: &Upcheck, keys: &[PublicKey], within: Duration) -> Result<(), NotServed> {
    let expected: BTreeSet<&PublicKey> = keys.iter().collect();
    let end = Instant::now() + within;
    loop {
        let found = look(signer).await;
        let right = matches!(&found, Ok(found) if found.iter().eq(expected.iter().copied()));
        if right {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(match found {
                Ok(found) => NotServed::Others {
                    within,
                    served: found.len(),
                    expected: expected.len(),
                    missing: expected.iter().filter(|key| !found.contains(**key)).count(),
                    foreign: found.iter().filter(|key| !expected.contains(key)).count(),
                },
                Err(source) => NotServed::Silent { within, source },
            });
        }
        sleep(PAUSE).await;
    }
}

async fn look(signer: &Upcheck) -> io::Result<BTreeSet<PublicKey>> {
    let asked = async { answer(&mut signer.send(REQUEST).await?).await };
    let body = timeout(signer.within(), asked).await??;
    serde_json::from_slice(&body).map_err(io::Error::other)
}

/// The body of a good answer. Its head must tell its length.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let wrong = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut bytes = Vec::new();
    let (head, start) = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break (
                String::from_utf8_lossy(bytes.get(..at).unwrap_or_default()).into_owned(),
                at + 4,
            );
        }
        if bytes.len() > MAX_HEAD_BYTES {
            return Err(wrong("the head of the answer has no end"));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(wrong("the answer is not of status 200"));
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.filter(|length| *length <= MAX_BODY_BYTES);
    let length = length.ok_or_else(|| wrong("the answer tells no length, or one above that of all keys"))?;
    let mut body = bytes.split_off(start);
    let missing = length
        .checked_sub(body.len())
        .ok_or_else(|| wrong("the answer is longer than it tells"))?;
    let have = body.len();
    body.resize(have + missing, 0);
    stream
        .read_exact(body.get_mut(have..).unwrap_or_default())
        .await?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str) -> io::Result<Vec<u8>> {
        answer(&mut text.as_bytes()).await
    }

    #[tokio::test]
    async fn answers_are_read_whole_or_not_at_all() {
        let good = "HTTP/1.1 200 OK\r\nContent-Type: x\r\ncontent-LENGTH: 4\r\n\r\n[\"\"]";
        assert_eq!(read(good).await.unwrap(), b"[\"\"]");
        for length in 0..good.len() {
            read(&good[..length]).await.unwrap_err();
        }
        for (bad, why) in [
            (
                "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n[]",
                "status 200",
            ),
            ("HTTP/1.1 200 OK\r\n\r\n[]", "no length"),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n[]", "no length"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n[]", "longer"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n[]",
                "above",
            ),
        ] {
            let error = read(bad).await.unwrap_err().to_string();
            assert!(error.contains(why), "{bad:?}: {error}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n".repeat(4000));
        assert!(read(&endless).await.unwrap_err().to_string().contains("no end"));
    }
}
