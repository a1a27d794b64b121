//! Times as a Prometheus summary: how many, their sum, and quantiles of the newest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many of the newest times the quantiles are of.
const WINDOW: usize = 1024;

/// The quantiles that are shown, as Web3Signer shows them.
pub const QUANTILES: [f64; 6] = [0.2, 0.5, 0.8, 0.95, 0.99, 1.0];

/// A summary of times.
#[derive(Debug, Default)]
pub struct Summary {
    count: AtomicU64,
    sum_nanos: AtomicU64,
    newest: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    nanos: Vec<u64>,
    next: usize,
}

impl Summary {
    /// Notes a time.
    pub fn note(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
        let mut ring = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let next = ring.next;
        match ring.nanos.get_mut(next) {
            Some(slot) => *slot = nanos,
            None => ring.nanos.push(nanos),
        }
        ring.next = (next + 1) % WINDOW;
    }

    /// How many times were noted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos.load(Ordering::Relaxed))
    }

    /// The quantiles of the newest times, each with its value; none before the first time.
    #[must_use]
    pub fn quantiles(&self) -> Vec<(f64, Duration)> {
        let mut nanos = self
            .newest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .nanos
            .clone();
        nanos.sort_unstable();
        let len = nanos.len();
        // In thousandths: an index needs no floating point then.
        let at = |thousandths: usize| {
            nanos
                .get((len * thousandths).div_ceil(1000).saturating_sub(1))
                .copied()
        };
        let marks = [200, 500, 800, 950, 990, 1000];
        QUANTILES
            .into_iter()
            .zip(marks)
            .filter_map(|(quantile, mark)| at(mark).map(|nanos| (quantile, Duration::from_nanos(nanos))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_newest_times() {
        let summary = Summary::default();
        assert!(summary.quantiles().is_empty());
        for _ in 0..WINDOW {
            summary.note(Duration::from_secs(9));
        }
        for millis in 1..=1024 {
            summary.note(Duration::from_millis(millis));
        }
        assert_eq!(summary.count(), 2048);
        let found: Vec<u128> = summary
            .quantiles()
            .iter()
            .map(|(_, time)| time.as_millis())
            .collect();
        assert_eq!(found, [205, 512, 820, 973, 1014, 1024]);
        assert_eq!(
            summary.sum(),
            Duration::from_millis(9 * 1024 * 1000 + 1024 * 1025 / 2)
        );
    }
}
