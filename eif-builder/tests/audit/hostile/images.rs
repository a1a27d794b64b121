//! Images: lying headers, overlapping sections, sizes of 2^63, foreign section types.

use super::Case;
use crate::archives::{Raw, cpio};
use crate::support::Parts;

const COUNT: usize = 0x1a;
const OFFSETS: usize = 0x1c;
const SIZES: usize = 0x11c;

fn base() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::read(Parts::default().write(dir.path(), "a")).unwrap()
}

fn with(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = base();
    change(&mut bytes);
    bytes
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn set(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

/// Where the 12-byte header of section `index` is.
fn section(bytes: &[u8], index: usize) -> usize {
    usize::try_from(u64_at(bytes, OFFSETS + 8 * index)).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "made for this call")]
fn image(parts: Parts) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::read(parts.write(dir.path(), "a")).unwrap()
}

/// An image with `bytes` as its signature section, at its end.
fn with_signature(signature: &[u8]) -> Vec<u8> {
    let mut bytes = base();
    let end = bytes.len() as u64;
    let size = signature.len() as u64;
    bytes[COUNT + 1] = 6;
    set(&mut bytes, OFFSETS + 40, end);
    set(&mut bytes, SIZES + 40, size);
    bytes.extend([0, 4, 0, 0]);
    bytes.extend(size.to_be_bytes());
    bytes.extend(signature);
    bytes
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut describe = |name: &str, bytes: Vec<u8>, word| {
        cases.push(Case::new(name, &["describe", "x.eif"], 3, word).file("x.eif", bytes));
    };
    describe("nothing", Vec::new(), "header is cut off");
    describe("one byte", vec![b'.'], "header is cut off");
    describe(
        "a header and no more",
        base()[..548].to_vec(),
        "the file ends at 548",
    );
    describe("another magic", with(|b| b[0] = b'E'), "not an enclave image");
    describe("version 1", with(|b| b[5] = 1), "format version is 1");
    describe(
        "version 65535",
        with(|b| b[4..6].fill(0xff)),
        "format version is 65535",
    );
    describe(
        "all flags",
        with(|b| b[6..8].fill(0xff)),
        "header flags are 0xffff",
    );
    describe("no sections", with(|b| b[COUNT + 1] = 0), "counts 0 sections");
    describe("33 sections", with(|b| b[COUNT + 1] = 33), "counts 33 sections");
    describe(
        "65535 sections",
        with(|b| b[COUNT..COUNT + 2].fill(0xff)),
        "counts 65535 sections",
    );
    describe("a reserved field", with(|b| b[0x18] = 1), "must be zero");
    describe(
        "an unused table entry",
        with(|b| set(b, OFFSETS + 8 * 31, 9)),
        "must be zero",
    );
    describe(
        "an offset of 2^63",
        with(|b| set(b, OFFSETS + 8, 1 << 63)),
        "section 1",
    );
    describe(
        "an offset of 2^64 - 1",
        with(|b| set(b, OFFSETS + 8, u64::MAX)),
        "section 1",
    );
    describe(
        "a size of 2^63",
        with(|b| set(b, SIZES + 32, 1 << 63)),
        "9223372036854775808 bytes",
    );
    describe(
        "a size of 2^64 - 1",
        with(|b| set(b, SIZES + 32, u64::MAX)),
        "18446744073709551615 bytes",
    );
    describe(
        "a kernel of 2^63",
        with(|b| set(b, SIZES, 1 << 63)),
        "section 0 has 9223372036854775808",
    );
    describe(
        "overlapping sections",
        with(|b| set(b, OFFSETS + 8, 548)),
        "inside what ends at",
    );
    describe(
        "a section over the header",
        with(|b| set(b, OFFSETS, 0)),
        "inside what ends at 548",
    );
    describe(
        "a gap between sections",
        with(|b| {
            let at = u64_at(b, OFFSETS + 8);
            set(b, OFFSETS + 8, at + 1);
        }),
        "belong to nothing",
    );
    describe(
        "bytes after the end",
        with(|b| b.push(0)),
        "the last section ends at",
    );
    describe(
        "the last byte gone",
        with(|b| b.truncate(b.len() - 1)),
        "the file ends at",
    );
    let change = |index: usize, byte: usize, value: u8| {
        with(|b| {
            let at = section(b, index) + byte;
            b[at] = value;
        })
    };
    describe("two sizes of one section", change(1, 11, 99), "in its own header");
    describe("section type 0", change(0, 1, 0), "section type is 0");
    describe("section type 6", change(2, 1, 6), "section type is 6");
    describe(
        "section type 65535",
        with(|b| {
            let at = section(b, 4);
            b[at..at + 2].fill(0xff);
        }),
        "section type is 65535",
    );
    describe("section flags", change(0, 3, 1), "section flags are 0x0001");
    describe("two kernels", change(1, 1, 1), "a second kernel");
    describe("two command lines", change(2, 1, 2), "a second cmdline");
    describe("no kernel", change(0, 1, 3), "ramdisk before the kernel");
    describe(
        "metadata of version 2",
        with(|b| b[5] = 2),
        "format version 2 does not have",
    );
    describe(
        "a signature of no form",
        with_signature(b"\xff\xff\xff"),
        "CBOR head 0xff",
    );
    describe(
        "an empty signature",
        with_signature(b""),
        "signature section is cut off",
    );
    describe(
        "an empty list of signatures",
        with_signature(b"\x80"),
        "empty list",
    );
    describe(
        "2^63 signatures",
        with_signature(b"\x9b\x80\0\0\0\0\0\0\0"),
        "signature section is cut off",
    );
    describe(
        "a certificate of 2^63 bytes",
        with_signature(b"\x81\xa2\x73signing_certificate\x9b\x80\0\0\0\0\0\0\0"),
        "signature section is cut off",
    );
    describe(
        "a signature of 1 MiB",
        with_signature(&vec![0x80; 1 << 20]),
        "at most 32768",
    );
    describe("a wrong CRC", with(|b| b[0x220] ^= 0x80), "CRC-32");
    describe(
        "metadata that is not JSON",
        with(|b| {
            let at = section(b, 2) + 12;
            b[at] = b'[';
        }),
        "the metadata is not JSON",
    );
    let mut verify = |name: &str, bytes: Vec<u8>, word| {
        cases.push(Case::new(name, &["verify", "x.eif"], 3, word).file("x.eif", bytes));
    };
    verify(
        "a command line with escapes",
        image(Parts {
            cmdline: "\u{1b}[2Jrdinit=\u{1b}[31m/x rdinit=/\u{1b}[0m".to_owned(),
            ..Parts::default()
        }),
        "\\x1b",
    );
    verify(
        "memory of nothing",
        image(Parts {
            memory: 0,
            ..Parts::default()
        }),
        "FAILED  memory",
    );
    verify(
        "a kernel of one byte",
        image(Parts {
            kernel: vec![1],
            ..Parts::default()
        }),
        "FAILED  architecture",
    );
    // Both sides of a comparison, and what is signed, are read as strictly.
    let bad = with(|b| set(b, OFFSETS + 8, 548));
    for (name, args, code) in [
        ("diff of overlapping sections", &["diff", "x.eif", "x.eif"][..], 1),
        ("extract of overlapping sections", &["extract", "x.eif", "out"], 3),
        (
            "report of overlapping sections",
            &["report", "x.eif", "-o", "page.html"],
            1,
        ),
    ] {
        cases.push(Case::new(name, args, code, "inside what ends at").file("x.eif", bad.clone()));
    }
    let names = cpio(&[Raw::program("init", b"x"), Raw::file("\u{1b}]0;title\u{7}", b"x")]);
    let shown = image(Parts {
        ramdisks: vec![names, b"\x02\x21broken".to_vec()],
        ..Parts::default()
    });
    cases.push(
        Case::new(
            "names with escapes",
            &["describe", "x.eif"],
            3,
            "\\x1b]0;title\\x07",
        )
        .file("x.eif", shown),
    );
    cases
}
