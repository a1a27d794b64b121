//! Archives made to do harm: paths that climb out, links that lead out, devices, bombs, lying headers.

use eif_builder::compression::Compression;
use eif_builder::unpack::dir::DirSink;
use eif_builder::unpack::{Limits, Reason, UnpackError, tarball};
use tar::{EntryType, Header};

use crate::dpkg::{Listing, list};

/// One raw tar entry, unchecked: what an attacker would write.
fn raw(kind: EntryType, path: &str, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_mtime(1);
    header.set_size(content.len() as u64);
    let bytes = header.as_mut_bytes();
    bytes[..path.len()].copy_from_slice(path.as_bytes());
    bytes[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    let mut out = header.as_bytes().to_vec();
    out.extend(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

pub(crate) fn file(path: &str, content: &[u8]) -> Vec<u8> {
    raw(EntryType::Regular, path, "", content)
}

pub(crate) fn dir(path: &str) -> Vec<u8> {
    raw(EntryType::Directory, path, "", b"")
}

pub(crate) fn link(path: &str, target: &str) -> Vec<u8> {
    raw(EntryType::Symlink, path, target, b"")
}

fn hard(path: &str, target: &str) -> Vec<u8> {
    raw(EntryType::Link, path, target, b"")
}

fn pax(key: &str, value: &str) -> Vec<u8> {
    // The length counts its own digits.
    let body = format!(" {key}={value}\n");
    let length = (1..1000)
        .find(|n| n.to_string().len() + body.len() == *n)
        .unwrap();
    raw(
        EntryType::XHeader,
        "pax",
        "",
        format!("{length}{body}").as_bytes(),
    )
}

pub(crate) fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn listed(entries: &[Vec<u8>]) -> Result<Vec<String>, Reason> {
    let mut listing = Listing::default();
    let bytes = archive(entries);
    match tarball(
        "t",
        &*bytes,
        Compression::None,
        0,
        Limits::default(),
        &mut listing,
    ) {
        Ok(()) => Ok(listing.0),
        Err(UnpackError { reason, .. }) => Err(reason),
    }
}

#[test]
fn paths_that_are_not_plain_are_refused() {
    for path in [
        "/etc/passwd",
        "../up",
        "a/../../up",
        "a/..",
        "a//b",
        "a/./b",
        ".",
        "./",
        "",
        "..",
        "./../a",
        "a/\u{1}/../b",
    ] {
        assert!(listed(&[file(path, b"x")]).is_err(), "{path}");
    }
    for path in ["/etc/", "../", "a/../b/", "a//"] {
        assert!(listed(&[dir(path)]).is_err(), "{path}");
    }
    assert!(
        listed(&[file("a/", b"x")]).is_err(),
        "a file with a folder's name"
    );
    assert_eq!(
        listed(&[dir("./"), dir("./a/"), dir("."), file("./a/b", b"")])
            .unwrap()
            .len(),
        2
    );
    let mut not_utf8 = file("a", b"");
    not_utf8[0] = 0xFF;
    let mut header = Header::from_byte_slice(&not_utf8[..512]).clone();
    header.set_cksum();
    assert!(matches!(
        listed(&[header.as_bytes().to_vec()]),
        Err(Reason::Header { .. })
    ));
}

#[test]
fn entries_that_are_no_files_folders_or_links_are_refused_by_name() {
    for kind in [
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::Continuous,
        EntryType::GNUSparse,
        EntryType::new(b'V'),
        EntryType::new(b'Z'),
    ] {
        let error = listed(&[raw(kind, "dev/thing", "", b"")]).unwrap_err();
        assert!(
            matches!(error, Reason::Type { .. } | Reason::Header { .. }),
            "{kind:?}: {error}"
        );
        assert!(error.to_string().contains("dev/thing"), "{error}");
    }
    for kind in [EntryType::Directory, EntryType::Symlink, EntryType::Link] {
        assert!(
            listed(&[file("a", b""), raw(kind, "b", "a", b"content")]).is_err(),
            "{kind:?}"
        );
    }
}

#[test]
fn hard_links_lead_to_earlier_files_of_the_same_archive_only() {
    listed(&[file("a", b""), hard("b", "./a"), hard("c", "b")]).unwrap();
    for entries in [
        vec![hard("b", "a"), file("a", b"")],
        vec![hard("b", "/etc/passwd")],
        vec![file("a", b""), hard("b", "/a")],
        vec![file("a", b""), hard("b", "../a")],
        vec![dir("a"), hard("b", "a")],
        vec![link("a", "/etc/passwd"), hard("b", "a")],
        vec![hard("a", "a")],
        vec![file("a", b""), hard("b", "")],
    ] {
        let result = listed(&entries);
        assert!(
            matches!(result, Err(Reason::HardLink { .. } | Reason::Path { .. })),
            "{result:?}"
        );
    }
}

#[test]
fn long_names_and_extended_headers_are_read_within_bounds() {
    let long = format!("{}/file", "d".repeat(200));
    let gnu = |name: &[u8]| raw(EntryType::GNULongName, "././@LongLink", "", name);
    assert_eq!(
        listed(&[gnu(format!("{long}\0").as_bytes()), file("short", b"")]).unwrap()[0]
            .split(' ')
            .nth(2),
        Some(&*format!("/{long}"))
    );
    assert_eq!(
        listed(&[pax("path", &long), pax("mtime", "1.5"), file("short", b"")])
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        listed(&[file("a", b""), pax("linkpath", "a"), hard("b", "zzz")]).unwrap()[1],
        "h 644 /b = /a"
    );
    for entries in [
        vec![gnu(&vec![b'a'; 5000]), file("a", b"")],
        vec![gnu(b"../up\0"), file("a", b"")],
        vec![gnu(b"a\0/etc/passwd"), file("a", b"")],
        vec![pax("path", "../../up"), file("a", b"")],
        vec![pax("size", "99999999999"), file("a", b"")],
        vec![pax("GNU.sparse.major", "1"), file("a", b"")],
        vec![pax("SCHILY.xattr.security.capability", "x"), file("a", b"")],
        vec![
            raw(EntryType::XHeader, "pax", "", &vec![b'1'; 70_000]),
            file("a", b""),
        ],
        vec![
            raw(EntryType::XHeader, "pax", "", b"999 path=a\n"),
            file("a", b""),
        ],
        vec![raw(EntryType::XHeader, "pax", "", b"0 path=a\n"), file("a", b"")],
        vec![raw(EntryType::XHeader, "pax", "", b"2 "), file("a", b"")],
        vec![
            raw(EntryType::XGlobalHeader, "pax", "", b"13 path=evil\n\n"),
            file("a", b""),
        ],
        vec![gnu(b"lost\0")],
    ] {
        assert!(
            listed(&entries).is_err(),
            "{:?}",
            String::from_utf8_lossy(&entries[0][..20])
        );
    }
    // A comment for the whole archive, as git writes it.
    let global = raw(
        EntryType::XGlobalHeader,
        "pax_global_header",
        "",
        b"17 comment=abcde\n",
    );
    assert_eq!(listed(&[global, file("a", b"")]).unwrap().len(), 1);
}

#[test]
fn lying_headers_and_trailing_bytes_are_errors() {
    let mut lying = file("a", b"content");
    let mut header = Header::from_byte_slice(&lying[..512]).clone();
    header.set_size(1 << 60);
    header.set_cksum();
    lying[..512].copy_from_slice(header.as_bytes());
    listed(&[lying]).unwrap_err();
    let mut checksum = file("a", b"");
    checksum[150] ^= 1;
    listed(&[checksum]).unwrap_err();
    let trailing = [archive(&[file("a", b"")]), file("b", b"")].concat();
    let mut sink = Listing::default();
    let error = tarball(
        "t",
        &*trailing,
        Compression::None,
        0,
        Limits::default(),
        &mut sink,
    )
    .unwrap_err();
    assert!(matches!(error.reason, Reason::Trailing), "{error}");
}

#[test]
fn bombs_stop_at_the_limits() {
    let zeros = vec![0; 8 << 20];
    let packed = zstd::encode_all(&*archive(&[file("a", &zeros)]), 1).unwrap();
    let small = Limits {
        bytes: 1 << 20,
        entries: 10,
    };
    let root = tempfile::tempdir().unwrap();
    let mut sink = DirSink::open(root.path()).unwrap();
    let error = tarball("t", &*packed, Compression::Zstd, 0, small, &mut sink).unwrap_err();
    assert!(error.to_string().contains("t: entry \"a\": "), "{error}");
    let many: Vec<_> = (0..11).map(|i| dir(&format!("d{i}"))).collect();
    let error = tarball(
        "t",
        &*archive(&many),
        Compression::None,
        0,
        small,
        &mut Listing::default(),
    )
    .unwrap_err();
    assert!(matches!(error.reason, Reason::TooMany(10)), "{error}");
}

#[test]
fn stripping_takes_the_first_components_only_after_they_were_checked() {
    let strip = |entries: &[Vec<u8>]| {
        let mut listing = Listing::default();
        let bytes = archive(entries);
        tarball(
            "t",
            &*bytes,
            Compression::None,
            1,
            Limits::default(),
            &mut listing,
        )
        .map(|()| listing.0)
    };
    let tree = [
        dir("top-1.0/"),
        dir("top-1.0/src"),
        file("top-1.0/src/a", b""),
        hard("top-1.0/b", "top-1.0/src/a"),
    ];
    assert_eq!(
        strip(&tree).unwrap(),
        ["d 644 /src", "f 644 /src/a \"\" 1", "h 644 /b = /src/a"]
    );
    strip(&[file("../a", b"")]).unwrap_err();
    assert!(
        strip(&[file("top", b"")]).is_err(),
        "a file where only the top folder should be"
    );
}

/// A `.deb` from its members, as `ar` writes them.
fn deb(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, body) in members {
        out.extend(
            format!(
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
                0,
                0,
                0,
                100_644,
                body.len()
            )
            .bytes(),
        );
        out.extend(*body);
        out.resize(out.len().next_multiple_of(2), b'\n');
    }
    out
}

#[test]
fn containers_out_of_order_are_refused() {
    let data = archive(&[file("a", b"")]);
    let (version, control, data): (_, _, (&str, &[u8])) = (
        ("debian-binary", &b"2.0\n"[..]),
        ("control.tar", &b""[..]),
        ("data.tar", &data),
    );
    assert_eq!(list(&deb(&[version, control, data])).unwrap().len(), 1);
    assert_eq!(
        list(&deb(&[
            version,
            ("_private", b"x"),
            control,
            data,
            ("_gpg", b"y")
        ]))
        .unwrap()
        .len(),
        1
    );
    for members in [
        &[][..],
        &[version],
        &[version, control],
        &[version, data, control],
        &[control, version, data],
        &[version, control, data, data],
        &[version, control, ("data.tar.lzma", b"")],
        &[version, control, ("data.tar.xz", b"")],
        &[("debian-binary", b"3.0\n"), control, data],
        &[("debian-binary", b""), control, data],
        &[version, control, ("sneaky", b""), data],
    ] {
        list(&deb(members)).unwrap_err();
    }
    list(b"!<arch>").unwrap_err();
    list(b"PK\x03\x04 not an ar").unwrap_err();
    let mut size = deb(&[version, control, data]);
    size[8 + 48..8 + 58].copy_from_slice(b"-1        ");
    list(&size).unwrap_err();
}
