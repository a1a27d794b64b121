//! Tests of mirrors: what the user and the machine say, and what is left out.

use std::fs;

use super::*;

fn etc(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

const DEBIAN: (&str, &str) = ("os-release", "PRETTY_NAME=\"x\"\nID=debian\n");

#[test]
fn both_styles_of_apts_configuration_are_read_in_order() {
    let etc = etc(&[
        DEBIAN,
        (
            "apt/sources.list",
            "# deb http://off.test/debian trixie main\ndeb [arch=amd64 signed-by=/k] http://one.test/debian/ trixie main contrib\n\
             deb-src http://src.test/debian trixie main\ndeb http://third.test/x stable stable\ndeb http://pg.test trixie-pgdg main\n\
             deb cdrom:[Debian]/ trixie main\n",
        ),
        (
            "apt/sources.list.d/b.sources",
            "Types: deb deb-src\n# comment\nURIs: http://two.test/debian http://one.test/debian\nSuites: trixie trixie-updates\nComponents: main\n\n\
             Types: deb\nURIs: https://sec.test/debian-security\nSuites: trixie-security\nComponents: main\n\n\
             Types: deb\nEnabled: no\nURIs: http://no.test/debian\nSuites: trixie\nComponents: main\n",
        ),
        (
            "apt/sources.list.d/a.list",
            "deb http://sec2.test/s bookworm-security main\n",
        ),
        (
            "apt/sources.list.d/c.list.disabled",
            "deb http://no.test/debian trixie main\n",
        ),
    ]);
    let mirrors = Mirrors::discover(&MirrorOptions::default(), etc.path()).unwrap();
    assert_eq!(
        mirrors.of(Archive::Debian).unwrap(),
        ["http://one.test/debian", "http://two.test/debian"]
    );
    assert_eq!(
        mirrors.of(Archive::DebianSecurity).unwrap(),
        ["http://sec2.test/s", "https://sec.test/debian-security"]
    );
    assert_eq!(mirrors.snapshot(), Some(SNAPSHOT));
}

#[test]
fn a_list_of_mirrors_in_a_file_of_its_own() {
    let etc = etc(&[
        DEBIAN,
        (
            "apt/mirrors/debian.list",
            "https://a.test/debian\thost:x\nhttps://b.test/debian\n",
        ),
        (
            "apt/sources.list.d/debian.sources",
            "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: trixie\nComponents: main\n",
        ),
    ]);
    let mirrors = Mirrors::discover(&MirrorOptions::default(), etc.path()).unwrap();
    assert_eq!(
        mirrors.of(Archive::Debian).unwrap(),
        ["https://a.test/debian", "https://b.test/debian"]
    );
}

#[test]
fn a_derivative_is_not_asked_and_the_error_says_what_to_set() {
    let etc = etc(&[
        ("os-release", "ID=ubuntu\nID_LIKE=debian\n"),
        ("apt/sources.list", "deb http://ubuntu.test/ubuntu stable main\n"),
    ]);
    let mirrors = Mirrors::discover(&MirrorOptions::default(), etc.path()).unwrap();
    let text = mirrors.of(Archive::DebianSecurity).unwrap_err().to_string();
    assert!(text.contains("DEBIAN_SECURITY_MIRROR"), "{text}");
    let options = MirrorOptions {
        debian: Some("http://mine.test/debian/".into()),
        snapshot: Some(String::new()),
        ..MirrorOptions::default()
    };
    let mirrors = Mirrors::discover(&options, etc.path()).unwrap();
    assert_eq!(mirrors.of(Archive::Debian).unwrap(), ["http://mine.test/debian"]);
    assert_eq!(mirrors.snapshot(), None);
    assert_eq!(
        mirrors.of(Archive::DebianSecurity).unwrap(),
        ["http://mine.test/debian-security"],
        "the archive beside it"
    );
    let both = MirrorOptions {
        security: Some("http://sec.test/s".into()),
        ..options
    };
    let mirrors = Mirrors::discover(&both, etc.path()).unwrap();
    assert_eq!(
        mirrors.of(Archive::DebianSecurity).unwrap(),
        ["http://sec.test/s"]
    );
    for bad in ["mine.test", "ftp://x", "http://", "http://a b"] {
        let options = MirrorOptions {
            debian: Some(bad.into()),
            ..MirrorOptions::default()
        };
        assert!(
            matches!(
                Mirrors::discover(&options, etc.path()),
                Err(MirrorError::NotUrl { .. })
            ),
            "{bad}"
        );
    }
}

#[test]
fn escaping() {
    assert_eq!(
        escape("pool/main/g/gcc_1%3a2+b~1.deb", "/"),
        "pool/main/g/gcc_1%253a2%2Bb~1.deb"
    );
}
