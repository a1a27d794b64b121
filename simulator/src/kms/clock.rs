//! Time as a value that is passed in, and the forms that AWS writes it in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use attest::UnixMs;

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> UnixMs + Send + Sync>);

impl Clock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> UnixMs + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The clock of this machine.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a value that main and tests choose")]
    pub fn system() -> Self {
        Self::new(|| {
            let since_1970 = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default();
            UnixMs::from_duration(since_1970).unwrap_or(UnixMs::new(u64::MAX))
        })
    }

    /// A clock that stands still.
    #[must_use]
    pub fn fixed(at: UnixMs) -> Self {
        Self::new(move || at)
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> UnixMs {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// A time of a signature: `20181105T221604Z`.
#[must_use]
pub fn stamp(at: UnixMs) -> String {
    let text = at.to_string();
    let seconds = text.split('.').next().unwrap_or_default();
    let digits: String = seconds.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{digits}Z")
}

/// Reads what [`stamp`] writes.
#[must_use]
pub fn parse_stamp(text: &str) -> Option<UnixMs> {
    let digits = |from: usize, to: usize| {
        text.get(from..to)
            .filter(|part| part.bytes().all(|b| b.is_ascii_digit()))
    };
    let (date, time) = (digits(0, 8)?, digits(9, 15)?);
    if text.len() != 16 || text.get(8..9) != Some("T") || !text.ends_with('Z') {
        return None;
    }
    let (year, month, day) = (date.get(..4)?, date.get(4..6)?, date.get(6..)?);
    let (hour, minute, second) = (time.get(..2)?, time.get(2..4)?, time.get(4..)?);
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")
        .parse()
        .ok()
}

/// A time of HTTP's `Date` header: `Mon, 05 Nov 2018 22:16:04 GMT`.
#[must_use]
pub fn http_date(at: UnixMs) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let text = at.to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let month: usize = part(5, 7).parse().unwrap_or_default();
    let days = at.as_millis() / 86_400_000;
    let day = DAYS
        .get(usize::try_from(days % 7).unwrap_or_default())
        .copied()
        .unwrap_or_default();
    let month = MONTHS.get(month.wrapping_sub(1)).copied().unwrap_or_default();
    format!(
        "{day}, {} {month} {} {} GMT",
        part(8, 10),
        part(0, 4),
        part(11, 19)
    )
}

/// `at` moved by a time, earlier or later; never before 1970.
#[must_use]
pub fn earlier(at: UnixMs, by: Duration) -> UnixMs {
    UnixMs::new(at.as_millis().saturating_sub(millis(by)))
}

/// See [`earlier`].
#[must_use]
pub fn later(at: UnixMs, by: Duration) -> UnixMs {
    UnixMs::new(at.as_millis().saturating_add(millis(by)))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2018-11-05T22:16:04Z, a Monday.
    const AT: UnixMs = UnixMs::new(1_541_456_164_000);

    #[test]
    fn times_have_the_forms_of_aws() {
        assert_eq!(stamp(AT), "20181105T221604Z");
        assert_eq!(http_date(AT), "Mon, 05 Nov 2018 22:16:04 GMT");
        assert_eq!(http_date(UnixMs::new(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn stamps_are_read_strictly() {
        assert_eq!(parse_stamp("20181105T221604Z"), Some(AT));
        for bad in [
            "",
            "20181105T221604",
            "20181105T221604z",
            "20181105 221604Z",
            "20181305T221604Z",
            "20181105T221604ZZ",
            "2018110éT22160Z",
            "+0181105T221604Z",
        ] {
            assert_eq!(parse_stamp(bad), None, "{bad}");
        }
    }

    #[test]
    fn moves_do_not_wrap() {
        assert_eq!(earlier(UnixMs::new(5), Duration::MAX), UnixMs::new(0));
        assert_eq!(later(UnixMs::new(5), Duration::MAX), UnixMs::new(u64::MAX));
        assert_eq!(
            earlier(AT, Duration::from_mins(5)),
            UnixMs::new(1_541_455_864_000)
        );
    }
}
