//! Debian version numbers, `[epoch:]upstream[-revision]`, and their order.
//!
//! Source: Debian Policy 4.7, section 5.6.12; `dpkg --compare-versions` decides doubtful cases.

use core::cmp::Ordering;
use core::fmt;

/// The longest version accepted, in bytes. Those in Debian stay below 64.
pub const MAX_LENGTH: usize = 256;

/// A version number that was checked to be well formed. Borrowed from the index it stands in.
///
/// Equality is that of the order: `1.0` equals `0:1.0-0`.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    text: &'a str,
    epoch: u32,
    upstream: &'a str,
    revision: &'a str,
}

/// A text that is no version number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a Debian version: {reason}")]
pub struct NotVersion {
    text: String,
    reason: &'static str,
}

impl<'a> Version<'a> {
    /// Checks and takes apart a version number.
    ///
    /// # Errors
    /// [`NotVersion`] when a part is empty, too long or has characters that Policy does not allow.
    pub fn parse(text: &'a str) -> Result<Self, NotVersion> {
        let refuse = |reason| NotVersion {
            text: text.chars().take(80).collect(),
            reason,
        };
        if text.len() > MAX_LENGTH {
            return Err(refuse("longer than 256 bytes"));
        }
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => {
                if epoch.is_empty() || !epoch.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(refuse("the epoch is not a number"));
                }
                let epoch = epoch
                    .parse()
                    .ok()
                    .filter(|e| i32::try_from(*e).is_ok())
                    .ok_or_else(|| refuse("the epoch is too large"))?;
                (epoch, rest)
            }
            None => (0, text),
        };
        let (upstream, revision) = match rest.rsplit_once('-') {
            Some((_, "")) => return Err(refuse("the revision is empty")),
            Some(parts) => parts,
            None => (rest, ""),
        };
        if !upstream.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(refuse("the upstream part does not begin with a digit"));
        }
        if !upstream
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".+-~:".contains(&b))
        {
            return Err(refuse("the upstream part has a character that is not allowed"));
        }
        if !revision
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".+~".contains(&b))
        {
            return Err(refuse("the revision has a character that is not allowed"));
        }
        Ok(Self {
            text,
            epoch,
            upstream,
            revision,
        })
    }

    /// The version as it was written.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }
}

impl fmt::Display for Version<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_part(self.upstream.as_bytes(), other.upstream.as_bytes()))
            .then_with(|| compare_part(self.revision.as_bytes(), other.revision.as_bytes()))
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version<'_> {}

/// Compares one part: in turn a run of non-digits by [`weight`], then a run of digits as a number.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (a_text, a_rest) = split_run(a, |byte| !byte.is_ascii_digit());
        let (b_text, b_rest) = split_run(b, |byte| !byte.is_ascii_digit());
        let (a_number, a_rest) = split_run(a_rest, u8::is_ascii_digit);
        let (b_number, b_rest) = split_run(b_rest, u8::is_ascii_digit);
        let order = compare_text(a_text, b_text).then_with(|| compare_number(a_number, b_number));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (a_rest, b_rest);
    }
    Ordering::Equal
}

fn split_run(bytes: &[u8], belongs: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|b| !belongs(b)).unwrap_or(bytes.len());
    bytes.split_at(end)
}

fn compare_text(a: &[u8], b: &[u8]) -> Ordering {
    let end = core::iter::once(weight(None));
    let weigh =
        |text: &[u8]| -> Vec<u16> { text.iter().map(|b| weight(Some(*b))).chain(end.clone()).collect() };
    weigh(a).cmp(&weigh(b))
}

/// `~` sorts before the end of a part, letters before everything else.
fn weight(byte: Option<u8>) -> u16 {
    match byte {
        Some(b'~') => 0,
        None => 1,
        Some(letter) if letter.is_ascii_alphabetic() => u16::from(letter),
        Some(other) => 256 + u16::from(other),
    }
}

fn compare_number(a: &[u8], b: &[u8]) -> Ordering {
    let (_, a) = split_run(a, |byte| *byte == b'0');
    let (_, b) = split_run(b, |byte| *byte == b'0');
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(a: &str, b: &str) -> Ordering {
        Version::parse(a).unwrap().cmp(&Version::parse(b).unwrap())
    }

    /// Each is smaller than the next. Policy 5.6.12 and cases that real packages had.
    const RISING: &[&str] = &[
        "0~~",
        "0~~a",
        "0~",
        "0",
        "0a",
        "0+",
        "1.0~beta1~svc1-1",
        "1.0~beta1",
        "1.0~rc1-1",
        "1.0",
        "1.0-1~bpo1",
        "1.0-1",
        "1.0-1+b1",
        "1.0-1+deb13u1",
        "1.0-1.1",
        "1.0-2",
        "1.0-10",
        "1.0a",
        "1.0+ds-1",
        "1.0.1",
        "1.2",
        "1.10",
        "2",
        "10",
        "20240101",
        "1:0",
        "1:0.1",
        "2:0",
    ];

    #[test]
    fn policy_order() {
        for (i, a) in RISING.iter().enumerate() {
            for (j, b) in RISING.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} against {b}");
            }
        }
    }

    #[test]
    fn different_spellings_of_the_same_version_are_equal() {
        for (a, b) in [
            ("1.0", "0:1.0"),
            ("1.0", "1.0-0"),
            ("1.01", "1.1"),
            ("1.0-0", "1.00-00"),
            ("1a00", "1a0"),
            ("1a", "1a0"),
        ] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} against {b}");
        }
    }

    #[test]
    fn malformed_versions_are_refused() {
        for bad in [
            "",
            ":1",
            "a:1",
            "1:",
            "-1",
            "1-",
            "a1",
            "1_0",
            "1.0-a_b",
            "1 0",
            "4294967296:1",
            "2147483648:1",
            "1é",
            "1-ü",
        ] {
            assert!(Version::parse(bad).is_err(), "{bad}");
        }
        Version::parse(&"1".repeat(MAX_LENGTH + 1)).unwrap_err();
    }

    #[test]
    fn the_last_hyphen_begins_the_revision_and_colons_may_follow_the_epoch() {
        assert_eq!(compare("1-2-3", "1-2-4"), Ordering::Less);
        assert_eq!(compare("1:2:3", "1:2:4"), Ordering::Less);
    }
}
