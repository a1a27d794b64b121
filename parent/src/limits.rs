//! Who may have how many connections, and how often something may be asked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Duration, Instant};

/// Places for connections: so many in all, and so many for each source.
#[derive(Clone, Debug)]
pub struct Places {
    most: usize,
    most_per_source: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_source: BTreeMap<Source, usize>,
}

/// A source: an IPv4 address, or the /64 network of an IPv6 address (one host has a whole one).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Source([u8; 8]);

/// A place. Dropping it frees it.
#[derive(Debug)]
pub struct Place {
    source: Source,
    taken: Arc<Mutex<Taken>>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All places are taken.
    All,
    /// All places of this source are taken.
    Source,
}

impl Places {
    /// No places are taken.
    #[must_use]
    pub fn new(most: usize, most_per_source: usize) -> Self {
        Self {
            most,
            most_per_source,
            taken: Arc::default(),
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`Full`].
    pub fn take(&self, address: IpAddr) -> Result<Place, Full> {
        let source = Source::of(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.most {
            return Err(Full::All);
        }
        let mine = taken.by_source.get(&source).copied().unwrap_or(0);
        if mine >= self.most_per_source {
            return Err(Full::Source);
        }
        taken.by_source.insert(source, mine + 1);
        taken.all += 1;
        Ok(Place {
            source,
            taken: Arc::clone(&self.taken),
        })
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        let left = taken
            .by_source
            .get(&self.source)
            .map_or(0, |mine| mine.saturating_sub(1));
        if left == 0 {
            taken.by_source.remove(&self.source);
        } else {
            taken.by_source.insert(self.source, left);
        }
    }
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // No IPv6 network of the world starts with zeros.
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                Self([0, 0, 0, 0, a, b, c, d])
            }
            IpAddr::V6(v6) => {
                let mut network = [0; 8];
                for (to, from) in network.iter_mut().zip(v6.octets()) {
                    *to = from;
                }
                Self(network)
            }
        }
    }
}

/// How often something may be done: a bucket that holds `most` and gets one more each `every`.
#[derive(Debug)]
pub struct Rate {
    most: u32,
    every: Duration,
    state: Mutex<(u32, Instant)>,
}

impl Rate {
    /// A full bucket.
    #[must_use]
    pub fn new(most: u32, every: Duration) -> Self {
        Self {
            most,
            every,
            state: Mutex::new((most, Instant::now())),
        }
    }

    /// Whether it may be done now.
    pub fn take(&self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut left, mut since) = *state;
        while left < self.most && now.duration_since(since) >= self.every {
            left += 1;
            since += self.every;
        }
        if left == self.most {
            since = now;
        }
        let may = left > 0;
        *state = (left.saturating_sub(1), since);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_freed() {
        let places = Places::new(3, 2);
        let take = |text: &str| places.take(text.parse().unwrap());
        let one = take("10.0.0.1").unwrap();
        let two = take("::ffff:10.0.0.1").unwrap();
        assert_eq!(take("10.0.0.1").unwrap_err(), Full::Source);
        let three = take("2001:db8::1").unwrap();
        assert_eq!(take("10.0.0.2").unwrap_err(), Full::All);
        assert_eq!(places.taken(), 3);
        drop(one);
        let four = take("2001:db8::ffff:2").unwrap();
        drop(two);
        assert_eq!(
            take("2001:db8::3").unwrap_err(),
            Full::Source,
            "one /64 is one source"
        );
        let other = take("2001:db8:0:1::3").unwrap();
        drop((three, four, other));
        assert_eq!(places.taken(), 0);
        assert!(places.taken.lock().unwrap().by_source.is_empty());
    }

    #[test]
    fn a_bucket_fills_again() {
        let start = Instant::now();
        let rate = Rate::new(2, Duration::from_secs(10));
        let at = |s: u64| rate.take_at(start + Duration::from_secs(s));
        assert_eq!([at(1), at(1), at(1)], [true, true, false]);
        assert_eq!([at(10), at(11), at(12)], [false, true, false]);
        assert_eq!([at(1000), at(1000), at(1000)], [true, true, false]);
    }
}
