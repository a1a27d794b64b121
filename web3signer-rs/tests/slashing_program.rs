//! The program itself with slashing protection in DynamoDB: its own options, `eth2 import`, signatures and refusals.
//!
//! moto stands in for DynamoDB: `scripts/with-stores.sh cargo test --package web3signer-rs`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::format_push_string,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests: what cannot be done is a failed test"
)]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

mod filtered;
#[path = "slashing/front.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of the library, which use all of it"
)]
mod front;
#[path = "server/support.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of the server, which use all of it"
)]
mod program;
#[path = "slashing/support.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of the library, which use all of it"
)]
mod support;
#[path = "slashing/dynamodb/table.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of the library, which use all of it"
)]
mod table;

use filtered::Filtered;
use program::{PUBLIC, SECRET, Server, key_folder, raw_key, run};
use table::{TABLE_ID, Table};

/// Source: the genesis state of mainnet.
const MAINNET: &str = "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95";
/// A key that the table has no record of.
const OTHER_SECRET: &str = "0x0000000000000000000000000000000000000000000000000000000000000003";

fn options(table: &Table, table_id: &str) -> Vec<String> {
    vec![
        "--network=mainnet".to_owned(),
        format!("--dynamodb-slashing-table-arn={}", table.arn.as_str()),
        format!("--dynamodb-slashing-table-id={table_id}"),
        format!(
            "--dynamodb-slashing-credential-file={}",
            table.credential().display()
        ),
        format!("--dynamodb-slashing-endpoint={}", table.front.url()),
    ]
}

fn import(keys: &Path, options: &[String], genesis: &str, folder: &Path) -> std::process::Output {
    let file = folder.join("interchange.json");
    let history = json!({
        "metadata": {"interchange_format_version": "5", "genesis_validators_root": genesis},
        "data": [{
            "pubkey": PUBLIC,
            "signed_blocks": [],
            "signed_attestations": [{"source_epoch": "299999", "target_epoch": "300000"}],
        }],
    });
    fs::write(&file, history.to_string()).unwrap();
    let keys = format!("--key-config-path={}", keys.display());
    let from = format!("--from={}", file.display());
    let mut words = vec![keys.as_str(), "eth2"];
    words.extend(options.iter().map(String::as_str));
    words.extend(["import", from.as_str()]);
    run(&words)
}

fn vote(target: u64, root: &str) -> Value {
    json!({
        "type": "ATTESTATION",
        "fork_info": {
            "fork": {"previous_version": "0x04000000", "current_version": "0x05000000", "epoch": "364032"},
            "genesis_validators_root": MAINNET,
        },
        "attestation": {
            "slot": (target * 32).to_string(),
            "index": "0",
            "beacon_block_root": root,
            "source": {"epoch": (target - 1).to_string(), "root": root},
            "target": {"epoch": target.to_string(), "root": root},
        },
    })
}

fn said(output: &std::process::Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn the_program_signs_what_the_table_permits() {
    support::run(async {
        let table = Table::make().await;
        let keys = key_folder(&[raw_key(SECRET), raw_key(OTHER_SECRET)]);
        let good = options(&table, TABLE_ID);

        // Another table under the same name, and another chain, are refused by name and change nothing.
        let other_id = options(&table, "0f3f1b1c-0000-4000-8000-000000000000");
        let output = import(keys.path(), &other_id, MAINNET, table.folder.path());
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(TABLE_ID), "{}", said(&output));
        let output = import(
            keys.path(),
            &good,
            &format!("0x{}", "07".repeat(32)),
            table.folder.path(),
        );
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert_eq!(table.item(&format!("validator#{PUBLIC}")).await, Value::Null);

        let output = import(keys.path(), &good, MAINNET, table.folder.path());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let item = table.item(&format!("validator#{PUBLIC}")).await;
        assert_eq!(item["target_epoch"]["N"], "300000", "{item}");

        let words: Vec<&str> = good.iter().map(String::as_str).collect();
        let server = Server::start(keys.path(), &[], &words);
        let (one, two) = (format!("0x{}", "01".repeat(32)), format!("0x{}", "02".repeat(32)));
        assert_eq!(server.sign(PUBLIC, &vote(300_000, &one)).status, 412, "imported");
        let signed = server.sign(PUBLIC, &vote(300_001, &one));
        assert_eq!(signed.status, 200, "{signed:?}");
        let item = table.item(&format!("validator#{PUBLIC}")).await;
        assert_eq!(item["target_epoch"]["N"], "300001", "noted: {item}");
        assert_eq!(
            server.sign(PUBLIC, &vote(300_001, &two)).status,
            412,
            "a double vote"
        );
        let again = server.sign(PUBLIC, &vote(300_001, &one));
        assert_eq!(
            (again.status, again.body),
            (200, signed.body),
            "the same vote again"
        );
        let other = keystore::SecretKey::from_bytes(&{
            let mut bytes = [0; 32];
            bytes[31] = 3;
            bytes
        })
        .unwrap()
        .public_key()
        .to_string();
        let unknown = server.sign(&other, &vote(300_001, &one));
        assert_eq!(unknown.status, 500, "a key without a record: {unknown:?}");
        assert_eq!(table.item(&format!("validator#{other}")).await, Value::Null);
        let secret = SECRET.trim_start_matches("0x");
        assert!(!server.log().contains(secret), "the log has a secret");
    });
}

/// As the images run it: under the system call filter of `rootfs/seccomp/signer-native.json`. `seccomp.rs` has the rest of it.
#[test]
fn the_table_is_used_under_the_filter() {
    support::run(async {
        let table = Table::make().await;
        let keys = key_folder(&[raw_key(SECRET)]);
        let options = options(&table, TABLE_ID);
        let output = import(keys.path(), &options, MAINNET, table.folder.path());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let signer = Filtered::start(|port| {
            let keys = format!("--key-config-path={}", keys.path().display());
            let mut words = vec![format!("--http-listen-port={port}"), keys, "eth2".to_owned()];
            words.extend(options);
            words
        });
        let sign = |root: &str| {
            let body = serde_json::to_vec(&vote(300_001, root)).unwrap();
            let path = format!("/api/v1/eth2/sign/{PUBLIC}");
            program::ask(signer.port, "POST", &path, &[], &body).status
        };
        assert_eq!(sign(&format!("0x{}", "01".repeat(32))), 200, "{}", signer.said());
        assert_eq!(sign(&format!("0x{}", "02".repeat(32))), 412, "a double vote");
        let said = signer.stop();
        assert!(said.contains("stopped"), "{said}");
    });
}
