//! The control socket of a running KMS: faults and counts, for scripts and tests in other processes.
//!
//! One JSON object in a line, one in the answer: `{"counts":{}}`, `{"clear":{}}`, and
//! `{"fault":{"kind":"slow","ms":500,"operation":"Decrypt","skip":0,"count":1}}`. The answer has `error` when the line was
//! not understood. The socket is in the state folder, which only its owner can enter.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fault::{Fault, Kind};
use super::operation::Operation;
use super::service::Kms;

/// Longest line either way.
const MAX_LINE: u64 = 64 * 1024;
/// Patience with the other side.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Message {
    /// What happened so far.
    Counts {},
    /// No more faults.
    Clear {},
    /// One more fault.
    Fault {
        /// Name of a [`Kind`].
        kind: String,
        /// Milliseconds, for `slow`.
        ms: Option<u64>,
        /// Name of an [`Operation`]; any when absent.
        operation: Option<String>,
        /// So many calls pass first.
        #[serde(default)]
        skip: u32,
        /// So many calls are hit then.
        #[serde(default = "one")]
        count: u32,
    },
}

fn one() -> u32 {
    1
}

impl Message {
    /// The message for a fault.
    #[must_use]
    pub fn fault(fault: &Fault) -> Self {
        Self::Fault {
            kind: fault.kind.name().to_owned(),
            ms: match fault.kind {
                Kind::Slow(time) => u64::try_from(time.as_millis()).ok(),
                _ => None,
            },
            operation: fault.operation.map(|operation| operation.name().to_owned()),
            skip: fault.skip,
            count: fault.count,
        }
    }
}

/// Answers one line.
#[must_use]
pub fn answer(kms: &Kms, line: &[u8]) -> Value {
    let message = match serde_json::from_slice(line) {
        Ok(message) => message,
        Err(error) => return json!({ "error": error.to_string() }),
    };
    match message {
        Message::Counts {} => kms.counts().to_json(),
        Message::Clear {} => {
            kms.clear_faults();
            json!({})
        }
        Message::Fault {
            kind,
            ms,
            operation,
            skip,
            count,
        } => {
            let Some(kind) = Kind::named(&kind, ms) else {
                return json!({ "error": format!("there is no fault {kind:?}, or `ms` does not go with it") });
            };
            let operation = match operation {
                None => None,
                Some(name) => match Operation::named(&name) {
                    Some(operation) => Some(operation),
                    None => return json!({ "error": format!("there is no operation {name:?}") }),
                },
            };
            kms.add_fault(Fault {
                operation,
                kind,
                skip,
                count,
            });
            json!({})
        }
    }
}

/// Answers on the socket for as long as this process lives, one connection after the other.
///
/// # Errors
/// When the thread cannot be started.
pub fn serve(listener: UnixListener, kms: Arc<Kms>) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("kms-control".to_owned());
    let run = move || {
        for stream in listener.incoming().flatten() {
            // Whoever goes away in the middle gets no answer.
            drop(converse(&stream, &kms));
        }
    };
    thread.spawn(run).map(drop)
}

fn converse(mut stream: &UnixStream, kms: &Kms) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = Vec::new();
    BufReader::new(stream.take(MAX_LINE)).read_until(b'\n', &mut line)?;
    writeln!(stream, "{}", answer(kms, &line))
}

/// Sends a message to the KMS whose socket is at `path` and gives its answer.
///
/// # Errors
/// When nobody listens there, or the answer is none.
pub fn ask(path: &Path, message: &Message) -> io::Result<Value> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    writeln!(stream, "{}", serde_json::to_string(message)?)?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_LINE)).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::principal::Principals;
    use crate::kms::service::Settings;
    use crate::kms::store::Store;
    use crate::kms::trust::Trust;

    fn kms() -> Arc<Kms> {
        let account = "111122223333".parse().unwrap();
        let settings = Settings::new("us-east-1", account, Principals::default(), Trust::aws());
        Kms::new(settings, Store::default())
    }

    #[test]
    fn messages_are_lines_of_json() {
        let fault = Fault::next(Kind::Slow(Duration::from_millis(5)), 2).of(Operation::Decrypt);
        let line = serde_json::to_string(&Message::fault(&fault)).unwrap();
        let expected = r#"{"fault":{"kind":"slow","ms":5,"operation":"Decrypt","skip":0,"count":2}}"#;
        assert_eq!(line, expected);
        let kms = kms();
        for good in [&line, r#"{"fault":{"kind":"reset"}}"#, r#"{"clear":{}}"#] {
            assert_eq!(answer(&kms, good.as_bytes()), json!({}), "{good}");
        }
        assert_eq!(answer(&kms, br#"{"counts":{}}"#)["tls_sessions"], 0);
    }

    #[test]
    fn other_lines_are_refused() {
        let kms = kms();
        for bad in [
            "",
            "{}",
            "counts",
            r#"{"counts":{},"clear":{}}"#,
            r#"{"fault":{"kind":"nonsense"}}"#,
            r#"{"fault":{"kind":"slow"}}"#,
            r#"{"fault":{"kind":"reset","operation":"decrypt"}}"#,
            r#"{"fault":{"kind":"reset","count":-1}}"#,
            r#"{"fault":{"kind":"reset","other":1}}"#,
        ] {
            assert!(answer(&kms, bad.as_bytes())["error"].is_string(), "{bad}");
        }
    }

    #[test]
    fn the_socket_answers_and_survives_silence() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        serve(UnixListener::bind(&path).unwrap(), kms()).unwrap();
        drop(UnixStream::connect(&path).unwrap());
        assert_eq!(ask(&path, &Message::Counts {}).unwrap()["connections"], 0);
    }
}
