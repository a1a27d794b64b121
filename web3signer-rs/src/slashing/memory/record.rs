//! One record of the journal: 160 bytes that carry all that is known of one subject and prove what stands before them.
//!
//! ```text
//!   0  kind: 1 chain, 2 validator, 3 high watermark        (see SPEC.md)
//!   1  flags: which of the fields below are set
//!   2  zero                                        6 bytes
//!   8  public key                                 48 bytes
//!  56  slot                                        8 bytes, big-endian
//!  64  root of the block                          32 bytes
//!  96  source epoch                                8 bytes, big-endian
//! 104  target epoch, or the watermark's epoch      8 bytes, big-endian
//! 112  root of the vote, or of genesis            32 bytes
//! 144  checksum                                   16 bytes
//! ```
//!
//! The checksum is the first half of the SHA-256 of the previous record's checksum and bytes 0 to 143. So a record that was
//! changed, dropped or moved breaks every later one.

use aws_lc_rs::digest::{Context, SHA256};

use crate::duty::Root;
use crate::slashing::key::ValidatorKey;
use crate::slashing::rules::minimal::{BlockMark, Marks, VoteMark};
use crate::slashing::watermark::HighWatermark;

/// Bytes of one record.
pub(super) const RECORD_BYTES: usize = 160;

/// Bytes of a record that its checksum covers.
const BODY_BYTES: usize = 144;

/// What a checksum is made of, before the first record.
pub(super) const SEED: Checksum = Checksum(*b"w3s journal v001");

const HAS_BLOCK: u8 = 1;
const HAS_BLOCK_ROOT: u8 = 1 << 1;
const HAS_VOTE: u8 = 1 << 2;
const HAS_VOTE_ROOT: u8 = 1 << 3;

/// Proves a record and all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checksum([u8; 16]);

/// What a record says. The last one about a subject counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// The chain that the journal is for; `None` until the first use binds it.
    Chain(Option<Root>),
    /// The newest duties of a validator.
    Validator(ValidatorKey, Marks),
    /// The high watermark, or that there is none.
    HighWatermark(Option<HighWatermark>),
}

/// The fixed fields, before they get a meaning.
#[derive(Default)]
struct Fields {
    kind: u8,
    flags: u8,
    key: Option<ValidatorKey>,
    slot: u64,
    block_root: Root,
    source: u64,
    target: u64,
    vote_root: Root,
}

impl Record {
    /// The record's bytes after a record with checksum `previous`, and its own checksum.
    pub(super) fn encode(&self, previous: Checksum) -> ([u8; RECORD_BYTES], Checksum) {
        let fields = self.fields();
        let mut bytes = Vec::with_capacity(RECORD_BYTES);
        bytes.extend([fields.kind, fields.flags, 0, 0, 0, 0, 0, 0]);
        bytes.extend(fields.key.map_or([0; ValidatorKey::LEN], |key| *key.as_bytes()));
        bytes.extend(fields.slot.to_be_bytes());
        bytes.extend(fields.block_root);
        bytes.extend(fields.source.to_be_bytes());
        bytes.extend(fields.target.to_be_bytes());
        bytes.extend(fields.vote_root);
        let checksum = checksum(previous, &bytes);
        bytes.extend(checksum.0);
        let mut record = [0; RECORD_BYTES];
        record.copy_from_slice(&bytes);
        (record, checksum)
    }

    /// Reads a record after one with checksum `previous`; `None` if the checksum is wrong or a field has no meaning.
    pub(super) fn decode(bytes: &[u8; RECORD_BYTES], previous: Checksum) -> Option<(Self, Checksum)> {
        let (body, tail) = bytes.split_at(BODY_BYTES);
        let checksum = checksum(previous, body);
        if checksum.0 != tail {
            return None;
        }
        let (head, rest) = body.split_first_chunk::<8>()?;
        let (key, rest) = rest.split_first_chunk::<{ ValidatorKey::LEN }>()?;
        let (slot, rest) = rest.split_first_chunk::<8>()?;
        let (block_root, rest) = rest.split_first_chunk::<32>()?;
        let (source, rest) = rest.split_first_chunk::<8>()?;
        let (target, rest) = rest.split_first_chunk::<8>()?;
        let (vote_root, _) = rest.split_first_chunk::<32>()?;
        let fields = Fields {
            kind: head[0],
            flags: head[1],
            key: Some(ValidatorKey::from_bytes(*key)),
            slot: u64::from_be_bytes(*slot),
            block_root: *block_root,
            source: u64::from_be_bytes(*source),
            target: u64::from_be_bytes(*target),
            vote_root: *vote_root,
        };
        let record = Self::from_fields(&fields)?;
        // One form only: what is read is exactly what would be written.
        (record.encode(previous).0 == *bytes).then_some((record, checksum))
    }

    fn fields(&self) -> Fields {
        match self {
            Self::Chain(root) => Fields {
                kind: 1,
                flags: if root.is_some() { HAS_VOTE_ROOT } else { 0 },
                vote_root: root.unwrap_or_default(),
                ..Fields::default()
            },
            Self::Validator(key, marks) => {
                let block_root = marks.block.and_then(|block| block.root);
                let vote_root = marks.vote.and_then(|vote| vote.root);
                let flag = |set: bool, flag: u8| if set { flag } else { 0 };
                Fields {
                    kind: 2,
                    flags: flag(marks.block.is_some(), HAS_BLOCK)
                        | flag(block_root.is_some(), HAS_BLOCK_ROOT)
                        | flag(marks.vote.is_some(), HAS_VOTE)
                        | flag(vote_root.is_some(), HAS_VOTE_ROOT),
                    key: Some(*key),
                    slot: marks.block.map_or(0, |block| block.slot),
                    block_root: block_root.unwrap_or_default(),
                    source: marks.vote.map_or(0, |vote| vote.source),
                    target: marks.vote.map_or(0, |vote| vote.target),
                    vote_root: vote_root.unwrap_or_default(),
                }
            }
            Self::HighWatermark(mark) => Fields {
                kind: 3,
                flags: mark.map_or(0, |_| HAS_BLOCK | HAS_VOTE),
                slot: mark.map_or(0, |mark| mark.slot),
                target: mark.map_or(0, |mark| mark.epoch),
                ..Fields::default()
            },
        }
    }

    fn from_fields(fields: &Fields) -> Option<Self> {
        let has = |flag: u8| fields.flags & flag != 0;
        match fields.kind {
            1 => Some(Self::Chain(has(HAS_VOTE_ROOT).then_some(fields.vote_root))),
            2 => Some(Self::Validator(
                fields.key?,
                Marks {
                    block: has(HAS_BLOCK).then(|| BlockMark {
                        slot: fields.slot,
                        root: has(HAS_BLOCK_ROOT).then_some(fields.block_root),
                    }),
                    vote: has(HAS_VOTE).then(|| VoteMark {
                        source: fields.source,
                        target: fields.target,
                        root: has(HAS_VOTE_ROOT).then_some(fields.vote_root),
                    }),
                },
            )),
            3 => Some(Self::HighWatermark(has(HAS_BLOCK).then_some(HighWatermark {
                epoch: fields.target,
                slot: fields.slot,
            }))),
            _ => None,
        }
    }
}

fn checksum(previous: Checksum, body: &[u8]) -> Checksum {
    let mut context = Context::new(&SHA256);
    context.update(&previous.0);
    context.update(body);
    let digest = context.finish();
    let mut half = [0; 16];
    for (to, from) in half.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    Checksum(half)
}
