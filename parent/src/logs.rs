//! What the enclave says by itself: log records on vsock port 9002, and the report of a dying PID 1 on 9001.
//!
//! The enclave is not trusted with our terminal or disk: lines are bounded, records are checked, and the journal escapes
//! what is not plain. A line that is no record is counted and dropped.

use std::time::Duration;

use abi::boot::{FatalReport, REPORT_LEN};
use control::log::{Level, MAX_RECORD_BYTES, Record};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::journal::Journal;
use crate::metrics::{Kind, Metrics, Number, count};
use crate::transport::{Acceptor, rest_after_failure};

/// Streams of records at a time: one is usual, a second while the first is dying.
const MAX_STREAMS: usize = 4;
/// Time for the 16 bytes of a report.
const REPORT_TIME: Duration = Duration::from_secs(10);

/// Numbers of the log stream.
#[derive(Clone, Debug)]
pub struct Counters {
    records: Number,
    bad: Number,
    dropped: Number,
}

impl Counters {
    /// Zeros.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.add(Kind::Counter, name, help);
        Self {
            records: counter("parent_enclave_records_total", "Log records of the enclave."),
            bad: counter(
                "parent_enclave_bad_records_total",
                "Lines of the enclave that are no log record.",
            ),
            dropped: counter(
                "parent_enclave_dropped_records_total",
                "Log records that the enclave says it dropped.",
            ),
        }
    }
}

/// Writes the enclave's records into the journal, for ever.
pub async fn receive(acceptor: Acceptor, journal: Journal, counters: Counters) {
    let places = std::sync::Arc::new(tokio::sync::Semaphore::new(MAX_STREAMS));
    loop {
        let Ok(stream) = acceptor.accept().await else {
            rest_after_failure().await;
            continue;
        };
        let Ok(place) = std::sync::Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let (journal, counters) = (journal.clone(), counters.clone());
        tokio::spawn(async move {
            let mut lines = BufReader::with_capacity(MAX_RECORD_BYTES, stream);
            while let Some(line) = next_line(&mut lines).await {
                match serde_json::from_slice::<Record>(&line) {
                    Ok(record) => write(&journal, &counters, &record),
                    Err(_) => count(&counters.bad),
                }
            }
            drop(place);
        });
    }
}

/// The next line without its LF; what is beyond the bound is read and dropped. `None` at the end.
async fn next_line(reader: &mut (impl AsyncBufRead + Unpin)) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        let buffer = reader.fill_buf().await.ok()?;
        if buffer.is_empty() {
            return None;
        }
        let end = buffer.iter().position(|b| *b == b'\n');
        let piece = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
        let room = (MAX_RECORD_BYTES + 1).saturating_sub(line.len());
        line.extend(piece.iter().take(room));
        let used = piece.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            // A longer line is no record: its end is missing.
            return Some(line);
        }
    }
}

fn write(journal: &Journal, counters: &Counters, record: &Record) {
    count(&counters.records);
    counters
        .dropped
        .fetch_add(record.dropped, std::sync::atomic::Ordering::Relaxed);
    let source = serde_json::to_value(record.source).ok();
    let source = source
        .as_ref()
        .and_then(|source| source.as_str())
        .unwrap_or("other");
    let mut fields: Vec<(String, String)> = vec![
        ("source".to_owned(), source.to_owned()),
        ("uptime_ms".to_owned(), record.uptime_ms.to_string()),
        ("enclave_event".to_owned(), record.event.clone()),
    ];
    fields.extend(
        record
            .fields
            .iter()
            .map(|(key, value)| (format!("enclave_{}", word(key)), value.clone())),
    );
    fields.extend(record.text.clone().map(|text| ("text".to_owned(), text)));
    if record.dropped > 0 {
        fields.push(("dropped".to_owned(), record.dropped.to_string()));
    }
    let fields: Vec<(&str, &dyn std::fmt::Display)> = fields
        .iter()
        .map(|(key, value)| (key.as_str(), value as &dyn std::fmt::Display))
        .collect();
    journal.say(record.level, "enclave", &fields);
}

/// A key that cannot break a line.
fn word(key: &str) -> String {
    key.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .take(64)
        .collect()
}

/// Writes the reports of dying enclaves into the journal, for ever.
pub async fn receive_reports(acceptor: Acceptor, journal: Journal) {
    loop {
        let Ok(mut stream) = acceptor.accept().await else {
            rest_after_failure().await;
            continue;
        };
        let mut bytes = [0; REPORT_LEN];
        let read = tokio::time::timeout(REPORT_TIME, stream.read_exact(&mut bytes)).await;
        let Ok(Ok(_)) = read else {
            journal.warn("boot-report-bad", &[("error", &"cut off")]);
            continue;
        };
        match FatalReport::decode(&bytes) {
            Ok(report) => say_report(&journal, &report),
            Err(error) => journal.warn("boot-report-bad", &[("error", &error)]),
        }
    }
}

fn say_report(journal: &Journal, report: &FatalReport) {
    journal.say(
        Level::Error,
        "enclave-died",
        &[
            ("stage", &report.stage),
            ("code", &report.code),
            ("errno", &report.errno),
            ("detail", &report.detail),
            ("uptime_ms", &report.uptime_ms),
        ],
    );
}
