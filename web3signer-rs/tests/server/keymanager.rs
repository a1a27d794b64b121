//! The key manager: import, list, delete, and the slashing history that goes with keys.

use serde_json::{Value, json};
use std::fs;

use crate::support::{PUBLIC, SECRET, Server, ask, key_folder, raw_key};

/// A published keystore with a cheap key derivation, its password and public key.
pub(crate) fn keystore() -> (String, &'static str, String) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/keystore/tests/data/eip2335/fast_pbkdf2.json");
    let public =
        "0x989d34725a2bfc3f15105f3f5fc8741f436c25ee1ee4f948e425d6bcb8c56bce6e06c269635b7e985a7ffa639e2409bf";
    (
        fs::read_to_string(file).unwrap(),
        "testpassword",
        public.to_owned(),
    )
}

fn start(keys: &std::path::Path, more: &[&str]) -> Server {
    let journal = format!("--memory-slashing-journal={}", keys.join("journal").display());
    let mut flags = vec!["--key-manager-api-enabled=true", &journal];
    flags.extend(more);
    Server::start(keys, &[], &flags)
}

pub(crate) fn call(server: &Server, method: &str, body: &Value) -> (u16, Value) {
    let answer = ask(
        server.port,
        method,
        "/eth/v1/keystores",
        &[],
        &serde_json::to_vec(body).unwrap(),
    );
    (answer.status, answer.json())
}

#[test]
fn a_key_is_imported_lives_on_and_is_deleted_with_its_history() {
    let keys = key_folder(&[raw_key(SECRET)]);
    let (text, password, public) = keystore();
    let server = start(keys.path(), &[]);
    let history = json!({
        "metadata": {"interchange_format_version": "5", "genesis_validators_root": "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"},
        "data": [{"pubkey": public, "signed_blocks": [{"slot": "99999999999"}], "signed_attestations": [{"source_epoch": "10", "target_epoch": "9999999999"}]}]
    });
    let import = json!({"keystores": [text, text], "passwords": [password, password], "slashing_protection": history.to_string()});
    let (status, answer) = call(&server, "POST", &import);
    assert_eq!(
        (status, &answer["data"][0]["status"], &answer["data"][1]["status"]),
        (200, &json!("imported"), &json!("duplicate")),
        "{answer}"
    );
    assert_eq!(call(&server, "POST", &import).1["data"][0]["status"], "duplicate");
    let listed = server.get("/eth/v1/keystores").json();
    assert!(
        listed["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|key| key["validating_pubkey"] == public && key["readonly"] == false),
        "{listed}"
    );
    assert!(
        !server.log().contains(password) && !server.log().contains("crypto"),
        "{}",
        server.log()
    );
    drop(server);

    let server = start(keys.path(), &[]);
    assert!(server.get("/api/v1/eth2/publicKeys").text().contains(&public));
    let names = json!({"pubkeys": [public, PUBLIC, format!("0x{}", "ab".repeat(48))]});
    let (status, answer) = call(&server, "DELETE", &names);
    assert_eq!(status, 200, "{answer}");
    let statuses: Vec<&Value> = answer["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["status"])
        .collect();
    assert_eq!(
        statuses,
        [&json!("deleted"), &json!("error"), &json!("not_found")],
        "{answer}"
    );
    let exported: Value = serde_json::from_str(answer["slashing_protection"].as_str().unwrap()).unwrap();
    let entry = exported["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["pubkey"] == public)
        .unwrap();
    assert_eq!(entry["signed_attestations"][0]["target_epoch"], "9999999999");
    let (_, again) = call(&server, "DELETE", &json!({"pubkeys": [public]}));
    assert_eq!(again["data"][0]["status"], "not_active", "{again}");
    assert!(!server.get("/api/v1/eth2/publicKeys").text().contains(&public));
    for end in ["yaml", "json", "password"] {
        let name = format!("{}.{end}", &public[2..]);
        assert!(
            !keys.path().join(&name).exists() && !keys.path().join(format!("0x{name}")).exists(),
            "{name}"
        );
    }
}

#[test]
fn what_cannot_be_imported_changes_nothing() {
    let keys = key_folder(&[raw_key(SECRET)]);
    let (text, password, public) = keystore();
    let server = start(keys.path(), &[]);
    let wrong_chain = json!({"metadata": {"interchange_format_version": "5", "genesis_validators_root": format!("0x{}", "11".repeat(32))}, "data": [{"pubkey": public, "signed_blocks": [], "signed_attestations": []}]});
    for slashing in ["{".to_owned(), "[]".to_owned(), wrong_chain.to_string()] {
        let (status, _) = call(
            &server,
            "POST",
            &json!({"keystores": [text], "passwords": [password], "slashing_protection": slashing}),
        );
        assert_eq!(status, 400, "{slashing}");
    }
    let (status, answer) = call(
        &server,
        "POST",
        &json!({"keystores": [text], "passwords": ["wrong"]}),
    );
    assert_eq!((status, &answer["data"][0]["status"]), (200, &json!("error")));
    for bad in [json!({"pubkeys": ["0x12"]}), json!({"pubkeys": "x"}), json!([])] {
        assert_eq!(call(&server, "DELETE", &bad).0, 400, "{bad}");
    }
    assert_eq!(server.get("/api/v1/eth2/publicKeys").json(), json!([PUBLIC]));
}

#[test]
fn without_storage_a_key_is_gone_after_a_restart() {
    let keys = key_folder(&[raw_key(SECRET)]);
    let (text, password, public) = keystore();
    let server = start(keys.path(), &["--Xkey-manager-skip-keystore-storage"]);
    let (_, answer) = call(
        &server,
        "POST",
        &json!({"keystores": [text], "passwords": [password]}),
    );
    assert_eq!(answer["data"][0]["status"], "imported", "{answer}");
    assert!(server.get("/api/v1/eth2/publicKeys").text().contains(&public));
    drop(server);
    assert_eq!(
        start(keys.path(), &[]).get("/api/v1/eth2/publicKeys").json(),
        json!([PUBLIC])
    );
}
