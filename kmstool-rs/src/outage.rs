//! What is known of a network that does not answer, so that a thousand requests do not each wait for it.
//!
//! Not about one request: that is [`crate::retry`]. Pure: no clock is read, nothing sleeps.
//!
//! ```text
//! a request finds no network after all its attempts
//!   |-- for Policy::patience: every other request is tried once
//!   `-- then: one request in Policy::probe is tried once, the others are refused untried
//! until one gets an answer, whatever the answer is
//! ```

use std::time::Duration;

use tokio::time::Instant;

use crate::retry::Policy;

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// All the attempts of its policy.
    All,
    /// One attempt.
    Once,
    /// None; there has been no network for so long.
    Refused(Duration),
}

/// Whether the network is lost, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outage(Option<Lost>);

#[derive(Clone, Copy, Debug)]
struct Lost {
    since: Instant,
    tried: Instant,
}

impl Outage {
    /// What a request that starts at `now` may do. A request with leave to try counts as the try of its time.
    pub(crate) fn leave(&mut self, policy: &Policy, now: Instant) -> Leave {
        let Some(lost) = &mut self.0 else {
            return Leave::All;
        };
        let long = now.saturating_duration_since(lost.since);
        if long >= policy.patience && now.saturating_duration_since(lost.tried) < policy.probe {
            return Leave::Refused(long);
        }
        lost.tried = now;
        Leave::Once
    }

    /// Whether a request has found no network and none has got through since.
    pub(crate) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A request has got no answer, after its last attempt.
    pub(crate) fn lost(&mut self, now: Instant) {
        let since = self.0.map_or(now, |lost| lost.since);
        self.0 = Some(Lost { since, tried: now });
    }

    /// A request has got an answer.
    pub(crate) const fn over(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_and_probes_go_on() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut outage = Outage::default();
        assert_eq!(outage.leave(&Policy::DEFAULT, at(0)), Leave::All);
        assert!(!outage.is_on());
        outage.lost(at(0));
        assert_eq!(outage.leave(&Policy::DEFAULT, at(0)), Leave::Once);
        assert_eq!(outage.leave(&Policy::DEFAULT, at(29)), Leave::Once);
        outage.lost(at(29));
        let refused = |seconds| Leave::Refused(Duration::from_secs(seconds));
        assert_eq!(
            outage.leave(&Policy::DEFAULT, at(38)),
            refused(38),
            "tried 9 s ago"
        );
        assert_eq!(outage.leave(&Policy::DEFAULT, at(39)), Leave::Once);
        assert_eq!(
            outage.leave(&Policy::DEFAULT, at(39)),
            refused(39),
            "one probe at a time"
        );
        assert_eq!(outage.leave(&Policy::DEFAULT, at(48)), refused(48));
        assert_eq!(outage.leave(&Policy::DEFAULT, at(49)), Leave::Once);
        outage.over();
        assert_eq!(outage.leave(&Policy::DEFAULT, at(49)), Leave::All);
    }

    #[test]
    fn an_outage_begins_once() {
        let (start, patience) = (Instant::now(), Policy::DEFAULT.patience);
        let mut outage = Outage::default();
        for seconds in [0, 10, 20] {
            outage.lost(start + Duration::from_secs(seconds));
        }
        assert_eq!(
            outage.leave(&Policy::DEFAULT, start + patience - Duration::from_secs(1)),
            Leave::Once,
            "for the whole of the patience"
        );
        outage.lost(start + patience);
        assert_eq!(
            outage.leave(&Policy::DEFAULT, start + patience),
            Leave::Refused(patience)
        );
    }
}
