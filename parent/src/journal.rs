//! What this program says: one event on a line, as text or JSON. Never a credential, never a ciphertext.
//!
//! ```text
//! info  enclave-started cid=16 took_ms=812
//! {"unix_ms":1795599000000,"level":"info","event":"enclave-started","cid":"16","took_ms":"812"}
//! ```
//! Text has no time: the journal of systemd adds it. A value that is not plain is quoted and escaped, so neither the enclave
//! nor a client can forge a line or send codes to a terminal.

use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use control::log::Level;
use serde::Deserialize;
use serde_json::{Map, Value};

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The time, given from outside.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Where lines go. Clones write to the same place.
#[derive(Clone)]
pub struct Journal {
    format: Format,
    least: Level,
    clock: Clock,
    out: Arc<Mutex<Box<dyn Write + Send>>>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("format", &self.format)
            .field("least", &self.least)
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Events below `least` are not written.
    #[must_use]
    pub fn new(format: Format, least: Level, clock: Clock, out: Box<dyn Write + Send>) -> Self {
        Self {
            format,
            least,
            clock,
            out: Arc::new(Mutex::new(out)),
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.clock)()
    }

    /// Writes an event. A journal that cannot be written to stops nothing.
    pub fn say(&self, level: Level, event: &str, fields: &[(&str, &dyn fmt::Display)]) {
        if level < self.least {
            return;
        }
        let mut line = match self.format {
            Format::Text => text(level, event, fields),
            Format::Json => self.json(level, event, fields),
        };
        line.push('\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(line.as_bytes()).and_then(|()| out.flush()).ok();
    }

    /// [`Level::Info`].
    pub fn info(&self, event: &str, fields: &[(&str, &dyn fmt::Display)]) {
        self.say(Level::Info, event, fields);
    }

    /// [`Level::Warn`].
    pub fn warn(&self, event: &str, fields: &[(&str, &dyn fmt::Display)]) {
        self.say(Level::Warn, event, fields);
    }

    /// [`Level::Error`].
    pub fn error(&self, event: &str, fields: &[(&str, &dyn fmt::Display)]) {
        self.say(Level::Error, event, fields);
    }

    fn json(&self, level: Level, event: &str, fields: &[(&str, &dyn fmt::Display)]) -> String {
        let since = self.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut object = Map::new();
        object.insert(
            "unix_ms".to_owned(),
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX).into(),
        );
        object.insert("level".to_owned(), level_name(level).into());
        object.insert("event".to_owned(), event.into());
        for (key, value) in fields {
            object
                .entry((*key).to_owned())
                .or_insert_with(|| value.to_string().into());
        }
        Value::Object(object).to_string()
    }
}

fn text(level: Level, event: &str, fields: &[(&str, &dyn fmt::Display)]) -> String {
    let mut line = format!("{:<5} {}", level_name(level), plain(event));
    for (key, value) in fields {
        // Writing to a string cannot fail.
        write!(line, " {key}={}", plain(&value.to_string())).unwrap_or_default();
    }
    line
}

/// The text itself, or quoted with escapes.
fn plain(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    if is_plain {
        text.to_owned()
    } else {
        format!("\"{}\"", text.escape_default())
    }
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

/// An error and its causes on one line.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").unwrap_or_default();
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format) -> String {
        let kept = Kept::default();
        let clock: Clock = Arc::new(|| UNIX_EPOCH + std::time::Duration::from_millis(42));
        let journal = Journal::new(format, Level::Info, clock, Box::new(kept.clone()));
        journal.say(Level::Debug, "not-written", &[]);
        journal.info(
            "began",
            &[("cid", &16), ("text", &"a b\u{1b}[2J\n\"é"), ("empty", &"")],
        );
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn no_value_can_forge_a_line() {
        assert_eq!(
            written(Format::Text),
            "info  began cid=16 text=\"a b\\u{1b}[2J\\n\\\"\\u{e9}\" empty=\"\"\n"
        );
        let line = written(Format::Json);
        assert_eq!(line.lines().count(), 1);
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["text"], "a b\u{1b}[2J\n\"é");
        assert_eq!(
            (value["unix_ms"].as_u64(), value["level"].as_str()),
            (Some(42), Some("info"))
        );
    }
}
