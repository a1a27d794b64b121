//! `keys`: what gets into the table, what never does, and what a cut or a full table does to it.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::artefact::key_context;
use serde_json::{Value, json};

use crate::support::{Deployment, PLANTED, STACK, items, make_table, pubkey, put, stderr, write_keystore};

fn load<'a>(deployment: &'a Deployment, more: &[&'a str], folder: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["keys", "load", "--table", &deployment.validators];
    arguments.extend(more);
    arguments.push(folder);
    arguments
}

fn folder(deployment: &Deployment, numbers: std::ops::RangeInclusive<u8>) -> String {
    let folder = deployment.path("keys");
    for number in numbers {
        write_keystore(&folder, number, None);
    }
    folder.to_str().unwrap().to_owned()
}

fn in_table(deployment: &Deployment) -> BTreeSet<String> {
    let items = items(&deployment.validators);
    items
        .iter()
        .map(|item| item["pubkey"]["S"].as_str().unwrap().to_owned())
        .collect()
}

fn plaintext(deployment: &Deployment, number: u8) -> Value {
    let items = items(&deployment.validators);
    let item = items
        .iter()
        .find(|item| item["pubkey"]["S"] == pubkey(number))
        .unwrap();
    let ciphertext = item["encrypted_key_password_mnemonic_b64"]["S"].as_str().unwrap();
    let context = key_context(&STACK.parse().unwrap(), &pubkey(number).parse().unwrap());
    let mut other = context.clone();
    other.insert(
        "nitro-web3signer:stack".to_owned(),
        "00000000-0000-4000-8000-000000000000".to_owned(),
    );
    assert_eq!(
        deployment.decrypt(ciphertext, &other),
        None,
        "bound to its context"
    );
    deployment.decrypt(ciphertext, &context).unwrap()
}

/// A folder of staking-deposit-cli with everything else that lies about: the item has every column of the guidance.
#[test]
fn a_folder_becomes_items_that_open_under_their_context() {
    let deployment = Deployment::new();
    let keys = folder(&deployment, 1..=3);
    let deposit = json!([{"pubkey": &pubkey(2)[2..], "amount": 32_000_000_000_u64, "network_name": "hoodi"}]);
    let place = deployment.path("keys");
    std::fs::write(place.join("deposit_data-1.json"), deposit.to_string()).unwrap();
    std::fs::write(place.join("notes.json"), "{\"hello\":1}").unwrap();
    std::fs::write(place.join("README"), "x").unwrap();
    let report = deployment.ok(&load(&deployment, &[], &keys));
    assert_eq!(report["written"].as_array().unwrap().len(), 3);
    assert_eq!(report["ignored"].as_array().unwrap().len(), 2);

    let item = &items(&deployment.validators)
        .into_iter()
        .find(|item| item["pubkey"]["S"] == pubkey(2))
        .unwrap();
    let columns: Vec<&String> = item.as_object().unwrap().keys().collect();
    let expected = [
        "active",
        "chain",
        "datetime",
        "deposit_json_b64",
        "encrypted_key_password_mnemonic_b64",
        "pubkey",
        "web3signer_uuid",
    ];
    assert_eq!(columns, expected);
    assert_eq!(
        (&item["active"]["BOOL"], &item["chain"]["S"]),
        (&json!(true), &json!("hoodi"))
    );
    assert_eq!(item["web3signer_uuid"]["S"], STACK);
    let stored = STANDARD
        .decode(item["deposit_json_b64"]["S"].as_str().unwrap())
        .unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&stored).unwrap(), deposit[0]);

    let plain = plaintext(&deployment, 2);
    let opened = STANDARD.decode(plain["keystore_b64"].as_str().unwrap()).unwrap();
    let file = std::fs::read(place.join("keystore-m_12381_3600_002_0_0.json")).unwrap();
    assert_eq!(opened, file);
    assert_eq!(
        STANDARD.decode(plain["password_b64"].as_str().unwrap()).unwrap(),
        format!("{PLANTED} 2").as_bytes()
    );
    assert_eq!(plain.as_object().unwrap().len(), 2);
    let told = deployment.front.state.bodies.lock().unwrap().clone();
    assert!(
        !String::from_utf8_lossy(&told).contains(PLANTED),
        "DynamoDB gets ciphertexts only"
    );
}

#[test]
fn compact_is_the_secret_key_alone() {
    let deployment = Deployment::new();
    let keys = folder(&deployment, 42..=42);
    deployment.ok(&load(&deployment, &["--compact"], &keys));
    let expected = json!({"secret_key": format!("0x{}2a", "00".repeat(31))});
    assert_eq!(plaintext(&deployment, 42), expected);
}

#[test]
fn a_dry_run_verifies_and_changes_nothing() {
    let deployment = Deployment::new();
    let keys = folder(&deployment, 1..=2);
    write_keystore(&deployment.path("keys"), 3, Some("wrong"));
    let output = deployment.run(&load(&deployment, &["--dry-run"], &keys));
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["written"].as_array().unwrap().len(), 2);
    assert!(report["bad"][0].as_str().unwrap().contains("003"), "{report}");
    assert_eq!(
        deployment.front.asked("Encrypt") + deployment.front.asked("BatchWriteItem"),
        0
    );
    assert!(in_table(&deployment).is_empty());
}

#[test]
fn a_wrong_password_stops_its_batch_and_may_be_skipped() {
    let deployment = Deployment::new();
    let keys = folder(&deployment, 1..=2);
    write_keystore(&deployment.path("keys"), 3, Some("wrong"));
    let words = deployment.refused(&load(&deployment, &[], &keys));
    assert!(
        words.contains("keystore-m_12381_3600_003_0_0.json") && words.contains("--skip-bad"),
        "{words}"
    );
    assert!(in_table(&deployment).is_empty());
    let output = deployment.run(&load(&deployment, &["--skip-bad"], &keys));
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(in_table(&deployment), BTreeSet::from([pubkey(1), pubkey(2)]));
}

#[test]
fn a_mixed_folder_is_refused_before_anything_is_written() {
    let deployment = Deployment::new();
    let keys = folder(&deployment, 1..=2);
    let place = deployment.path("keys");
    let first = std::fs::read_to_string(place.join("keystore-m_12381_3600_001_0_0.json")).unwrap();
    let bad: [(&str, String, &str); 5] = [
        ("keystore-again.json", first.clone(), "has the key of"),
        (
            "keystore-v3.json",
            first.replace("\"version\": 4", "\"version\": 3"),
            "version is 3",
        ),
        (
            "keystore-cut.json",
            first[..first.len() / 2].to_owned(),
            "not a JSON object",
        ),
        ("wallet.json", "{\"crypto\":{}}".to_owned(), "not a keystore"),
        (
            "deposit_data-2.json",
            json!([{"pubkey": &pubkey(1)[2..], "network_name": "mainnet"}]).to_string(),
            "mainnet",
        ),
    ];
    for (name, text, expected) in bad {
        std::fs::write(place.join(name), text).unwrap();
        let words = deployment.refused(&load(&deployment, &[], &keys));
        assert!(words.contains(expected), "{name}: {words}");
        assert!(in_table(&deployment).is_empty(), "{name}");
        std::fs::remove_file(place.join(name)).unwrap();
    }
    let missing = deployment.path("absent").to_str().unwrap().to_owned();
    assert!(
        deployment
            .refused(&load(&deployment, &[], &missing))
            .contains("absent")
    );
}

/// What is there stays: an inactive key inactive, an active one with its ciphertext.
#[test]
fn what_the_table_has_is_never_written_again() {
    let deployment = Deployment::new();
    let keys = folder(&deployment, 1..=2);
    let old = |number, active: Value| {
        let item = json!({
            "web3signer_uuid": {"S": STACK}, "pubkey": {"S": pubkey(number)}, "active": active,
            "encrypted_key_password_mnemonic_b64": {"S": "QUJD"},
        });
        put(&deployment.validators, &item);
        item
    };
    let before = [old(1, json!({"S": "true"})), old(2, json!({"BOOL": false}))];
    let report = deployment.ok(&load(&deployment, &[], &keys));
    assert_eq!(
        (
            &report["written"],
            &report["already_active"][0],
            &report["already_inactive"][0]
        ),
        (&json!([]), &json!(pubkey(1)), &json!(pubkey(2)))
    );
    for item in before {
        assert!(items(&deployment.validators).contains(&item));
    }
    assert_eq!(deployment.front.asked("Encrypt"), 0);
}

#[test]
fn leftovers_and_throttling_lose_nothing_and_double_nothing() {
    let deployment = Deployment::new();
    let keys = folder(&deployment, 1..=30);
    deployment.front.state.leave_over.store(3, Ordering::SeqCst);
    deployment.front.state.throttle.store(2, Ordering::SeqCst);
    let report = deployment.ok(&load(&deployment, &["--jobs", "4"], &keys));
    assert_eq!(report["written"].as_array().unwrap().len(), 30);
    assert_eq!(in_table(&deployment), (1..=30).map(pubkey).collect());
    assert_eq!(deployment.front.asked("Encrypt"), 30, "each key once");
}

#[test]
fn a_table_that_stays_full_is_an_error_that_can_be_tried_again() {
    let deployment = Deployment::new();
    let keys = folder(&deployment, 1..=20);
    deployment.front.state.full.store(true, Ordering::SeqCst);
    let words = deployment.refused(&load(&deployment, &[], &keys));
    assert!(words.contains("20 items are left over"), "{words}");
    assert_eq!(
        deployment.front.asked("BatchWriteItem"),
        8,
        "a bounded number of tries"
    );
    deployment.front.state.full.store(false, Ordering::SeqCst);
    deployment.ok(&load(&deployment, &[], &keys));
    assert_eq!(in_table(&deployment), (1..=20).map(pubkey).collect());
}

/// Killed when the second batch is written and its answer is not there: the next run goes on, nothing twice, nothing lost.
#[test]
fn a_run_that_is_killed_goes_on() {
    let deployment = Deployment::new();
    let keys = folder(&deployment, 1..=60);
    deployment.front.state.stall.store(2, Ordering::SeqCst);
    let mut child = deployment
        .command(&load(&deployment, &[], &keys))
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_mins(2);
    while deployment.front.state.stalled.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < patience && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let first: Vec<Value> = items(&deployment.validators);
    assert_eq!(first.len(), 50);
    let report = deployment.ok(&load(&deployment, &[], &keys));
    assert_eq!(report["written"].as_array().unwrap().len(), 10);
    let all = items(&deployment.validators);
    assert_eq!(in_table(&deployment), (1..=60).map(pubkey).collect());
    assert!(
        first.iter().all(|item| all.contains(item)),
        "the first run's items are as they were"
    );
}

#[test]
fn another_table_is_refused() {
    let deployment = Deployment::new();
    let keys = folder(&deployment, 1..=1);
    let other = make_table(
        &format!("{}-other", deployment.validators),
        &[("pubkey", "S"), ("web3signer_uuid", "S")],
    );
    for table in [other.as_str(), &deployment.tls, &deployment.slashing] {
        let words = deployment.refused(&["keys", "load", "--table", table, &keys]);
        assert!(words.contains("it is another table"), "{words}");
    }
    let words = deployment.refused(&["keys", "list", "--table", "absent"]);
    assert!(words.contains("absent"), "{words}");
}

#[test]
fn keys_are_switched_off_and_on() {
    let deployment = Deployment::new();
    let keys = folder(&deployment, 1..=2);
    deployment.ok(&load(&deployment, &[], &keys));
    // Another loader's spelling.
    let bare = pubkey(9)[2..].to_owned();
    put(
        &deployment.validators,
        &json!({"web3signer_uuid": {"S": STACK}, "pubkey": {"S": bare}, "active": {"S": "true"}, "encrypted_key_password_mnemonic_b64": {"S": "QUJD"}}),
    );
    let listing = deployment.ok(&["keys", "list", "--table", &deployment.validators]);
    assert_eq!(
        (&listing["active"], listing["keys"].as_array().unwrap().len()),
        (&json!(3), 3)
    );
    deployment.ok(&[
        "keys",
        "deactivate",
        "--table",
        &deployment.validators,
        &pubkey(1),
        &pubkey(9),
    ]);
    let listing = deployment.ok(&["keys", "list", "--table", &deployment.validators]);
    assert_eq!(
        (&listing["active"], listing["keys"].as_array().unwrap().len()),
        (&json!(1), 3)
    );
    deployment.ok(&["keys", "activate", "--table", &deployment.validators, &pubkey(1)]);
    assert_eq!(
        deployment.ok(&["keys", "list", "--table", &deployment.validators])["active"],
        2
    );
    let words = deployment.refused(&[
        "keys",
        "deactivate",
        "--table",
        &deployment.validators,
        &pubkey(7),
    ]);
    assert!(words.contains(&pubkey(7)), "{words}");
    assert_eq!(items(&deployment.validators).len(), 3, "none was made");
}

#[test]
fn one_password_by_file_and_by_descriptor() {
    let deployment = Deployment::new();
    let keys = folder(&deployment, 5..=5);
    std::fs::remove_file(deployment.path("keys/keystore-m_12381_3600_005_0_0.txt")).unwrap();
    // In a session of its own there is no terminal to ask at.
    let program = deployment.command(&load(&deployment, &[], &keys));
    let mut alone = Command::new("setsid");
    alone
        .arg(program.get_program())
        .args(program.get_args())
        .env_clear()
        .envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    let output = alone.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = stderr(&output);
    assert!(words.contains("no terminal to ask at"), "{words}");
    let file = deployment.path("password").to_str().unwrap().to_owned();
    std::fs::write(&file, format!("{PLANTED} 5\n")).unwrap();
    deployment.ok(&load(
        &deployment,
        &["--dry-run", "--password-file", &file],
        &keys,
    ));
    // Standard input is a descriptor like any other.
    let mut command = deployment.command(&load(&deployment, &["--password-fd", "0"], &keys));
    let output = command
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(in_table(&deployment), BTreeSet::from([pubkey(5)]));
}

#[test]
fn a_key_of_kms_that_is_not_there_is_named() {
    let deployment = Deployment::new();
    let keys = folder(&deployment, 1..=1);
    let mut config = deployment.config.clone();
    let other = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-4000-8000-000000000000";
    config["kms_key_arn"] = json!(other);
    deployment.write_config(&config);
    let words = deployment.refused(&load(&deployment, &[], &keys));
    assert!(words.contains("KMS Encrypt under"), "{words}");
    assert!(in_table(&deployment).is_empty());
    assert_eq!(deployment.front.asked("BatchWriteItem"), 0);
}

#[test]
fn another_ceremony_at_the_same_time_is_noticed() {
    let deployment = Deployment::new();
    let keys = folder(&deployment, 1..=2);
    deployment.front.state.overwrite.store(1, Ordering::SeqCst);
    let words = deployment.refused(&load(&deployment, &[], &keys));
    assert!(words.contains("another ceremony"), "{words}");
    assert_eq!(in_table(&deployment).len(), 2);
}

#[test]
fn a_person_reads_lines() {
    let deployment = Deployment::new();
    let keys = folder(&deployment, 1..=1);
    let text = |arguments: &[&str]| {
        let json = deployment.command(arguments);
        let mut program = Command::new(json.get_program());
        program.args(json.get_args().filter(|argument| *argument != "--json"));
        program.env_clear();
        program.envs(json.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = program.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let key = pubkey(1);
    let lines = text(&load(&deployment, &["--dry-run"], &keys));
    assert_eq!(
        lines,
        format!("{key}  would be written\n1 would be written, 0 in the table already, 0 refused\n")
    );
    let lines = text(&load(&deployment, &[], &keys));
    assert_eq!(
        lines,
        format!("{key}  written\n1 written, 0 in the table already, 0 refused\n")
    );
    assert_eq!(
        text(&["keys", "deactivate", "--table", &deployment.validators, &key]),
        format!("{key}  inactive\n")
    );
    let lines = text(&load(&deployment, &[], &keys));
    assert!(
        lines.ends_with("0 written, 1 in the table already, 0 refused\n"),
        "{lines}"
    );
    assert!(lines.contains("inactive: left so"), "{lines}");
    let lines = text(&["keys", "list", "--table", &deployment.validators]);
    assert!(
        lines.starts_with(&format!("{key}  inactive  hoodi  20")) && lines.ends_with("1 keys, 0 active\n"),
        "{lines}"
    );
}
