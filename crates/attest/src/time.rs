//! Instants in the unit that attestation documents use. No clock is read here: callers pass time in.

use core::fmt;
use core::time::Duration;

use der::DateTime;

/// An instant: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMs(u64);

impl UnixMs {
    /// The instant this many milliseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn new(ms: u64) -> Self {
        Self(ms)
    }

    /// The instant this long after 1970-01-01T00:00:00Z; parts of a millisecond are cut off.
    /// `None` beyond 2^64 milliseconds.
    #[must_use]
    pub fn from_duration(since_1970: Duration) -> Option<Self> {
        u64::try_from(since_1970.as_millis()).ok().map(Self)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is, or `None` when it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_millis)
    }
}

/// RFC 3339 in UTC with milliseconds; plain milliseconds beyond the year 9999.
impl fmt::Display for UnixMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_unix_duration(Duration::from_secs(self.0 / 1000)) {
            Ok(t) => write!(
                f,
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                t.year(),
                t.month(),
                t.day(),
                t.hour(),
                t.minutes(),
                t.seconds(),
                self.0 % 1000
            ),
            Err(_) => write!(f, "{} ms after 1970", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_milliseconds_in_utc() {
        assert_eq!(
            UnixMs::new(1_616_602_241_734).to_string(),
            "2021-03-24T16:10:41.734Z"
        );
        assert_eq!(
            UnixMs::new(u64::MAX).to_string(),
            "18446744073709551615 ms after 1970"
        );
    }

    #[test]
    fn differences_do_not_wrap() {
        let (early, late) = (UnixMs::new(1), UnixMs::new(1001));
        assert_eq!(late.since(early), Some(Duration::from_secs(1)));
        assert_eq!(early.since(late), None);
        assert_eq!(UnixMs::from_duration(Duration::MAX), None);
    }
}
