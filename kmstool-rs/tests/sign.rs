//! Signatures against AWS's published vectors.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a failed assumption should fail the test; the folder's order does not matter"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kmstool_rs::credentials::Credentials;
use kmstool_rs::secret::Secret;
use kmstool_rs::sign::{Unsigned, sign};
use serde_json::Value;

/// 2015-08-30T12:36:00Z, the time of every vector.
const TIME: Duration = Duration::from_mins(24_015_636);

struct Request {
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    body: String,
}

fn request(text: &str) -> Request {
    let (head, body) = text.split_once("\n\n").unwrap_or_else(|| (text.trim_end(), ""));
    let mut lines = head.lines();
    let mut words = lines.next().unwrap().split(' ');
    let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        match line.split_once(':') {
            Some((name, value)) if !line.starts_with(' ') => {
                headers.push((name.to_lowercase(), value.to_owned()));
            }
            _ => headers.last_mut().unwrap().1.extend([" ", line.trim()]),
        }
    }
    Request {
        method,
        uri: format!("https://example.amazonaws.com{path}"),
        headers,
        body: body.to_owned(),
    }
}

fn credentials(context: &Value) -> Credentials {
    let part = |name: &str| {
        context["credentials"][name]
            .as_str()
            .map(|text| Secret::new(text.to_owned()))
    };
    Credentials::new(
        part("access_key_id").unwrap(),
        part("secret_access_key").unwrap(),
        part("token"),
    )
    .unwrap()
}

fn authorization(folder: &Path) -> String {
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let context: Value = serde_json::from_str(&read("context.json")).unwrap();
    assert_eq!(context["timestamp"], "2015-08-30T12:36:00Z");
    let mut request = request(&read("request.txt"));
    if context["sign_body"] == true {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, request.body.as_bytes());
        request
            .headers
            .push(("x-amz-content-sha256".to_owned(), hex::encode(digest)));
    }
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let unsigned = Unsigned {
        method: &request.method,
        uri: &request.uri,
        headers: &headers,
        body: request.body.as_bytes(),
    };
    let time = SystemTime::UNIX_EPOCH + TIME;
    let added = sign(&unsigned, &credentials(&context), "us-east-1", "service", time).unwrap();
    assert!(
        !format!("{added:?}").contains("Signature="),
        "headers are marked as sensitive"
    );
    let find = |name: &str| {
        added
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.to_str().unwrap())
    };
    assert_eq!(find("x-amz-date"), Some("20150830T123600Z"));
    assert_eq!(
        find("x-amz-security-token"),
        context["credentials"]["token"].as_str()
    );
    find("authorization").unwrap().to_owned()
}

#[test]
fn published_vectors() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/sigv4");
    let folders: Vec<_> = fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(folders.len(), 27);
    for folder in folders {
        let signed = fs::read_to_string(folder.join("header-signed-request.txt")).unwrap();
        let expected = signed
            .lines()
            .find_map(|line| line.strip_prefix("Authorization:"))
            .unwrap();
        assert_eq!(authorization(&folder), expected, "{}", folder.display());
    }
}
