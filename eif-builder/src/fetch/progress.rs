//! Telling a person how a download goes: a bar on a terminal, plain lines elsewhere.

use std::io::Write;
use std::sync::Mutex;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// Who is told about downloads. Called from several threads.
pub trait Progress: Sync {
    /// Downloading of `files` files, `bytes` bytes in all, begins.
    fn begin(&self, files: usize, bytes: u64);
    /// That many more bytes have come.
    fn advance(&self, bytes: u64);
    /// That many bytes were thrown away and will come again.
    fn rewind(&self, bytes: u64);
    /// A file is complete and checked.
    fn finished(&self, label: &str);
    /// Something worth knowing happened, such as a retry.
    fn note(&self, line: &str);
    /// All files are there, or it was given up.
    fn end(&self);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _files: usize, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn rewind(&self, _bytes: u64) {}
    fn finished(&self, _label: &str) {}
    fn note(&self, _line: &str) {}
    fn end(&self) {}
}

/// A bar on standard error, which must be a terminal.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar that shows nothing until the first download begins.
    #[must_use]
    pub fn new() -> Self {
        let bar = ProgressBar::no_length();
        let template = "{bytes:>10} of {total_bytes} {wide_bar} {bytes_per_sec} {eta:>4}  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
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
    fn begin(&self, files: usize, bytes: u64) {
        self.0.reset();
        self.0.set_length(bytes);
        self.0.set_message(format!("{files} files"));
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn rewind(&self, bytes: u64) {
        self.0.dec(bytes);
    }

    fn finished(&self, label: &str) {
        self.0.set_message(label.to_owned());
    }

    fn note(&self, line: &str) {
        self.0.suspend(|| self.0.println(line));
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// Plain lines: one for each tenth of the bytes, and the notes.
#[derive(Debug)]
pub struct Lines<W>(Mutex<LinesState<W>>);

#[derive(Debug)]
struct LinesState<W> {
    out: W,
    total: u64,
    done: u64,
    tenths_said: u64,
}

impl<W: Write> Lines<W> {
    /// Writes to `out`; what cannot be written is dropped.
    pub fn new(out: W) -> Self {
        Self(Mutex::new(LinesState {
            out,
            total: 0,
            done: 0,
            tenths_said: 0,
        }))
    }

    fn with(&self, change: impl FnOnce(&mut LinesState<W>) -> Option<String>) {
        // Nothing in here panics, and a count that is a little off would be no harm.
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(line) = change(&mut state) {
            drop(writeln!(state.out, "{line}"));
        }
    }
}

impl<W: Write + Send> Progress for Lines<W> {
    fn begin(&self, files: usize, bytes: u64) {
        self.with(|state| {
            (state.total, state.done, state.tenths_said) = (bytes, 0, 0);
            Some(format!("fetching {files} files, {}", HumanBytes(bytes)))
        });
    }

    fn advance(&self, bytes: u64) {
        self.with(|state| {
            state.done = state.done.saturating_add(bytes);
            let tenths = state
                .done
                .saturating_mul(10)
                .checked_div(state.total)
                .unwrap_or(0);
            (tenths > state.tenths_said).then(|| {
                state.tenths_said = tenths;
                format!(
                    "fetched {} of {}",
                    HumanBytes(state.done),
                    HumanBytes(state.total)
                )
            })
        });
    }

    fn rewind(&self, bytes: u64) {
        self.with(|state| {
            state.done = state.done.saturating_sub(bytes);
            None
        });
    }

    fn finished(&self, _label: &str) {}

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
        lines.begin(2, 1 << 20);
        for _ in 0..1024 {
            lines.advance(1 << 10);
        }
        lines.rewind(1 << 19);
        lines.advance(1 << 19);
        lines.note("a retry");
        lines.end();
        let text = String::from_utf8(lines.0.into_inner().unwrap().out).unwrap();
        assert_eq!(text.lines().count(), 12, "{text}");
        assert!(
            text.starts_with("fetching 2 files, 1.00 MiB\nfetched 103.00 KiB of 1.00 MiB\n"),
            "{text}"
        );
        assert!(
            text.ends_with("fetched 1.00 MiB of 1.00 MiB\na retry\n"),
            "{text}"
        );
    }
}
