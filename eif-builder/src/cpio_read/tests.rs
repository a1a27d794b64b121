//! Archives of GNU cpio and of our own writer, each broken rule, truncation and bit flips.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use super::*;
use crate::digest::Sha256;

fn list(bytes: &[u8]) -> Result<Vec<Entry>, CpioReadError> {
    let mut budget = Budget::default();
    let mut lister = Lister::default();
    Tape::new(bytes, 0, &mut budget).archives(&mut lister)?;
    Ok(lister.entries)
}

/// An entry with type and permissions `mode`, not padded at its end when `data` is.
fn entry(name: &str, mode: u32, data: &[u8]) -> Vec<u8> {
    let size = u32::try_from(data.len()).unwrap();
    let fields = [
        7,
        mode,
        1,
        2,
        1,
        99,
        size,
        0,
        0,
        5,
        6,
        u32::try_from(name.len()).unwrap() + 1,
        0,
    ];
    let mut bytes = b"070701".to_vec();
    bytes.extend(
        fields
            .iter()
            .flat_map(|field| format!("{field:08x}").into_bytes()),
    );
    bytes.extend(name.bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), entry("TRAILER!!!", 0, b"")].concat()
}

#[test]
fn every_type() {
    let types = [
        (0o100_755, "file"),
        (0o040_000, "directory"),
        (0o020_600, "char-device"),
        (0o060_600, "block-device"),
        (0o010_600, "fifo"),
        (0o140_600, "socket"),
        (0o000_600, "unknown"),
        (0o120_777, "symlink"),
    ];
    let entries: Vec<_> = types.iter().map(|(mode, name)| entry(name, *mode, b"")).collect();
    let listed = list(&archive(&entries)).unwrap();
    assert_eq!(listed.len(), types.len());
    for (entry, (mode, name)) in listed.iter().zip(types) {
        let json = serde_json::to_value(entry).unwrap();
        assert_eq!((&json["type"], &json["path"]), (&name.into(), &name.into()));
        assert_eq!(json["mode"], format!("{:04o}", mode & 0o7777));
        assert_eq!((entry.uid, entry.gid, entry.mtime, entry.nlink), (1, 2, 99, 1));
    }
    assert_eq!(listed[2].kind, EntryKind::CharDevice { major: 5, minor: 6 });
    let target = entry("l", 0o120_777, "/a\n\\é".as_bytes());
    let link = &list(&archive(&[target])).unwrap()[0];
    assert_eq!(
        link.kind,
        EntryKind::Symlink {
            target: "/a\\x0a\\\\é".to_owned()
        }
    );
    let file = entry("f", 0o104_711, b"content");
    let file = &list(&archive(&[file])).unwrap()[0];
    assert_eq!((file.mode, file.size), (0o4711, 7));
    assert_eq!(
        file.kind,
        EntryKind::File {
            sha256: Sha256::of(b"content")
        }
    );
}

/// GNU cpio, which no one here wrote, makes the archive.
#[test]
fn gnu_cpio_agrees() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/file"), vec![7; 100_001]).unwrap();
    fs::set_permissions(dir.path().join("d/file"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("d/file", dir.path().join("link")).unwrap();
    let mut child = Command::new("cpio")
        .args(["--create", "--format=newc", "--quiet"])
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("GNU cpio is needed: apt-get install cpio");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"d\nd/file\nlink\n")
        .unwrap();
    let bytes = child.wait_with_output().unwrap().stdout;
    let entries = list(&bytes).unwrap();
    let brief: Vec<_> = entries.iter().map(|e| (e.path.as_str(), e.size)).collect();
    assert_eq!(brief, [("d", 0), ("d/file", 100_001), ("link", 6)]);
    assert_eq!(entries[1].mode, 0o640);
    assert_eq!(
        entries[1].kind,
        EntryKind::File {
            sha256: Sha256::of(&vec![7; 100_001])
        }
    );
    assert_eq!(
        entries[2].kind,
        EntryKind::Symlink {
            target: "d/file".to_owned()
        }
    );
}

#[test]
fn archives_follow_each_other() {
    let one = archive(&[entry("a", 0o100_644, b"1")]);
    let two = archive(&[entry("b", 0o100_644, b"22")]);
    let padded = [&one[..], &[0; 512], &two, &[0; 3]].concat();
    let names: Vec<_> = list(&padded)
        .unwrap()
        .into_iter()
        .map(|entry| entry.path)
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(list(b"").unwrap(), []);
    assert_eq!(list(&[0; 9]).unwrap(), []);
    let askew = [&[0; 2], &one[..]].concat();
    assert!(matches!(list(&askew), Err(CpioReadError::Misaligned { at: 2 })));
    let mut budget = Budget::default();
    let junk = [&one[..], b"junk"].concat();
    let mut tape = Tape::new(&junk[..], 0, &mut budget);
    assert!(tape.archives(&mut Lister::default()).unwrap());
    assert_eq!(tape.at(), one.len() as u64);
}

#[test]
fn each_rule_has_its_error() {
    use CpioReadError::{Magic, Name, NotHex, Truncated};
    let good = entry("name", 0o100_644, b"1");
    let edited = |at: usize, bytes: &[u8]| {
        let mut entry = good.clone();
        entry[at..at + bytes.len()].copy_from_slice(bytes);
        list(&archive(&[entry])).unwrap_err()
    };
    assert!(matches!(edited(5, b"7"), Magic { at: 0, actual } if actual == *b"070707"));
    for at in (6..110).step_by(8) {
        assert!(matches!(edited(at, b"+"), NotHex { at: 0 }));
    }
    assert!(matches!(
        edited(94, b"00001001"),
        Name {
            reason: "it is longer than 4096 bytes",
            ..
        }
    ));
    assert!(matches!(edited(94, b"ffffffff"), Name { .. }));
    assert!(matches!(
        edited(94, b"00000000"),
        Name {
            reason: "it does not end in NUL",
            ..
        }
    ));
    assert!(matches!(
        edited(94, b"00000001"),
        Name {
            reason: "it does not end in NUL",
            ..
        }
    ));
    assert!(matches!(
        edited(110, b"\0"),
        Name {
            reason: "it has a NUL inside",
            ..
        }
    ));
    assert!(matches!(
        edited(114, b"x"),
        Name {
            reason: "it does not end in NUL",
            ..
        }
    ));
    assert!(matches!(
        list(&archive(&[entry("", 0, b"")])),
        Err(Name {
            reason: "it is empty",
            ..
        })
    ));
    let target = entry("l", 0o120_777, &[b'x'; 4097]);
    assert!(matches!(list(&archive(&[target])), Err(Name { .. })));
    assert!(matches!(edited(54, b"fffffff0"), Truncated { .. }));
    // No trailer.
    assert!(matches!(list(&good), Err(Truncated { .. })));
}

#[test]
fn truncated_anywhere_or_one_bit_wrong() {
    let good = archive(&[
        entry("name", 0o100_644, b"12345"),
        entry("link", 0o120_777, b"name"),
    ]);
    let listed = list(&good).unwrap();
    for length in 1..good.len() {
        // What is left of the final padding does not matter.
        match list(&good[..length]) {
            Err(CpioReadError::Truncated { .. }) => {}
            other => panic!("{length}: {other:?}"),
        }
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            // Never a panic; what can be listed differs or the change is in a field that is not listed.
            if let Ok(other) = list(&bytes) {
                assert!(other.len() <= listed.len());
            }
        }
    }
}

#[test]
fn the_budget_is_kept() {
    let good = archive(&[entry("a", 0o100_644, &[1; 1000]), entry("b", 0o100_644, b"")]);
    let run = |bytes, entries| {
        let mut budget = Budget { bytes, entries };
        let outcome = Tape::new(&good[..], 0, &mut budget).archives(&mut Lister::default());
        outcome.map(|_| budget)
    };
    let exact = run(good.len() as u64, 2).unwrap();
    assert_eq!(exact, Budget { bytes: 0, entries: 0 });
    assert!(matches!(
        run(good.len() as u64 - 1, 2),
        Err(CpioReadError::OverBudget {
            what: "unpacked bytes"
        })
    ));
    assert!(matches!(
        run(1 << 20, 1),
        Err(CpioReadError::OverBudget { what: "entries" })
    ));
}

#[test]
fn names_cannot_fool_a_terminal() {
    assert_eq!(printable(b"plain/\xc3\xa9"), "plain/é");
    assert_eq!(
        printable(b"\x1b[2J\\\xff\x7f\xc2\x9b"),
        "\\x1b[2J\\\\\\xff\\x7f\\xc2\\x9b"
    );
}
