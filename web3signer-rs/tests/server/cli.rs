//! The shared command-line cases, against the program itself.

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

use serde::Deserialize;

use crate::support::{PUBLIC, SECRET, Server, ask, command, data, key_folder, raw_key, run};

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    config_yaml: Option<String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    exit: Option<i32>,
    stdout_regex: Option<String>,
    stderr_starts: Option<String>,
    #[serde(default)]
    runs: bool,
    #[serde(default)]
    settings: BTreeMap<String, serde_json::Value>,
}

fn cases() -> Vec<Case> {
    let text = fs::read_to_string(data("cli/cli_cases.json")).unwrap();
    let cases: Cases = serde_json::from_str(&text).unwrap();
    assert!(cases.cases.len() >= 22);
    cases.cases
}

fn check(case: &Case, output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let name = &case.name;
    assert_eq!(output.status.code(), case.expect.exit, "{name}: {stdout}{stderr}");
    if let Some(start) = &case.expect.stderr_starts {
        assert!(stderr.starts_with(start), "{name}: {stderr}");
    }
    if let Some(regex) = &case.expect.stdout_regex {
        let start = regex.strip_prefix('^').unwrap();
        assert!(stdout.starts_with(start), "{name}: {stdout}");
    }
    if case.expect.exit == Some(2) {
        assert!(
            stderr.starts_with("Error parsing parameters: "),
            "{name}: {stderr}"
        );
        assert!(!stdout.is_empty(), "{name}: neither usage nor suggestions");
    }
}

/// What the program makes of a command line, without starting it.
fn settings(case: &Case) -> web3signer_rs::cli::values::Values {
    let read_file = |_: &std::path::Path| Ok(case.config_yaml.clone().unwrap_or_default().into_bytes());
    match web3signer_rs::cli::read(&case.args, &case.env, &read_file) {
        Ok(web3signer_rs::cli::Request::Run(level, values)) => {
            web3signer_rs::config::Config::new(level, &values)
                .unwrap_or_else(|e| panic!("{}: {e}", case.name));
            *values
        }
        other => panic!("{}: {other:?}", case.name),
    }
}

fn check_settings(case: &Case) {
    let values = settings(case);
    for (name, expected) in &case.expect.settings {
        let key = format!("--{name}");
        let found: serde_json::Value = match expected {
            serde_json::Value::Bool(_) => values.flag(&key).into(),
            serde_json::Value::Number(_) => values.number(&key).into(),
            serde_json::Value::Array(_) => {
                let list: Vec<&str> = values
                    .list(&key)
                    .iter()
                    .map(|e| if e == "all" { "*" } else { e })
                    .collect();
                list.into()
            }
            _ => values.text(&key).into(),
        };
        assert_eq!(&found, expected, "{}: {name}", case.name);
    }
}

#[test]
fn every_shared_case_ends_as_it_should() {
    let folder = tempfile::tempdir().unwrap();
    for case in cases() {
        if case.expect.runs {
            check_settings(&case);
            continue;
        }
        let config = folder.path().join("config.yaml");
        fs::write(&config, case.config_yaml.as_deref().unwrap_or_default()).unwrap();
        let words: Vec<String> = case
            .args
            .iter()
            .map(|word| word.replace("CONFIG", &config.display().to_string()))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        check(&case, &command(&words, &case.env).output().unwrap());
    }
}

#[test]
fn a_configuration_file_and_the_environment_start_a_server() {
    let keys = key_folder(&[raw_key(SECRET)]);
    let config = keys.path().join("config");
    fs::write(&config, "http-listen-port: 0\nhttp-host-allowlist: [a.example, localhost]\neth2.slashing-protection-enabled: false\n").unwrap();
    let config = format!("--config-file={}", config.display());
    let environment = BTreeMap::from([(
        "WEB3SIGNER_ETH2_KEY_MANAGER_API_ENABLED".to_owned(),
        "true".to_owned(),
    )]);
    let server = Server::start_with(keys.path(), &[&config], &[], &environment);
    assert_eq!(
        ask(server.port, "GET", "/upcheck", &[("Host", "a.example:1")], b"").status,
        200
    );
    assert_eq!(
        ask(server.port, "GET", "/upcheck", &[("Host", "127.0.0.1")], b"").status,
        403
    );
    assert_eq!(
        server.get("/eth/v1/keystores").json()["data"][0]["validating_pubkey"],
        PUBLIC
    );
}

#[test]
fn what_cannot_start_ends_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing").display().to_string();
    let keystore = format!("--tls-keystore-file={missing}");
    let password = format!("--tls-keystore-password-file={missing}");
    let eth2 = ["eth2", "--slashing-protection-enabled=false"];
    for (global, cause) in [
        (
            vec![keystore.as_str(), &password, "--tls-allow-any-client=true"],
            "TLS key store",
        ),
        (
            vec!["--http-listen-host=203.0.113.1", "--http-listen-port=0"],
            "cannot listen on 203.0.113.1:0",
        ),
    ] {
        let words: Vec<&str> = global.iter().copied().chain(eth2).collect();
        let output = run(&words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.starts_with("Failed to initialize Web3Signer\nCause: "),
            "{stderr}"
        );
        assert!(stderr.contains(cause), "{stderr}");
    }
}

#[test]
fn what_does_nothing_has_a_line_in_the_log() {
    let keys = key_folder(&[raw_key(SECRET)]);
    let server = Server::start(
        keys.path(),
        &[
            "--vertx-worker-pool-size=5",
            "--logging-format=ECS",
            "--signer-load-parallel=false",
        ],
        &["--slashing-protection-enabled=false", "--Xtrusted-setup=x"],
    );
    for name in [
        "--vertx-worker-pool-size",
        "--logging-format",
        "--signer-load-parallel",
        "--Xtrusted-setup",
    ] {
        assert!(
            server.log().contains(&format!("{name} has no effect: ")),
            "{name}"
        );
    }
    assert!(server.log().contains("slashing protection is OFF"));
}

#[test]
fn signals_stop_it_and_its_file_goes() {
    let keys = key_folder(&[raw_key(SECRET)]);
    for (signal, name) in [("TERM", "SIGTERM"), ("INT", "SIGINT")] {
        let mut server = Server::plain(keys.path());
        assert!(server.folder().join("web3signer.ports").is_file());
        server.signal(signal);
        assert_eq!(server.end(), Some(0));
        assert!(server.log().contains(&format!("{name}: stopping")) && server.log().contains("stopped"));
        assert!(!server.folder().join("web3signer.ports").exists());
    }
}
