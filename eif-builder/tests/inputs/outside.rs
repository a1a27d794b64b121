//! Archives that try to write outside the folder they are unpacked into, or over what is there.

use std::path::Path;

use eif_builder::compression::Compression;
use eif_builder::unpack::dir::DirSink;
use eif_builder::unpack::{Limits, Reason, SinkError, tarball};

use crate::hostile::{archive, dir, file, link};

fn unpacked(root: &Path, entries: &[Vec<u8>]) -> Result<(), Reason> {
    let mut sink = DirSink::open(root).unwrap();
    let bytes = archive(entries);
    tarball("t", &*bytes, Compression::None, 0, Limits::default(), &mut sink).map_err(|e| e.reason)
}

fn refused(result: Result<(), Reason>) -> &'static str {
    match result {
        Err(Reason::Sink {
            source: SinkError::Refused(why),
            ..
        }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_link_on_the_way_is_walked_inside_the_root_and_never_out_of_it() {
    let outside = tempfile::tempdir().unwrap();
    let make = || {
        let root = outside.path().join(format!("root{}", rand::random::<u64>()));
        std::fs::create_dir(&root).unwrap();
        root
    };
    // Absolute and relative links inside: as Debian's /bin.
    let root = make();
    unpacked(
        &root,
        &[
            dir("usr/bin"),
            link("bin", "usr/bin"),
            link("sbin", "/usr/bin"),
            file("bin/a", b"1"),
            file("sbin/b", b"2"),
            dir("bin"),
        ],
    )
    .unwrap();
    assert_eq!(std::fs::read(root.join("usr/bin/a")).unwrap(), b"1");
    assert_eq!(std::fs::read(root.join("usr/bin/b")).unwrap(), b"2");
    // An absolute link means the root's own folder, which is made.
    let root = make();
    let target = outside.path().to_str().unwrap();
    unpacked(&root, &[link("out", target), file("out/a", b"")]).unwrap();
    assert!(root.join(target.trim_start_matches('/')).join("a").is_file());
    assert!(!outside.path().join("a").exists());
    for escape in ["..", "../..", "../../../tmp", "x/../../.."] {
        let root = make();
        let why = refused(unpacked(
            &root,
            &[dir("x"), link("out", escape), file("out/a", b"")],
        ));
        assert_eq!(why, "a link on its path leaves the root", "{escape}");
        let why = refused(unpacked(&make(), &[dir("x"), link("out", escape), dir("out")]));
        assert_eq!(why, "a link on its path leaves the root", "{escape}");
    }
    let why = refused(unpacked(
        &make(),
        &[link("a", "b"), link("b", "a"), file("a/c", b"")],
    ));
    assert_eq!(why, "there are too many links on its path");
    let why = refused(unpacked(&make(), &[file("a", b""), file("a/b", b"")]));
    assert_eq!(why, "something on its path is not a folder");
}

#[test]
fn nothing_is_replaced_or_written_through() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    std::fs::write(&victim, b"safe").unwrap();
    let root = outside.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let out = victim.to_str().unwrap();
    for entries in [
        [link("a", out), file("a", b"bad")],
        [file("b", b"one"), file("b", b"two")],
        [dir("c"), file("c", b"")],
        [dir("d"), link("d", "c")],
        [file("e", b""), link("e", "c")],
    ] {
        assert_eq!(
            refused(unpacked(&root, &entries)),
            "an earlier entry has the same path"
        );
    }
    let why = refused(unpacked(&root, &[file("f", b""), dir("f")]));
    assert_eq!(
        why,
        "it is a folder here and something else in an earlier archive"
    );
    assert_eq!(std::fs::read(&victim).unwrap(), b"safe");
    assert_eq!(std::fs::read(root.join("b")).unwrap(), b"one");
}
