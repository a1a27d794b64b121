//! Tests of locks: what matches is accepted, everything else has its own error.

use super::*;

const SHA: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn request() -> Request {
    Request::from_manifest(&manifest()).unwrap()
}

fn manifest() -> String {
    format!(
        "[inputs]\nsuite = 'trixie'\nclosure = ['make']\nexact = ['linux-source-6.12']\n\
         sources = [{{ package = 'qemu', files = ['*.orig.tar.xz'] }}]\n\
         [[inputs.downloads]]\nname = 'w.tar.gz'\nurl = 'https://example.org/w'\nsha256 = '{SHA}'\n"
    )
}

fn package(name: &str) -> LockedPackage {
    LockedPackage {
        name: name.into(),
        version: "1:4.4-2".into(),
        architecture: "amd64".into(),
        archive: Archive::Debian,
        path: format!("pool/main/x/{name}_4.4-2_amd64.deb"),
        size: 5,
        sha256: Sha256::of(name.as_bytes()),
    }
}

fn lock() -> Lock {
    let source = LockedSource {
        package: "qemu".into(),
        version: "1:10.0+ds-1".into(),
        file: "qemu_10.0+ds.orig.tar.xz".into(),
        archive: Archive::DebianSecurity,
        path: "pool/updates/main/q/qemu/qemu_10.0+ds.orig.tar.xz".into(),
        size: 7,
        sha256: SHA.parse().unwrap(),
    };
    let download = LockedDownload {
        name: "w.tar.gz".into(),
        url: "https://example.org/w".into(),
        size: 9,
        at_most: false,
        sha256: SHA.parse().unwrap(),
    };
    let packages = ["make", "linux-source-6.12", "libc6"].map(package).to_vec();
    Lock::new(&request(), packages, vec![source], vec![download])
}

fn parse(text: &str) -> Result<Locked, LockError> {
    Locked::parse(&request(), text)
}

#[test]
fn what_is_written_is_read_back() {
    let text = lock().to_text().unwrap();
    let locked = parse(&text).unwrap();
    let labels: Vec<_> = locked.inputs().map(|i| i.label()).collect();
    assert_eq!(
        labels,
        [
            "libc6 1:4.4-2 amd64",
            "linux-source-6.12 1:4.4-2 amd64",
            "make 1:4.4-2 amd64",
            "qemu 1:10.0+ds-1 qemu_10.0+ds.orig.tar.xz",
            "w.tar.gz"
        ]
    );
    assert_eq!(locked.package("make").unwrap().size, 5);
    assert_eq!(locked.source("qemu_*.orig.tar.xz").unwrap().size, 7);
    assert_eq!(locked.download("w.tar.gz").unwrap().size, 9);
    assert!(matches!(locked.package("gcc"), Err(LockError::Absent { .. })));
}

#[test]
fn the_schema_is_read_before_anything_else() {
    let text = lock()
        .to_text()
        .unwrap()
        .replace("schema = 1", "schema = 2\nnew_key = true");
    assert_eq!(
        parse(&text),
        Err(LockError::Schema {
            expected: 1,
            actual: 2
        })
    );
    assert!(matches!(
        parse(&text.replace("schema", "shema")),
        Err(LockError::Toml(_))
    ));
}

#[test]
fn a_changed_manifest_is_drift_and_says_what_to_run() {
    let changed = Request::from_manifest(&manifest().replace("'make'", "'make', 'gcc'")).unwrap();
    let error = Locked::new(&changed, lock()).unwrap_err();
    assert!(matches!(error, LockError::Drift { .. }));
    assert!(error.to_string().contains("make lock"), "{error}");
}

#[test]
fn every_edit_of_the_file_is_refused() {
    let text = lock().to_text().unwrap();
    for (from, to) in [
        ("name = \"make\"", "name = \"gcc\""),
        ("name = \"libc6\"", "name = \"zlib1g\""),
        ("name = \"libc6\"", "name = \"make\""),
        ("version = \"1:4.4-2\"", "version = \"x\""),
        ("\"amd64\"", "\"i386\""),
        ("\"debian\"", "\"other\""),
        ("pool/main/x/libc6", "pool/../../libc6"),
        ("path = \"pool", "path = \"/pool"),
        ("size = 5", "size = -5"),
        ("size = 5", "size = \"5\""),
        ("size = 5", "size = 5\nextra = 1"),
        ("orig.tar.xz\"\narchive", "dsc\"\narchive"),
        ("package = \"qemu\"", "package = \"gnemu\""),
        ("name = \"w.tar.gz\"", "name = \"v.tar.gz\""),
        ("https://example.org/w", "https://example.net/w"),
        ("[[download]]", "[[downloads]]"),
        ("# Do not edit", "# Edited"),
        ("size = 5\n", "size = 5 \n"),
        (SHA, "ba78"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        assert!(parse(&changed).is_err(), "{to} for {from}");
    }
    let mut lines = text.replace("[[source]]", "[[package]]\n[[source]]");
    parse(&lines).unwrap_err();
    lines.clear();
    parse(&lines).unwrap_err();
}

#[test]
fn entries_that_the_request_does_not_have_are_refused() {
    let plain = Request::from_manifest("[inputs]\nsuite = 'trixie'\nexact = ['make']\n").unwrap();
    let extra = Lock::new(
        &plain,
        vec![package("make"), package("gcc")],
        Vec::new(),
        Vec::new(),
    );
    assert!(matches!(
        Locked::new(&plain, extra),
        Err(LockError::Differs { what: "package", .. })
    ));
    let excluding = "[inputs]\nsuite = 'trixie'\nclosure = ['make']\nexclude = ['perl']\n";
    let excluding = Request::from_manifest(excluding).unwrap();
    let lock = Lock::new(
        &excluding,
        vec![package("make"), package("perl")],
        Vec::new(),
        Vec::new(),
    );
    assert!(matches!(
        Locked::new(&excluding, lock),
        Err(LockError::Differs { .. })
    ));
}

#[test]
fn the_digest_changes_with_any_input() {
    let digest = |lock: Lock| Locked::new(&request(), lock).unwrap().digest();
    let mut other = lock();
    other.packages[0].sha256 = Sha256::of(b"other");
    assert_ne!(digest(lock()), digest(other));
    assert_eq!(digest(lock()), digest(lock()));
}

#[test]
fn every_cut_of_a_lock_is_refused() {
    let text = lock().to_text().unwrap();
    for end in 0..text.len() {
        assert!(parse(&text[..end]).is_err(), "cut at {end}");
    }
}
