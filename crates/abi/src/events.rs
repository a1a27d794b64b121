//! The lines in which PID 1 says what happens: on the console, and in [`BOOT_FILE`] and [`CLOCK_FILE`] for the agent.
//!
//! ```text
//! line  = "nitro-init uptime_ms=" number " stage=" stage " event=" kind *(" " key "=" value) LF
//! stage = a name of [`Stage`]      kind = a name of [`Kind`]      key = a name of [`Key`], each at most once
//! value = 1 to 128 of A-Z a-z 0-9 . _ : / + -
//! ```
//!
//! One line is one event, at most [`MAX_LINE_BYTES`] long without its LF. A value can hold no space, quote or control
//! character, so a line cannot be forged through one. On the console other lines (the kernel's, a service's) may lie between.

use core::fmt;

use crate::boot::Stage;

/// First word of every line.
pub const PREFIX: &str = "nitro-init";
/// The events since the boot, oldest first. World-readable; written by PID 1 only.
pub const BOOT_FILE: &str = "/run/nitro/boot";
/// The events that no longer fit into [`BOOT_FILE`], the latest ones. World-readable; when it is full, PID 1 puts a new file in
/// its place.
pub const MORE_FILE: &str = "/run/nitro/events";
/// Directory of the pipes for what services say.
pub const OUTPUT_DIR: &str = "/run/nitro/output";
/// The latest [`Kind::Clock`] event, one line. World-readable; replaced by PID 1 at each reading.
pub const CLOCK_FILE: &str = "/run/nitro/clock";
/// No more than this is written to [`BOOT_FILE`], bytes; the events after it are on the console only.
pub const MAX_BOOT_FILE_BYTES: usize = 64 * 1024;
/// Longest value, bytes.
pub const MAX_VALUE_BYTES: usize = 128;
/// Longest line without its LF, bytes.
pub const MAX_LINE_BYTES: usize = 1024;

/// The pipe for what this service says. PID 1 makes it, its group is the agent's.
#[must_use]
pub fn output_file(service: &str) -> String {
    format!("{OUTPUT_DIR}/{service}")
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in a line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The value with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

named! {
    /// What happened.
    Kind {
        /// The stage was passed.
        Ok = "ok",
        /// The stage had nothing to do.
        Skipped = "skipped",
        /// An attempt failed; another follows.
        Retry = "retry",
        /// A service was started.
        Started = "started",
        /// A service ended.
        Ended = "ended",
        /// A service is to be started again after a wait.
        Restart = "restart",
        /// A service was told to read its configuration again.
        Reload = "reload",
        /// A service was told to end.
        Stopping = "stopping",
        /// A service could not be confined or executed; said by its own process.
        Failed = "failed",
        /// The agent asked for something.
        Request = "request",
        /// The clock was read.
        Clock = "clock",
        /// The enclave powers off.
        Fatal = "fatal",
    }
}

named! {
    /// What is said about it.
    Key {
        /// Number of an attempt, from 1.
        Attempt = "attempt",
        /// A count of bytes.
        Bytes = "bytes",
        /// A name of [`crate::boot::FatalCode`].
        Code = "code",
        /// `yes` when the enclave runs in debug mode (PCR0 is zero), else `no`.
        Debug = "debug",
        /// [`crate::boot::FatalReport::detail`].
        Detail = "detail",
        /// Error number of a system call.
        Errno = "errno",
        /// Identity of the NSM.
        Module = "module",
        /// How far the wall clock was ahead of (-) or behind (+) its source, microseconds.
        OffsetUs = "offset_us",
        /// Process number.
        Pid = "pid",
        /// A number of [`crate::request::Reply`].
        Reply = "reply",
        /// A number of [`crate::request::Request`].
        Request = "request",
        /// The kernel's active hardware random number generator.
        Rng = "rng",
        /// Name of a service.
        Service = "service",
        /// Where the clock comes from: `ptp-kvm`, `absent` (no device) or `none` (the table wants none).
        Source = "source",
        /// How a service ended: `exit:` or `signal:` and a number.
        Status = "status",
        /// `yes` when the clock was set, else `no`.
        Stepped = "stepped",
        /// The path or step that a failure is about.
        Target = "target",
        /// Version of PID 1.
        Version = "version",
        /// Milliseconds to the next attempt.
        WaitMs = "wait_ms",
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since the kernel started.
    pub uptime_ms: u64,
    /// The stage that PID 1 is in.
    pub stage: Stage,
    /// What happened.
    pub kind: Kind,
    fields: Vec<(Key, String)>,
}

/// Why a line is not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventError {
    /// Its first word is not [`PREFIX`]: another program's line.
    Foreign,
    /// Longer than [`MAX_LINE_BYTES`]; holds the length.
    TooLong(usize),
    /// `uptime_ms` is absent or no plain decimal number.
    Uptime,
    /// `stage` is absent or unknown.
    Stage,
    /// `event` is absent or unknown.
    Kind,
    /// The field with this number (from 0) has an unknown key, or no `=`.
    Key(usize),
    /// The field with this number repeats a key.
    Repeated(usize),
    /// The value of the field with this number is empty, too long or has a character that no value has.
    Value(usize),
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => write!(f, "line does not start with {PREFIX}"),
            Self::TooLong(n) => write!(f, "event line has {n} bytes, expected at most {MAX_LINE_BYTES}"),
            Self::Uptime => f.write_str("event line has no decimal uptime_ms as its second word"),
            Self::Stage => f.write_str("event line has no known stage as its third word"),
            Self::Kind => f.write_str("event line has no known event as its fourth word"),
            Self::Key(n) => write!(f, "field {n} of the event line has no known key"),
            Self::Repeated(n) => write!(f, "field {n} of the event line repeats a key"),
            Self::Value(n) => write!(f, "field {n} of the event line has a bad value"),
        }
    }
}

impl core::error::Error for EventError {}

impl Event {
    /// An event without fields.
    #[must_use]
    pub const fn new(uptime_ms: u64, stage: Stage, kind: Kind) -> Self {
        Self {
            uptime_ms,
            stage,
            kind,
            fields: Vec::new(),
        }
    }

    /// Adds a field, or replaces the one with this key. A character that no value has becomes `_`,
    /// an empty value becomes `-`, and what is beyond [`MAX_VALUE_BYTES`] is cut off.
    #[must_use]
    pub fn with(mut self, key: Key, value: impl fmt::Display) -> Self {
        let text = value.to_string();
        let clean = text.chars().map(|c| if is_value_char(c) { c } else { '_' });
        let mut value: String = clean.take(MAX_VALUE_BYTES).collect();
        if value.is_empty() {
            value.push('-');
        }
        self.fields.retain(|(k, _)| *k != key);
        self.fields.push((key, value));
        self
    }

    /// The value of a field.
    #[must_use]
    pub fn field(&self, key: Key) -> Option<&str> {
        self.fields
            .iter()
            .find(|(k, _)| *k == key)
            .map(|(_, value)| value.as_str())
    }

    /// All fields in the order of the line.
    pub fn fields(&self) -> impl Iterator<Item = (Key, &str)> {
        self.fields.iter().map(|(key, value)| (*key, value.as_str()))
    }

    /// Reads a line without its LF (a console's CR before it is dropped).
    ///
    /// # Errors
    /// [`EventError`] names the first word that is wrong; [`EventError::Foreign`] is no fault of the line.
    pub fn parse(line: &str) -> Result<Self, EventError> {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let mut words = line.split(' ');
        if words.next() != Some(PREFIX) {
            return Err(EventError::Foreign);
        }
        if line.len() > MAX_LINE_BYTES {
            return Err(EventError::TooLong(line.len()));
        }
        let uptime_ms = words
            .next()
            .and_then(|word| number(word.strip_prefix("uptime_ms=")?));
        let uptime_ms = uptime_ms.ok_or(EventError::Uptime)?;
        let stage = words
            .next()
            .and_then(|word| stage_named(word.strip_prefix("stage=")?));
        let kind = words
            .next()
            .and_then(|word| Kind::from_name(word.strip_prefix("event=")?));
        let mut event = Self::new(
            uptime_ms,
            stage.ok_or(EventError::Stage)?,
            kind.ok_or(EventError::Kind)?,
        );
        for (index, word) in words.enumerate() {
            let (key, value) = word.split_once('=').ok_or(EventError::Key(index))?;
            let key = Key::from_name(key).ok_or(EventError::Key(index))?;
            if event.field(key).is_some() {
                return Err(EventError::Repeated(index));
            }
            if value.is_empty() || value.len() > MAX_VALUE_BYTES || !value.chars().all(is_value_char) {
                return Err(EventError::Value(index));
            }
            event.fields.push((key, value.to_owned()));
        }
        Ok(event)
    }
}

/// The line without its LF.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stage, kind) = (self.stage.name(), self.kind.name());
        write!(
            f,
            "{PREFIX} uptime_ms={} stage={stage} event={kind}",
            self.uptime_ms
        )?;
        self.fields
            .iter()
            .try_for_each(|(key, value)| write!(f, " {}={value}", key.name()))
    }
}

const fn is_value_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '/' | '+' | '-')
}

fn stage_named(name: &str) -> Option<Stage> {
    Stage::ALL.iter().copied().find(|stage| stage.name() == name)
}

/// A decimal number as this crate writes it: digits only, no needless zero in front.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests;
