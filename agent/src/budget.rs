//! Memory for messages that are arriving or being worked on, bounded over all connections together.
//!
//! Each connection may hold [`FREE_BYTES`] without asking, which is enough for every message but those with ciphertexts. What
//! is beyond comes out of one [`Budget`]; when it is used up, a long message is refused and short ones go on as ever.
//!
//! A message may hold credentials, so its memory is wiped, also that which it grew out of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use zeroize::Zeroizing;

/// What a connection may hold without asking, bytes.
pub const FREE_BYTES: usize = 16 * 1024;

/// All connections together beyond that, bytes: one message of the longest kind and a half.
pub const TOTAL_BYTES: usize = 24 * 1024 * 1024;

/// The memory that is left.
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicUsize>);

/// The budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("busy: other messages are arriving, and there is no memory for one more of {wanted} bytes")]
pub struct NoMemory {
    /// How long the message would have to be able to grow.
    pub wanted: usize,
}

impl Budget {
    /// A budget of this many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// What is left, bytes.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = |left: usize| left.checked_sub(bytes);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The bytes of one message. Dropping it wipes them and gives the budget back.
#[derive(Debug)]
pub struct Buffer {
    budget: Budget,
    charged: usize,
    most: usize,
    bytes: Zeroizing<Vec<u8>>,
}

impl Buffer {
    /// An empty buffer that never holds more than `most` bytes.
    #[must_use]
    pub fn new(budget: Budget, most: usize) -> Self {
        Self {
            budget,
            charged: 0,
            most,
            bytes: Zeroizing::new(Vec::new()),
        }
    }

    /// Appends a piece. Whoever calls sees to it that the whole stays within `most`.
    ///
    /// # Errors
    /// [`NoMemory`]; the buffer is as it was.
    pub fn extend(&mut self, piece: &[u8]) -> Result<(), NoMemory> {
        let needed = self.bytes.len() + piece.len();
        if needed > self.bytes.capacity() {
            self.grow(needed)?;
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// Moves to memory of twice the size. A vector that grows by itself would leave a copy behind.
    fn grow(&mut self, needed: usize) -> Result<(), NoMemory> {
        let size = needed
            .next_power_of_two()
            .clamp(FREE_BYTES / 4, self.most.max(needed));
        let more = size.saturating_sub(FREE_BYTES).saturating_sub(self.charged);
        if !self.budget.take(more) {
            return Err(NoMemory { wanted: size });
        }
        self.charged += more;
        let mut larger = Zeroizing::new(Vec::with_capacity(size));
        larger.extend_from_slice(&self.bytes);
        self.bytes = larger;
        Ok(())
    }

    /// The bytes so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.budget.give_back(self.charged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_messages_cost_nothing_and_long_ones_their_size() {
        let budget = Budget::new(64 * 1024);
        let mut short = Buffer::new(budget.clone(), 1 << 20);
        for _ in 0..FREE_BYTES / 16 {
            short.extend(&[7; 16]).unwrap();
        }
        assert_eq!((budget.left(), short.bytes().len()), (64 * 1024, FREE_BYTES));
        let mut long = Buffer::new(budget.clone(), 1 << 20);
        long.extend(&vec![1; 40 * 1024]).unwrap();
        assert_eq!(budget.left(), 64 * 1024 - (64 * 1024 - FREE_BYTES));
        let before = long.bytes().to_vec();
        assert_eq!(
            long.extend(&vec![2; 60 * 1024]).unwrap_err(),
            NoMemory { wanted: 128 * 1024 }
        );
        assert_eq!(long.bytes(), before);
        drop(long);
        drop(short);
        assert_eq!(budget.left(), 64 * 1024);
    }

    #[test]
    fn the_longest_message_fits_and_two_do_not() {
        let most = 16 * 1024 * 1024;
        let budget = Budget::new(TOTAL_BYTES);
        let piece = vec![0; 65_536];
        let fill = |buffer: &mut Buffer| -> Result<(), NoMemory> {
            for _ in 0..most / 65_536 {
                buffer.extend(&piece)?;
            }
            Ok(())
        };
        let mut first = Buffer::new(budget.clone(), most);
        fill(&mut first).unwrap();
        assert_eq!(first.bytes().len(), most);
        let mut second = Buffer::new(budget.clone(), most);
        assert!(matches!(fill(&mut second), Err(NoMemory { .. })));
        drop(first);
        let mut third = Buffer::new(budget.clone(), most);
        drop(second);
        fill(&mut third).unwrap();
        drop(third);
        assert_eq!(budget.left(), TOTAL_BYTES);
    }
}
