//! Whether and when to try again. Pure: no clock is read, nothing sleeps.

use std::time::Duration;

use crate::clock::Jitter;

/// Why an attempt failed, as far as that matters for trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// KMS asked to slow down.
    Throttled,
    /// A failure of the network or of KMS that may pass.
    Passing,
    /// The stamp of the request was refused and has since been corrected: no reason to wait.
    Restamped,
    /// Trying again would give the same.
    Lasting,
}

/// Limits of trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Most attempts for one request, the first included; 1 or more.
    pub attempts: u32,
    /// Longest wait after the first attempt; doubled after each one.
    pub first_wait: Duration,
    /// Longest wait after any attempt.
    pub longest_wait: Duration,
    /// From the first attempt's start; no attempt starts later.
    pub deadline: Duration,
    /// Of all requests together: how long after the network was lost each is still tried. See [`crate::outage`].
    pub patience: Duration,
    /// How often one is tried after that.
    pub probe: Duration,
}

impl Policy {
    /// Five attempts in 30 s with waits of up to 100, 200, 400, 800 ms. Without network, the patience is that of one request,
    /// and a probe comes as often as the longest step of an attempt takes.
    pub const DEFAULT: Self = Self {
        attempts: 5,
        first_wait: Duration::from_millis(100),
        longest_wait: Duration::from_secs(5),
        deadline: Duration::from_secs(30),
        patience: Duration::from_secs(30),
        probe: Duration::from_secs(10),
    };

    /// How long to wait before the next attempt, or none when there is to be no other.
    ///
    /// `made` attempts were made (1 or more), the last one failed for `cause`, `elapsed` after the first one started.
    /// The wait is drawn evenly from zero to a bound that doubles, so that many clients do not come back together.
    #[must_use]
    pub fn wait(&self, cause: Cause, made: u32, elapsed: Duration, jitter: &dyn Jitter) -> Option<Duration> {
        if made >= self.attempts {
            return None;
        }
        let wait = match cause {
            Cause::Lasting => return None,
            Cause::Restamped => Duration::ZERO,
            Cause::Throttled | Cause::Passing => {
                let factor = 1_u32.checked_shl(made.saturating_sub(1)).unwrap_or(u32::MAX);
                jitter.up_to(self.first_wait.saturating_mul(factor).min(self.longest_wait))
            }
        };
        (elapsed.saturating_add(wait) < self.deadline).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Longest;

    impl Jitter for Longest {
        fn up_to(&self, max: Duration) -> Duration {
            max
        }
    }

    const POLICY: Policy = Policy::DEFAULT;

    fn millis(cause: Cause, made: u32, elapsed_ms: u64) -> Option<u128> {
        POLICY
            .wait(cause, made, Duration::from_millis(elapsed_ms), &Longest)
            .map(|wait| wait.as_millis())
    }

    #[test]
    fn waits_double_and_are_capped() {
        let waits: Vec<_> = (1..6).map(|made| millis(Cause::Throttled, made, 0)).collect();
        assert_eq!(waits, [Some(100), Some(200), Some(400), Some(800), None]);
        let many = Policy {
            attempts: u32::MAX,
            ..POLICY
        };
        for made in [7, 31, 32, 33, 1_000_000] {
            assert_eq!(
                many.wait(Cause::Passing, made, Duration::ZERO, &Longest),
                Some(POLICY.longest_wait)
            );
        }
    }

    #[test]
    fn causes_and_deadline() {
        assert_eq!(millis(Cause::Lasting, 1, 0), None);
        assert_eq!(millis(Cause::Restamped, 1, 0), Some(0));
        assert_eq!(millis(Cause::Passing, 1, 29_899), Some(100));
        assert_eq!(millis(Cause::Passing, 1, 29_900), None);
        assert_eq!(millis(Cause::Restamped, 1, 30_000), None);
        assert_eq!(POLICY.wait(Cause::Passing, 1, Duration::MAX, &Longest), None);
    }
}
