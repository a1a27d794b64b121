//! The members of a zip or jar by its central directory: name, size, CRC-32, time. Nothing is unpacked.
//!
//! ```text
//! ... | 46 + name + extra + comment, once a member | end record: "PK\5\6", 22 bytes + comment |
//! ```
//! Source: PKWARE APPNOTE 6.3, sections 4.3.12 and 4.3.16. Zip64 is not read: such an archive is compared as bytes. Why own
//! code: two dozen fields, none of which is unpacked, against a library of several thousand lines.

use super::Member;
use crate::cpio_read::printable;

const END: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_BYTES: usize = 46;
/// Most members that are compared.
const MAX_MEMBERS: usize = 100_000;

/// The members in the archive's order; `None` for whatever is not a plain zip.
pub(super) fn members(bytes: &[u8]) -> Option<Vec<Member>> {
    if !bytes.starts_with(b"PK") {
        return None;
    }
    // The end record is followed by a comment of at most 64 KiB.
    let tail = bytes.len().saturating_sub(END_BYTES + 0xffff);
    let found = bytes
        .get(tail..)?
        .windows(END.len())
        .rposition(|window| window == END)?;
    let end = bytes.get(tail + found..)?;
    let count = usize::from(u16_at(end, 10)?);
    let start = usize::try_from(u32_at(end, 16)?).ok()?;
    if count > MAX_MEMBERS || count == 0xffff {
        return None;
    }
    let mut rest = bytes.get(start..)?;
    let mut members = Vec::new();
    for _ in 0..count {
        if !rest.starts_with(ENTRY) {
            return None;
        }
        let [name, extra, comment] = [28, 30, 32].map(|at| u16_at(rest, at).map(usize::from));
        let (name, extra, comment) = (name?, extra?, comment?);
        let shown = printable(rest.get(ENTRY_BYTES..ENTRY_BYTES + name)?);
        let (method, time, date) = (u16_at(rest, 10)?, u16_at(rest, 12)?, u16_at(rest, 14)?);
        let (crc, packed, size) = (u32_at(rest, 16)?, u32_at(rest, 20)?, u32_at(rest, 24)?);
        members.push(Member {
            name: shown,
            size: size.into(),
            hash: format!("crc {crc:08x}"),
            form: format!(
                "{packed} bytes packed by method {method}, {:04}-{:02}-{:02} {:02}:{:02}:{:02}, attributes {:08x}",
                1980 + (date >> 9),
                date >> 5 & 15,
                date & 31,
                time >> 11,
                time >> 5 & 63,
                (time & 31) * 2,
                u32_at(rest, 38)?
            ),
        });
        rest = rest.get(ENTRY_BYTES + name + extra + comment..)?;
    }
    Some(members)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*field))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Python's `zipfile`: `a.txt` with `hello\n`, stored, 2026-06-01 12:30:10.
    const PYTHON: &str = concat!(
        "504b0304140000000000c563c15c20303a36060000000600000005000000612e74787468656c6c6f0a",
        "504b01021403140000000000c563c15c20303a3606000000060000000500000000000000",
        "0000000080010000",
        "0000612e747874504b0506000000000100010033000000290000000000"
    );

    #[test]
    fn what_python_wrote() {
        let bytes = hex::decode(PYTHON).unwrap();
        let members = members(&bytes).unwrap();
        assert_eq!(members.len(), 1);
        assert_eq!((members[0].name.as_str(), members[0].size), ("a.txt", 6));
        assert_eq!(members[0].hash, "crc 363a3020");
        assert!(
            members[0].form.contains("2026-06-01 12:30:10"),
            "{}",
            members[0].form
        );
    }

    #[test]
    fn every_cut_and_flip_is_none_or_some_but_never_a_panic() {
        let bytes = hex::decode(PYTHON).unwrap();
        for end in 0..bytes.len() {
            assert_eq!(members(&bytes[..end]), None, "{end}");
        }
        let whole = members(&bytes);
        let mut changed = 0;
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                changed += usize::from(members(&flipped) != whole);
            }
        }
        assert!(changed > 200, "{changed}");
        assert_eq!(
            members(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0"),
            None
        );
    }
}
