//! The log: one plain line an event on standard output. No bodies, no secrets, no signatures.
//!
//! A value that came from outside is written through [`Shown`], so that a line break in it cannot forge a line.

use std::fmt::{self, Display};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::{Clock, timestamp};

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Details for whoever looks for a fault.
    Debug,
    /// What happens in the ordinary course.
    Info,
    /// Something is not as it should be, and the signer goes on.
    Warn,
    /// Something asked for could not be done.
    Error,
    /// Nothing is logged at this level; as a limit it silences the log.
    Off,
}

impl Severity {
    /// The severity of upstream's level names.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "OFF" => Self::Off,
            "FATAL" | "ERROR" => Self::Error,
            "WARN" => Self::Warn,
            "INFO" => Self::Info,
            "DEBUG" | "TRACE" | "ALL" => Self::Debug,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO ",
            Self::Warn => "WARN ",
            Self::Error => "ERROR",
            Self::Off => "OFF  ",
        }
    }
}

/// Where events go. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    least: Severity,
    clock: Arc<dyn Clock>,
    out: Arc<Mutex<dyn Write + Send>>,
}

impl fmt::Debug for Log {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Log({:?})", self.least)
    }
}

impl Log {
    /// A log of events from `least` on.
    #[must_use]
    pub fn new(least: Severity, clock: Arc<dyn Clock>, out: Arc<Mutex<dyn Write + Send>>) -> Self {
        Self { least, clock, out }
    }

    /// A log that nobody reads.
    #[must_use]
    pub fn silent(clock: Arc<dyn Clock>) -> Self {
        Self::new(Severity::Off, clock, Arc::new(Mutex::new(std::io::sink())))
    }

    /// Details for whoever looks for a fault.
    pub fn debug(&self, text: impl Display) {
        self.line(Severity::Debug, &text);
    }

    /// What happens in the ordinary course.
    pub fn info(&self, text: impl Display) {
        self.line(Severity::Info, &text);
    }

    /// Something is not as it should be.
    pub fn warn(&self, text: impl Display) {
        self.line(Severity::Warn, &text);
    }

    /// Something could not be done.
    pub fn error(&self, text: impl Display) {
        self.line(Severity::Error, &text);
    }

    fn line(&self, severity: Severity, text: &dyn Display) {
        if severity < self.least {
            return;
        }
        let line = format!(
            "{} {} {}\n",
            timestamp(self.clock.now()),
            severity.name(),
            Shown(text)
        );
        // A log that cannot be written must not stop a signer: duties matter more than lines.
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if out.write_all(line.as_bytes()).is_ok() && out.flush().is_err() {
            // as above
        }
    }
}

/// A text in which control characters are escaped.
#[derive(Debug)]
pub struct Shown<T>(pub T);

impl<T: Display> Display for Shown<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            if c.is_control() {
                write!(out, "{}", c.escape_default())?;
            } else {
                write!(out, "{c}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Fixed;

    #[test]
    fn a_line_break_cannot_forge_a_line_and_levels_filter() {
        let out = Arc::new(Mutex::new(Vec::new()));
        let log = Log::new(Severity::Info, Arc::new(Fixed(1_700_000_000_123)), out.clone());
        log.debug("not there");
        log.info("path /x\r\n2026 ERROR forged");
        log.error("last");
        let text = String::from_utf8(out.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "2023-11-14T22:13:20.123Z INFO  path /x\\r\\n2026 ERROR forged\n2023-11-14T22:13:20.123Z ERROR last\n"
        );
    }
}
