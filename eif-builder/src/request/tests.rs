//! Tests of `[inputs]`: one meaning has one digest, and what is not meant is refused.

use super::*;

const FULL: &str = r#"
    [other]
    key = 1
    [inputs]
    suite = "trixie"
    closure = ["make", "gcc"]
    exact = ["linux-source-6.12"]
    exclude = ["perl"]
    sources = [{ package = "qemu", files = ["*.orig.tar.xz"] }]
    [[inputs.downloads]]
    name = "a.tar.gz"
    url = "https://example.org/a.tar.gz"
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"#;

#[test]
fn order_and_spacing_do_not_change_the_digest_and_meaning_does() {
    let digest = |text: &str| Request::from_manifest(text).unwrap().digest();
    let full = digest(FULL);
    assert_eq!(
        full,
        digest(&FULL.replace(r#""make", "gcc""#, "\"gcc\",\"make\", # comment\n"))
    );
    for (from, to) in [
        ("trixie", "forky"),
        (r#""make", "#, ""),
        ("perl", "perk"),
        ("6.12", "6.13"),
        ("*.orig", "*.dorig"),
        ("name = \"a.tar.gz", "name = \"b.tar.gz"),
        ("example.org", "example.net"),
        ("ba78", "ca78"),
        ("sha256 =", "size = 3\nsha256 ="),
        (r#"exact = ["linux"#, r#"exact = ["gcc-14", "linux"#),
    ] {
        let changed = FULL.replace(from, to);
        assert_ne!(changed, FULL, "{from}");
        assert_ne!(full, digest(&changed), "{from}");
    }
}

#[test]
fn what_is_not_meant_is_refused() {
    for (from, to) in [
        ("suite =", "suit ="),
        ("files =", "file ="),
        ("sha256 =", "sha512 ="),
        ("inputs", "input"),
        ("suite = \"trixie\"", ""),
        ("trixie", "../trixie"),
        ("trixie", ""),
        ("\"gcc\"", "\"make\""),
        ("\"gcc\"", "\"perl\""),
        ("\"gcc\"", "\"linux-source-6.12\""),
        ("\"gcc\"", "\"g c\""),
        ("qemu", "Qemu"),
        ("\"*.orig.tar.xz\"", ""),
        ("*.orig", "../*.orig"),
        ("https://example.org", "ftp://example.org"),
        ("https://example.org/a", "https://example.org/ a"),
        ("name = \"a", "name = \"../a"),
        ("ba78", "BA78"),
        ("sha256 =", "size = -3\nsha256 ="),
    ] {
        let changed = FULL.replace(from, to);
        assert_ne!(changed, FULL, "{from}");
        assert!(Request::from_manifest(&changed).is_err(), "{to} for {from}");
    }
}

#[test]
fn only_downloads_need_no_suite() {
    let text = "[inputs]\n[[inputs.downloads]]\nname='a'\nurl='http://x/a'\nsha256='ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'";
    assert_eq!(Request::from_manifest(text).unwrap().downloads().len(), 1);
}

#[test]
fn patterns() {
    for (pattern, name, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("*", "", true),
        ("*.xz", "a.xz", true),
        ("*.xz", "a.xz.asc", false),
        ("a*c", "abc", true),
        ("a*c", "ac", true),
        ("a*c*e", "abcde", true),
        ("a*c*e", "abde", false),
        ("*.orig.tar.*", "q.orig.tar.xz", true),
        ("aa*a", "aa", false),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
}
