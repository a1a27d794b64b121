//! Many decryptions over one client: one JSON object a line in, one a line out, in the same order.
//!
//! Each item succeeds or fails alone; what was answered is written at once, so an end in the middle loses nothing before it.
//! Spec: `kmstool-rs/README.md`, "Batch".

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _, Write};

use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::client::{Client, ClientError};
use crate::key_id::KeyId;
use crate::ops::{Decrypt, Decrypted};
use crate::output::secret_base64;
use crate::request::{EncryptionAlgorithm, EncryptionContext, RequestError};
use crate::service_error::Class;

/// Longest line, bytes: the longest ciphertext in base64, the longest context, each twice over for escapes.
pub const MAX_LINE_BYTES: usize = 32 * 1024;
/// Longest `id`, bytes.
const MAX_ID_BYTES: usize = 256;

/// What holds for every item. A line may say the same or, for the context, more, but never anything else: whoever writes the
/// lines is less trusted than whoever gives these.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// Pins the key: an item that names another is refused, even if that is another name of the same key.
    pub key_id: Option<KeyId>,
    /// How the ciphertexts were made.
    pub algorithm: Option<EncryptionAlgorithm>,
    /// What the ciphertexts were made with.
    pub context: EncryptionContext,
}

/// What became of the items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Items with a plaintext.
    pub decrypted: usize,
    /// Items with an error.
    pub failed: usize,
}

/// Why the batch ended early. What was written stays valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The input failed.
    #[error("cannot read the batch: {0}")]
    Read(io::ErrorKind),
    /// The output failed.
    #[error("cannot write an answer: {0}")]
    Write(io::ErrorKind),
}

/// Why one line is no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("the line is longer than 32768 bytes")]
    TooLong,
    /// Not a JSON object with the known keys.
    #[error("not a JSON object of a batch item: column {0}")]
    Json(usize),
    /// The `id` is too long.
    #[error("the id is longer than 256 bytes")]
    Id,
    /// A value is out of KMS's limits.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A value is another than the one that holds for every item.
    #[error("{0} is not what the command line demands")]
    Pinned(&'static str),
}

/// An item as a line says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawItem {
    id: Option<String>,
    ciphertext: String,
    key_id: Option<String>,
    encryption_algorithm: Option<String>,
    encryption_context: Option<BTreeMap<String, String>>,
}

/// An answer as a line says it.
#[derive(Serialize)]
struct Outcome<'a> {
    /// From 1, blank lines included.
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure<'a>>,
}

#[derive(Serialize)]
struct Failure<'a> {
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

/// Reads a line's item; its `id` also where the rest is refused.
///
/// # Errors
/// [`LineError`] but `TooLong`.
pub fn item(line: &[u8], defaults: &Defaults) -> (Option<String>, Result<Decrypt, LineError>) {
    let raw: RawItem = match serde_json::from_slice(line) {
        Ok(raw) => raw,
        Err(error) => return (None, Err(LineError::Json(error.column()))),
    };
    if raw.id.as_ref().is_some_and(|id| id.len() > MAX_ID_BYTES) {
        return (None, Err(LineError::Id));
    }
    let request = || -> Result<Decrypt, LineError> {
        let mut request = Decrypt::from_base64(&raw.ciphertext)?;
        let (key_id, algorithm) = (raw.key_id.as_deref(), raw.encryption_algorithm.as_deref());
        let key_id = key_id.map(KeyId::new).transpose()?;
        let algorithm = algorithm.map(EncryptionAlgorithm::from_name).transpose()?;
        request.key_id = pinned("key_id", defaults.key_id.clone(), key_id)?;
        request.algorithm = pinned("encryption_algorithm", defaults.algorithm, algorithm)?;
        request.context = match raw.encryption_context {
            Some(pairs) => {
                let more = EncryptionContext::new(pairs)?;
                let joined = defaults.context.and(more)?;
                joined.ok_or(LineError::Pinned("encryption_context"))?
            }
            None => defaults.context.clone(),
        };
        Ok(request)
    };
    let request = request();
    (raw.id, request)
}

/// What holds for every item, or what the line says; both only when they are the same.
fn pinned<T: PartialEq>(what: &'static str, all: Option<T>, own: Option<T>) -> Result<Option<T>, LineError> {
    match (all, own) {
        (Some(all), Some(own)) if all != own => Err(LineError::Pinned(what)),
        (all, own) => Ok(all.or(own)),
    }
}

/// Runs a batch until the input ends.
///
/// # Errors
/// [`BatchError`].
pub async fn run(
    client: &Client,
    defaults: &Defaults,
    input: Box<dyn BufRead + Send>,
    output: &mut dyn Write,
) -> Result<Summary, BatchError> {
    // Reading blocks, so it has a thread: an answer must not wait for the next line. The channel bounds what is read ahead.
    let (sender, receiver) = mpsc::channel(client.sessions());
    std::thread::spawn(move || read_lines(input, &sender));
    let lines = stream::unfold(receiver, async |mut receiver| {
        Some((receiver.recv().await?, receiver))
    });
    let outcomes = lines.map(|line| async move {
        let (number, text) = line?;
        let (id, request) = text.map_or_else(|error| (None, Err(error)), |text| item(&text, defaults));
        Ok(match request {
            Ok(request) => written(number, id.as_deref(), client.call(&request).await),
            Err(error) => (false, encode(&refused(number, id.as_deref(), &error.to_string()))),
        })
    });
    let mut outcomes = std::pin::pin!(outcomes.buffered(client.sessions()));
    let mut summary = Summary::default();
    while let Some(outcome) = outcomes.next().await {
        let (good, line) = outcome.map_err(BatchError::Read)?;
        output
            .write_all(&line)
            .and_then(|()| output.flush())
            .map_err(|error| BatchError::Write(error.kind()))?;
        if good {
            summary.decrypted += 1;
        } else {
            summary.failed += 1;
        }
    }
    Ok(summary)
}

fn written(
    line: usize,
    id: Option<&str>,
    result: Result<Decrypted, ClientError>,
) -> (bool, Zeroizing<Vec<u8>>) {
    match result {
        Ok(decrypted) => {
            let plaintext = secret_base64(decrypted.plaintext.expose());
            let key_id = Some(decrypted.key_arn.as_str());
            (
                true,
                encode(&Outcome {
                    line,
                    id,
                    plaintext: Some(&plaintext),
                    key_id,
                    error: None,
                }),
            )
        }
        Err(error) => {
            let service = error.service();
            let part = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
            let (name, request_id) = (
                service.and_then(|s| part(&s.name)),
                service.and_then(|s| part(&s.request_id)),
            );
            let message = chain(&error);
            let error = Failure {
                class: error.class().word(),
                name: name.as_deref(),
                message: &message,
                request_id: request_id.as_deref(),
            };
            (
                false,
                encode(&Outcome {
                    line,
                    id,
                    plaintext: None,
                    key_id: None,
                    error: Some(error),
                }),
            )
        }
    }
}

fn refused<'a>(line: usize, id: Option<&'a str>, message: &'a str) -> Outcome<'a> {
    let error = Failure {
        class: Class::Usage.word(),
        name: None,
        message,
        request_id: None,
    };
    Outcome {
        line,
        id,
        plaintext: None,
        key_id: None,
        error: Some(error),
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn encode(outcome: &Outcome<'_>) -> Zeroizing<Vec<u8>> {
    // Room for all at once: growing would leave copies behind. Everything but the plaintext is short.
    let room = outcome.plaintext.map_or(0, str::len) + 8192;
    let mut line = Zeroizing::new(Vec::with_capacity(room));
    // Text and numbers into memory: this cannot fail.
    serde_json::to_writer(&mut *line, outcome).unwrap_or_default();
    line.push(b'\n');
    line
}

/// A line that is no item can be reported; an input that fails cannot be read on.
type Line = Result<(usize, Result<Vec<u8>, LineError>), io::ErrorKind>;

fn read_lines(mut input: Box<dyn BufRead + Send>, sender: &mpsc::Sender<Line>) {
    for number in 1.. {
        let line = match read_line(&mut *input) {
            Ok(None) => return,
            Ok(Some(Ok(text))) if text.trim_ascii().is_empty() => continue,
            Ok(Some(line)) => Ok((number, line)),
            Err(error) => Err(error.kind()),
        };
        let end = line.is_err();
        // A closed channel means that the batch has ended.
        if sender.blocking_send(line).is_err() || end {
            return;
        }
    }
}

/// The next line without its end; none when the input has ended. Never holds more than [`MAX_LINE_BYTES`].
fn read_line(input: &mut dyn BufRead) -> io::Result<Option<Result<Vec<u8>, LineError>>> {
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX) + 1;
    if (&mut *input).take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Some(Ok(line)));
    }
    if line.len() <= MAX_LINE_BYTES {
        return Ok(Some(Ok(line)));
    }
    drop(line);
    loop {
        let piece = input.fill_buf()?;
        let (length, end) = match piece.iter().position(|&byte| byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (piece.len(), piece.is_empty()),
        };
        input.consume(length);
        if end {
            return Ok(Some(Err(LineError::TooLong)));
        }
    }
}

#[cfg(test)]
#[path = "batch/tests.rs"]
mod tests;
