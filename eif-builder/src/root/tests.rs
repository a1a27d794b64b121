//! Keys and rules; unpacking itself is tested in `unpack`.

use super::*;
use crate::lock::Archive;

fn package(name: &str, bytes: &[u8]) -> LockedPackage {
    LockedPackage {
        name: name.to_owned(),
        version: "1".to_owned(),
        architecture: "all".to_owned(),
        archive: Archive::Debian,
        path: format!("pool/{name}"),
        size: bytes.len() as u64,
        sha256: Sha256::of(bytes),
    }
}

fn rules(text: &str) -> Rules {
    RootManifest::parse(&format!(
        "[inputs]\nsuite = \"trixie\"\nclosure = [\"gcc\"]\n{text}"
    ))
    .unwrap()
    .rules
}

#[test]
fn the_key_moves_with_packages_and_rules() {
    let (a, b) = (package("a", b"1"), package("b", b"1"));
    let none = rules("");
    let keys = [
        key(&[], &none),
        key(core::slice::from_ref(&a), &none),
        key(&[package("a", b"2")], &none),
        key(&[a.clone(), b], &none),
        key(core::slice::from_ref(&a), &rules("[root]\nca-bundle = true")),
        key(
            core::slice::from_ref(&a),
            &rules("[root.links]\n\"/usr/bin/sh\" = \"bash\""),
        ),
        key(
            core::slice::from_ref(&a),
            &rules("[root.links]\n\"/usr/bin/sh\" = \"dash\""),
        ),
    ];
    let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
    let moved = LockedPackage {
        path: "pool/elsewhere".to_owned(),
        ..a.clone()
    };
    assert_eq!(
        key(&[moved], &none),
        key(&[a], &none),
        "where a package was found does not count"
    );
}

#[test]
fn rules_are_strict() {
    assert_eq!(rules(""), Rules::default());
    for bad in [
        "[root]\nca_bundle = true",
        "[root.links]\n\"usr/bin/sh\" = \"bash\"",
        "[root.links]\n\"/usr/../sh\" = \"bash\"",
        "[other]",
    ] {
        let text = format!("[inputs]\nsuite = \"trixie\"\nclosure = [\"gcc\"]\n{bad}");
        assert!(RootManifest::parse(&text).is_err(), "{bad}");
    }
}

#[test]
fn links_and_certificates_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let mozilla = dir.path().join(CERTIFICATES);
    let wanted = rules("[root]\nca-bundle = true\n[root.links]\n\"/usr/bin/sh\" = \"bash\"");
    let error = fill(dir.path(), &[], &wanted, &Blobs::default()).unwrap_err();
    assert!(matches!(error, RootError::NoCertificates), "{error}");
    fs::remove_file(dir.path().join("usr/bin/sh")).unwrap();
    fs::create_dir_all(&mozilla).unwrap();
    for (name, text) in [("b.crt", "B"), ("a.crt", "A\n"), ("README", "no")] {
        fs::write(mozilla.join(name), text).unwrap();
    }
    fill(dir.path(), &[], &wanted, &Blobs::default()).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join(BUNDLE)).unwrap(), "A\nB\n");
    assert_eq!(
        fs::read_link(dir.path().join("usr/bin/sh")).unwrap(),
        Path::new("bash")
    );
    let again = fill(dir.path(), &[], &wanted, &Blobs::default()).unwrap_err();
    assert_eq!(
        again.to_string(),
        "cannot make usr/bin/sh in the root",
        "nothing is replaced silently"
    );
}

#[test]
fn a_package_that_was_not_fetched_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let packages = [package("a", b"1")];
    let none = rules("");
    assert!(matches!(
        extract(&store, &packages, &none, &Blobs::default()),
        Err(RootError::Fetch(_))
    ));
    assert_eq!(store.part(key(&packages, &none)), None);
}
