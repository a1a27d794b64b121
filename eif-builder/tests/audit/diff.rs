//! Each cause of another PCR is named where it is, and nothing else is.

use std::fs;
use std::path::Path;

use eif_builder::cpio_read::Budget;
use eif_builder::diff::{Content, Detail, Difference, FileDifference, RamdiskDifference, diff};
use eif_builder::sign::sign_image;
use serde_json::Value;

use crate::archives::{Raw, cpio, gzip, xz};
use crate::keys::pair;
use crate::support::{Parts, bzimage, run, said, zstd};

fn compared(a: &Parts, b: &Parts) -> Difference {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (a.write(dir.path(), "a"), b.write(dir.path(), "b"));
    diff(&a, &b, Budget::default()).unwrap()
}

fn of_ramdisks(a: Vec<u8>, b: Vec<u8>) -> RamdiskDifference {
    let with = |ramdisk| Parts {
        ramdisks: vec![ramdisk],
        ..Parts::default()
    };
    let found = compared(&with(a), &with(b));
    let section = found
        .sections
        .into_iter()
        .find(|section| section.name == "ramdisk 0")
        .unwrap();
    match section.detail {
        Some(Detail::Ramdisk(ramdisk)) => ramdisk,
        other => panic!("{other:?}"),
    }
}

/// `what a b` of each change.
fn brief(file: &FileDifference) -> Vec<String> {
    let changes = file.changes.iter();
    changes
        .map(|change| match change.what.as_str() {
            "content" => "content".to_owned(),
            what => format!("{what} {} {}", change.a, change.b),
        })
        .collect()
}

fn differing(found: &Difference) -> Vec<&str> {
    let differs = found.sections.iter().filter(|section| !section.same());
    differs.map(|section| section.name.as_str()).collect()
}

fn registers(found: &Difference) -> Vec<&str> {
    let differs = found.registers.iter().filter(|register| !register.same);
    differs.map(|register| register.name).collect()
}

#[test]
fn the_same_image_is_the_same() {
    let found = compared(&Parts::default(), &Parts::default());
    assert!(found.same);
    assert_eq!(found.to_text(), "the same, byte for byte\n");
    assert_eq!(differing(&found), [""; 0]);
}

#[test]
fn each_section_by_itself() {
    let ours = Parts::default();
    let cases = [
        (
            Parts {
                cmdline: "console=ttyS0 debug".to_owned(),
                ..ours.clone()
            },
            "cmdline",
            &["PCR0", "PCR1"][..],
            "word: - -> debug",
        ),
        (
            Parts {
                name: "other".to_owned(),
                ..ours.clone()
            },
            "metadata",
            &[],
            "ImageName: \"image\" -> \"other\"",
        ),
        (
            Parts {
                kernel: bzimage(b"another kernel"),
                ..ours.clone()
            },
            "kernel",
            &["PCR0", "PCR1"],
            "note: the second: it has no payload where its header says",
        ),
    ];
    for (theirs, section, pcrs, line) in cases {
        let found = compared(&ours, &theirs);
        assert!(!found.same);
        assert_eq!(differing(&found), [section]);
        assert_eq!(registers(&found), pcrs, "{section}");
        let text = found.to_text();
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let found = compared(
        &ours,
        &Parts {
            memory: 65 << 20,
            ..ours.clone()
        },
    );
    assert_eq!(found.header.len(), 1);
    assert!(found.to_text().contains("default memory: 67108864 -> 68157440"));
    let mut more = ours.clone();
    more.ramdisks.push(zstd(&cpio(&[Raw::file("x", b"x")])));
    let found = compared(&ours, &more);
    assert_eq!(differing(&found), ["ramdisk 2"]);
    assert_eq!(registers(&found), ["PCR0", "PCR2"]);
}

#[test]
fn each_property_of_an_entry() {
    let base = Raw::file("etc/f", b"text\n");
    let cases: [(Raw, &[&str]); 7] = [
        (
            Raw {
                mode: 0o100_600,
                ..base.clone()
            },
            &["mode 0644 0600"],
        ),
        (
            Raw {
                mode: 0o104_644,
                ..base.clone()
            },
            &["mode 0644 4644"],
        ),
        (
            Raw {
                owner: (1, 2),
                ..base.clone()
            },
            &["owner 0:0 1:2"],
        ),
        (
            Raw {
                mtime: 9,
                ..base.clone()
            },
            &["time 0 9"],
        ),
        (
            Raw {
                content: b"TEXT\n".to_vec(),
                ..base.clone()
            },
            &["content"],
        ),
        (Raw::link("etc/f", "there"), &["type file link", "mode 0644 0777"]),
        (
            Raw {
                name: b"./etc/f".to_vec(),
                ..base.clone()
            },
            &["written as etc/f ./etc/f"],
        ),
    ];
    let around = |entry: Raw| cpio(&[Raw::folder("etc"), entry, Raw::file("z", b"z")]);
    for (other, expected) in cases {
        let found = of_ramdisks(around(base.clone()), around(other));
        assert_eq!(found.changed.len(), 1, "{found:?}");
        assert_eq!(brief(&found.changed[0]), expected);
        assert_eq!((found.equal, found.only_a.len(), found.only_b.len()), (2, 0, 0));
    }
    let link = |target: &str| cpio(&[Raw::link("l", target)]);
    let found = of_ramdisks(link("one"), link("two"));
    assert_eq!(brief(&found.changed[0]), ["target one two"]);
    let found = of_ramdisks(cpio(&[Raw::file("old", b"")]), cpio(&[Raw::file("new", b"")]));
    assert_eq!(
        (found.only_a[0].path.as_str(), found.only_b[0].path.as_str()),
        ("old", "new")
    );
}

#[test]
fn what_only_the_bytes_tell() {
    let (one, two) = (Raw::file("one", b"1"), Raw::file("two", b"2"));
    let found = of_ramdisks(
        cpio(&[one.clone(), two.clone()]),
        cpio(&[two.clone(), one.clone()]),
    );
    assert_eq!(found.notes, ["the entries are in another order"]);
    let numbered = Raw {
        ino: 8,
        ..one.clone()
    };
    let found = of_ramdisks(cpio(std::slice::from_ref(&one)), cpio(&[numbered]));
    assert_eq!(found.notes, ["the inode numbers of 1 entries differ"]);
    let packed = cpio(&[one.clone(), two]);
    for (a, b, form) in [
        (gzip(&packed), xz(&packed), "gzip -> xz"),
        (packed.clone(), zstd(&packed), "not compressed -> zstd"),
    ] {
        let found = of_ramdisks(a, b);
        assert_eq!(format!("{} -> {}", found.form[0].a, found.form[0].b), form);
        assert_eq!(found.equal, 2);
        assert!(
            found.notes[0].starts_with("every entry is the same"),
            "{:?}",
            found.notes
        );
    }
    // Several archives in one ramdisk: what comes last counts.
    let later = cpio(&[Raw::file("one", b"another")]);
    let found = of_ramdisks(packed.clone(), [gzip(&packed), gzip(&later)].concat());
    assert_eq!(
        brief(&found.changed[0]),
        ["size 1 7", "entries of this path 1 2", "content"]
    );
}

/// So many lines, each another.
fn numbered(lines: usize) -> String {
    (0..lines).fold(String::new(), |text, n| text + &format!("line {n}\n"))
}

fn content(path: &str, a: &[u8], b: &[u8]) -> Content {
    let found = of_ramdisks(cpio(&[Raw::file(path, a)]), zstd(&cpio(&[Raw::file(path, b)])));
    found.changed[0].content.clone().unwrap()
}

#[test]
fn text_is_a_unified_diff_that_no_terminal_obeys() {
    let Content::Text { unified, cut, .. } =
        content("etc/conf", b"one\ntwo\nthree\n", b"one\n2\nthree\n\ttab\n")
    else {
        panic!("not a text");
    };
    let expected = "--- a/etc/conf\n+++ b/etc/conf\n@@ -1,3 +1,4 @@\n one\n-two\n+2\n three\n+\ttab\n";
    assert_eq!((unified.as_str(), cut), (expected, false));
    let found = of_ramdisks(
        cpio(&[Raw::file("a\x1b[2J", b"x\n")]),
        cpio(&[Raw::file("a\x1b[2J", b"y\rz\n")]),
    );
    let text = serde_json::to_string(&found).unwrap();
    assert!(!text.contains('\u{1b}') && text.contains("\\\\x1b[2J"), "{text}");
    let long = numbered(4000);
    let Content::Text { unified, cut, .. } = content("long", long.as_bytes(), b"short\n") else {
        panic!("not a text");
    };
    assert!(cut && unified.len() <= 32 << 10);
    let longer = numbered(6000);
    let reason = content("longer", longer.as_bytes(), b"short\n");
    assert!(matches!(reason, Content::Bytes(reason) if reason.contains("too many lines")));
}

#[test]
fn programs_by_section_and_archives_by_member() {
    // A small program that every host has, with one byte of its texts changed.
    let program = fs::read("/bin/true").unwrap();
    let needle = b"coreutils";
    let at = program
        .windows(needle.len())
        .position(|window| window == needle)
        .unwrap();
    let mut other = program.clone();
    other[at] ^= 1;
    let Content::Elf(sections) = content("bin/true", &program, &other) else {
        panic!("not a program");
    };
    let names: Vec<_> = sections.iter().map(|section| section.name.as_str()).collect();
    assert_eq!(names, [".rodata"]);
    assert_eq!(sections[0].words(), "content");
    let zip = |content: &str, time: u8| {
        // Made by hand: one stored member whose CRC is not looked at.
        let mut local = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0".to_vec();
        local.extend([0; 4]);
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        local.extend([size, size].concat());
        local.extend(b"\x05\0\0\0a.txt");
        local.extend(content.bytes());
        let start = u32::try_from(local.len()).unwrap();
        let mut central = b"PK\x01\x02\x14\0\x14\0\0\0\0\0".to_vec();
        central.extend([time, 0, 0x21, 0]);
        central.extend(content.bytes().take(4));
        central.extend([size, size].concat());
        central.extend(b"\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a.txt");
        let length = u32::try_from(central.len()).unwrap();
        local.extend(central);
        local.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        local.extend(length.to_le_bytes());
        local.extend(start.to_le_bytes());
        local.extend([0, 0]);
        local
    };
    let Content::Zip(members) = content("lib/a.jar", &zip("hello", 0), &zip("world!", 0)) else {
        panic!("not a zip");
    };
    assert_eq!(members[0].name, "a.txt");
    assert!(
        members[0].words().contains("size 5 -> 6, content"),
        "{}",
        members[0].words()
    );
    let Content::Zip(members) = content("lib/a.jar", &zip("hello", 0), &zip("hello", 1)) else {
        panic!("not a zip");
    };
    assert!(members[0].words().contains("00:00:02"), "{}", members[0].words());

    let nested = |text: &[u8]| gzip(&cpio(&[Raw::file("inner/file", text)]));
    let Content::Archive(inner) = content("initrd.img", &nested(b"one\n"), &nested(b"two\n")) else {
        panic!("not an archive");
    };
    assert_eq!(inner.changed[0].path, "inner/file");
    assert!(matches!(content("x", b"\0\x01", b"\0\x02"), Content::Bytes(_)));
    assert!(matches!(content("x", b"text\n", b"\0\x02"), Content::Bytes(_)));
}

#[test]
fn a_signature_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = Parts::default().write(dir.path(), "a");
    let (one, two) = (dir.path().join("one.eif"), dir.path().join("two.eif"));
    let signer = pair().signer();
    sign_image(&path, &one, &signer).unwrap();
    sign_image(&path, &two, &signer).unwrap();
    let compare = |a: &Path, b: &Path| diff(a, b, Budget::default()).unwrap();
    let found = compare(&one, &two);
    assert_eq!(
        (differing(&found), registers(&found)),
        (vec!["signature"], vec![])
    );
    assert!(
        found.to_text().contains("signing twice gives two signatures"),
        "{}",
        found.to_text()
    );
    let found = compare(&path, &one);
    assert_eq!(registers(&found), ["PCR8"]);
    assert!(
        found.to_text().contains("signature: only in the second"),
        "{}",
        found.to_text()
    );
    sign_image(&path, &two, &pair().signer()).unwrap();
    let found = compare(&one, &two);
    assert_eq!(registers(&found), ["PCR8"]);
    assert!(
        found.to_text().contains("certificate, SHA-256: "),
        "{}",
        found.to_text()
    );
}

#[test]
fn what_cannot_be_read_is_said() {
    let whole = gzip(&cpio(&[Raw::file("a", &[7; 3000]), Raw::file("b", b"")]));
    let found = of_ramdisks(whole.clone(), whole[..whole.len() - 9].to_vec());
    assert!(
        found.notes[0].starts_with("the second cannot be read to its end"),
        "{:?}",
        found.notes
    );
    let found = of_ramdisks(b"no archive".to_vec(), b"BZh9".to_vec());
    assert_eq!(found.notes.len(), 2, "{:?}", found.notes);
}

#[test]
fn the_program_tells_by_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    Parts::default().write(at, "a");
    Parts::default().write(at, "b");
    let other = Parts {
        cmdline: "debug".to_owned(),
        ..Parts::default()
    };
    other.write(at, "c");
    let (code, text) = said(&run(at, &["diff", "a.eif", "b.eif"]));
    assert_eq!((code, text.as_str()), (0, "the same, byte for byte\n"));
    let output = run(at, &["diff", "a.eif", "c.eif", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["same"], false);
    assert_eq!(json["sections"][1]["detail"]["values"][0]["what"], "word");
    for (args, expected) in [
        (&["diff", "a.eif", "none.eif"][..], 1),
        (&["diff", "a.eif", "a.kernel"], 1),
        (&["diff", "a.eif", "."], 1),
        (&["diff", "a.eif"], 2),
    ] {
        let (code, text) = said(&run(at, args));
        assert_eq!(code, expected, "{args:?}: {text}");
    }
}
