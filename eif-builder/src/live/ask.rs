//! Asks an enclave for a document with our nonce: through the parent's relay, or at the agent itself.
//!
//! ```text
//! http://HOST:PORT[/attest]   the parent's relay: GET /attest?nonce=HEX (https: too)
//! vsock:CID:PORT              the agent, on the instance itself; PORT is 5000 or 5001
//! unix:PATH                   a stream that leads to the agent
//! unix:PATH:PORT              a vsock of user space: CONNECT PORT, then the agent (the simulator's vsock.sock)
//! ```
//!
//! None of these ways needs protection: the document is signed and carries our nonce. What comes back is bounded in length and time.

use core::fmt;
use core::str::FromStr;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use control::MAX_ANSWER_BYTES;
use control::answer::{AnswerError, Attestation, read};
use control::request::Request;
use control::text::Nonce;
use vsock::{VsockAddr, VsockStream};

use crate::fetch::http::{Http, HttpError};

/// How long an agent may take for an answer. The NSM of a busy enclave needs seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Questions to a relay that says "too many" or cannot reach its enclave just now.
const TRIES: u32 = 3;
/// Between two of them; the relay's own measure is one in a second.
const PAUSE: Duration = Duration::from_millis(1500);
/// Longest answer to `CONNECT PORT`, with its line end.
const MAX_HELLO: usize = 32;

/// Where an enclave can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The parent's relay, by the whole URL without its query.
    Relay(String),
    /// The agent on a vsock.
    Vsock {
        /// The enclave.
        cid: u32,
        /// The agent's port.
        port: u32,
    },
    /// The agent behind a Unix socket, after `CONNECT PORT` where a port is given.
    Unix {
        /// The socket.
        path: PathBuf,
        /// See above.
        port: Option<u32>,
    },
}

/// A text that is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected http://HOST:PORT, vsock:CID:PORT, unix:PATH or unix:PATH:PORT")]
pub struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        if let Some(rest) = text.strip_prefix("vsock:") {
            let (cid, port) = rest.split_once(':').ok_or(NoPlace)?;
            let number = |text: &str| text.parse::<u32>().map_err(|_| NoPlace);
            return Ok(Self::Vsock {
                cid: number(cid)?,
                port: number(port)?,
            });
        }
        if let Some(rest) = text.strip_prefix("unix:") {
            let split = rest.rsplit_once(':');
            let (path, port) = match split.map(|(path, port)| (path, port.parse())) {
                Some((path, Ok(port))) => (path, Some(port)),
                _ => (rest, None),
            };
            let path = PathBuf::from(path);
            return if path.as_os_str().is_empty() {
                Err(NoPlace)
            } else {
                Ok(Self::Unix { path, port })
            };
        }
        let (scheme, rest) = text.split_once("://").ok_or(NoPlace)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let good = matches!(scheme, "http" | "https")
            && !host.is_empty()
            && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "?#".contains(c));
        let path = if path.is_empty() { "attest" } else { path };
        good.then(|| Self::Relay(format!("{scheme}://{host}/{path}")))
            .ok_or(NoPlace)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay(url) => f.write_str(url),
            Self::Vsock { cid, port } => write!(f, "vsock:{cid}:{port}"),
            Self::Unix { path, port: None } => write!(f, "unix:{}", path.display()),
            Self::Unix {
                path,
                port: Some(port),
            } => write!(f, "unix:{}:{port}", path.display()),
        }
    }
}

/// Why there is no answer. Nothing is found wrong with the enclave.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The relay has none.
    #[error("{url} gives no document{}", advice(.source))]
    Relay {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: HttpError,
    },
    /// The relay's answer is no JSON of the expected form.
    #[error("{url} does not answer as a relay does")]
    Form {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The agent cannot be reached, or the connection broke.
    #[error("cannot ask the agent at {place}")]
    Connection {
        /// What was asked.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The agent refused, or its answer is none.
    #[error("the agent at {place} gives no document")]
    Agent {
        /// What was asked.
        place: String,
        /// Why.
        #[source]
        source: AnswerError,
    },
}

fn advice(error: &HttpError) -> &'static str {
    match error {
        HttpError::Status(429) => ": others ask as well, or this was asked often; try again in a minute",
        HttpError::Status(502) => ": the parent does not reach its enclave",
        HttpError::Status(404) => ": only the parent's attest address has /attest",
        _ => "",
    }
}

/// Asks for a document that carries `nonce`.
///
/// # Errors
/// [`AskError`], by its variants.
pub fn ask(place: &Place, nonce: &Nonce, http: &Http) -> Result<Attestation, AskError> {
    let connection = |source| AskError::Connection {
        place: place.to_string(),
        source,
    };
    let bytes = match place {
        Place::Relay(url) => return ask_relay(url, nonce, http),
        Place::Vsock { cid, port } => {
            let stream = VsockStream::connect(&VsockAddr::new(*cid, *port)).map_err(connection)?;
            let timed = stream
                .set_read_timeout(Some(PATIENCE))
                .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
            timed.and_then(|()| exchange(stream, nonce))
        }
        Place::Unix { path, port } => unix(path, *port).and_then(|stream| exchange(stream, nonce)),
    };
    let bytes = bytes.map_err(connection)?;
    read(&bytes).map_err(|source| AskError::Agent {
        place: place.to_string(),
        source,
    })
}

fn ask_relay(url: &str, nonce: &Nonce, http: &Http) -> Result<Attestation, AskError> {
    let question = format!("{url}?nonce={nonce}");
    let mut tries = 1;
    let bytes = loop {
        match http.get_bytes(&question, MAX_ANSWER_BYTES as u64) {
            Ok(bytes) => break bytes,
            Err(error) if error.is_transient() && tries < TRIES => {
                tries += 1;
                sleep(PAUSE);
            }
            Err(source) => {
                return Err(AskError::Relay {
                    url: url.to_owned(),
                    source,
                });
            }
        }
    };
    serde_json::from_slice(&bytes).map_err(|source| AskError::Form {
        url: url.to_owned(),
        source,
    })
}

fn unix(path: &std::path::Path, port: Option<u32>) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Some(port) = port else { return Ok(stream) };
    stream.write_all(format!("CONNECT {port}\n").as_bytes())?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the line is the agent's.
    while answer.last() != Some(&b'\n') && answer.len() < MAX_HELLO {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.extend(byte);
    }
    if answer.starts_with(b"OK ") {
        return Ok(stream);
    }
    let text = format!("the socket does not answer CONNECT {port} with OK");
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

/// One message out, one answer in; the agent closes.
fn exchange(mut stream: impl Read + Write, nonce: &Nonce) -> io::Result<Vec<u8>> {
    let question = Request::Attest { nonce: nonce.clone() };
    stream.write_all(&question.to_bytes())?;
    stream.flush()?;
    let mut bytes = Vec::new();
    stream.take(MAX_ANSWER_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        let text = "closed without an answer";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_shown() {
        for (text, shown) in [
            ("http://10.0.0.1:8081", "http://10.0.0.1:8081/attest"),
            ("http://h:1/", "http://h:1/attest"),
            ("https://h/x/attest", "https://h/x/attest"),
            ("vsock:16:5001", "vsock:16:5001"),
            ("unix:/run/a:b", "unix:/run/a:b"),
            ("unix:/run/v.sock:5001", "unix:/run/v.sock:5001"),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), shown);
        }
        let port = Some(5001);
        let path = PathBuf::from("/v.sock");
        assert_eq!("unix:/v.sock:5001".parse(), Ok(Place::Unix { path, port }));
        for wrong in [
            "",
            "h:1",
            "ftp://h",
            "http://",
            "http:///attest",
            "http://h/?nonce=00",
            "http://h h",
            "http://h/#",
            "vsock:16",
            "vsock:x:1",
            "vsock:16:-1",
            "vsock:16:4294967296",
            "unix:",
            "unix::1",
        ] {
            assert_eq!(wrong.parse::<Place>(), Err(NoPlace), "{wrong:?}");
        }
    }
}
