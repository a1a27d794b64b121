//! Progressive Merkle trees, which Gloas gives to attestations: bit lists without a limit and containers that can grow.
//!
//! ```text
//! root(chunks) = H( tree of the first 1, root of the rest )      the rest begins with a tree of 4, then 16, 64, ...
//!                                                                root of no chunk: 32 zero bytes
//! ```
//!
//! `tree_hash` has no such trees yet. The shape is that of two other implementations: a golden root holds it.
//!
//! Source: EIP-7916 (progressive lists), EIP-7495 (progressive containers), EIP-7688.

use ssz_types::BitList;
use ssz_types::typenum::Unsigned;
use tree_hash::{BYTES_PER_CHUNK, Hash256, merkle_root, mix_in_length};

/// The root of a container whose members, all active, have these roots.
pub(super) fn container<const N: usize>(members: &[Hash256; N]) -> Hash256 {
    const { assert!(N <= 8, "the active members are packed into one byte here") };
    let chunks: Vec<u8> = members.iter().flat_map(|root| root.0).collect();
    let root = tree(&chunks, 1);
    let mut active = [0; BYTES_PER_CHUNK];
    active[0] = u8::MAX >> (8 - N);
    pair(root, Hash256::from(active))
}

/// The root of a bit list: its bits without the delimiter, packed into chunks, and its length.
pub(super) fn bit_list<N: Unsigned + Clone>(bits: &BitList<N>) -> Hash256 {
    // An empty list has no chunk, but its bytes here are one zero byte.
    let packed = bits.as_slice().get(..bits.len().div_ceil(8)).unwrap_or_default();
    mix_in_length(&tree(packed, 1), bits.len())
}

/// The root of the chunks of `bytes` (the last one zero-padded), beginning with a tree of `leaves`.
fn tree(bytes: &[u8], leaves: usize) -> Hash256 {
    if bytes.is_empty() {
        return Hash256::ZERO;
    }
    let (first, rest) = bytes.split_at(bytes.len().min(leaves * BYTES_PER_CHUNK));
    pair(merkle_root(first, leaves), tree(rest, leaves * 4))
}

fn pair(left: Hash256, right: Hash256) -> Hash256 {
    let mut both = [0; 2 * BYTES_PER_CHUNK];
    let (first, second) = both.split_at_mut(BYTES_PER_CHUNK);
    first.copy_from_slice(left.as_slice());
    second.copy_from_slice(right.as_slice());
    merkle_root(&both, 2)
}
