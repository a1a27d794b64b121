//! Ramdisks: traversal, loops, lying lengths, duplicate entries, bombs.

use super::Case;
use crate::archives::{Raw, cpio, gzip, xz};
use crate::support::{Parts, zstd};

fn image(ramdisk: Vec<u8>) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let parts = Parts {
        ramdisks: vec![ramdisk],
        memory: 1 << 40,
        ..Parts::default()
    };
    std::fs::read(parts.write(dir.path(), "a")).unwrap()
}

/// An archive of `/init` and then these bytes instead of an entry.
fn broken(bytes: &[u8]) -> Vec<u8> {
    let init = cpio(&[Raw::program("init", b"x")]);
    // Without its trailer, which has 124 bytes.
    [&init[..init.len() - 124], bytes].concat()
}

/// A header with these sizes of content and name.
fn header(size: &str, name_size: &str) -> Vec<u8> {
    let zero = "00000000";
    let head = [
        "070701", zero, "000081a4", zero, zero, "00000001", zero, size, zero, zero, zero, zero, name_size,
        zero,
    ];
    head.concat().into_bytes()
}

/// A zstd frame that unpacks to `start` and then many times 128 KiB of zeros. 4 bytes pay for each.
fn bomb(start: &[u8], blocks: usize) -> Vec<u8> {
    let mut frame = b"\x28\xb5\x2f\xfd\x00\x38".to_vec();
    let block = |kind: usize, size: usize, last: usize| {
        let head = (last | kind << 1 | size << 3).to_le_bytes();
        [head[0], head[1], head[2]]
    };
    frame.extend(block(0, start.len(), 0));
    frame.extend(start);
    for index in 1..=blocks {
        frame.extend(block(1, 128 << 10, usize::from(index == blocks)));
        frame.push(0);
    }
    frame
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut extract = |name: &str, ramdisk: Vec<u8>, word| {
        cases.push(Case::new(name, &["extract", "x.eif", "out"], 3, word).file("x.eif", image(ramdisk)));
    };
    let one = |raw: Raw| cpio(&[raw]);
    extract(
        "a path that climbs out",
        one(Raw::file("../escaped", b"x")),
        "`..`",
    );
    extract(
        "a path that climbs out later",
        one(Raw::file("a/b/../../../escaped", b"x")),
        "`..`",
    );
    extract(
        "a link that climbs out",
        cpio(&[Raw::link("up", "../../.."), Raw::file("up/escaped", b"x")]),
        "leaves the root",
    );
    extract(
        "a loop of links",
        cpio(&[Raw::link("a", "b"), Raw::link("b", "a"), Raw::file("a/x", b"x")]),
        "too many links",
    );
    extract(
        "a file as a folder",
        cpio(&[Raw::file("f", b""), Raw::file("f/x", b"")]),
        "not a folder",
    );
    extract(
        "a file over a folder",
        cpio(&[Raw::folder("d"), Raw::file("d", b"")]),
        "replace a folder",
    );
    extract(
        "a folder over a file",
        cpio(&[Raw::file("d", b""), Raw::folder("d")]),
        "cannot be taken",
    );
    extract(
        "a link to nothing",
        one(Raw::link("l", "")),
        "its target is empty",
    );
    extract(
        "a link target of 5000 bytes",
        one(Raw::link("l", &"x".repeat(5000))),
        "longer than 4096",
    );
    extract(
        "a path that is not UTF-8",
        one(Raw {
            name: vec![0xff, 0xfe],
            ..Raw::file("", b"")
        }),
        "not UTF-8",
    );
    extract("no path", one(Raw::file("", b"")), "it is empty");
    extract(
        "a path of 4097 bytes",
        one(Raw::file(&"x".repeat(4096), b"")),
        "longer than 4096",
    );
    extract(
        "a path with a NUL",
        one(Raw {
            name: b"a\0b".to_vec(),
            ..Raw::file("", b"")
        }),
        "NUL inside",
    );
    let mut verify = |name: &str, ramdisk: Vec<u8>, word| {
        cases.push(Case::new(name, &["verify", "x.eif"], 3, word).file("x.eif", image(ramdisk)));
    };
    verify(
        "a file of 4 GiB that is not there",
        broken(&[&header("fffffffc", "00000002")[..], b"a\0"].concat()),
        "cut off",
    );
    verify(
        "a name of 4 GiB",
        broken(&header("00000000", "ffffffff")),
        "longer than 4096",
    );
    verify(
        "a name of no bytes",
        broken(&header("00000000", "00000000")),
        "does not end in NUL",
    );
    verify(
        "a size that is not hex",
        broken(&[&header("0000000x", "00000002")[..], b"a\0"].concat()),
        "not hexadecimal",
    );
    verify(
        "another magic",
        broken(&[&b"070707"[..], &[b'0'; 200]].concat()),
        "expected \"070701\"",
    );
    verify("no trailer", broken(b""), "cut off");
    verify(
        "half a header",
        broken(&header("00000000", "00000002")[..50]),
        "cut off",
    );
    verify(
        "an unknown packing",
        b"Rar!\x1a".to_vec(),
        "neither a cpio archive nor a known compression",
    );
    verify(
        "one byte",
        vec![0x1f],
        "neither a cpio archive nor a known compression",
    );
    verify(
        "lz4, which is not read",
        b"\x02\x21\x4c\x18".to_vec(),
        "lz4, which is not listed",
    );
    let good = cpio(&[Raw::program("init", &[7; 9000])]);
    verify(
        "a packed archive in a packed one",
        gzip(&gzip(&good)),
        "holds other than cpio archives",
    );
    verify(
        "a packed archive with junk",
        zstd(&[&good[..], b"junk"].concat()),
        "holds other than cpio archives",
    );
    verify(
        "an archive at an odd place",
        [&gzip(&good)[..], b"\0", &good].concat(),
        "not a multiple of 4",
    );
    verify(
        "gzip that ends early",
        gzip(&good)[..60].to_vec(),
        "cannot be listed",
    );
    verify(
        "zstd that ends early",
        zstd(&good)[..30].to_vec(),
        "cannot be listed",
    );
    verify("xz that ends early", xz(&good)[..90].to_vec(), "cannot be listed");
    verify(
        "gzip with a wrong checksum",
        {
            let mut bytes = gzip(&good);
            let at = bytes.len() - 8;
            bytes[at] ^= 1;
            bytes
        },
        "cannot be listed",
    );
    verify(
        "a zstd window of 2 GiB",
        b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00".to_vec(),
        "cannot be listed",
    );
    let big = [&header("fffffffc", "00000002")[..], b"a\0"].concat();
    verify("a bomb of 5 GiB in 160 KB", bomb(&big, 5 << 13), "unpacked bytes");
    let many: Vec<_> = (0..250_001).map(|n| Raw::file(&format!("{n:x}"), b"")).collect();
    verify("250001 entries", zstd(&cpio(&many)), "more than the entries");
    let long: Vec<_> = (0..20_000)
        .map(|n| Raw::file(&format!("{n:x}/{}", "x".repeat(4000)), b""))
        .collect();
    let long = zstd(&cpio(&long));
    verify(
        "20000 entries of 4000 bytes of name",
        long.clone(),
        "more than the entries",
    );
    let args = ["describe", "x.eif"];
    cases.push(
        Case::new("a listing of long names", &args, 3, "more than the entries").file("x.eif", image(long)),
    );
    // A difference of bombs is told without unpacking them.
    let other = bomb(&[&big[..], b"\x01"].concat(), 1 << 13);
    cases.push(
        Case::new("diff of a bomb", &["diff", "x.eif", "y.eif"], 3, "cut off")
            .file("x.eif", image(good))
            .file("y.eif", image(other)),
    );
    cases
}
