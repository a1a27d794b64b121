//! Time and chance as values that are passed in, and the one correction of the signing clock.
//!
//! The system clock is never set here: an enclave's clock is disciplined by PID 1. Only the stamp of a request is moved.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now, as this machine believes.
    fn now(&self) -> SystemTime;
}

/// Chance for the back-off.
pub trait Jitter: Send + Sync {
    /// A duration from 0 to `max`, any with the same chance.
    fn up_to(&self, max: Duration) -> Duration;
}

/// [`Jitter`] from the random generator of aws-lc.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomJitter;

impl Jitter for RandomJitter {
    fn up_to(&self, max: Duration) -> Duration {
        let mut bytes = [0; 4];
        // Without random numbers the longest wait is the safe one.
        aws_lc_rs::rand::fill(&mut bytes).map_or(max, |()| {
            max.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
        })
    }
}

/// How far another clock is from ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offset {
    /// Theirs is ahead.
    ahead: Duration,
    /// Theirs is behind.
    behind: Duration,
}

impl Offset {
    /// From ours to theirs.
    #[must_use]
    pub fn between(ours: SystemTime, theirs: SystemTime) -> Self {
        let ahead = theirs.duration_since(ours).unwrap_or_default();
        let behind = ours.duration_since(theirs).unwrap_or_default();
        Self { ahead, behind }
    }

    /// Their time at our time; our time when that cannot be expressed.
    #[must_use]
    pub fn apply(self, ours: SystemTime) -> SystemTime {
        ours.checked_add(self.ahead)
            .and_then(|time| time.checked_sub(self.behind))
            .unwrap_or(ours)
    }

    /// The distance without its direction.
    #[must_use]
    pub fn distance(self) -> Duration {
        self.ahead + self.behind
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.behind.is_zero() {
            "behind"
        } else {
            "ahead of"
        };
        write!(f, "{} s {word} the clock of AWS", self.distance().as_secs())
    }
}

/// The offset that signatures are stamped with, corrected at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Correction {
    offset: Offset,
    spent: bool,
}

impl Correction {
    /// What to stamp with now.
    #[must_use]
    pub const fn offset(&self) -> Offset {
        self.offset
    }

    /// A request stamped with `used` was refused for its stamp, and the server's clock is `seen` away from ours.
    /// True when another try makes sense: the correction was made now, or since that request was stamped.
    pub fn learn(&mut self, used: Offset, seen: Offset) -> bool {
        if self.spent {
            return used != self.offset;
        }
        *self = Self {
            offset: seen,
            spent: true,
        };
        true
    }
}

/// A time in the form of HTTP's `Date` header.
#[must_use]
pub(crate) fn http_date(text: &str) -> Option<SystemTime> {
    DateTime::from_str(text, Format::HttpDate).ok()?.try_into().ok()
}

/// A time in the form of signatures: `20181105T221604Z`.
#[must_use]
pub(crate) fn stamp(text: &str) -> Option<SystemTime> {
    let digits = |range| {
        text.get(range)
            .filter(|part: &&str| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let (year, month, day) = (digits(0..4)?, digits(4..6)?, digits(6..8)?);
    let (hour, minute, second) = (digits(9..11)?, digits(11..13)?, digits(13..15)?);
    let marks = text.get(8..9) == Some("T") && text.get(15..) == Some("Z");
    let text = marks.then(|| format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))?;
    DateTime::from_str(&text, Format::DateTime).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn stamps_and_dates() {
        assert_eq!(stamp("20181105T221604Z"), Some(at(1_541_456_164)));
        assert_eq!(
            http_date("Mon, 05 Nov 2018 22:16:04 GMT"),
            Some(at(1_541_456_164))
        );
        for bad in [
            "",
            "20181105T221604",
            "20181105 221604Z",
            "2018110aT221604Z",
            "20181305T221604Z",
            "20181105T221604Zx",
            "é0181105T221604Z",
        ] {
            assert_eq!(stamp(bad), None, "{bad}");
        }
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn offsets() {
        let ahead = Offset::between(at(100), at(160));
        assert_eq!(
            (ahead.apply(at(200)), ahead.to_string().as_str()),
            (at(260), "60 s behind the clock of AWS")
        );
        let behind = Offset::between(at(160), at(100));
        assert_eq!(
            (behind.apply(at(200)), behind.to_string().as_str()),
            (at(140), "60 s ahead of the clock of AWS")
        );
        assert_eq!(
            Offset::between(at(1_000_000), at(0)).apply(SystemTime::UNIX_EPOCH + Duration::MAX / 4),
            SystemTime::UNIX_EPOCH + Duration::MAX / 4 - Duration::from_secs(1_000_000)
        );
    }

    #[test]
    fn corrected_once() {
        let (none, seen, other) = (
            Offset::default(),
            Offset::between(at(0), at(600)),
            Offset::between(at(0), at(900)),
        );
        let mut correction = Correction::default();
        assert!(correction.learn(none, seen));
        assert_eq!(correction.offset(), seen);
        assert!(
            correction.learn(none, other),
            "a request in flight was stamped before the correction"
        );
        assert!(!correction.learn(seen, other));
        assert_eq!(correction.offset(), seen);
    }

    #[test]
    fn jitter_stays_below_its_bound() {
        let max = Duration::from_millis(100);
        assert!((0..1000).all(|_| RandomJitter.up_to(max) <= max));
        assert_eq!(RandomJitter.up_to(Duration::ZERO), Duration::ZERO);
    }
}
