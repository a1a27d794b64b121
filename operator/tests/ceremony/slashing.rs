//! `slashing`: records are made once and only rise; another chain and another table are refused.

use serde_json::{Value, json};

use crate::support::{Deployment, call, items, pubkey, put};

const HOODI: &str = "0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f";
const MAINNET: &str = "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95";

fn interchange(deployment: &Deployment, name: &str, genesis: &str, data: &Value) -> String {
    let file = json!({
        "metadata": {"interchange_format_version": "5", "genesis_validators_root": genesis}, "data": data,
    });
    std::fs::write(deployment.path(name), file.to_string()).unwrap();
    deployment.path(name).to_str().unwrap().to_owned()
}

fn history(number: u8, slot: u64, source: u64, target: u64) -> Value {
    json!({
        "pubkey": pubkey(number),
        "signed_blocks": [{"slot": slot.to_string(), "signing_root": format!("0x{}", "11".repeat(32))}],
        "signed_attestations": [{"source_epoch": source.to_string(), "target_epoch": target.to_string()}],
    })
}

fn record(deployment: &Deployment, id: &str) -> Value {
    let body = json!({"TableName": deployment.slashing, "Key": {"id": {"S": id}}, "ConsistentRead": true});
    call("dynamodb", "GetItem", &body).unwrap()["Item"].clone()
}

fn validator(deployment: &Deployment, number: u8) -> Value {
    record(deployment, &format!("validator#{}", pubkey(number)))
}

/// The items of `SPEC.md`, spelled out.
#[test]
fn records_have_the_layout_of_the_specification() {
    let deployment = Deployment::new();
    let file = interchange(
        &deployment,
        "a.json",
        HOODI,
        &json!([history(1, 81952, 2290, 3007)]),
    );
    let dry = deployment.ok(&["slashing", "init", "--dry-run", &file]);
    assert_eq!(
        (&dry["made"], items(&deployment.slashing).len()),
        (&json!([pubkey(1)]), 0)
    );
    let report = deployment.ok(&["slashing", "init", &file, "--never-signed", &pubkey(2)]);
    assert_eq!(report["made"].as_array().unwrap().len(), 2);
    let id = format!("validator#{}", pubkey(1));
    assert_eq!(
        validator(&deployment, 1),
        json!({
            "id": {"S": id}, "layout": {"N": "1"}, "enabled": {"BOOL": true}, "genesis_validators_root": {"S": HOODI},
            "block_slot": {"N": "81952"}, "block_root": {"S": format!("0x{}", "11".repeat(32))},
            "source_epoch": {"N": "2290"}, "target_epoch": {"N": "3007"},
        })
    );
    assert_eq!(
        validator(&deployment, 2).as_object().unwrap().len(),
        4,
        "no history"
    );
    assert_eq!(
        record(&deployment, "installation"),
        json!({"id": {"S": "installation"}, "layout": {"N": "1"}, "genesis_validators_root": {"S": HOODI}})
    );
    for kind in ["tls-key", "clients", "slashing-credential"] {
        let id = format!("artefact#{kind}");
        assert_eq!(
            record(&deployment, &id),
            json!({"id": {"S": id}, "layout": {"N": "1"}, "version": {"N": "0"}})
        );
    }
}

#[test]
fn nothing_is_ever_lowered() {
    let deployment = Deployment::new();
    let high = interchange(&deployment, "high.json", HOODI, &json!([history(1, 100, 10, 20)]));
    let low = interchange(&deployment, "low.json", HOODI, &json!([history(1, 50, 12, 15)]));
    deployment.ok(&["slashing", "init", &high]);
    // The source of the second is higher, the rest lower: each number goes its own way.
    let report = deployment.ok(&["slashing", "init", &low]);
    assert_eq!(report["raised"], json!([pubkey(1)]));
    let marks =
        |item: &Value| ["block_slot", "source_epoch", "target_epoch"].map(|name| item[name]["N"].clone());
    assert_eq!(marks(&validator(&deployment, 1)), ["100", "12", "20"]);
    let before = items(&deployment.slashing);
    let report = deployment.ok(&["slashing", "init", &high, &low]);
    assert_eq!(
        (&report["unchanged"], items(&deployment.slashing)),
        (&json!([pubkey(1)]), before)
    );
    // A disabled record is raised, and stays disabled.
    let mut item = validator(&deployment, 1);
    item["enabled"] = json!({"BOOL": false});
    put(&deployment.slashing, &item);
    let higher = interchange(
        &deployment,
        "higher.json",
        HOODI,
        &json!([history(1, 200, 30, 40)]),
    );
    let report = deployment.ok(&["slashing", "init", &higher]);
    assert_eq!(report["disabled"], json!([pubkey(1)]));
    let item = validator(&deployment, 1);
    assert_eq!(
        (&item["enabled"]["BOOL"], &item["block_slot"]["N"]),
        (&json!(false), &json!("200"))
    );
}

#[test]
fn another_chain_is_refused() {
    let deployment = Deployment::new();
    let data = json!([history(1, 1, 1, 2)]);
    let wrong = interchange(&deployment, "wrong.json", MAINNET, &data);
    let words = deployment.refused(&["slashing", "init", &wrong]);
    assert!(words.contains(MAINNET) && words.contains(HOODI), "{words}");
    let words = deployment.refused(&["slashing", "init", "--genesis-validators-root", MAINNET, &wrong]);
    assert!(words.contains("hoodi"), "{words}");
    assert!(items(&deployment.slashing).is_empty());
    // A table of another chain.
    let other =
        json!({"id": {"S": "installation"}, "layout": {"N": "1"}, "genesis_validators_root": {"S": MAINNET}});
    put(&deployment.slashing, &other);
    let right = interchange(&deployment, "right.json", HOODI, &data);
    for arguments in [vec!["slashing", "init", &right], vec!["slashing", "export"]] {
        let words = deployment.refused(&arguments);
        assert!(words.contains("another chain"), "{words}");
    }
    assert_eq!(items(&deployment.slashing).len(), 1);
}

#[test]
fn another_table_is_refused() {
    let deployment = Deployment::new();
    let file = interchange(&deployment, "a.json", HOODI, &json!([history(1, 1, 1, 2)]));
    let mut config = deployment.config.clone();
    config["slashing_store"]["table_id"] = json!("00000000-0000-4000-8000-000000000000");
    deployment.write_config(&config);
    assert!(
        deployment
            .refused(&["slashing", "init", &file])
            .contains("TableId")
    );
    let arn = format!(
        "arn:aws:dynamodb:eu-central-1:123456789012:table/{}",
        deployment.tls
    );
    config["slashing_store"] =
        json!({"kind": "dynamodb", "table_id": crate::support::TABLE_ID, "table_arn": arn});
    deployment.write_config(&config);
    assert!(
        deployment
            .refused(&["slashing", "init", &file])
            .contains("no slashing table")
    );
    config["slashing_store"] = json!({"kind": "memory"});
    deployment.write_config(&config);
    assert!(
        deployment
            .refused(&["slashing", "init", &file])
            .contains("not DynamoDB")
    );
}

#[test]
fn a_key_with_history_has_signed() {
    let deployment = Deployment::new();
    let file = interchange(&deployment, "a.json", HOODI, &json!([history(1, 1, 1, 2)]));
    let words = deployment.refused(&["slashing", "init", &file, "--never-signed", &pubkey(1)]);
    assert!(words.contains(&pubkey(1)), "{words}");
    assert!(
        deployment
            .refused(&["slashing", "init"])
            .contains("nothing to do")
    );
    let cut = deployment.path("cut.json").to_str().unwrap().to_owned();
    std::fs::write(&cut, &std::fs::read(&file).unwrap()[..100]).unwrap();
    assert!(
        deployment
            .refused(&["slashing", "init", &cut])
            .contains("EIP-3076")
    );
}

#[test]
fn what_was_exported_can_be_imported() {
    let deployment = Deployment::new();
    let mut two = history(1, 90, 9, 19);
    two["signed_blocks"]
        .as_array_mut()
        .unwrap()
        .push(json!({"slot": "100"}));
    let file = interchange(&deployment, "a.json", HOODI, &json!([two, history(2, 5, 6, 7)]));
    deployment.ok(&["slashing", "init", &file]);
    let out = deployment.path("out.json").to_str().unwrap().to_owned();
    assert_eq!(
        deployment.ok(&["slashing", "export", "--out", &out])["validators"],
        2
    );
    let exported: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(exported["metadata"]["genesis_validators_root"], HOODI);
    let mut keys: Vec<_> = [1, 2].map(pubkey).into();
    keys.sort();
    let data = exported["data"].as_array().unwrap();
    assert_eq!(
        data.iter()
            .map(|entry| entry["pubkey"].as_str().unwrap())
            .collect::<Vec<_>>(),
        keys
    );
    let first = data.iter().find(|entry| entry["pubkey"] == pubkey(1)).unwrap();
    assert_eq!(
        first["signed_blocks"],
        json!([{"slot": "100"}]),
        "the newest alone"
    );
    assert_eq!(
        first["signed_attestations"],
        json!([{"source_epoch": "9", "target_epoch": "19"}])
    );
    assert!(
        deployment
            .refused(&["slashing", "export", "--out", &out])
            .contains("cannot make")
    );

    let fresh = Deployment::new();
    fresh.ok(&["slashing", "init", &out]);
    assert_eq!(validator(&fresh, 1), validator(&deployment, 1));
}

/// moto's keys come with a policy that gives everything to the whole account.
#[test]
fn the_policy_of_the_key_is_asked_of_kms() {
    let deployment = Deployment::new();
    let output = deployment.run(&["policy", "check"]);
    assert_eq!(
        output.status.code(),
        Some(3),
        "{}",
        crate::support::stderr(&output)
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["policy"], deployment.key_arn);
    let codes = report["findings"].to_string();
    assert!(
        codes.contains("open-use") && codes.contains("broad-put-key-policy"),
        "{codes}"
    );
}
