//! How often a store is asked whether it still answers, and what it said last.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Times of the periodic health query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthTimes {
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// From one query to the next.
    pub interval: Duration,
}

impl Default for HealthTimes {
    /// The defaults of `--slashing-protection-db-health-check-timeout-milliseconds` and `-interval-milliseconds`.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(3),
            interval: Duration::from_secs(30),
        }
    }
}

/// What the last query said; healthy before the first one.
#[derive(Debug)]
pub(super) struct Health(AtomicBool);

impl Health {
    pub(super) const fn new() -> Self {
        Self(AtomicBool::new(true))
    }

    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Notes an answer and returns the one before.
    pub(super) fn set(&self, healthy: bool) -> bool {
        self.0.swap(healthy, Ordering::Relaxed)
    }
}
