//! Instants in the unit that attestation documents use. No clock is read here: callers pass time in.

use core::fmt;
use core::str::FromStr;
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

/// A text that is not an instant in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an instant in UTC like 2026-01-31T23:59:59Z or 2026-01-31T23:59:59.999+00:00")]
pub struct NotAnInstant;

/// From RFC 3339 in UTC (`Z` or `+00:00`), with up to 9 digits of a second's fraction, 1970 to 9999. What is finer than a
/// millisecond is cut off.
impl FromStr for UnixMs {
    type Err = NotAnInstant;

    fn from_str(text: &str) -> Result<Self, NotAnInstant> {
        let local = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"));
        let local = local.ok_or(NotAnInstant)?;
        let (seconds, fraction) = local.split_once('.').unwrap_or((local, "0"));
        if !(1..=9).contains(&fraction.len()) || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotAnInstant);
        }
        let ms = format!("{fraction:0<9}").get(..3).and_then(|ms| ms.parse().ok());
        let whole: DateTime = format!("{seconds}Z").parse().map_err(|_| NotAnInstant)?;
        let ms = Duration::from_millis(ms.ok_or(NotAnInstant)?);
        Self::from_duration(whole.unix_duration() + ms).ok_or(NotAnInstant)
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
    fn reads_what_it_shows_and_nothing_else() {
        for ms in [0, 1, 1_616_602_241_734, 253_402_300_799_999] {
            assert_eq!(UnixMs::new(ms).to_string().parse(), Ok(UnixMs::new(ms)));
        }
        for (text, ms) in [
            ("2021-03-24T16:10:41Z", 1_616_602_241_000),
            ("2021-03-24T16:10:41+00:00", 1_616_602_241_000),
            ("2021-03-24T16:10:41.7Z", 1_616_602_241_700),
            ("2021-03-24T16:10:41.734999999+00:00", 1_616_602_241_734),
        ] {
            assert_eq!(text.parse(), Ok(UnixMs::new(ms)), "{text}");
        }
        for bad in [
            "",
            "now",
            "2021-03-24",
            "2021-03-24T16:10:41",
            "2021-03-24T16:10:41+01:00",
            "2021-03-24T16:10:41-00:00",
            "2021-03-24T16:10:41.Z",
            "2021-03-24T16:10:41.7341234567Z",
            "2021-03-24T16:10:41ZZ",
            "2021-03-24 16:10:41Z",
            "2021-02-30T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2021-03-24T16:10:41.+12Z",
            "2021-03-24T16:10:41.734",
        ] {
            assert_eq!(bad.parse::<UnixMs>(), Err(NotAnInstant), "{bad}");
        }
    }

    #[test]
    fn differences_do_not_wrap() {
        let (early, late) = (UnixMs::new(1), UnixMs::new(1001));
        assert_eq!(late.since(early), Some(Duration::from_secs(1)));
        assert_eq!(early.since(late), None);
        assert_eq!(UnixMs::from_duration(Duration::MAX), None);
    }
}
