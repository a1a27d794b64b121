//! What comes out is what is in the image, below the new folder or not at all.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use eif_builder::cpio_read::Budget;
use eif_builder::extract::{ExtractError, Extracted, Options, extract};
use serde_json::Value;

use crate::archives::{Raw, cpio, gzip, xz};
use crate::support::{Parts, run, said, zstd};

const ALL: Options = Options {
    sections_only: false,
    budget: Budget {
        bytes: 4 << 20,
        entries: 1000,
    },
};

fn image_of(dir: &Path, ramdisks: Vec<Vec<u8>>) -> std::path::PathBuf {
    let parts = Parts {
        ramdisks,
        ..Parts::default()
    };
    parts.write(dir, "a")
}

fn extracted(ramdisks: Vec<Vec<u8>>) -> (tempfile::TempDir, Result<Extracted, ExtractError>) {
    let dir = tempfile::tempdir().unwrap();
    let image = image_of(dir.path(), ramdisks);
    let outcome = extract(&image, &dir.path().join("out"), ALL);
    (dir, outcome)
}

#[test]
fn sections_and_trees() {
    let dir = tempfile::tempdir().unwrap();
    let parts = Parts::default();
    let image = parts.write(dir.path(), "a");
    let out = dir.path().join("out");
    let found = extract(&image, &out, ALL).unwrap();
    assert_eq!((found.sections, found.listed_only), (5, 0));
    let read = |name: &str| fs::read(out.join(name)).unwrap();
    assert_eq!(read("kernel"), parts.kernel);
    assert_eq!(read("cmdline"), b"console=ttyS0");
    assert_eq!(read("ramdisk1.cpio.zst"), parts.ramdisks[1]);
    assert_eq!(read("ramdisk0/init"), b"#!init");
    assert_eq!(read("ramdisk1/rootfs/etc/conf"), b"one\ntwo\nthree\n");
    let mode = fs::metadata(out.join("ramdisk0/init"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o500);
    let json = |name: &str| serde_json::from_slice::<Value>(&read(name)).unwrap();
    assert_eq!(json("metadata.json")["ImageName"], "image");
    assert_eq!(json("image.json")["version"], 4);
    let listing = json("ramdisk1.list.json");
    let paths: Vec<_> = listing[0]["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["path"].clone())
        .collect();
    assert!(paths.contains(&"rootfs/bin/signer".into()), "{paths:?}");
    // A second time there is something in the way, and it stays.
    assert!(matches!(extract(&image, &out, ALL), Err(ExtractError::Exists(_))));
    let sections_only = Options {
        sections_only: true,
        ..ALL
    };
    let other = dir.path().join("other");
    extract(&image, &other, sections_only).unwrap();
    assert!(!other.join("ramdisk0").exists() && other.join("ramdisk0.cpio.zst").exists());
}

#[test]
fn archives_of_other_tools() {
    let init = Raw::program("./init", b"#!init");
    let links = |name: &str, content: &[u8]| Raw {
        nlink: 3,
        ino: 77,
        ..Raw::program(name, content)
    };
    let device = Raw {
        mode: 0o020_600,
        ..Raw::file("dev/console", b"")
    };
    let set_id = Raw {
        mode: 0o104_755,
        owner: (0, 0),
        mtime: 1_700_000_000,
        ..Raw::file("/bin/su", b"su")
    };
    let first = cpio(&[Raw::folder("."), Raw::folder("dev"), device, init, set_id]);
    // GNU cpio writes the content at the last name; then one file replaces another.
    let second = cpio(&[
        links("bin/one", b""),
        links("bin/two", b""),
        links("bin/three", b"content"),
        Raw::link("sbin", "/bin"),
        Raw::file("sbin/through", b"a link on the way"),
        Raw::program("init", b"#!replaced"),
    ]);
    let (dir, outcome) = extracted(vec![[gzip(&first), xz(&second)].concat(), zstd(&second)]);
    let found = outcome.unwrap();
    assert_eq!((found.entries, found.listed_only), (17, 1));
    let out = dir.path().join("out/ramdisk0");
    let read = |name: &str| fs::read(out.join(name)).unwrap();
    assert_eq!(read("init"), b"#!replaced");
    assert_eq!(read("bin/through"), b"a link on the way");
    for name in ["bin/one", "bin/two", "bin/three"] {
        assert_eq!(read(name), b"content", "{name}");
        assert_eq!(fs::metadata(out.join(name)).unwrap().nlink(), 3, "{name}");
    }
    let su = fs::metadata(out.join("bin/su")).unwrap();
    assert_eq!(
        (su.permissions().mode() & 0o7777, su.mtime()),
        (0o755, 1_700_000_000),
        "no set-id bit"
    );
    assert!(!out.join("dev/console").exists());
    let listing = fs::read_to_string(dir.path().join("out/ramdisk0.list.json")).unwrap();
    let listing: Value = serde_json::from_str(&listing).unwrap();
    assert_eq!(listing[0]["compression"], "gzip");
    assert_eq!(listing[0]["entries"][2]["type"], "char-device");
    assert_eq!(listing[0]["entries"][4]["mode"], "4755");
    assert_eq!(listing[1]["compression"], "xz");
}

#[test]
fn whatever_would_leave_the_folder_is_refused_and_nothing_stays() {
    let up = [
        vec![Raw::file("../escaped", b"x")],
        vec![Raw::file("a/../../escaped", b"x")],
        vec![Raw::folder("a/..")],
        vec![Raw::link("up", ".."), Raw::file("up/escaped", b"x")],
        vec![Raw::link("up", "/../.."), Raw::file("up/escaped", b"x")],
        vec![
            Raw::link("a", "b"),
            Raw::link("b", "a"),
            Raw::file("a/escaped", b"x"),
        ],
        vec![Raw::file("file", b"x"), Raw::file("file/below", b"x")],
        vec![Raw::folder("folder"), Raw::file("folder", b"x")],
        vec![Raw::file("file", b"x"), Raw::folder("file")],
        vec![Raw::link("empty", "")],
        vec![Raw {
            name: b"not\xffutf8".to_vec(),
            ..Raw::file("", b"x")
        }],
    ];
    for entries in up {
        let (dir, outcome) = extracted(vec![cpio(&entries)]);
        let error = outcome.unwrap_err();
        assert!(error.is_the_images(), "{entries:?}: {error}");
        #[expect(clippy::disallowed_methods, reason = "only looked through")]
        let left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with("a."))
            .collect();
        assert_eq!(left, [""; 0], "{entries:?}");
        assert!(!dir.path().parent().unwrap().join("escaped").exists());
    }
}

#[test]
fn links_are_never_followed_outside() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    fs::create_dir(&target).unwrap();
    let absolute = target.to_str().unwrap().to_owned();
    let entries = [Raw::link("out", &absolute), Raw::file("out/file", b"inside")];
    let image = image_of(dir.path(), vec![cpio(&entries)]);
    extract(&image, &dir.path().join("out"), ALL).unwrap();
    assert!(!target.join("file").exists());
    let inside = dir
        .path()
        .join("out/ramdisk0")
        .join(absolute.trim_start_matches('/'))
        .join("file");
    assert_eq!(
        fs::read(inside).unwrap(),
        b"inside",
        "the link leads below the folder"
    );
}

#[test]
fn bombs_and_broken_ramdisks() {
    let bomb = gzip(&cpio(&[Raw::file("zeros", &vec![0; 5 << 20])]));
    let many: Vec<_> = (0..1001).map(|n| Raw::file(&format!("{n}"), b"")).collect();
    let cut = gzip(&cpio(&[Raw::file("f", &[7; 1000])]));
    for ramdisk in [
        bomb,
        cpio(&many),
        cut[..cut.len() - 10].to_vec(),
        b"no archive".to_vec(),
        b"BZh91AY".to_vec(),
    ] {
        let (dir, outcome) = extracted(vec![ramdisk]);
        assert!(outcome.unwrap_err().is_the_images());
        assert!(!dir.path().join("out").exists());
    }
}

#[test]
fn the_program_tells_by_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    image_of(dir.path(), vec![cpio(&[Raw::file("../escaped", b"x")])]);
    let (code, text) = said(&run(dir.path(), &["extract", "a.eif", "out"]));
    assert_eq!(code, 3, "{text}");
    assert!(
        text.contains("../escaped") && text.contains("--sections-only"),
        "{text}"
    );
    let (code, text) = said(&run(dir.path(), &["extract", "a.eif", "out", "--sections-only"]));
    assert_eq!(code, 0, "{text}");
    for (args, expected) in [
        (&["extract", "a.eif", "out"][..], 1),
        (&["extract", "none.eif", "new"], 1),
        (&["extract", "a.kernel", "new"], 3),
        (&["extract", ".", "new"], 1),
        (&["extract", "a.eif", "/"], 1),
        (&["extract", "a.eif"], 2),
    ] {
        let (code, text) = said(&run(dir.path(), args));
        assert_eq!(code, expected, "{args:?}: {text}");
    }
    assert!(!dir.path().join("new").exists());
}
