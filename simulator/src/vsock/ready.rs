//! Which connections have something for the guest, in the order in which they are served.
//!
//! Each is in the queue at most once and gives one packet a turn, so a busy connection cannot starve another.

use std::collections::{BTreeSet, VecDeque};

use super::token::Token;

/// The round-robin queue.
#[derive(Debug, Default)]
pub(super) struct Ready {
    order: VecDeque<Token>,
    member: BTreeSet<Token>,
}

impl Ready {
    /// Puts `token` at the end, unless it is in the queue already.
    pub(super) fn push(&mut self, token: Token) {
        if self.member.insert(token) {
            self.order.push_back(token);
        }
    }

    /// Takes the next one out.
    pub(super) fn pop(&mut self) -> Option<Token> {
        let token = self.order.pop_front()?;
        self.member.remove(&token);
        Some(token)
    }

    /// Number of waiting connections, some of which may have ended since.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_waits_once_and_in_order() {
        let mut ready = Ready::default();
        let [a, b, c] = [1, 2, 3].map(Token);
        for token in [a, b, a, c, b] {
            ready.push(token);
        }
        assert_eq!(ready.len(), 3);
        assert_eq!(ready.pop(), Some(a));
        ready.push(a);
        assert_eq!(
            [ready.pop(), ready.pop(), ready.pop(), ready.pop()],
            [Some(b), Some(c), Some(a), None]
        );
        assert!(ready.is_empty());
    }
}
