//! How long an input may be.
//!
//! Almost every input's size is in its lock. Of a download that could not be had when the lock was made only a bound is known;
//! its SHA-256 decides all the same.

use core::fmt;

/// A size, or a bound on one. Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Exactly so many.
    Exact(u64),
    /// So many or fewer.
    AtMost(u64),
}

impl Length {
    /// The largest size that is admitted.
    #[must_use]
    pub const fn most(self) -> u64 {
        match self {
            Self::Exact(size) | Self::AtMost(size) => size,
        }
    }

    /// Whether something of this size may be it.
    #[must_use]
    pub const fn admits(self, size: u64) -> bool {
        match self {
            Self::Exact(exact) => size == exact,
            Self::AtMost(most) => size <= most,
        }
    }
}

impl From<u64> for Length {
    fn from(size: u64) -> Self {
        Self::Exact(size)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(size) => write!(f, "{size} bytes"),
            Self::AtMost(most) => write!(f, "at most {most} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_admits_less() {
        let (exact, bound) = (Length::from(3), Length::AtMost(3));
        assert_eq!([2, 3, 4].map(|n| exact.admits(n)), [false, true, false]);
        assert_eq!([2, 3, 4].map(|n| bound.admits(n)), [true, true, false]);
        assert_eq!((exact.most(), bound.most()), (3, 3));
        assert_eq!(
            [exact, bound].map(|l| l.to_string()),
            ["3 bytes", "at most 3 bytes"]
        );
    }
}
