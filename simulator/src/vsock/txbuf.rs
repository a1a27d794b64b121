//! Bytes from the guest that the host program has not taken yet.
//!
//! A plain byte queue without a limit of its own: the credit of its connection ([`super::credit::Inbound`])
//! admits at most [`super::credit::GRANT`] bytes. Memory is taken only while the host is slower than the guest.

use std::collections::VecDeque;
use std::io::{ErrorKind, Result, Write};

/// An emptied buffer larger than this gives its memory back, in bytes.
const KEEP: usize = 4096;

/// The byte queue.
#[derive(Debug, Default)]
pub(super) struct TxBuf(VecDeque<u8>);

impl TxBuf {
    /// Whether nothing waits.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of waiting bytes.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds `bytes` at the end.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// Drops everything and returns how many bytes that was.
    pub(super) fn clear(&mut self) -> usize {
        std::mem::take(&mut self.0).len()
    }

    /// Writes from the front until all is gone or `to` blocks; returns how many bytes went and whether `to` blocked.
    ///
    /// # Errors
    /// Whatever `to` answers but `WouldBlock` and `Interrupted`; the bytes written before it are gone from the queue.
    pub(super) fn drain(&mut self, to: &mut impl Write) -> Result<(usize, bool)> {
        let mut gone = 0;
        while !self.0.is_empty() {
            match to.write(self.0.as_slices().0) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.0.drain(..n.min(self.0.len()));
                    gone += n;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok((gone, true)),
                Err(e) => return Err(e),
            }
        }
        if self.0.capacity() > KEEP {
            self.0 = VecDeque::new();
        }
        Ok((gone, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes, at most 3 at once, then blocks or breaks.
    struct Narrow {
        got: Vec<u8>,
        room: usize,
        end: ErrorKind,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            let n = bytes.len().min(3).min(self.room);
            if n == 0 {
                return Err(self.end.into());
            }
            self.got.extend(&bytes[..n]);
            self.room -= n;
            Ok(n)
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn order_is_kept_over_blocks() {
        let mut buf = TxBuf::default();
        let mut to = Narrow {
            got: Vec::new(),
            room: 0,
            end: ErrorKind::WouldBlock,
        };
        for round in 0..100_u8 {
            buf.push(&[round, 100, 200, round]);
            to.room = 1 + usize::from(round % 7);
            buf.drain(&mut to).unwrap();
        }
        to.room = usize::MAX;
        let rest = buf.len();
        assert_eq!(buf.drain(&mut to).unwrap(), (rest, false));
        let want: Vec<u8> = (0..100).flat_map(|r| [r, 100, 200, r]).collect();
        assert_eq!(to.got, want);
    }

    #[test]
    fn a_broken_writer_is_an_error() {
        let mut buf = TxBuf::default();
        buf.push(b"abcdef");
        let mut to = Narrow {
            got: Vec::new(),
            room: 4,
            end: ErrorKind::BrokenPipe,
        };
        assert_eq!(buf.drain(&mut to).unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(buf.clear(), 2);
        assert!(buf.is_empty());
    }
}
