//! What needs no AWS: the config's register, policies, help, and the words of refusals.
#![expect(clippy::unwrap_used, reason = "what a test cannot set up is a failed test")]

use std::path::PathBuf;
use std::process::{Command, Output};

use kms_policy::request::{Bindings, ImagePcrs, PolicyRequest, Roles};
use serde_json::{Value, json};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nitro-operator"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// Fields in another order, with white space: it is the canonical text that counts.
const CONFIG: &str = r#"{ "stacks": ["0F9E8D7C-0000-4000-8000-00000000000A"], "schema": 1, "network": "hoodi",
  "region": "eu-central-1",
  "kms_key_arn": "arn:aws:kms:eu-central-1:111122223333:key/12345678-0000-4000-8000-000000000001",
  "client_authentication": "known-clients", "slashing_store": {"kind": "memory"}, "outbound": [],
  "artefact_versions": {"tls_key": 1, "slashing_credential": 0, "clients": 2} }"#;
const CANONICAL: &str = r#"{"artefact_versions":{"clients":2,"slashing_credential":0,"tls_key":1},"client_authentication":"known-clients","kms_key_arn":"arn:aws:kms:eu-central-1:111122223333:key/12345678-0000-4000-8000-000000000001","network":"hoodi","outbound":[],"region":"eu-central-1","schema":1,"slashing_store":{"kind":"memory"},"stacks":["0f9e8d7c-0000-4000-8000-00000000000a"]}"#;
/// Of [`CANONICAL`], by Python's `hashlib`: `sha384(text)` and `sha384(bytes(48) + sha384(text).digest())`.
const SHA384: &str =
    "8bcd43551fc772760477a128849b6750d43d4968f4f910240f697d1c7bfaffdc9806b30e49cf54c1a3612a5c434646ed";
const PCR16: &str =
    "57fe9ea126c3a36cfbd96dbe17f15ef14e4d699695c19fea18e2c26935fea4defd88838026d448e7afa28efa402e10dc";

#[test]
fn the_register_is_that_of_the_canonical_text() {
    let folder = Folder::new();
    let config = folder.file("config.json", CONFIG);
    let output = run(&["config", "show", "--config", &config]);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("{CANONICAL}\n")
    );
    let output = run(&["--json", "config", "hash", "--config", &config]);
    let hashes: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(hashes, json!({"config_sha384": SHA384, "pcr16": PCR16}));
    for bad in [
        CONFIG.replace("\"schema\": 1", "\"schema\": 2"),
        CONFIG.replace("hoodi", "Hoodi"),
        CONFIG.replace("\"outbound\": [],", ""),
        CONFIG.replace("eu-central-1\",", "eu-west-1\","),
    ] {
        let config = folder.file("bad.json", &bad);
        let output = run(&["config", "hash", "--config", &config]);
        assert_eq!(output.status.code(), Some(1), "{bad}");
        assert!(words(&output).contains("bad.json"), "{}", words(&output));
    }
    let output = run(&["config", "hash"]);
    assert!(words(&output).contains("--config is missing"));
}

fn image(fill: char) -> ImagePcrs {
    let pcr = |digit: char| {
        [fill, digit]
            .iter()
            .collect::<String>()
            .repeat(48)
            .parse()
            .unwrap()
    };
    ImagePcrs {
        label: "test".to_owned(),
        pcr0: pcr('0'),
        pcr1: pcr('1'),
        pcr2: pcr('2'),
        pcr8: None,
    }
}

fn measurements(image: &ImagePcrs) -> String {
    json!({"Measurements": {
        "HashAlgorithm": "Sha384 { ... }", "PCR0": image.pcr0.to_string(), "PCR1": image.pcr1.to_string(),
        "PCR2": image.pcr2.to_string(),
    }})
    .to_string()
}

fn policy(pcr16: Option<&str>) -> String {
    let arn = |name: &str| format!("arn:aws:iam::111122223333:role/{name}");
    let bindings = Bindings {
        pcr16: pcr16.iter().map(|text| text.parse().unwrap()).collect(),
        ..Bindings::default()
    };
    let request = PolicyRequest {
        images: vec![image('a')],
        roles: Roles {
            account: "111122223333".parse().unwrap(),
            partition: "aws".parse().unwrap(),
            admins: vec![arn("admin").parse().unwrap()],
            instance: arn("instance").parse().unwrap(),
            loaders: vec![arn("operator").parse().unwrap()],
        },
        bindings,
        danger_admit_debug: false,
    };
    request.generate().unwrap().to_json()
}

#[test]
fn a_policy_is_compared_with_the_images_and_the_config() {
    let folder = Folder::new();
    let config = folder.file("config.json", CONFIG);
    let right = folder.file("right.pcrs.json", &measurements(&image('a')));
    let other = folder.file("other.pcrs.json", &measurements(&image('b')));
    let check = |policy: &str, pcrs: &str| {
        let policy = folder.file("policy.json", policy);
        let output = run(&[
            "--json", "--config", &config, "policy", "check", "--policy", &policy, "--pcrs", pcrs,
        ]);
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", words(&output)));
        (output.status.code().unwrap(), report)
    };
    let (code, report) = check(&policy(Some(PCR16)), &right);
    assert_eq!(
        (code, &report["findings"], &report["notes"]),
        (0, &json!([]), &json!([])),
        "{report}"
    );
    let (_, report) = check(&policy(None), &right);
    assert!(
        report["notes"].to_string().contains("does not ask for PCR16"),
        "{report}"
    );
    let (_, report) = check(&policy(Some(SHA384)), &right);
    assert!(
        report["notes"].to_string().contains("will be refused"),
        "{report}"
    );
    let (_, report) = check(&policy(Some(PCR16)), &other);
    assert!(
        report["findings"].to_string().contains("image-not-admitted"),
        "{report}"
    );

    let open = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:Decrypt","Resource":"*"}]}"#;
    let (code, report) = check(open, &right);
    assert_eq!((code, &report["dangerous"]), (3, &json!(true)), "{report}");
}

#[test]
fn help_and_usage() {
    let output = run(&["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    for expected in [
        "keys",
        "tls",
        "clients",
        "slashing",
        "policy",
        "Exit codes",
        "runs enclaves",
    ] {
        assert!(help.contains(expected), "{expected}");
    }
    for wrong in [
        &["keys"][..],
        &["keys", "load"],
        &["keys", "load", "--table", "t"],
        &["keys", "activate", "--table", "t", "0x12"],
    ] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
    // No option takes a secret itself.
    let output = run(&["keys", "load", "--table", "t", "--password", "x", "k"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn without_credentials_nobody_is_asked_for_a_password() {
    let folder = Folder::new();
    let config = folder.file("config.json", CONFIG);
    let output = run(&[
        "--config",
        &config,
        "keys",
        "load",
        "--table",
        "t",
        folder.0.path().to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("aws sso login"), "{}", words(&output));
}
