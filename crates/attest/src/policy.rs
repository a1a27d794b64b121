//! What a caller demands of a document besides being genuine: measurements, freshness, no debug mode.
//!
//! A policy judges claims; it proves nothing about signatures. [`crate::verify()`] applies it last.

use core::time::Duration;

use crate::doc::Claims;
use crate::pcr::{Pcr, PcrError, PcrSet};
use crate::time::UnixMs;

/// How far a document's timestamp may be ahead of the caller's clock when its age is limited: the
/// tolerance for skewed clocks that AWS itself uses for signed requests.
const MAX_AHEAD: Duration = Duration::from_mins(5);

/// The instant of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Now, by the caller's clock. The certificates must be valid now and when the document was made.
    Now(UnixMs),
    /// When the document was made, by its own word (the signature covers it). For stored documents: this
    /// proves that it was genuine then, **not** that it is fresh.
    OfDocument,
}

/// What a document has to say. The default demands nothing but that the enclave is not in debug mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    allow_debug: bool,
    pcrs: PcrSet,
    nonce: Option<Vec<u8>>,
    user_data: Option<Vec<u8>>,
    max_age: Option<Duration>,
}

/// Why a document is not what the caller demands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// PCR0, 1 or 2 is zero, or PCR0 is absent: the memory of such an enclave is no secret.
    #[error("the enclave runs in debug mode: PCR0, PCR1 or PCR2 is all zero, or there is no PCR0")]
    Debug,
    /// An expected PCR is not in the document.
    #[error("the document has no PCR{index}, expected {expected}")]
    PcrAbsent {
        /// Its index.
        index: u8,
        /// The expected value.
        expected: Pcr,
    },
    /// A PCR has another value.
    #[error("PCR{index} is {found}, expected {expected}")]
    PcrMismatch {
        /// Its index.
        index: u8,
        /// The expected value.
        expected: Pcr,
        /// The value in the document.
        found: Pcr,
    },
    /// The nonce is absent or another one.
    #[error("the nonce is {}, expected {}", shown(.found.as_deref()), hex::encode(.expected))]
    Nonce {
        /// The expected value.
        expected: Box<[u8]>,
        /// The value in the document.
        found: Option<Box<[u8]>>,
    },
    /// The user data is absent or another one.
    #[error("the user data is {}, expected {}", shown(.found.as_deref()), hex::encode(.expected))]
    UserData {
        /// The expected value.
        expected: Box<[u8]>,
        /// The value in the document.
        found: Option<Box<[u8]>>,
    },
    /// The document is too old.
    #[error("the document was made at {made}, {} s before {now}; the limit is {} s", .age.as_secs(), .max.as_secs())]
    TooOld {
        /// Its timestamp.
        made: UnixMs,
        /// The caller's clock.
        now: UnixMs,
        /// The difference.
        age: Duration,
        /// The limit.
        max: Duration,
    },
    /// The document is from the future.
    #[error("the document was made at {made}, more than {} s after {now}", MAX_AHEAD.as_secs())]
    FromFuture {
        /// Its timestamp.
        made: UnixMs,
        /// The caller's clock.
        now: UnixMs,
    },
    /// The age is limited but there is no clock to measure it with.
    #[error("a limit of age needs a clock; with the document's own time every document is fresh")]
    AgeWithoutClock,
}

fn shown(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "absent".into(), hex::encode)
}

impl Policy {
    /// As [`Policy::default`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also accept enclaves in debug mode, whose memory and console the parent can read.
    #[must_use]
    pub fn allow_debug(mut self) -> Self {
        self.allow_debug = true;
        self
    }

    /// Demand this value of PCR `index`. PCR0, 1 and 2 should be demanded together: none of them alone
    /// pins an image.
    ///
    /// # Errors
    /// [`PcrError::Index`] when `index` is above 31.
    pub fn expect_pcr(mut self, index: u8, value: Pcr) -> Result<Self, PcrError> {
        self.pcrs.insert(index, value)?;
        Ok(self)
    }

    /// Demand this nonce, one that the caller chose for this document.
    #[must_use]
    pub fn expect_nonce(mut self, nonce: &[u8]) -> Self {
        self.nonce = Some(nonce.to_vec());
        self
    }

    /// Demand this user data.
    #[must_use]
    pub fn expect_user_data(mut self, user_data: &[u8]) -> Self {
        self.user_data = Some(user_data.to_vec());
        self
    }

    /// Demand that the document is at most this old, and at most 5 min ahead, by the clock of
    /// [`Moment::Now`].
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// The PCRs that are demanded.
    #[must_use]
    pub const fn expected_pcrs(&self) -> &PcrSet {
        &self.pcrs
    }

    /// Checks everything that is demanded, in the order of [`PolicyError`]'s variants.
    pub(crate) fn check(&self, claims: &Claims<'_>, moment: Moment) -> Result<(), PolicyError> {
        if claims.is_debug() && !self.allow_debug {
            return Err(PolicyError::Debug);
        }
        for (index, expected) in self.pcrs.iter() {
            let expected = *expected;
            match claims.pcrs.get(index) {
                Some(found) if *found == expected => {}
                Some(found) => {
                    return Err(PolicyError::PcrMismatch {
                        index,
                        expected,
                        found: *found,
                    });
                }
                None => return Err(PolicyError::PcrAbsent { index, expected }),
            }
        }
        if let Some((expected, found)) = differs(self.nonce.as_deref(), claims.nonce) {
            return Err(PolicyError::Nonce { expected, found });
        }
        if let Some((expected, found)) = differs(self.user_data.as_deref(), claims.user_data) {
            return Err(PolicyError::UserData { expected, found });
        }
        self.check_age(claims.timestamp, moment)
    }

    fn check_age(&self, made: UnixMs, moment: Moment) -> Result<(), PolicyError> {
        let Some(max) = self.max_age else { return Ok(()) };
        let Moment::Now(now) = moment else {
            return Err(PolicyError::AgeWithoutClock);
        };
        match (now.since(made), made.since(now)) {
            (Some(age), _) if age > max => Err(PolicyError::TooOld { made, now, age, max }),
            (_, Some(ahead)) if ahead > MAX_AHEAD => Err(PolicyError::FromFuture { made, now }),
            _ => Ok(()),
        }
    }
}

type Difference = (Box<[u8]>, Option<Box<[u8]>>);

fn differs(expected: Option<&[u8]>, found: Option<&[u8]>) -> Option<Difference> {
    let expected = expected?;
    (found != Some(expected)).then(|| (expected.into(), found.map(Into::into)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(pcr0: u8) -> Claims<'static> {
        let payload = include_bytes!("../tests/data/synthetic/valid/all_optionals.cbor");
        let mut claims = crate::UnverifiedDoc::parse(payload)
            .unwrap()
            .unverified_claims()
            .clone();
        claims.pcrs.insert(0, Pcr::from_bytes([pcr0; 48])).unwrap();
        claims
    }

    fn check(policy: &Policy, claims: &Claims<'_>) -> Result<(), PolicyError> {
        policy.check(claims, Moment::OfDocument)
    }

    #[test]
    fn debug_is_refused_unless_allowed() {
        assert_eq!(check(&Policy::new(), &claims(1)), Ok(()));
        assert_eq!(check(&Policy::new(), &claims(0)), Err(PolicyError::Debug));
        assert_eq!(check(&Policy::new().allow_debug(), &claims(0)), Ok(()));
        for index in [1, 2] {
            let mut zeroed = claims(1);
            zeroed.pcrs.insert(index, Pcr::from_bytes([0; 48])).unwrap();
            assert_eq!(check(&Policy::new(), &zeroed), Err(PolicyError::Debug));
        }
        let mut without = claims(1);
        without.pcrs = PcrSet::new();
        without.pcrs.insert(4, Pcr::from_bytes([1; 48])).unwrap();
        assert_eq!(check(&Policy::new(), &without), Err(PolicyError::Debug));
    }

    #[test]
    fn pcrs_must_be_there_and_equal() {
        let (one, two) = (Pcr::from_bytes([1; 48]), Pcr::from_bytes([2; 48]));
        let demand = |index, value| Policy::new().expect_pcr(index, value).unwrap();
        assert_eq!(check(&demand(0, one), &claims(1)), Ok(()));
        assert_eq!(
            check(&demand(0, two), &claims(1)),
            Err(PolicyError::PcrMismatch {
                index: 0,
                expected: two,
                found: one
            })
        );
        assert_eq!(
            check(&demand(31, two), &claims(1)),
            Err(PolicyError::PcrAbsent {
                index: 31,
                expected: two
            })
        );
        assert_eq!(
            Policy::new().expect_pcr(32, one),
            Err(PcrError::Index { index: 32 })
        );
    }

    #[test]
    fn nonce_and_user_data_are_compared_whole() {
        let claims = claims(1);
        let nonce = claims.nonce.unwrap();
        assert_eq!(check(&Policy::new().expect_nonce(nonce), &claims), Ok(()));
        for wrong in [&nonce[1..], &[], b"other"] {
            let refused = check(&Policy::new().expect_nonce(wrong), &claims).unwrap_err();
            assert_eq!(
                refused,
                PolicyError::Nonce {
                    expected: wrong.into(),
                    found: Some(nonce.into())
                }
            );
        }
        let mut absent = claims.clone();
        absent.nonce = None;
        let refused = check(&Policy::new().expect_nonce(&[]), &absent).unwrap_err();
        assert_eq!(refused.to_string(), "the nonce is absent, expected ");
        let data = claims.user_data.unwrap();
        assert_eq!(check(&Policy::new().expect_user_data(data), &claims), Ok(()));
        let refused = check(&Policy::new().expect_user_data(b""), &claims).unwrap_err();
        assert_eq!(
            refused,
            PolicyError::UserData {
                expected: [].into(),
                found: Some(data.into())
            }
        );
    }

    #[test]
    fn age_is_measured_with_the_callers_clock() {
        let (claims, policy) = (claims(1), Policy::new().max_age(Duration::from_secs(10)));
        let at = |ms: i64| {
            let now = UnixMs::new(claims.timestamp.as_millis().checked_add_signed(ms).unwrap());
            policy.check(&claims, Moment::Now(now))
        };
        assert_eq!((at(0), at(10_000), at(-300_000)), (Ok(()), Ok(()), Ok(())));
        assert!(matches!(at(10_001), Err(PolicyError::TooOld { .. })));
        assert!(matches!(at(-300_001), Err(PolicyError::FromFuture { .. })));
        assert_eq!(
            policy.check(&claims, Moment::OfDocument),
            Err(PolicyError::AgeWithoutClock)
        );
    }
}
