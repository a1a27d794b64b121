//! SHA-384 of one message in pieces, where two messages may go on side by side.
//!
//! It differs from `sha2::Sha384` in that [`Sha384::update_both`] takes the same bytes into two messages of
//! different lengths with one pass of [`Pairs`]. By itself a message is compressed by `sha2`.
//! Source: FIPS 180-4, sections 5.1.2 (padding), 5.3.4 (first state) and 6.5.

use sha2::block_api::compress512;

use crate::pair::{Block, Pairs, State};

const BLOCK_BYTES: usize = size_of::<Block>();
/// Where the length in bits stands in the last block: 16 bytes, big-endian.
const LENGTH_AT: usize = BLOCK_BYTES - 16;

/// The first 64 bits of the fractional parts of the square roots of the ninth to sixteenth primes.
const FIRST: State = [
    0xcbbb_9d5d_c105_9ed8,
    0x629a_292a_367c_d507,
    0x9159_015a_3070_dd17,
    0x152f_ecd8_f70e_5939,
    0x6733_2667_ffc0_0b31,
    0x8eb4_4a87_6858_1511,
    0xdb0c_2e0d_64f9_8fa7,
    0x47b5_481d_befa_4fa4,
];

/// A message so far.
#[derive(Clone, Debug)]
pub(crate) struct Sha384 {
    /// After all whole blocks.
    state: State,
    /// The message's last `filled` bytes; what follows them is of no meaning.
    partial: Block,
    /// 0 <= `filled` < [`BLOCK_BYTES`]
    filled: usize,
    /// Of the whole message.
    bytes: u128,
}

impl Sha384 {
    /// The empty message.
    pub(crate) const fn new() -> Self {
        Self {
            state: FIRST,
            partial: [0; BLOCK_BYTES],
            filled: 0,
            bytes: 0,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds bytes to the message.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let blocks = self.keep(bytes);
        compress512(&mut self.state, blocks);
    }

    /// Adds the same bytes to two messages.
    pub(crate) fn update_both(pairs: Pairs, messages: [&mut Self; 2], bytes: &[u8]) {
        let [one, other] = messages;
        let (ones, others) = (one.keep(bytes), other.keep(bytes));
        // The messages begin their blocks at different bytes, so one may have a block more.
        let common = ones.len().min(others.len());
        let (ones, ones_left) = ones.split_at(common);
        let (others, others_left) = others.split_at(common);
        pairs.compress([&mut one.state, &mut other.state], [ones, others]);
        compress512(&mut one.state, ones_left);
        compress512(&mut other.state, others_left);
    }

    /// The message's SHA-384.
    pub(crate) fn finish(mut self) -> [u8; 48] {
        let bits = self.bytes << 3;
        let zeros = (LENGTH_AT + BLOCK_BYTES - 1 - self.filled) % BLOCK_BYTES;
        let mut padding = vec![0x80];
        padding.resize(1 + zeros, 0);
        padding.extend(bits.to_be_bytes());
        self.update(&padding);
        let mut digest = [0; 48];
        for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }

    /// Keeps what does not fill a block, compresses a block that was begun before, and gives the whole blocks
    /// between, which the caller must compress before anything else happens to the message.
    #[must_use]
    fn keep<'bytes>(&mut self, bytes: &'bytes [u8]) -> &'bytes [Block] {
        self.bytes = self.bytes.wrapping_add(bytes.len() as u128);
        let mut rest = bytes;
        if self.filled > 0 {
            let (_, room) = self.partial.split_at_mut(self.filled);
            let (head, behind) = rest.split_at(room.len().min(rest.len()));
            put(room, head);
            self.filled += head.len();
            if self.filled < BLOCK_BYTES {
                return &[];
            }
            compress512(&mut self.state, &[self.partial]);
            rest = behind;
        }
        let (blocks, tail) = rest.as_chunks();
        put(&mut self.partial, tail);
        self.filled = tail.len();
        blocks
    }
}

/// Copies `bytes`, which are no more than `room` has place for, to its front.
fn put(room: &mut [u8], bytes: &[u8]) {
    for (place, byte) in room.iter_mut().zip(bytes) {
        *place = *byte;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::Digest as _;

    use super::*;

    fn expected(message: &[u8]) -> [u8; 48] {
        sha2::Sha384::digest(message).into()
    }

    /// Bytes without a period that a block could hide.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut words = Vec::new();
        while words.len() < length {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            words.extend(state.to_le_bytes());
        }
        words.truncate(length);
        words
    }

    /// Two messages that have `begun` behind them and take `bytes` in together.
    fn both(pairs: Pairs, begun: [&[u8]; 2], bytes: &[u8]) -> [[u8; 48]; 2] {
        let [mut one, mut other] = [Sha384::new(), Sha384::new()];
        let [first, second] = begun;
        one.update(first);
        other.update(second);
        Sha384::update_both(pairs, [&mut one, &mut other], bytes);
        [one.finish(), other.finish()]
    }

    /// From NIST's example values and CAVP's `SHA384ShortMsg` and, as a million times "a", FIPS 180-2, appendix D.
    #[test]
    fn known_answers() {
        let two_blocks = concat!(
            "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn",
            "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"
        );
        let million = "a".repeat(1_000_000);
        let answers = [
            (
                "",
                concat!(
                    "38b060a751ac96384cd9327eb1b1e36a21fdb71114be0743",
                    "4c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b"
                ),
            ),
            (
                "abc",
                concat!(
                    "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163",
                    "1a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"
                ),
            ),
            (
                two_blocks,
                concat!(
                    "09330c33f71147e83d192fc782cd1b4753111b173b3b05d2",
                    "2fa08086e3b0f712fcc7c71a557e2db966c3e9fa91746039"
                ),
            ),
            (
                &million,
                concat!(
                    "9d0e1809716474cb086e834e310a4a1ced149e9c00f24852",
                    "7972cec5704c2a5b07b8b3dc38ecc4ebae97ddd87f3d8985"
                ),
            ),
        ];
        for (message, answer) in answers {
            let mut alone = Sha384::new();
            alone.update(message.as_bytes());
            assert_eq!(hex::encode(alone.finish()), answer);
            if let Some(pairs) = Pairs::detect() {
                let digests = both(pairs, [b"", b""], message.as_bytes());
                assert_eq!(digests.map(hex::encode), [answer, answer]);
            }
        }
    }

    #[test]
    fn every_length_alone_and_in_two_pieces() {
        let data = noise(300);
        for length in 0..=data.len() {
            let message = &data[..length];
            for cut in [0, 1, 64, 111, 112, 127, 128, 129, 255, 256, length] {
                let (head, tail) = message.split_at(cut.min(length));
                let mut hash = Sha384::new();
                hash.update(head);
                hash.update(tail);
                assert_eq!(hash.finish(), expected(message), "{length} bytes, cut at {cut}");
            }
        }
    }

    #[test]
    fn every_length_beside_another_message() {
        let Some(pairs) = Pairs::detect() else {
            println!("this CPU compresses no pairs: only the path without them was tested");
            return;
        };
        let data = noise(700);
        // Starts at, before and behind a block's border, equal and different.
        let starts = [0, 1, 7, 8, 127, 128, 129, 200, 256];
        for length in 0..=300 {
            let bytes = &data[300..300 + length];
            for first in starts {
                for second in starts {
                    let begun = [&data[..first], &data[1..=second]];
                    let whole = begun.map(|begun| expected(&[begun, bytes].concat()));
                    assert_eq!(
                        both(pairs, begun, bytes),
                        whole,
                        "{length} bytes behind {first} and {second}"
                    );
                }
            }
        }
    }

    #[test]
    fn each_bit_counts_in_its_own_lane_only() {
        let Some(pairs) = Pairs::detect() else {
            println!("this CPU compresses no pairs: nothing to test");
            return;
        };
        let plain: [Block; 2] = [
            noise(256)[..128].try_into().unwrap(),
            noise(256)[128..].try_into().unwrap(),
        ];
        let compress = |[one, other]: [Block; 2]| {
            let mut states = [FIRST, FIRST.map(|word| !word)];
            let [first, second] = &mut states;
            pairs.compress([first, second], [&[one], &[other]]);
            states
        };
        let states = compress(plain);
        for bit in 0..1024 {
            for lane in 0..2 {
                let mut blocks = plain;
                blocks[lane][bit / 8] ^= 1 << (bit % 8);
                let changed = compress(blocks);
                let mut alone = [FIRST, FIRST.map(|word| !word)][lane];
                compress512(&mut alone, &[blocks[lane]]);
                assert_eq!(changed[lane], alone);
                assert_eq!(changed[1 - lane], states[1 - lane]);
            }
        }
    }

    proptest! {
        #[test]
        fn any_pieces(
            begun in prop::array::uniform2(prop::collection::vec(any::<u8>(), 0..300)),
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..6),
        ) {
            let [first, second] = &begun;
            let whole = begun.each_ref().map(|begun| expected(&[&begun[..], &pieces.concat()].concat()));
            let mut messages = [Sha384::new(), Sha384::new()];
            let [one, other] = &mut messages;
            one.update(first);
            other.update(second);
            for piece in &pieces {
                match Pairs::detect() {
                    Some(pairs) => Sha384::update_both(pairs, [one, other], piece),
                    None => [&mut *one, &mut *other].into_iter().for_each(|message| message.update(piece)),
                }
            }
            prop_assert_eq!(messages.map(Sha384::finish), whole);
        }
    }
}
