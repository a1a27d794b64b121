//! Debian packages: broken containers, and tar archives that climb out, lie or repeat themselves.
//!
//! The program gets them as it gets every package: named by a lock, from the store. What is locked may still be hostile.

use eif_builder::digest::Sha256;
use eif_builder::lock::{Archive, Lock, LockedPackage};
use eif_builder::request::Request;
use tar::{EntryType, Header};

use super::Case;
use crate::archives::{gzip, xz};

const MANIFEST: &str = "[inputs]\nsuite = \"trixie\"\nclosure = [\"evil\"]\n";

/// A member of an `ar` archive.
fn member(name: &str, size: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, "100644").into_bytes();
    bytes.extend(content);
    if content.len() % 2 == 1 {
        bytes.push(b'\n');
    }
    bytes
}

fn sound(name: &str, content: &[u8]) -> Vec<u8> {
    member(name, &content.len().to_string(), content)
}

fn deb(members: &[Vec<u8>]) -> Vec<u8> {
    [b"!<arch>\n".to_vec(), members.concat()].concat()
}

fn version() -> Vec<u8> {
    sound("debian-binary", b"2.0\n")
}

/// A package with this data archive.
fn of_data(name: &str, data: &[u8]) -> Vec<u8> {
    deb(&[
        version(),
        sound("control.tar.gz", &gzip(&tar(&[]))),
        sound(name, data),
    ])
}

fn entry(kind: EntryType, path: &str, link: &str, content: &[u8]) -> Vec<u8> {
    raw(kind, path, link, content, |_| {})
}

fn raw(kind: EntryType, path: &str, link: &str, content: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_mtime(1);
    header.set_size(content.len() as u64);
    let bytes = header.as_mut_bytes();
    bytes[..path.len()].copy_from_slice(path.as_bytes());
    bytes[157..157 + link.len()].copy_from_slice(link.as_bytes());
    change(bytes);
    header.set_cksum();
    let mut out = header.as_bytes().to_vec();
    out.extend(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// `recipe build-root` in a tree whose lock names the package.
fn case(name: &str, package: Vec<u8>, word: &'static str) -> Case {
    let sha256 = Sha256::of(&package).to_string();
    let request = Request::from_manifest(MANIFEST).unwrap();
    let locked = LockedPackage {
        name: "evil".to_owned(),
        version: "1".to_owned(),
        architecture: "all".to_owned(),
        archive: Archive::Debian,
        path: "pool/main/e/evil/evil_1_all.deb".to_owned(),
        size: package.len() as u64,
        sha256: Sha256::of(&package),
    };
    let lock = Lock::new(&request, vec![locked], Vec::new(), Vec::new())
        .to_text()
        .unwrap();
    let args = ["recipe", "build-root", "--tree", "tree", "--store", "store"];
    Case::new(name, &args, 1, word)
        .file("tree/Cargo.lock", "")
        .file("tree/reproducible/buildroot/root.toml", MANIFEST)
        .file("tree/reproducible/buildroot/root.lock", lock)
        .file(&format!("store/blobs/{}/{sha256}", &sha256[..2]), package)
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn cases() -> Vec<Case> {
    let file = |path: &str| entry(EntryType::Regular, path, "", b"x");
    let data = |entries: &[Vec<u8>]| of_data("data.tar.gz", &gzip(&tar(entries)));
    let link = |path: &str, target: &str| entry(EntryType::Symlink, path, target, b"");
    let control = || sound("control.tar.gz", b"");
    vec![
        case(
            "no package",
            b"not an ar archive".to_vec(),
            "does not begin as an ar archive",
        ),
        case("an empty package", Vec::new(), "too early"),
        case(
            "another first member",
            deb(&[sound("evil", b"2.0\n")]),
            "not `debian-binary`",
        ),
        case(
            "format version 3",
            deb(&[sound("debian-binary", b"3.0\n")]),
            "format version is not 2",
        ),
        case(
            "no control archive",
            deb(&[version(), sound("data.tar", b"")]),
            "does not follow",
        ),
        case(
            "no data archive",
            deb(&[version(), control()]),
            "ends before `data.tar`",
        ),
        case(
            "two data archives",
            {
                let data = sound("data.tar.gz", &gzip(&tar(&[])));
                deb(&[version(), control(), data.clone(), data])
            },
            "something follows `data.tar`",
        ),
        case(
            "a member of no size",
            deb(&[member("debian-binary", "-1", b"2.0\n")]),
            "malformed member header",
        ),
        case(
            "a member longer than the file",
            deb(&[version(), control(), member("data.tar", "9999999999", b"x")]),
            "evil",
        ),
        case(
            "a data archive that is no gzip",
            of_data("data.tar.gz", b"garbage"),
            "cannot be read",
        ),
        case(
            "a data archive that ends early",
            of_data("data.tar.gz", &gzip(&tar(&[file("./a")]))[..30]),
            "evil",
        ),
        case(
            "a data archive that asks for 1.5 GiB",
            of_data("data.tar.xz", &greedy_xz()),
            "cannot be read",
        ),
        case(
            "an unknown packing",
            of_data("data.tar.lzma", b"x"),
            "no `data.tar`",
        ),
        case("a path that climbs out", data(&[file("./../../escaped")]), "`..`"),
        case(
            "a link that climbs out",
            data(&[link("./up", "../../.."), file("./up/escaped")]),
            "leaves the root",
        ),
        case(
            "a loop",
            data(&[link("./a", "b"), link("./b", "a"), file("./a/x")]),
            "too many links",
        ),
        case(
            "a hard link to the host",
            data(&[entry(EntryType::Link, "./p", "/etc/passwd", b"")]),
            "not a path in the image",
        ),
        case(
            "a device",
            data(&[entry(EntryType::Char, "./dev/mem", "", b"")]),
            "not allowed",
        ),
        case(
            "a pipe",
            data(&[entry(EntryType::Fifo, "./p", "", b"")]),
            "not allowed",
        ),
        case(
            "a sparse file",
            data(&[entry(EntryType::GNUSparse, "./s", "", b"")]),
            "not allowed",
        ),
        case(
            "a file twice",
            data(&[file("./a"), file("./a")]),
            "earlier entry has the same path",
        ),
        case(
            "a file of 2^63 bytes",
            data(&[raw(EntryType::Regular, "./a", "", b"", |header| {
                header[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]);
            })]),
            "./a",
        ),
        case(
            "a size that is no number",
            data(&[raw(EntryType::Regular, "./a", "", b"", |header| {
                header[124..136].copy_from_slice(b"zzzzzzzzzzz\0");
            })]),
            "not a number",
        ),
        case(
            "a size with escapes",
            data(&[raw(EntryType::Regular, "./a", "", b"", |header| {
                header[124..136].copy_from_slice(b"\x1b[2J\x1b[2J\x1b[2J");
            })]),
            "\\u{1b}[2J",
        ),
        case(
            "a folder with content",
            data(&[entry(EntryType::Directory, "./d", "", b"x")]),
            "has content",
        ),
        case(
            "a header that is malformed",
            data(&[entry(EntryType::XHeader, "pax", "", b"99 path=x\n")]),
            "malformed",
        ),
        case(
            "an extended size",
            data(&[entry(
                EntryType::XHeader,
                "pax",
                "",
                b"30 size=9223372036854775808\n",
            )]),
            "evil",
        ),
        case(
            "a long name of 1 MiB",
            data(&[entry(
                EntryType::GNULongName,
                "././@LongLink",
                "",
                &vec![b'a'; 1 << 20],
            )]),
            "too long",
        ),
        case(
            "a path that is not UTF-8",
            data(&[raw(EntryType::Regular, "", "", b"", |header| {
                header[..3].copy_from_slice(b"./\xff");
            })]),
            "UTF-8",
        ),
        case(
            "a path with escapes",
            data(&[entry(EntryType::Char, "./\u{1b}[2J", "", b"")]),
            "not allowed",
        ),
        case(
            "a wrong checksum",
            {
                let mut bytes = tar(&[file("./a")]);
                bytes[0] ^= 1;
                of_data("data.tar.gz", &gzip(&bytes))
            },
            "evil",
        ),
        case(
            "an archive that ends inside an entry",
            of_data("data.tar.gz", &gzip(&file("./a")[..520])),
            "evil",
        ),
        case(
            "a hard link to a file that is not there",
            data(&[entry(EntryType::Link, "./p", "./etc/passwd", b"")]),
            "not an earlier file",
        ),
    ]
}

/// An xz stream whose dictionary would take 1.5 GiB.
fn greedy_xz() -> Vec<u8> {
    let mut bytes = xz(b"x");
    // Stream header (12), block header: size, flags, filter id 0x21, properties size 1, dictionary size.
    assert_eq!(bytes[14..16], [0x21, 1]);
    bytes[16] = 39;
    let crc = crc32(&bytes[12..20]).to_le_bytes();
    bytes[20..24].copy_from_slice(&crc);
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
