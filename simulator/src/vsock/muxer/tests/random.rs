//! Random interleavings of everything that can happen to open connections.

use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use super::super::{MAX_PAYLOAD, Muxer};
use super::fake::{FakeHost, Guest, Shared, muxer};
use crate::vsock::packet::{Header, Op};
use crate::vsock::token::Token;

/// A small generator, so that a failing seed can be named (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn bytes(&mut self, limit: usize) -> Vec<u8> {
        let len = self.below(limit + 1);
        (0..len).map(|_| u8::try_from(self.below(256)).unwrap()).collect()
    }
}

/// Random reads, writes, blocks, buffer sizes and closes of several connections: every byte arrives once and in
/// order, and neither side ever has more under way than it was granted ([`Guest::take`] and the muxer check).
#[test]
fn random_interleavings_keep_every_byte_in_order() {
    for seed in 1..=40_u64 {
        interleave(&mut Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed)));
    }
}

fn interleave(random: &mut Random) {
    let mut muxer = muxer(&[8000]);
    let mut guest = Guest::default();
    let count = 1 + random.below(6);
    for port in 0..count {
        let buf_alloc = u32::try_from(1 + random.below(5000)).unwrap();
        guest.connect(&mut muxer, u32::try_from(port).unwrap(), 8000, buf_alloc);
    }
    let programs: Vec<_> = muxer
        .host
        .called
        .iter()
        .map(|(_, t, p)| (*t, Rc::clone(p)))
        .collect();
    let mut sent = vec![Vec::<u8>::new(); count];
    for step in 0..1500 {
        let at = random.below(count);
        let (token, program) = &programs[at];
        match random.below(5) {
            0 => {
                let bytes = random.bytes(3000);
                sent[at].extend(&bytes);
                program.borrow_mut().out.extend(bytes);
                muxer.event(*token, true, false, false);
            }
            1 => {
                let peer = guest.peers.get_mut(&u32::try_from(at).unwrap()).unwrap();
                if peer.open {
                    let bytes = random.bytes(peer.credit().min(MAX_PAYLOAD));
                    peer.sent.extend(&bytes);
                    let len = u32::try_from(bytes.len()).unwrap();
                    let header = Header {
                        len,
                        ..peer.header(Op::Rw, 8000)
                    };
                    muxer.from_guest(&header, &bytes);
                }
            }
            2 => {
                program.borrow_mut().room = random.below(6000);
                muxer.event(*token, false, true, false);
            }
            3 => {
                let peer = guest.peers.get_mut(&u32::try_from(at).unwrap()).unwrap();
                peer.read += random.below(peer.got.len() - peer.read + 1);
                let update = peer.header(Op::CreditUpdate, 8000);
                muxer.from_guest(&update, &[]);
            }
            _ => {
                guest.take(&mut muxer, 1 + random.below(4096));
            }
        }
        muxer.tick(Duration::from_millis(step));
    }
    finish(&mut muxer, &mut guest, &programs);
    for ((peer, (_, program)), sent) in guest.peers.values().zip(&programs).zip(&sent) {
        assert!(!peer.reset && peer.ended);
        assert!(peer.got == *sent, "host to guest");
        assert!(program.borrow().got == peer.sent, "guest to host");
        assert_eq!(program.borrow().shut, [Shutdown::Write]);
    }
}

/// Both sides end, and take all that is left.
fn finish(muxer: &mut Muxer<FakeHost>, guest: &mut Guest, programs: &[(Token, Shared)]) {
    while guest.take(muxer, 4096) {}
    for (token, program) in programs {
        program.borrow_mut().room = usize::MAX;
        program.borrow_mut().ended = true;
        muxer.event(*token, true, true, false);
    }
    for peer in guest.peers.values() {
        muxer.from_guest(
            &Header {
                flags: 2,
                ..peer.header(Op::Shutdown, 8000)
            },
            &[],
        );
    }
    loop {
        while guest.take(muxer, 4096) {}
        if guest.peers.values().all(|peer| peer.ended) {
            return;
        }
        for peer in guest.peers.values_mut() {
            assert!(peer.ended || peer.read < peer.got.len(), "stalled");
            peer.read = peer.got.len();
            let update = peer.header(Op::CreditUpdate, 8000);
            muxer.from_guest(&update, &[]);
        }
    }
}
