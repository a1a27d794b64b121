//! Numbers for Prometheus: names that are known when the program starts, values that only go up or say how it is now.
//!
//! Source: Prometheus, "Exposition formats", text format 0.0.4.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// How it is now.
    Gauge,
}

/// One number.
pub type Number = Arc<AtomicU64>;

/// All numbers of this program. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<Vec<Entry>>>);

#[derive(Debug)]
struct Entry {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    /// Written between braces; made of names that this program or its configuration chose.
    labels: String,
    number: Number,
}

impl Metrics {
    /// A number without labels.
    #[must_use]
    pub fn add(&self, kind: Kind, name: &'static str, help: &'static str) -> Number {
        self.with(kind, name, help, &[])
    }

    /// A number with labels. Asking for the same again gives the same number.
    #[must_use]
    pub fn with(
        &self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
    ) -> Number {
        let mut text = String::new();
        for (key, value) in labels {
            let comma = if text.is_empty() { "" } else { "," };
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            // Writing to a string cannot fail.
            write!(text, "{comma}{key}=\"{value}\"").unwrap_or_default();
        }
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = entries
            .iter()
            .find(|entry| entry.name == name && entry.labels == text)
        {
            return Arc::clone(&found.number);
        }
        let number = Number::default();
        entries.push(Entry {
            name,
            help,
            kind,
            labels: text,
            number: Arc::clone(&number),
        });
        number
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn text(&self) -> String {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sorted: Vec<&Entry> = entries.iter().collect();
        sorted.sort_by_key(|entry| (entry.name, &entry.labels));
        let (mut text, mut last) = (String::new(), "");
        for entry in sorted {
            if entry.name != last {
                let kind = if entry.kind == Kind::Counter {
                    "counter"
                } else {
                    "gauge"
                };
                writeln!(
                    text,
                    "# HELP {} {}\n# TYPE {} {kind}",
                    entry.name, entry.help, entry.name
                )
                .unwrap_or_default();
                last = entry.name;
            }
            let value = entry.number.load(Ordering::Relaxed);
            let labels = if entry.labels.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", entry.labels)
            };
            writeln!(text, "{}{labels} {value}", entry.name).unwrap_or_default();
        }
        text
    }
}

/// Adds one.
pub fn count(number: &Number) {
    number.fetch_add(1, Ordering::Relaxed);
}

/// Sets how it is now.
pub fn set(number: &Number, value: u64) {
    number.store(value, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_prometheus() {
        let metrics = Metrics::default();
        let b = metrics.with(Kind::Counter, "b_total", "Bs.", &[("x", "2\"\\\n"), ("y", "z")]);
        let again = metrics.with(Kind::Counter, "b_total", "Bs.", &[("x", "1")]);
        set(&metrics.add(Kind::Gauge, "a", "An a."), 7);
        count(&b);
        count(&metrics.with(Kind::Counter, "b_total", "Bs.", &[("x", "1")]));
        count(&again);
        assert_eq!(
            metrics.text(),
            "# HELP a An a.\n# TYPE a gauge\na 7\n# HELP b_total Bs.\n# TYPE b_total counter\nb_total{x=\"1\"} 2\nb_total{x=\"2\\\"\\\\\\n\",y=\"z\"} 1\n"
        );
    }
}
