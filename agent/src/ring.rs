//! Log records on their way to the parent: a ring that forgets the oldest, and counts what it forgot.
//!
//! Whoever has something to say never waits. One task takes records out and writes them to the parent when it listens.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use abi::vsock::LOG_PORT;
use control::log::{Level, MAX_RECORD_BYTES, Record, Source};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::dial::{Dial, Stream};

/// Records that wait, bytes of their JSON.
pub const MAX_BYTES: usize = 256 * 1024;

/// Longest text or value in a record, bytes.
const MAX_TEXT_BYTES: usize = 4096;

/// How long a record may take to be taken by the parent; then the connection is given up.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// First and longest pause before another attempt to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Milliseconds since the kernel started; given by whoever starts the agent.
pub type Uptime = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The ring; its clones are one.
#[derive(Clone)]
pub struct Ring(Arc<Shared>);

struct Shared {
    uptime: Uptime,
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Default)]
struct Waiting {
    records: VecDeque<(Record, usize)>,
    bytes: usize,
    /// Dropped since the newest record; the next one will say so.
    pending: u64,
    /// Dropped in all.
    dropped_ever: u64,
}

impl Waiting {
    /// Counts what was dropped before the oldest record.
    fn before_front(&mut self, dropped: u64) {
        match self.records.front_mut() {
            Some((record, _)) => record.dropped += dropped,
            None => self.pending += dropped,
        }
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

impl Ring {
    /// An empty ring.
    #[must_use]
    pub fn new(uptime: Uptime) -> Self {
        Self(Arc::new(Shared {
            uptime,
            waiting: Mutex::new(Waiting::default()),
            more: Notify::new(),
        }))
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Waiting) -> T) -> T {
        use_it(&mut self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An event of the agent.
    pub fn say(&self, level: Level, event: &str, fields: &[(&str, &str)]) {
        let short = |text: &str| cut(text, MAX_TEXT_BYTES / 8).to_owned();
        let fields: BTreeMap<_, _> = fields.iter().map(|(k, v)| ((*k).to_owned(), short(v))).collect();
        self.push(Record {
            uptime_ms: (self.0.uptime)(),
            source: Source::Agent,
            level,
            event: event.to_owned(),
            fields,
            text: None,
            dropped: 0,
        });
    }

    /// A line of a service's own output, filtered already.
    pub fn output(&self, source: Source, text: &str) {
        self.push(Record {
            uptime_ms: (self.0.uptime)(),
            source,
            level: Level::Info,
            event: "output".to_owned(),
            fields: BTreeMap::new(),
            text: Some(cut(text, MAX_TEXT_BYTES).to_owned()),
            dropped: 0,
        });
    }

    /// Lines that were left out, for whatever reason.
    pub fn left_out(&self, lines: u64) {
        self.with(|waiting| {
            waiting.pending += lines;
            waiting.dropped_ever += lines;
        });
    }

    /// A record was taken and did not arrive: it is lost, and what it said of others must be said by the next.
    fn lost(&self, record: &Record) {
        self.with(|waiting| {
            waiting.dropped_ever += 1;
            waiting.before_front(record.dropped + 1);
        });
    }

    /// Any record. It never waits.
    pub fn push(&self, mut record: Record) {
        let size = serde_json::to_vec(&record).map_or(usize::MAX, |json| json.len());
        if size > MAX_RECORD_BYTES {
            self.left_out(1);
            return;
        }
        self.with(|waiting| {
            record.dropped = std::mem::take(&mut waiting.pending);
            waiting.bytes += size;
            waiting.records.push_back((record, size));
            while waiting.bytes > MAX_BYTES {
                let Some((oldest, size)) = waiting.records.pop_front() else {
                    break;
                };
                waiting.bytes -= size;
                waiting.dropped_ever += 1;
                waiting.before_front(oldest.dropped + 1);
            }
        });
        self.0.more.notify_one();
    }

    /// Records that were dropped in all.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.with(|waiting| waiting.dropped_ever)
    }

    /// The oldest record, which carries the count of what was dropped before it.
    #[must_use]
    pub fn take(&self) -> Option<Record> {
        self.with(|waiting| {
            let (record, size) = waiting.records.pop_front()?;
            waiting.bytes -= size;
            Some(record)
        })
    }

    async fn next(&self) -> Record {
        loop {
            match self.take() {
                Some(record) => return record,
                None => self.0.more.notified().await,
            }
        }
    }

    /// Writes records to the parent, for ever.
    pub async fn send(&self, dial: &dyn Dial) {
        let mut pause = FIRST_PAUSE;
        loop {
            let dialled = timeout(WRITE_WITHIN, dial.dial(LOG_PORT)).await;
            let sent = match dialled {
                Ok(Ok(stream)) => self.write(stream).await,
                _ => 0,
            };
            if sent > 0 {
                pause = FIRST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Writes until the parent does not take it any more; how many were written.
    async fn write(&self, mut stream: Box<dyn Stream>) -> u64 {
        let mut sent = 0;
        loop {
            let record = self.next().await;
            let mut line = serde_json::to_vec(&record).unwrap_or_default();
            line.push(b'\n');
            let write = async {
                stream.write_all(&line).await?;
                stream.flush().await
            };
            if !matches!(timeout(WRITE_WITHIN, write).await, Ok(Ok(()))) {
                self.lost(&record);
                return sent;
            }
            sent += 1;
        }
    }
}

/// At most this many bytes of a text, whole characters.
fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Ring {
        Ring::new(Arc::new(|| 7))
    }

    #[test]
    fn order_is_kept_and_nothing_is_lost_below_the_limit() {
        let ring = ring();
        for n in 0..100 {
            ring.say(Level::Info, "tick", &[("n", &n.to_string())]);
        }
        for n in 0..100 {
            let record = ring.take().unwrap();
            assert_eq!(
                (record.fields["n"].as_str(), record.dropped),
                (&*n.to_string(), 0)
            );
        }
        assert_eq!(ring.take(), None);
        assert_eq!(ring.dropped(), 0);
    }

    #[test]
    fn the_oldest_are_forgotten_and_counted_exactly() {
        let ring = ring();
        let total = 1000;
        for n in 0..total {
            ring.output(Source::Signer, &format!("{n} {}", "x".repeat(1000)));
        }
        let first = ring.take().unwrap();
        let mut left = 1;
        let mut last = first.clone();
        while let Some(record) = ring.take() {
            assert_eq!(record.dropped, 0);
            last = record;
            left += 1;
        }
        assert_eq!(first.dropped + left, total);
        assert_eq!(first.dropped, ring.dropped());
        assert!(left > 200 && left < 260, "{left}");
        assert!(last.text.unwrap().starts_with("999 "));
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let ring = ring();
        ring.output(Source::Signer, &"é".repeat(5000));
        let text = ring.take().unwrap().text.unwrap();
        assert_eq!(text.len(), MAX_TEXT_BYTES);
        ring.output(Source::Signer, &"\u{1}".repeat(5000));
        assert_eq!(ring.take(), None, "its JSON would be too long");
        assert_eq!(ring.dropped(), 1);
    }
}
