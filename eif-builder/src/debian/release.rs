//! Release files: what a suite contains, each index file by size and SHA-256.
//!
//! Only a [`SignedText`] can become a [`Release`], so an index that a release vouches for was vouched for
//! by an archive key. Source: the Debian wiki's `DebianRepository/Format`; `apt-secure(8)`.

use super::clearsign::SignedText;
use super::stanza::{StanzaError, stanzas};
use crate::digest::{NotSha256, Sha256};

/// The largest index file accepted, packed or unpacked, in bytes. Debian's `Packages` is 57 MB.
pub const MAX_INDEX_BYTES: u64 = 512 << 20;

/// A suite, as its signed release file describes it.
#[derive(Clone, Debug)]
pub struct Release {
    codename: String,
    by_hash: bool,
    files: Vec<IndexFile>,
}

/// One index file of a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFile {
    /// Path below `dists/SUITE/`.
    pub path: String,
    /// Size in bytes, at most [`MAX_INDEX_BYTES`].
    pub size: u64,
    /// SHA-256 of the file.
    pub sha256: Sha256,
}

/// Why a release file is not accepted, though well signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// A field that every release file has is missing.
    #[error("the release file has no `{0}` field")]
    Missing(&'static str),
    /// It is the release file of another archive or suite.
    #[error("the release file is for {field} `{actual}`, expected `{expected}`")]
    Other {
        /// `Origin` or `Codename`.
        field: &'static str,
        /// What was asked for.
        expected: String,
        /// What came.
        actual: String,
    },
    /// A date that is not in the format of RFC 5322 in UTC.
    #[error("the release file's `{field}` is not a date: `{text}`")]
    Date {
        /// `Date` or `Valid-Until`.
        field: &'static str,
        /// What stands there.
        text: String,
    },
    /// `Valid-Until` is past: the mirror is stale, or replays an old state on purpose.
    #[error(
        "the release file of `{codename}` was valid until {until}; the mirror is stale or its host's clock is wrong"
    )]
    Expired {
        /// The suite.
        codename: String,
        /// The date, as written.
        until: String,
    },
    /// `Date` lies in the future.
    #[error("the release file of `{codename}` is dated {date}, in the future; check this machine's clock")]
    Future {
        /// The suite.
        codename: String,
        /// The date, as written.
        date: String,
    },
    /// A line of the `SHA256` list is malformed.
    #[error("the release file's SHA256 list has a malformed line: `{0}`")]
    Line(String),
    /// A digest in the list is malformed.
    #[error(transparent)]
    Digest(#[from] NotSha256),
    /// An index file that was asked for is not listed.
    #[error("the release file of `{codename}` lists no `{path}`")]
    NotListed {
        /// The suite.
        codename: String,
        /// What was asked for.
        path: String,
    },
    /// The file is not made of fields.
    #[error("the release file is malformed")]
    Malformed(#[from] StanzaError),
}

impl Release {
    /// Reads the release file of Debian's suite `codename` and checks that it is in force at `now`
    /// (seconds since 1970).
    ///
    /// # Errors
    /// [`ReleaseError`]: another suite or archive, out of date, or malformed.
    pub fn parse(signed: &SignedText, codename: &str, now: u64) -> Result<Self, ReleaseError> {
        let stanza = stanzas(signed.as_str())
            .next()
            .ok_or(ReleaseError::Missing("Origin"))?;
        let [origin, name, date, until, by_hash, list] = stanza.pick([
            "Origin",
            "Codename",
            "Date",
            "Valid-Until",
            "Acquire-By-Hash",
            "SHA256",
        ])?;
        expect("Origin", "Debian", origin)?;
        expect("Codename", codename, name)?;
        let date = date.ok_or(ReleaseError::Missing("Date"))?;
        if parse_date("Date", date)? > now + super::keyring::CLOCK_SKEW_SECONDS {
            return Err(ReleaseError::Future {
                codename: codename.into(),
                date: date.into(),
            });
        }
        if let Some(until) = until
            && parse_date("Valid-Until", until)? < now
        {
            return Err(ReleaseError::Expired {
                codename: codename.into(),
                until: until.into(),
            });
        }
        let list = list.ok_or(ReleaseError::Missing("SHA256"))?;
        Ok(Self {
            codename: codename.to_owned(),
            by_hash: by_hash == Some("yes"),
            files: list.lines().map(parse_line).collect::<Result<_, _>>()?,
        })
    }

    /// The suite's code name.
    #[must_use]
    pub fn codename(&self) -> &str {
        &self.codename
    }

    /// Whether index files can be asked for by digest, which holds while a mirror is being updated.
    #[must_use]
    pub const fn by_hash(&self) -> bool {
        self.by_hash
    }

    /// The index file at `path` below `dists/SUITE/`.
    ///
    /// # Errors
    /// [`ReleaseError::NotListed`].
    pub fn file(&self, path: &str) -> Result<&IndexFile, ReleaseError> {
        self.files
            .iter()
            .find(|f| f.path == path)
            .ok_or_else(|| ReleaseError::NotListed {
                codename: self.codename.clone(),
                path: path.to_owned(),
            })
    }
}

fn expect(field: &'static str, expected: &str, actual: Option<&str>) -> Result<(), ReleaseError> {
    let actual = actual.ok_or(ReleaseError::Missing(field))?;
    if actual == expected {
        return Ok(());
    }
    Err(ReleaseError::Other {
        field,
        expected: expected.to_owned(),
        actual: actual.to_owned(),
    })
}

fn parse_line(line: &str) -> Result<IndexFile, ReleaseError> {
    let malformed = || ReleaseError::Line(line.chars().take(200).collect());
    let mut words = line.split_ascii_whitespace();
    let (Some(sha256), Some(size), Some(path), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed());
    };
    let size = size
        .parse()
        .ok()
        .filter(|s| *s <= 1 << 40)
        .ok_or_else(malformed)?;
    Ok(IndexFile {
        path: path.to_owned(),
        size,
        sha256: sha256.parse()?,
    })
}

/// Seconds since 1970 of a date such as `Sat, 12 Sep 2026 07:55:41 UTC`.
fn parse_date(field: &'static str, text: &str) -> Result<u64, ReleaseError> {
    let read = || {
        let (_, rest) = text.split_once(", ")?;
        let mut words = rest.split_ascii_whitespace();
        let day: u64 = words.next()?.parse().ok()?;
        let month = words.next()?;
        let year: u64 = words.next()?.parse().ok()?;
        let mut clock = words.next()?.splitn(3, ':').map(|n| n.parse::<u64>().ok());
        let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
        let utc = matches!(words.next()?, "UTC" | "GMT" | "+0000") && words.next().is_none();
        let months = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let month = u64::try_from(months.iter().position(|m| *m == month)?).ok()? + 1;
        let sound = utc && (1970..=9999).contains(&year) && (1..=31).contains(&day);
        (sound && hour < 24 && minute < 60 && second <= 60)
            .then(|| days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second)
    };
    read().ok_or_else(|| ReleaseError::Date {
        field,
        text: text.chars().take(80).collect(),
    })
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, `year >= 1970`, `1 <= month <= 12`.
const fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    // Years begin in March, so that the leap day is the last of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let before_1970 = 719_468;
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - before_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 UTC", 0),
            ("Tue, 29 Feb 2000 12:34:56 UTC", 951_827_696),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Sat, 12 Sep 2026 07:55:41 UTC", 1_789_199_741),
            ("Thu, 28 Feb 2199 23:59:59 +0000", 7_231_679_999),
        ] {
            assert_eq!(parse_date("Date", text), Ok(seconds), "{text}");
        }
        for bad in [
            "",
            "12 Sep 2026 07:55:41 UTC",
            "Sat, 12 Sep 2026 07:55:41",
            "Sat, 12 Sep 2026 07:55:41 CET",
            "Sat, 0 Sep 2026 07:55:41 UTC",
            "Sat, 12 Foo 2026 07:55:41 UTC",
            "Sat, 12 Sep 2026 24:00:00 UTC",
            "Sat, 12 Sep 1969 07:55:41 UTC",
            "Sat, 12 Sep 2026 07:55 UTC",
            "Sat, 12 Sep 2026 07:55:41 UTC x",
        ] {
            assert!(parse_date("Date", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn list_lines() {
        let sha = Sha256::of(b"x");
        assert_eq!(
            parse_line(&format!(" {sha}   12 main/binary-amd64/Packages.xz")),
            Ok(IndexFile {
                path: "main/binary-amd64/Packages.xz".into(),
                size: 12,
                sha256: sha
            })
        );
        for bad in [
            format!("{sha} 12"),
            format!("{sha} x p"),
            format!("{sha} 1 p q"),
            format!("{sha} 9999999999999 p"),
            String::new(),
        ] {
            assert!(matches!(parse_line(&bad), Err(ReleaseError::Line(_))), "{bad}");
        }
    }
}
