//! What `simulator run` prints: lines for people, or one JSON object a line for programs.

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use serde_json::json;

use crate::record::News;

/// Writes what happens.
pub(crate) struct Show<'a> {
    json: bool,
    out: &'a mut dyn Write,
}

impl<'a> Show<'a> {
    pub(crate) fn new(json: bool, out: &'a mut dyn Write) -> Self {
        Self { json, out }
    }

    /// Something about the enclave.
    pub(crate) fn news(&mut self, at: Duration, news: &News) -> io::Result<()> {
        let ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let (kind, text) = match news {
            News::Passed(milestone) => ("stage", milestone.to_string()),
            News::Console(line) => ("console", line.clone()),
            News::Emulator(line) => ("emulator", line.clone()),
            News::Wrong(text) => ("wrong", text.clone()),
            News::Fatal(r) => (
                "fatal",
                format!(
                    "{} in stage {}, errno {}, detail {}",
                    r.code, r.stage, r.errno, r.detail
                ),
            ),
        };
        if self.json {
            return writeln!(self.out, "{}", json!({ "at_ms": ms, "kind": kind, "text": text }));
        }
        let mark = match news {
            News::Passed(_) => "==",
            News::Console(_) => "  ",
            News::Emulator(_) | News::Wrong(_) | News::Fatal(_) => "!!",
        };
        let label = if matches!(news, News::Passed(_) | News::Console(_)) {
            String::new()
        } else {
            format!("{kind}: ")
        };
        writeln!(self.out, "{:>9.3} {mark} {label}{text}", at.as_secs_f64())
    }

    /// Something about the simulator.
    pub(crate) fn note(&mut self, text: &str) -> io::Result<()> {
        if self.json {
            writeln!(self.out, "{}", json!({ "kind": "note", "text": text }))
        } else {
            writeln!(self.out, "simulator: {text}")
        }
    }

    /// Why the enclave did not boot, with its causes.
    pub(crate) fn failure(&mut self, error: &(dyn Error + 'static)) -> io::Result<()> {
        let causes = std::iter::successors(Some(error), |e: &&(dyn Error + 'static)| (*e).source());
        let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        if self.json {
            writeln!(self.out, "{}", json!({ "kind": "failure", "text": text }))
        } else {
            writeln!(self.out, "simulator: {text}")
        }
    }
}
