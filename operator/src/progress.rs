//! Telling a person how far it is: a bar on a terminal, plain lines elsewhere. Nothing secret gets here.

use std::io::Write;
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};

/// Who is told. Called from several threads.
pub trait Progress: Send + Sync {
    /// `total` steps of `what` begin.
    fn begin(&self, what: &str, total: u64);
    /// That many more steps are done.
    fn advance(&self, steps: u64);
    /// Something worth knowing.
    fn note(&self, line: &str);
    /// All steps are done, or it was given up.
    fn end(&self);
}

/// A bar on standard error.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar that shows nothing until the first step begins.
    #[must_use]
    pub fn new() -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template("{msg:>12} {pos}/{len} {wide_bar} {eta:>4}") {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl Default for Bar {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress for Bar {
    fn begin(&self, what: &str, total: u64) {
        // In this order: each call may draw.
        self.0.set_length(total);
        self.0.set_message(what.to_owned());
        self.0.reset();
    }

    fn advance(&self, steps: u64) {
        self.0.inc(steps);
    }

    fn note(&self, line: &str) {
        self.0.suspend(|| self.0.println(line));
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// Plain lines: one for each tenth of the steps, and the notes.
#[derive(Debug)]
pub struct Lines<W>(Mutex<State<W>>);

#[derive(Debug)]
struct State<W> {
    out: W,
    what: String,
    total: u64,
    done: u64,
    tenths_said: u64,
}

impl<W: Write> Lines<W> {
    /// Writes to `out`; what cannot be written is dropped.
    pub const fn new(out: W) -> Self {
        Self(Mutex::new(State {
            out,
            what: String::new(),
            total: 0,
            done: 0,
            tenths_said: 0,
        }))
    }

    fn with(&self, change: impl FnOnce(&mut State<W>) -> Option<String>) {
        // Nothing in here panics, and a count that is a little off would be no harm.
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(line) = change(&mut state) {
            drop(writeln!(state.out, "{line}"));
        }
    }
}

impl<W: Write + Send> Progress for Lines<W> {
    fn begin(&self, what: &str, total: u64) {
        self.with(|state| {
            what.clone_into(&mut state.what);
            (state.total, state.done, state.tenths_said) = (total, 0, 0);
            (total > 0).then(|| format!("{what}: {total}"))
        });
    }

    fn advance(&self, steps: u64) {
        self.with(|state| {
            state.done = state.done.saturating_add(steps);
            let tenths = state
                .done
                .saturating_mul(10)
                .checked_div(state.total)
                .unwrap_or(0);
            (tenths > state.tenths_said).then(|| {
                state.tenths_said = tenths;
                format!("{}: {} of {}", state.what, state.done, state.total)
            })
        });
    }

    fn note(&self, line: &str) {
        self.with(|_| Some(line.to_owned()));
    }

    fn end(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_are_few() {
        let lines = Lines::new(Vec::new());
        lines.begin("verifying", 1000);
        for _ in 0..1000 {
            lines.advance(1);
        }
        lines.note("a note");
        lines.begin("writing", 0);
        lines.end();
        let text = String::from_utf8(lines.0.into_inner().unwrap().out).unwrap();
        assert_eq!(text.lines().count(), 12, "{text}");
        assert!(
            text.starts_with("verifying: 1000\nverifying: 100 of 1000\n"),
            "{text}"
        );
        assert!(text.ends_with("verifying: 1000 of 1000\na note\n"), "{text}");
    }
}
