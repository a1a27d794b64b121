//! The members of a zip or jar by its central directory: name, size, CRC-32, time. Nothing is unpacked.

use std::io::Cursor;

use zip::ZipArchive;

use super::Member;
use crate::cpio_read::printable;

/// Most members that are compared.
const MAX_MEMBERS: usize = 65_535;

/// The members in the archive's order; `None` for whatever is no zip that can be read.
pub(super) fn members(bytes: &[u8]) -> Option<Vec<Member>> {
    if !bytes.starts_with(b"PK") {
        return None;
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).ok()?;
    if archive.len() > MAX_MEMBERS {
        return None;
    }
    let mut members = Vec::new();
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index).ok()?;
        let time = file
            .last_modified()
            .map_or_else(|| "no time".to_owned(), |time| time.to_string());
        let mode = file
            .unix_mode()
            .map_or_else(|| "no mode".to_owned(), |mode| format!("mode {mode:o}"));
        members.push(Member {
            name: printable(file.name_raw()),
            size: file.size(),
            hash: format!("crc {:08x}", file.crc32()),
            form: format!(
                "{} bytes packed by {}, {time}, {mode}",
                file.compressed_size(),
                file.compression()
            ),
        });
    }
    Some(members)
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
