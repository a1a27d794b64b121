//! The scripts that workflows call: what a change does to PCRs, and what is known to be vulnerable in an image.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed step is a failed test"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use serde_json::{Value, json};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../scripts")
        .join(name)
}

fn said(output: &Output) -> String {
    String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap()
}

#[test]
fn a_comment_names_what_moved_and_repeats_nothing_foreign() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, pcr0: &str| {
        let path = dir.path().join(name);
        let (one, two) = ("b".repeat(96), "c".repeat(96));
        let text =
            json!({"EifSha256": "e".repeat(64), "Measurements": {"PCR0": pcr0, "PCR1": one, "PCR2": two}});
        fs::write(&path, format!("{text:#}\n")).unwrap();
        path
    };
    let (a, d) = ("a".repeat(96), "d".repeat(96));
    let comment = |image: &str, base: &Path, built: &Path| {
        let output = Command::new(script("pcr-comment.sh"))
            .arg(image)
            .args([base, built])
            .output()
            .unwrap();
        (output.status.code(), said(&output))
    };
    let (base, same, moved) = (file("base", &a), file("same", &a), file("moved", &d));
    let (code, text) = comment("native", &base, &same);
    assert_eq!(code, Some(0));
    assert!(
        text.contains("Nothing moved") && !text.contains("**PCR"),
        "{text}"
    );
    let (_, text) = comment("native", &base, &moved);
    assert!(text.contains(&format!("| **PCR0** | `{a}` | `{d}` |")), "{text}");
    assert!(
        text.contains("**PCR0 moved.**") && text.contains("| PCR1 | `bbbbbbbbbbbbbbbb…` | unchanged |"),
        "{text}"
    );
    let (_, text) = comment("native", &dir.path().join("absent"), &moved);
    assert!(text.contains("**PCR0 PCR1 PCR2 EifSha256 moved.**"), "{text}");
    let hostile = file("hostile", "](http://x.invalid)<img src=x>");
    let (_, text) = comment("native", &base, &hostile);
    assert!(!text.contains("x.invalid") && text.contains("`absent`"), "{text}");
    assert_eq!(comment("a`b", &base, &same).0, Some(2));
}

/// A database that knows `answers` by package name; gives its base address.
fn database(answers: Value, vulnerabilities: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming().take(16) {
            let mut socket = BufReader::new(socket.unwrap());
            let (mut line, mut length) = (String::new(), 0);
            socket.read_line(&mut line).unwrap();
            loop {
                let mut header = String::new();
                socket.read_line(&mut header).unwrap();
                let header = header.trim().to_lowercase();
                if let Some(value) = header.strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                }
                if header.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            socket.read_exact(&mut body).unwrap();
            let answer = if let Some(identity) = line.split(' ').nth(1).unwrap().strip_prefix("/v1/vulns/") {
                vulnerabilities[identity].clone()
            } else {
                let asked: Value = serde_json::from_slice(&body).unwrap();
                let result = |query: &Value| {
                    let package = &query["package"];
                    let name = package["purl"].as_str().or_else(|| package["name"].as_str()).unwrap();
                    let answer = answers.get(name).cloned().unwrap_or_else(|| json!({}));
                    let Some(pages) = answer["pages"].as_array() else {
                        return answer;
                    };
                    // The token is the number of the page.
                    let page: usize = query["page_token"].as_str().map_or(0, |token| token.parse().unwrap());
                    let mut answer = pages[page].clone();
                    if page + 1 < pages.len() {
                        answer["next_page_token"] = json!((page + 1).to_string());
                    }
                    answer
                };
                json!({"results": asked["queries"].as_array().unwrap().iter().map(result).collect::<Vec<_>>()})
            }
            .to_string();
            write!(socket.get_mut(), "HTTP/1.0 200 OK\r\n\r\n{answer}").unwrap();
        }
    });
    format!("http://{address}")
}

fn document() -> Value {
    let deb = |name: &str, version: &str, source: &str, source_version: &str| {
        json!({"name": name, "version": version, "purl": format!("pkg:deb/debian/{name}@{version}?arch=amd64&distro=trixie"),
               "properties": [{"name": "nitro-web3signer:source", "value": source},
                              {"name": "nitro-web3signer:source-version", "value": source_version}]})
    };
    json!({"components": [
        {"name": "serde", "version": "1.0.0", "purl": "pkg:cargo/serde@1.0.0"},
        deb("libc6", "2.41-12+b1", "glibc", "2.41-12"),
        deb("libc6-dev", "2.41-12", "glibc", "2.41-12"),
        {"name": "init", "version": "0.1.0", "purl": "pkg:generic/init@0.1.0"},
    ]})
}

fn scan(dir: &Path, document: &Value, api: &str, accepted: &str) -> (Option<i32>, String) {
    fs::write(dir.join("sbom"), document.to_string()).unwrap();
    fs::write(dir.join("accepted"), accepted).unwrap();
    let output = Command::new("python3")
        .arg(script("sbom-scan.py"))
        .arg(dir.join("sbom"))
        .args(["--api", api, "--accepted"])
        .arg(dir.join("accepted"))
        .env("no_proxy", "127.0.0.1")
        .output()
        .unwrap();
    (output.status.code(), said(&output))
}

#[test]
fn findings_count_when_something_can_be_done() {
    let dir = tempfile::tempdir().unwrap();
    let affected = |fixed: &str| {
        json!([{"package": {"ecosystem": "Debian:13", "name": "glibc"},
                "ranges": [{"events": [{"introduced": "0"}, {"fixed": fixed}]}]}])
    };
    let known = || {
        let found = json!({"pkg:cargo/serde@1.0.0": {"vulns": [{"id": "RUSTSEC-1"}]},
                           "glibc": {"pages": [{"vulns": [{"id": "DEBIAN-3"}, {"id": "DEBIAN-2"}]}, {},
                                               {"vulns": [{"id": "DEBIAN-1"}]}]}});
        let texts = json!({
            "RUSTSEC-1": {"summary": "it panics", "aliases": ["CVE-1"]},
            "DEBIAN-1": {"summary": "fixed since", "affected": affected("2.41-13")},
            "DEBIAN-2": {"summary": "nobody has fixed it", "affected": [{"package": {"ecosystem": "Debian:13", "name": "glibc"}}]},
            "DEBIAN-3": {"summary": "fixed before", "affected": affected("2.41-9")},
        });
        database(found, texts)
    };
    let (code, text) = scan(dir.path(), &document(), &known(), "");
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("RUSTSEC-1 serde 1.0.0: it panics"), "{text}");
    assert!(
        text.contains("DEBIAN-1 glibc 2.41-12: fixed since; 2.41-13 has the fix: make lock"),
        "{text}"
    );
    assert!(!text.contains("DEBIAN-2") && !text.contains("DEBIAN-3"), "{text}");
    let (code, text) = scan(
        dir.path(),
        &document(),
        &known(),
        "CVE-1 unreachable\nDEBIAN-1 until June # note\n",
    );
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = scan(dir.path(), &document(), &known(), "CVE-1\n");
    assert!(code != Some(0) && text.contains("no reason"), "{text}");
}

/// Asked for by its own name, a binary package would be found free of faults.
#[test]
fn a_package_without_its_source_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let empty = database(json!({}), json!({}));
    for (from, to) in [
        (":source\"", ":sauce\""),
        (":source-version\"", ":sauce-version\""),
        ("distro=trixie", "distro=sid"),
    ] {
        let spoilt = document().to_string().replace(from, to);
        let (code, text) = scan(dir.path(), &serde_json::from_str(&spoilt).unwrap(), &empty, "");
        assert!(
            code == Some(1) && text.contains("names no source package"),
            "{to}: {text}"
        );
    }
}

#[test]
fn a_scan_that_asked_nothing_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let empty = database(json!({}), json!({}));
    assert_eq!(scan(dir.path(), &document(), &empty, "").0, Some(0));
    assert_eq!(
        scan(dir.path(), &json!({"components": []}), &empty, "").0,
        Some(1)
    );
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(
        scan(dir.path(), &document(), &format!("http://{free}"), "").0,
        Some(1)
    );
}
