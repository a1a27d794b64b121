//! The shared HTTP cases, and the corners of the protocol that they leave out.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;
use serde_json::Value;

use crate::support::{Answer, PUBLIC, SECRET, Server, ask, data, key_folder, raw, raw_key};

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    setup: String,
    request: Asked,
    expect: Expect,
}

#[derive(Deserialize)]
struct Asked {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body_json: Option<Value>,
    body_raw: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    status: u16,
    content_type: Option<String>,
    body_text: Option<String>,
    body_json: Option<Value>,
    body_json_set: Option<Vec<Value>>,
    json_contains: Option<Value>,
    json_has: Option<Vec<String>>,
    #[serde(rename = "note")]
    _note: Option<String>,
    #[serde(rename = "note_old")]
    _old: Option<String>,
    #[serde(rename = "note_new")]
    _new: Option<String>,
}

/// Every member of `part` is in `whole`, down to the leaves; of a list, the first elements.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|found| contains(found, value))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() >= part.len()
                && whole
                    .iter()
                    .zip(part)
                    .all(|(found, value)| contains(found, value))
        }
        _ => whole == part,
    }
}

fn check(case: &Case, answer: &Answer) {
    let (name, expect) = (&case.name, &case.expect);
    assert_eq!(answer.status, expect.status, "{name}: {answer:?}");
    if let Some(kind) = &expect.content_type {
        assert_eq!(answer.kind(), kind, "{name}");
    }
    if let Some(text) = &expect.body_text {
        assert_eq!(&answer.text(), text, "{name}");
    }
    if let Some(json) = &expect.body_json {
        assert!(contains(&answer.json(), json), "{name}: {answer:?}");
    }
    if let Some(set) = &expect.body_json_set {
        let found = answer.json();
        let found = found.as_array().unwrap();
        assert!(
            found.len() == set.len() && set.iter().all(|value| found.contains(value)),
            "{name}"
        );
    }
    if let Some(part) = &expect.json_contains {
        assert!(contains(&answer.json(), part), "{name}: {answer:?}");
    }
    for key in expect.json_has.iter().flatten() {
        assert!(answer.json().get(key).is_some(), "{name}: {key}");
    }
}

fn server(setup: &str) -> (Server, tempfile::TempDir) {
    let off = "--slashing-protection-enabled=false";
    let (keys, flags) = match setup {
        "default" => (vec![raw_key(SECRET)], vec![off.to_owned()]),
        "no_keys" => (vec![], vec![off.to_owned()]),
        "one_bad_key_file" => (
            vec![raw_key(SECRET), "type: [broken".to_owned()],
            vec![off.to_owned()],
        ),
        "key_manager" => (
            vec![raw_key(SECRET)],
            vec![off.to_owned(), "--key-manager-api-enabled=true".to_owned()],
        ),
        "slashing" => (vec![raw_key(SECRET)], vec![]),
        other => panic!("no setup {other}"),
    };
    let keys = key_folder(&keys);
    let mut flags = flags;
    if flags.is_empty() {
        flags.push(format!(
            "--memory-slashing-journal={}",
            keys.path().join("journal").display()
        ));
    }
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    (Server::start(keys.path(), &[], &flags), keys)
}

#[test]
fn every_shared_case_is_answered_as_it_should() {
    let text = fs::read_to_string(data("http/http_cases.json")).unwrap();
    let cases: Cases = serde_json::from_str(&text).unwrap();
    assert!(cases.cases.len() >= 45);
    let mut servers = BTreeMap::new();
    for case in &cases.cases {
        let (server, _) = servers
            .entry(case.setup.clone())
            .or_insert_with(|| server(&case.setup));
        let asked = &case.request;
        let headers: Vec<(&str, &str)> = asked
            .headers
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        let body = match (&asked.body_json, &asked.body_raw) {
            (Some(json), _) => serde_json::to_vec(json).unwrap(),
            (None, Some(raw)) => raw.clone().into_bytes(),
            (None, None) => Vec::new(),
        };
        check(
            case,
            &ask(server.port, &asked.method, &asked.path, &headers, &body),
        );
    }
}

fn plain() -> (Server, tempfile::TempDir) {
    server("default")
}

#[test]
fn errors_are_json_with_a_code_and_a_message() {
    let (server, _keys) = plain();
    for (answer, code) in [
        (server.get("/nothing"), 404),
        (ask(server.port, "DELETE", "/upcheck", &[], b""), 405),
        (
            ask(
                server.port,
                "GET",
                "/upcheck",
                &[("Accept", "application/json")],
                b"",
            ),
            406,
        ),
        (
            ask(
                server.port,
                "POST",
                &format!("/api/v1/eth2/sign/{PUBLIC}"),
                &[],
                b"{}",
            ),
            400,
        ),
    ] {
        assert_eq!(answer.status, code);
        assert_eq!(answer.json()["code"], code);
        assert!(
            answer.json()["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
    }
}

#[test]
fn the_host_check() {
    let (server, _keys) = plain();
    for (host, status) in [
        ("evil.example", 403),
        ("", 403),
        ("localhost", 200),
        ("127.0.0.1:80", 200),
        ("LOCALHOST", 200),
    ] {
        let answer = ask(server.port, "GET", "/upcheck", &[("Host", host)], b"");
        assert_eq!(answer.status, status, "{host:?}");
        if status == 403 {
            assert_eq!(
                answer.json(),
                serde_json::json!({"message": "Host not authorized."})
            );
        }
    }
    for (bytes, status) in [
        ("GET /upcheck HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        ("GET /upcheck HTTP/1.0\r\n\r\n", 403),
        (
            "GET /upcheck HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n",
            400,
        ),
        (
            "GET http://evil.example/upcheck HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            403,
        ),
    ] {
        assert_eq!(
            raw(server.port, bytes.as_bytes()).unwrap().status,
            status,
            "{bytes}"
        );
    }
}

#[test]
fn pages_of_browsers_are_refused_unless_they_are_listed() {
    let (server, keys) = plain();
    let origin = ("Origin", "https://page.example");
    assert_eq!(ask(server.port, "GET", "/upcheck", &[origin], b"").status, 403);
    let flags = ["--slashing-protection-enabled=false"];
    let server = Server::start(keys.path(), &["--http-cors-origins=https://page.example"], &flags);
    let answer = ask(server.port, "GET", "/upcheck", &[origin], b"");
    assert_eq!(
        (
            answer.status,
            answer.headers["access-control-allow-origin"].as_str()
        ),
        (200, "https://page.example")
    );
    let asks = ("Access-Control-Request-Method", "POST");
    assert_eq!(
        ask(server.port, "OPTIONS", "/upcheck", &[origin, asks], b"").status,
        204
    );
    assert_eq!(
        ask(
            server.port,
            "GET",
            "/upcheck",
            &[("Origin", "https://other.example")],
            b""
        )
        .status,
        403
    );
}

#[test]
fn a_body_above_ten_mebibytes_is_refused() {
    let (server, _keys) = plain();
    let path = format!("/api/v1/eth2/sign/{PUBLIC}");
    let mut body = vec![b' '; 10 << 20];
    assert_eq!(ask(server.port, "POST", &path, &[], &body).status, 400);
    body.push(b' ');
    assert_eq!(ask(server.port, "POST", &path, &[], &body).status, 413);
    let mut chunked = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    .into_bytes();
    for _ in 0..11 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.extend_from_slice(&vec![b' '; 1 << 20]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(raw(server.port, &chunked).unwrap().status, 413);
}

#[test]
fn the_signing_extension_signs_the_body_as_it_came() {
    let keys = key_folder(&[raw_key(SECRET)]);
    let flags = ["--slashing-protection-enabled=false", "--Xsigning-ext-enabled"];
    let server = Server::start(keys.path(), &[], &flags);
    let path = format!("/api/v1/eth2/ext/sign/{PUBLIC}");
    let body = br#"{"type":"PROOF_OF_VALIDATION", "platform":"p","timestamp":"1"}"#;
    let answer = ask(server.port, "POST", &path, &[], body);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["payload"], base64_of(body));
    let mut secret = [0; 32];
    hex::decode_to_slice(&SECRET[2..], &mut secret).unwrap();
    let expected = keystore::SecretKey::from_bytes(&secret).unwrap().sign(body);
    assert_eq!(
        answer.json()["signature"],
        format!("0x{}", hex::encode(expected.to_bytes()))
    );
    for bad in [
        &b"{}"[..],
        b"",
        br#"{"type":"PROOF_OF_VALIDATION","platform":"p","timestamp":"1","x":1}"#,
        br#"{"type":"OTHER","platform":"p","timestamp":"1"}"#,
    ] {
        assert_eq!(ask(server.port, "POST", &path, &[], bad).status, 400);
    }
    let other = path.replace("0x8349", "0x8348");
    assert_eq!(ask(server.port, "POST", &other, &[], body).status, 404);
    let (without, _keys) = plain();
    assert_eq!(ask(without.port, "POST", &path, &[], body).status, 404);
}

fn base64_of(bytes: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    Base64::encode_string(bytes)
}

#[test]
fn metrics_have_a_port_of_their_own() {
    let keys = key_folder(&[raw_key(SECRET)]);
    let server = Server::start(
        keys.path(),
        &["--metrics-enabled"],
        &["--slashing-protection-enabled=false"],
    );
    let metrics = server.metrics.unwrap();
    assert_eq!(server.sign(PUBLIC, &serde_json::json!({})).status, 400);
    let page = ask(metrics, "GET", "/metrics", &[], b"");
    assert_eq!(page.status, 200);
    assert!(page.kind().starts_with("text/plain; version=0.0.4"));
    for line in [
        "http_bls_malformed_request_count_total 1",
        "signing_signers_loaded_count 1",
    ] {
        assert!(
            page.text().lines().any(|found| found == line),
            "{line}: {}",
            page.text()
        );
    }
    assert_eq!(ask(metrics, "GET", "/upcheck", &[], b"").status, 404);
    assert_eq!(
        ask(metrics, "GET", "/metrics", &[("Host", "evil.example")], b"").status,
        403
    );
    assert_eq!(server.get("/metrics").status, 404);
}

#[test]
fn a_reload_finds_new_keys_and_drops_lost_ones() {
    let keys = key_folder(&[raw_key(SECRET)]);
    let server = Server::plain(keys.path());
    let other = "0x000000000000000000000000000000000000000000000000000000000000002a";
    fs::write(keys.path().join("other.yaml"), raw_key(other)).unwrap();
    fs::remove_file(keys.path().join("key0.yaml")).unwrap();
    assert_eq!(server.get("/reload").json()["status"], "idle");
    assert_eq!(ask(server.port, "POST", "/reload", &[], b"").status, 202);
    server.wait_for("reload is complete");
    assert_eq!(server.get("/reload").json()["status"], "completed");
    let listed = server.get("/api/v1/eth2/publicKeys").json();
    assert!(
        listed.as_array().unwrap().len() == 1 && listed[0] != PUBLIC,
        "{listed}"
    );
    fs::write(keys.path().join("broken.yaml"), "type: [").unwrap();
    server.signal("HUP");
    server.wait_for_count("reload is complete", 2);
    assert_eq!(server.get("/reload").json()["status"], "completed_with_errors");
    assert_eq!(server.get("/healthcheck").status, 503);
}
