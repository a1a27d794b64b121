//! Credit: how many bytes each side of one connection may still send.
//!
//! Each side tells the size of its receive buffer (`buf_alloc`) and how many bytes it has taken out of
//! it (`fwd_cnt`, modulo 2^32). The other side may have at most `buf_alloc` bytes under way.
//! [`Inbound`] is what we grant to the guest, [`Outbound`] what the guest grants to us. No I/O here.
//!
//! Source: VIRTIO 1.2, section 5.10.6.3.

use std::collections::VecDeque;

/// Receive buffer that each connection grants to the guest, in bytes (256 KiB, Linux' own default).
pub const GRANT: u32 = 256 * 1024;

/// Bytes of the guest's buffer that one packet is counted for, whatever its length.
///
/// Linux 6.12.92 and later also count the book-keeping of each queued packet against the buffer
/// (576 bytes on `x86_64`) and reset the connection beyond it, though the standard counts bytes only.
/// 1024 stays clear of that. See `docs/adr/0004-vsock-transport.md`.
const PACKET_COST: u32 = 1024;

/// Most packets that are tracked for one connection, so that a huge `buf_alloc` costs no memory here.
const MAX_PACKETS: u32 = 4096;

/// The guest sent more than it was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun;

/// Bytes from the guest to the host: `forwarded <= received <= forwarded + GRANT`, all modulo 2^32.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inbound {
    received: u32,
    forwarded: u32,
    announced: u32,
}

impl Inbound {
    /// Takes `len` bytes from the guest into account.
    ///
    /// # Errors
    /// [`Overrun`] when fewer than `len` bytes of the grant were left; nothing is counted then.
    pub fn receive(&mut self, len: u32) -> Result<(), Overrun> {
        let held = self.received.wrapping_sub(self.forwarded);
        if len > GRANT.saturating_sub(held) {
            return Err(Overrun);
        }
        self.received = self.received.wrapping_add(len);
        Ok(())
    }

    /// `len` received bytes have left the buffer.
    pub fn forward(&mut self, len: u32) {
        self.forwarded = self.forwarded.wrapping_add(len);
    }

    /// Whether the guest should be told of freed space now. Once a quarter of the grant is owed, so a
    /// guest that fills the buffer always hears of it again before the buffer is empty.
    #[must_use]
    pub fn update_due(&self) -> bool {
        self.forwarded.wrapping_sub(self.announced) >= GRANT / 4
    }

    /// The `fwd_cnt` to write into the next packet.
    pub fn announce(&mut self) -> u32 {
        self.announced = self.forwarded;
        self.forwarded
    }
}

/// Bytes from the host to the guest: at most `buf_alloc` of them are under way.
#[derive(Clone, Debug, Default)]
pub struct Outbound {
    buf_alloc: u32,
    fwd_cnt: u32,
    sent: u32,
    /// The value of `sent` after each packet that the guest has not wholly taken yet, oldest first.
    ends: VecDeque<u32>,
    count_packets: bool,
}

impl Outbound {
    /// Nothing sent, nothing granted. `count_packets` also limits the number of packets under way.
    #[must_use]
    pub fn new(count_packets: bool) -> Self {
        Self {
            count_packets,
            ..Self::default()
        }
    }

    /// Takes the guest's word from a packet header.
    pub fn update(&mut self, buf_alloc: u32, fwd_cnt: u32) {
        self.buf_alloc = buf_alloc;
        self.fwd_cnt = fwd_cnt;
        let taken = |end: &u32| fwd_cnt.wrapping_sub(*end) <= u32::MAX / 2;
        while self.ends.front().is_some_and(taken) {
            self.ends.pop_front();
        }
    }

    /// Bytes that may be sent in the next packet.
    #[must_use]
    pub fn room(&self) -> u32 {
        let window = (self.buf_alloc / PACKET_COST).clamp(1, MAX_PACKETS);
        if self.count_packets && self.ends.len() >= window as usize {
            return 0;
        }
        self.buf_alloc
            .saturating_sub(self.sent.wrapping_sub(self.fwd_cnt))
    }

    /// One packet with `len <= room()` bytes goes out.
    pub fn send(&mut self, len: u32) {
        self.sent = self.sent.wrapping_add(len);
        if self.count_packets {
            self.ends.push_back(self.sent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grant_is_exact_and_survives_wrapping() {
        let near = u32::MAX - 10;
        let mut credit = Inbound {
            received: near,
            forwarded: near,
            announced: near,
        };
        assert_eq!(credit.receive(GRANT), Ok(()));
        assert_eq!(credit.receive(1), Err(Overrun));
        assert_eq!(credit.receive(0), Ok(()));
        credit.forward(7);
        assert_eq!(credit.receive(8), Err(Overrun));
        assert_eq!(credit.receive(7), Ok(()));
        assert_eq!(credit.receive(u32::MAX), Err(Overrun));
    }

    #[test]
    fn update_is_due_after_a_quarter() {
        let mut credit = Inbound::default();
        assert_eq!(credit.receive(GRANT), Ok(()));
        credit.forward(GRANT / 4 - 1);
        assert!(!credit.update_due());
        credit.forward(1);
        assert!(credit.update_due());
        assert_eq!(credit.announce(), GRANT / 4);
        assert!(!credit.update_due());
    }

    #[test]
    fn outbound_never_passes_the_guests_buffer() {
        let mut credit = Outbound {
            sent: u32::MAX - 5,
            fwd_cnt: u32::MAX - 5,
            ..Outbound::new(false)
        };
        assert_eq!(credit.room(), 0);
        credit.update(100, u32::MAX - 5);
        assert_eq!(credit.room(), 100);
        credit.send(100);
        assert_eq!(credit.room(), 0);
        credit.update(100, 4);
        assert_eq!(credit.room(), 10);
        credit.update(50, 4);
        assert_eq!(credit.room(), 0, "the guest made its buffer smaller");
        credit.update(u32::MAX, 5000);
        assert_eq!(
            credit.room(),
            4905,
            "a guest that claims to have taken what was not sent gets less"
        );
    }

    #[test]
    fn small_packets_are_counted_too() {
        let mut credit = Outbound::new(true);
        credit.update(GRANT, 0);
        for sent in 0..256 {
            assert_eq!(credit.room(), GRANT - sent);
            credit.send(1);
        }
        assert_eq!(credit.room(), 0);
        credit.update(GRANT, 3);
        for _ in 0..3 {
            assert_ne!(credit.room(), 0);
            credit.send(1);
        }
        assert_eq!(credit.room(), 0);
        credit.update(GRANT, 259);
        assert_eq!(credit.room(), GRANT);
    }
}
