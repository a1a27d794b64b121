//! Prometheus text format, version 0.0.4.

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::Metrics;
use super::process::Process;
use super::summary::Summary;

/// Writes the groups that were asked for.
#[must_use]
pub fn render(metrics: &Metrics, process: &Process, groups: &[String], version: &str) -> String {
    let mut page = Page(String::new());
    let has = |group: &str| groups.iter().any(|name| name == group);
    if has("HTTP") {
        page.counter(
            "http_bls_malformed_request_count_total",
            "Number of malformed requests",
            &metrics.malformed,
        );
        let pool = &metrics.pool;
        page.counter(
            "http_vertx_worker_pool_submitted_total",
            "Signatures asked of the signing threads",
            &pool.submitted,
        );
        page.counter(
            "http_vertx_worker_pool_completed_total",
            "Signatures made by the signing threads",
            &pool.completed,
        );
        page.counter(
            "http_vertx_worker_pool_rejected_total",
            "Signatures refused by the signing threads",
            &AtomicU64::new(0),
        );
        page.summary(
            "http_vertx_worker_queue_delay",
            "Seconds that signatures waited for a thread",
            &[("", &pool.queue_delay)],
        );
        page.gauge(
            "http_vertx_worker_pool_usage",
            "Signing threads at work",
            &pool.busy,
        );
    }
    if has("SIGNING") {
        page.summary(
            "signing_bls_signing_duration",
            "Seconds to make a BLS signature",
            &[("", &metrics.signing)],
        );
        page.counter(
            "signing_bls_missing_identifier_count_total",
            "Requests for keys that are not loaded",
            &metrics.missing_identifier,
        );
        page.gauge(
            "signing_signers_loaded_count",
            "Keys that are loaded",
            &metrics.signers_loaded,
        );
    }
    if has("ETH2_SLASHING_PROTECTION") {
        page.counter(
            "eth2_slashingprotection_permitted_signings_total",
            "Duties that slashing protection permitted",
            &metrics.permitted,
        );
        page.counter(
            "eth2_slashingprotection_prevented_signings_total",
            "Duties that slashing protection prevented",
            &metrics.prevented,
        );
        page.summary(
            "eth2_slashingprotection_database_duration",
            "Seconds of a decision of slashing protection",
            &[
                ("signingOperation=\"block\"", &metrics.block_decisions),
                ("signingOperation=\"attestation\"", &metrics.attestation_decisions),
            ],
        );
    }
    if has("PROCESS") {
        page.process(process, version);
    }
    page.0
}

struct Page(String);

impl Page {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        if self.0.write_fmt(line).is_ok() {
            self.0.push('\n');
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn counter(&mut self, name: &str, help: &str, counter: &AtomicU64) {
        self.head(name, "counter", help);
        self.line(format_args!("{name} {}", counter.load(Ordering::Relaxed)));
    }

    fn gauge(&mut self, name: &str, help: &str, gauge: &AtomicI64) {
        self.head(name, "gauge", help);
        self.line(format_args!("{name} {}", gauge.load(Ordering::Relaxed)));
    }

    fn summary(&mut self, name: &str, help: &str, series: &[(&str, &Summary)]) {
        self.head(name, "summary", help);
        for (labels, summary) in series {
            let comma = if labels.is_empty() { "" } else { "," };
            for (quantile, time) in summary.quantiles() {
                let seconds = time.as_secs_f64();
                self.line(format_args!(
                    "{name}{{{labels}{comma}quantile=\"{quantile:?}\"}} {seconds}"
                ));
            }
            let braces = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{labels}}}")
            };
            self.line(format_args!("{name}_count{braces} {}", summary.count()));
            self.line(format_args!("{name}_sum{braces} {}", summary.sum().as_secs_f64()));
        }
    }

    fn process(&mut self, process: &Process, version: &str) {
        self.head("process_release", "gauge", "Release information");
        self.line(format_args!("process_release{{version=\"{version}\"}} 1"));
        let figures = [
            (
                "process_cpu_seconds_total",
                "counter",
                "Processor time in seconds",
                process.cpu_seconds,
            ),
            (
                "process_start_time_seconds",
                "gauge",
                "Start since 1970 in seconds",
                process.start_seconds,
            ),
        ];
        for (name, kind, help, value) in figures {
            if let Some(value) = value {
                self.head(name, kind, help);
                self.line(format_args!("{name} {value}"));
            }
        }
        let counts = [
            ("process_open_fds", "Open file descriptors", process.open_fds),
            (
                "process_max_fds",
                "Largest number of file descriptors",
                process.max_fds,
            ),
            (
                "process_virtual_memory_bytes",
                "Address space in bytes",
                process.virtual_bytes,
            ),
            (
                "process_resident_memory_bytes",
                "Memory in use in bytes",
                process.resident_bytes,
            ),
        ];
        for (name, help, value) in counts {
            if let Some(value) = value {
                self.head(name, "gauge", help);
                self.line(format_args!("{name} {value}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::Fixed;
    use crate::log::Log;

    #[test]
    fn the_page_has_upstreams_names_and_only_the_groups_asked_for() {
        let metrics = Metrics::new(Log::silent(Arc::new(Fixed(0))));
        metrics.signing.note(Duration::from_millis(500));
        let all = ["HTTP", "SIGNING", "ETH2_SLASHING_PROTECTION", "PROCESS", "JVM"].map(str::to_owned);
        let page = render(&metrics, &Process::read(), &all, "v1");
        for line in [
            "http_bls_malformed_request_count_total 0",
            "signing_bls_signing_duration{quantile=\"0.5\"} 0.5",
            "signing_bls_signing_duration{quantile=\"1.0\"} 0.5",
            "signing_bls_signing_duration_count 1",
            "signing_bls_signing_duration_sum 0.5",
            "signing_bls_missing_identifier_count_total 0",
            "signing_signers_loaded_count 0",
            "eth2_slashingprotection_permitted_signings_total 0",
            "eth2_slashingprotection_prevented_signings_total 0",
            "eth2_slashingprotection_database_duration_count{signingOperation=\"block\"} 0",
            "http_vertx_worker_pool_submitted_total 0",
            "process_release{version=\"v1\"} 1",
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line} is not in\n{page}"
            );
        }
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_start_time_seconds",
        ] {
            assert!(
                page.lines().any(|line| line.starts_with(&format!("{name} "))),
                "{name}"
            );
        }
        let one = render(&metrics, &Process::default(), &all[1..2], "v1");
        assert!(one.contains("signing_bls") && !one.contains("process_") && !one.contains("http_"));
    }
}
