//! One deadline for each connection at most. It reads no clock: times are since the backend started.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::token::Token;

/// The deadlines.
#[derive(Debug, Default)]
pub(super) struct Timers {
    order: BTreeSet<(Duration, Token)>,
    when: BTreeMap<Token, Duration>,
}

impl Timers {
    /// Sets the deadline of `token`, in place of an earlier one; `None` takes it away.
    pub(super) fn set(&mut self, token: Token, at: Option<Duration>) {
        let old = match at {
            Some(at) => self.when.insert(token, at),
            None => self.when.remove(&token),
        };
        if let Some(old) = old {
            self.order.remove(&(old, token));
        }
        if let Some(at) = at {
            self.order.insert((at, token));
        }
    }

    /// The nearest deadline.
    #[must_use]
    pub(super) fn next(&self) -> Option<Duration> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes out one deadline that is not after `now`.
    pub(super) fn pop(&mut self, now: Duration) -> Option<Token> {
        let (at, token) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.set(token, None);
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts() {
        let mut timers = Timers::default();
        let ms = Duration::from_millis;
        timers.set(Token(20), Some(ms(5)));
        timers.set(Token(21), Some(ms(3)));
        timers.set(Token(20), Some(ms(1)));
        timers.set(Token(22), Some(ms(2)));
        timers.set(Token(22), None);
        assert_eq!(timers.next(), Some(ms(1)));
        assert_eq!(timers.pop(ms(0)), None);
        assert_eq!(timers.pop(ms(9)), Some(Token(20)));
        assert_eq!(timers.pop(ms(3)), Some(Token(21)));
        assert_eq!(timers.pop(ms(99)), None);
        assert_eq!(timers.next(), None);
    }
}
