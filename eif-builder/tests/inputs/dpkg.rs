//! Held against dpkg: the order of versions, and packages that `dpkg-deb` made.

use eif_builder::debian::version::Version;
use eif_builder::unpack::dir::DirSink;
use eif_builder::unpack::{self, Entry, Kind, Limits, Sink, SinkError, UnpackError, control};

/// Remembers entries as text: type, mode, time, path, and content or target.
#[derive(Default)]
pub(crate) struct Listing(pub(crate) Vec<String>);

impl Sink for Listing {
    fn put(&mut self, entry: Entry<'_>) -> Result<(), SinkError> {
        let (mode, path) = (entry.mode, entry.path);
        self.0.push(match entry.kind {
            Kind::Dir => format!("d {mode:o} {path}"),
            Kind::Symlink(target) => format!("l {mode:o} {path} -> {target}"),
            Kind::HardLink(target) => format!("h {mode:o} {path} = {target}"),
            Kind::File { content, .. } => {
                let mut text = String::new();
                content.read_to_string(&mut text).map_err(SinkError::Content)?;
                format!("f {mode:o} {path} {text:?} {}", entry.mtime)
            }
        });
        Ok(())
    }
}

pub(crate) fn list(deb: &[u8]) -> Result<Vec<String>, UnpackError> {
    let mut listing = Listing::default();
    unpack::deb("tiny", deb, Limits::default(), &mut listing).map(|()| listing.0)
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn versions_are_ordered_as_dpkg_orders_them() {
    let text = String::from_utf8(fixture("versions.tsv")).unwrap();
    assert!(text.lines().count() >= 1600);
    for line in text.lines() {
        let [a, order, b] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let actual = match Version::parse(a).unwrap().cmp(&Version::parse(b).unwrap()) {
            std::cmp::Ordering::Less => "<",
            std::cmp::Ordering::Equal => "=",
            std::cmp::Ordering::Greater => ">",
        };
        assert_eq!(actual, order, "{line}");
    }
}

#[test]
fn packages_of_every_compression_are_listed_alike_and_no_script_is_seen() {
    let long = "long-".repeat(30);
    let expected = [
        "d 755 /usr".to_owned(),
        "d 755 /usr/bin".into(),
        "f 4755 /usr/bin/tool \"tool\\n\" 1000000000".into(),
        "d 755 /usr/share".into(),
        "d 755 /usr/share/doc".into(),
        format!("f 644 /usr/share/doc/{long} \"long\\n\" 1000000000"),
        "h 4755 /usr/bin/tool-again = /usr/bin/tool".into(),
        "l 777 /usr/bin/link -> tool".into(),
        format!("l 777 /usr/share/doc/to-long -> /usr/share/doc/{long}"),
    ];
    for kind in ["none", "gzip", "xz", "zstd"] {
        let mut found = list(&fixture(&format!("tiny-{kind}.deb"))).unwrap();
        let mut wanted = expected.to_vec();
        // dpkg-deb writes in the order in which its disk gave the names.
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "{kind}");
    }
}

#[test]
fn the_control_file_is_read_and_no_more_of_the_package_is_needed() {
    for kind in ["none", "gzip", "xz", "zstd"] {
        let deb = fixture(&format!("tiny-{kind}.deb"));
        let text = control::read("tiny", &*deb).unwrap();
        assert!(
            text.starts_with("Package: tiny\nVersion: 1.0\n"),
            "{kind}: {text}"
        );
        let data = deb.windows(8).position(|w| w == b"data.tar").unwrap();
        assert_eq!(control::read("tiny", &deb[..data]).unwrap(), text, "{kind}");
        let stride = if kind == "none" { 7 } else { 1 };
        // Up to the last byte of the archive's content; then come the end marks that a reader need not see.
        for end in (0..data / 2).step_by(stride) {
            control::read("tiny", &deb[..end]).unwrap_err();
        }
    }
    let error = control::read("tiny", &b"!<arch>\n"[..]).unwrap_err();
    assert!(
        error.to_string().starts_with("tiny: is not a Debian package"),
        "{error}"
    );
}

#[test]
fn every_cut_of_a_package_is_an_error() {
    for kind in ["none", "gzip", "xz", "zstd"] {
        let deb = fixture(&format!("tiny-{kind}.deb"));
        // Without compression most of it is zeros: a stride that is prime meets every part.
        let stride = if kind == "none" { 7 } else { 1 };
        for end in (0..deb.len()).step_by(stride) {
            let result = list(&deb[..end]);
            // The byte that pads the last member to an even length says nothing.
            assert!(result.is_err() || end + 1 == deb.len(), "{kind} cut at {end}");
        }
    }
}

#[test]
fn no_flipped_bit_makes_it_panic() {
    let deb = fixture("tiny-none.deb");
    // Of the zeros that pad it, some are enough.
    let tried = |at: &usize| deb[*at] != 0 || at.is_multiple_of(61);
    for at in (0..deb.len()).filter(tried) {
        for bit in [0x01, 0x40] {
            let mut flipped = deb.clone();
            flipped[at] ^= bit;
            // A flip in content or time is another package; the lock's digest finds it, not this.
            drop(list(&flipped));
        }
    }
}

#[test]
fn a_package_lands_on_disk_as_it_is() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    let kept = dir.path().join("kept");
    for (root, keep) in [(&plain, false), (&kept, true)] {
        std::fs::create_dir(root).unwrap();
        let mut sink = DirSink::open(root).unwrap();
        if keep {
            sink = sink.keep_set_id();
        }
        unpack::deb("tiny", &*fixture("tiny-xz.deb"), Limits::default(), &mut sink).unwrap();
        let tool = root.join("usr/bin/tool").metadata().unwrap();
        assert_eq!(
            tool.permissions().mode() & 0o7777,
            if keep { 0o4755 } else { 0o755 }
        );
        assert_eq!((tool.nlink(), tool.mtime(), tool.len()), (2, 1_000_000_000, 5));
        assert_eq!(
            std::fs::read_link(root.join("usr/bin/link")).unwrap().to_str(),
            Some("tool")
        );
        assert_eq!(
            tool.ino(),
            root.join("usr/bin/tool-again").metadata().unwrap().ino()
        );
        assert!(!root.join("maintainer-script-ran").exists());
    }
}
