//! What `metrics` answers: Prometheus text, version 0.0.4. Every name starts with `nitro_agent_`; nothing in it is secret.

use std::sync::atomic::{AtomicU64, Ordering};

use control::answer::MetricsText;
use control::status::{Phase, SignerState};

use crate::core::Core;

/// A text of metrics that is being written.
#[derive(Debug, Default)]
struct Text(String);

impl Text {
    fn push(&mut self, pieces: &[&str]) {
        self.0.extend(pieces.iter().copied());
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.push(&["# HELP nitro_agent_", name, " ", help, "\n"]);
        self.push(&["# TYPE nitro_agent_", name, " ", kind, "\n"]);
    }

    fn value(&mut self, name: &str, labels: &str, value: u64) {
        self.push(&["nitro_agent_", name, labels, " ", &value.to_string(), "\n"]);
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help);
        self.value(name, "", value);
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Core {
    /// `metrics`.
    #[must_use]
    pub fn metrics(&self) -> MetricsText {
        let mut text = Text::default();
        let counters = &self.counters;
        text.family(
            "connections_total",
            "counter",
            "Connections of the parent by port.",
        );
        for (port, accepted) in ["5000", "5001"].iter().zip(&counters.accepted) {
            text.value(
                "connections_total",
                &format!("{{port=\"{port}\"}}"),
                read(accepted),
            );
        }
        self.counted(&mut text);
        text.family("answers_total", "counter", "Answers to messages by outcome.");
        text.value("answers_total", "{outcome=\"ok\"}", read(&counters.answers_ok));
        text.value(
            "answers_total",
            "{outcome=\"refused\"}",
            read(&counters.answers_refused),
        );
        text.one(
            "tls_open",
            "gauge",
            "TLS connections that are open.",
            read(&counters.tls_open),
        );
        self.signer_metrics(&mut text);
        text.one(
            "log_dropped_total",
            "counter",
            "Log records that were dropped.",
            self.parts.ring.dropped(),
        );
        let left = u64::try_from(self.budget.left()).unwrap_or(u64::MAX);
        text.one(
            "message_memory_left_bytes",
            "gauge",
            "Memory left for long messages.",
            left,
        );
        MetricsText { text: text.0 }
    }

    fn counted(&self, text: &mut Text) {
        let (counters, outbound) = (&self.counters, &*self.outbound);
        for (name, help, counter) in [
            (
                "foreign_total",
                "Connections of others than the parent.",
                &counters.foreign,
            ),
            (
                "garbage_total",
                "Connections that started neither TLS nor a message.",
                &counters.garbage,
            ),
            (
                "tls_total",
                "TLS connections carried to the signer.",
                &counters.tls,
            ),
            (
                "tls_refused_total",
                "TLS connections that were closed at once.",
                &counters.tls_refused,
            ),
            (
                "tls_from_parent_bytes_total",
                "Bytes of TLS from the parent.",
                &counters.traffic.to_second,
            ),
            (
                "tls_to_parent_bytes_total",
                "Bytes of TLS to the parent.",
                &counters.traffic.to_first,
            ),
            (
                "outbound_total",
                "Connections carried out of the enclave.",
                &outbound.connections,
            ),
            (
                "outbound_refused_total",
                "Connections out of the enclave that failed.",
                &outbound.refused,
            ),
            (
                "outbound_sent_bytes_total",
                "Bytes out of the enclave.",
                &outbound.traffic.to_second,
            ),
            (
                "outbound_received_bytes_total",
                "Bytes into the enclave.",
                &outbound.traffic.to_first,
            ),
        ] {
            text.one(name, "counter", help, read(counter));
        }
    }

    fn signer_metrics(&self, text: &mut Text) {
        let numbers = self.book.numbers();
        for (name, help, value) in [
            (
                "signer_checks_total",
                "Health checks of the signer.",
                numbers.checks,
            ),
            (
                "signer_check_failures_total",
                "Health checks that were not good.",
                numbers.failures,
            ),
            (
                "signer_restarts_total",
                "Starts of the signer after its first.",
                numbers.restarts,
            ),
            ("signer_ends_total", "Ends of the signer.", numbers.ends),
        ] {
            text.one(name, "counter", help, value);
        }
        let healthy = self.book.signer().state == SignerState::Healthy;
        let up = "Whether the last health check was good.";
        text.one("signer_healthy", "gauge", up, u64::from(healthy));
        let initialised = self.phase() == Phase::Initialised;
        text.one(
            "initialised",
            "gauge",
            "Whether init was done.",
            u64::from(initialised),
        );
        let (keys, expiry) = self.with_held(|held| {
            let state = held.state.as_deref();
            let keys = state.map_or(0, |state| state.public_keys.len());
            (keys, state.map(|state| state.tls.not_after_unix_s))
        });
        let keys = u64::try_from(keys).unwrap_or(u64::MAX);
        text.one("keys", "gauge", "Validator keys that the signer has.", keys);
        if let Some(expiry) = expiry.and_then(|expiry| u64::try_from(expiry).ok()) {
            let help = "End of validity of the signer's TLS certificate.";
            text.one("certificate_not_after_seconds", "gauge", help, expiry);
        }
    }
}
