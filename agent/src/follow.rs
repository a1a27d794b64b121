//! Reads what PID 1 and the services say, and passes it on to the log.
//!
//! - PID 1's events: [`abi::events::BOOT_FILE`], which is only appended to, then [`abi::events::MORE_FILE`], which is replaced when it is
//!   full. They are looked at some times a second; PID 1 never waits for the agent.
//! - The output of a service whose row says `output = "log"`: a pipe that PID 1 made. It is emptied whatever happens, so that a
//!   service does not wait, and its lines pass the [`crate::filter`].

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use abi::events::{Event, Kind, MAX_BOOT_FILE_BYTES, MAX_LINE_BYTES};
use control::log::{Level, Record, Source};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep};

use crate::filter::Filter;
use crate::ring::Ring;
use crate::supervise::Book;

/// Pause between two looks at PID 1's files.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Pause before a pipe is opened again.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest line of a service; what is beyond is not looked at and the line is dropped.
const MAX_OUTPUT_BYTES: usize = 4096;
/// Lines of one service in a second; more are dropped, so that a flood costs neither CPU nor other records.
const MAX_LINES_PER_S: u32 = 200;

/// A file that grows, and may be replaced by another of its name.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: Option<File>,
    rest: Vec<u8>,
}

impl Tail {
    /// Starts at the beginning of the file, which may not exist yet.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            rest: Vec::new(),
        }
    }

    /// Whole lines that are new, without their LF.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn lines(&mut self) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        self.drain(&mut lines)?;
        let replaced = match (std::fs::metadata(&self.path), &self.file) {
            (Ok(now), Some(file)) => !same(&now, &file.metadata()?),
            (Ok(_), None) => true,
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => false,
            (Err(error), _) => return Err(error),
        };
        if replaced {
            // What was written to the old file after the look before.
            self.drain(&mut lines)?;
            self.rest.clear();
            self.file = Some(File::open(&self.path)?);
            self.drain(&mut lines)?;
        }
        Ok(lines)
    }

    fn drain(&mut self, lines: &mut Vec<String>) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        // A file of PID 1 is never longer than this.
        let most = u64::try_from(MAX_BOOT_FILE_BYTES * 2).unwrap_or(u64::MAX);
        file.take(most).read_to_end(&mut self.rest)?;
        while let Some(end) = self.rest.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            lines.push(String::from_utf8_lossy(text).into_owned());
        }
        if self.rest.len() > MAX_LINE_BYTES {
            self.rest.clear();
        }
        Ok(())
    }
}

fn same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Follows PID 1's events for ever: each goes to the log, and to the book of the signer.
pub async fn events(paths: &[PathBuf], ring: &Ring, book: &Book) {
    let mut tails: Vec<Tail> = paths.iter().cloned().map(Tail::new).collect();
    loop {
        for tail in &mut tails {
            // A file that cannot be read now may be readable later; the log is not worth the agent's life.
            for line in tail.lines().unwrap_or_default() {
                if let Ok(event) = Event::parse(&line) {
                    book.event(&event);
                    ring.push(record(&event));
                }
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

/// An event as a record.
#[must_use]
pub fn record(event: &Event) -> Record {
    let level = match event.kind {
        Kind::Failed | Kind::Fatal => Level::Error,
        Kind::Retry | Kind::Ended | Kind::Restart => Level::Warn,
        _ => Level::Info,
    };
    let fields = event.fields();
    let mut fields: std::collections::BTreeMap<_, _> = fields
        .map(|(key, value)| (key.name().to_owned(), value.to_owned()))
        .collect();
    fields.insert("stage".to_owned(), event.stage.name().to_owned());
    Record {
        uptime_ms: event.uptime_ms,
        source: Source::Init,
        level,
        event: event.kind.name().to_owned(),
        fields,
        text: None,
        dropped: 0,
    }
}

/// Follows the output of a service for ever. A service without a pipe has its output elsewhere; then nothing is done.
pub async fn output(path: &Path, source: Source, ring: &Ring) {
    loop {
        match pipe::OpenOptions::new().open_receiver(path) {
            Ok(pipe) => lines(pipe, source, ring).await,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => {}
        }
        sleep(PAUSE).await;
    }
}

/// Passes on lines until the stream ends.
pub async fn lines(mut stream: impl AsyncRead + Unpin, source: Source, ring: &Ring) {
    let mut filter = Filter::default();
    let mut line = Vec::new();
    let mut long = false;
    let mut piece = vec![0; MAX_OUTPUT_BYTES];
    let (mut second, mut count) = (Instant::now(), 0_u32);
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        for &byte in piece.iter().take(length) {
            if byte != b'\n' {
                long |= line.len() >= MAX_OUTPUT_BYTES;
                if !long {
                    line.push(byte);
                }
                continue;
            }
            if second.elapsed() >= Duration::from_secs(1) {
                (second, count) = (Instant::now(), 0);
            }
            count = count.saturating_add(1);
            // The filter sees every line, also of a flood: it must know where a PEM block ends.
            match filter.pass(&line) {
                Some(text) if !long && count <= MAX_LINES_PER_S => ring.output(source, text),
                _ => ring.left_out(1),
            }
            line.clear();
            long = false;
        }
    }
}
