//! Numbers of the watchdog for Prometheus.

use super::machine::Phase;
use crate::metrics::{Kind, Metrics, Number, set};

#[derive(Debug)]
pub(super) struct Numbers {
    metrics: Metrics,
    pub(super) starts: Number,
    pub(super) init_failures: Number,
    pub(super) probe_failures: Number,
    pub(super) serving: Number,
    pub(super) keys: Number,
}

impl Numbers {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.add(Kind::Counter, name, help);
        let gauge = |name, help| metrics.add(Kind::Gauge, name, help);
        Self {
            starts: counter("parent_enclave_starts_total", "Enclaves started."),
            init_failures: counter("parent_init_failures_total", "Attempts of init that failed."),
            probe_failures: counter(
                "parent_probe_failures_total",
                "Looks at the service that were not good.",
            ),
            serving: gauge("parent_serving", "1 when the last look at the service was good."),
            keys: gauge(
                "parent_signer_keys",
                "Validator keys that the enclave says it has.",
            ),
            metrics: metrics.clone(),
        }
    }

    pub(super) fn phase(&self, phase: Phase) {
        let name = name(phase);
        for other in [
            "idle",
            "finding",
            "starting",
            "booting",
            "configuring",
            "initialising",
            "serving",
            "ending",
            "resting",
            "done",
        ] {
            let help = "1 for the phase that the watchdog is in.";
            let number = self
                .metrics
                .with(Kind::Gauge, "parent_watchdog_phase", help, &[("phase", other)]);
            set(&number, u64::from(other == name));
        }
    }
}

pub(super) const fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Idle => "idle",
        Phase::Finding => "finding",
        Phase::Starting => "starting",
        Phase::Booting => "booting",
        Phase::Configuring => "configuring",
        Phase::Initialising => "initialising",
        Phase::Serving => "serving",
        Phase::Ending => "ending",
        Phase::Resting { .. } => "resting",
        Phase::Done => "done",
    }
}

/// Sets the number; says whether it was another.
pub(super) fn set_to(number: &Number, value: u64) -> bool {
    number.swap(value, std::sync::atomic::Ordering::Relaxed) != value
}
