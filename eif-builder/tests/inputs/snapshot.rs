//! The snapshot archive: found by name and version, believed in nothing.

use eif_builder::digest::Sha256;
use eif_builder::lock::{Archive, Input, LockedSource};

use crate::fetch::{Setup, body};
use crate::server::{Reply, Server};

#[test]
fn the_snapshot_archive_has_what_mirrors_dropped() {
    let (file, other) = (body(), b"other".to_vec());
    let (right, wrong_arch, wrong_size) = ("a".repeat(40), "b".repeat(40), "c".repeat(40));
    let size = file.len();
    let answer = format!(
        r#"{{"_comment": "x", "binary": "aa", "binary_version": "1:2.0+x~1",
            "result": [{{"hash": "{wrong_arch}", "architecture": "arm64"}}, {{"hash": "{wrong_size}", "architecture": "amd64"}},
                {{"hash": "../../evil", "architecture": "amd64"}}, {{"hash": "{right}", "architecture": "amd64"}}],
            "fileinfo": {{
                "{wrong_arch}": [{{"name": "aa_arm64.deb", "size": {size}, "archive_name": "debian", "path": "/pool", "first_seen": "x"}}],
                "{wrong_size}": [{{"name": "aa_amd64.deb", "size": 5}}], "../../evil": [{{"name": "aa_amd64.deb", "size": {size}}}],
                "{right}": [{{"name": "aa_amd64.deb", "size": {size}}}]}}}}"#
    );
    let query = "/mr/binary/aa/1%3A2.0%2Bx~1/binfiles?fileinfo=1";
    let snapshot = Server::files(vec![
        (query.into(), answer.into_bytes()),
        (format!("/file/{right}"), file.clone()),
        (format!("/file/{wrong_arch}"), other),
    ]);
    let mirror = Server::start(|_| Reply::status(404));
    assert_eq!(
        Setup::new(&[&mirror], Some(&snapshot)).fetch_one(&file).unwrap(),
        file
    );
    assert_eq!(
        Setup::new(&[], Some(&snapshot)).fetch_one(&file).unwrap(),
        file,
        "also without any mirror"
    );
    let asked: Vec<_> = snapshot.requests().into_iter().map(|r| r.target).collect();
    assert_eq!(asked[..2], [query.to_owned(), format!("/file/{right}")]);
    assert_eq!(asked.len(), 4);
}

#[test]
fn source_files_are_found_there_by_name() {
    let file = body();
    let source = LockedSource {
        package: "qemu".into(),
        version: "1:10.0+ds-1".into(),
        file: "qemu_10.0+ds.orig.tar.xz".into(),
        archive: Archive::DebianSecurity,
        path: "pool/q/qemu_10.0+ds.orig.tar.xz".into(),
        size: file.len() as u64,
        sha256: Sha256::of(&file),
    };
    let (right, other) = ("a".repeat(40), "b".repeat(40));
    let size = file.len();
    let answer = format!(
        r#"{{"result": [{{"hash": "{other}"}}, {{"hash": "{right}"}}], "fileinfo": {{
            "{other}": [{{"name": "other", "size": {size}}}], "{right}": [{{"name": "qemu_10.0+ds.orig.tar.xz", "size": {size}}}]}}}}"#
    );
    let snapshot = Server::files(vec![
        (
            "/mr/package/qemu/1%3A10.0%2Bds-1/srcfiles?fileinfo=1".into(),
            answer.into_bytes(),
        ),
        (format!("/file/{right}"), file),
    ]);
    Setup::new(&[], Some(&snapshot))
        .fetch(&[Input::Source(&source)])
        .unwrap();
    assert_eq!(snapshot.requests().len(), 2);
}

#[test]
fn strange_answers_of_the_snapshot_archive_are_errors() {
    for answer in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"result": [{"hash": 1}]}"#,
        r#"{"result": [{"hash": "ab"}]}"#,
    ] {
        let snapshot = Server::start(move |_| Reply::ok(answer.as_bytes()));
        let failure = Setup::new(&[], Some(&snapshot)).fetch_one(b"x").unwrap_err();
        assert!(
            failure.to_string().contains("snapshot archive"),
            "{answer}: {failure}"
        );
    }
    let endless = Server::start(|_| Reply::ok(&vec![b' '; 5 << 20]).without_length());
    let failure = Setup::new(&[], Some(&endless)).fetch_one(b"x").unwrap_err();
    assert!(failure.to_string().contains("larger than"), "{failure}");
}

#[test]
fn without_any_source_the_error_says_what_to_set() {
    let text = Setup::new(&[], None).fetch_one(b"x").unwrap_err().to_string();
    assert!(text.contains("set DEBIAN_MIRROR"), "{text}");
}
