//! The watchdog as a program, from nothing to serving, and what it does when something breaks.

use std::process::Command;
use std::time::Duration;

use control::request::{KeyEntry, Request};
use serde_json::{Value, json};
use support::agent::Agent;
use support::aws::{SECRET, TOKEN, Tables};
use support::world::{STACK, Setup, World, item, key, tables};
use support::{get, http, number, until};

#[expect(dead_code, reason = "each test file uses its part")]
mod support;

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_serving_to_a_clean_end() {
    let world = World::start(Setup::default()).await;
    world.ready().await;
    assert_eq!(world.agent.operations(), ["configure", "init"]);
    let run = "run-enclave --cpu-count 2 --memory 512 --enclave-cid 16 --eif-path /x/native.eif";
    assert_eq!(world.calls(), [run]);
    let Some(Request::Init(init)) = world
        .agent
        .with(|state| state.received.iter().find(|r| r.name() == "init").cloned())
    else {
        panic!()
    };
    assert_eq!(init.credential.secret_access_key(), SECRET);
    assert_eq!(init.credential.token(), TOKEN);
    let keys: Vec<String> = init
        .encrypted_validator_keys
        .iter()
        .map(|entry| match entry {
            KeyEntry::Bound {
                ciphertext,
                pubkey,
                stack,
            } => {
                assert_eq!(stack.as_ref().unwrap().as_str(), STACK);
                format!("{} {}", pubkey.as_str(), ciphertext.as_str())
            }
            KeyEntry::Legacy(_) => panic!("no context"),
        })
        .collect();
    let expected: Vec<String> = (0..25).map(|n| format!("0x{} QUJD{n:04}", key(n))).collect();
    assert_eq!(keys, expected, "all pages, only active ones");
    assert_eq!(world.tables.lock().unwrap().pages, 3);
    assert!(init.encrypted_clients.is_some() && init.encrypted_slashing_credential.is_some());
    until("the watchdog of systemd hears it", || world.heard("WATCHDOG=1")).await;
    let (code, text) = http(world.metrics, &get("/metrics")).await;
    assert_eq!(
        (
            code,
            number(&text, "parent_signer_keys"),
            number(&text, "parent_serving")
        ),
        (200, 25, 1)
    );
    assert_eq!(number(&text, "parent_watchdog_phase{phase=\"serving\"}"), 1);
    assert!(!text.contains(SECRET));
    world.terminate();
    let calls = world.folder.path().join("calls");
    until("the enclave is ended", || {
        std::fs::read_to_string(&calls)
            .unwrap()
            .contains("terminate-enclave --enclave-id i-0-enc1")
    })
    .await;
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_init_is_tried_again_without_a_new_start() {
    let agent = Agent::new("configured");
    let item = json!({ "kind": "validator-key", "index": 7, "pubkey": key(7), "code": "kms-ciphertext" });
    agent.with(|state| {
        state.refusals = vec![
            (
                500,
                json!({ "error": "items-failed: 1 of 26 items failed", "items": [item], "failed": 1 }),
            ),
            (503, json!({ "error": "busy: another change is under way" })),
        ];
    });
    let world = World::start(Setup {
        agent,
        ..Setup::default()
    })
    .await;
    world.ready().await;
    assert_eq!(world.agent.operations(), ["init", "init", "init"]);
    assert_eq!(world.calls().len(), 1);
    let log = world.log();
    assert!(
        log.contains(&format!(
            "item-failed kind=validator-key index=7 pubkey=0x{} code=kms-ciphertext",
            key(7)
        )),
        "{log}"
    );
    assert!(log.contains("busy: another change"), "{log}");
    world.terminate();
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_is_tried_again() {
    let before = |dir: &std::path::Path| std::fs::write(dir.join("fail"), "").unwrap();
    let world = World::start(Setup {
        before,
        ..Setup::default()
    })
    .await;
    world.ready().await;
    assert_eq!(world.calls().len(), 2);
    assert!(
        world.log().contains("[ E36 ] Enclave boot failure"),
        "{}",
        world.log()
    );
    world.terminate();
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_stays_down_has_the_enclave_started_again() {
    let world = World::start(Setup::default()).await;
    world.ready().await;
    world.agent.with(|state| state.signer = "restarting");
    world.logged("the signer is restarting").await;
    until("it is ended", || {
        world
            .calls()
            .iter()
            .any(|call| call.starts_with("terminate-enclave"))
    })
    .await;
    // A new enclave knows nothing.
    world
        .agent
        .with(|state| (state.phase, state.signer) = ("unconfigured", "healthy"));
    until("it serves again", || {
        world.log().matches("info  serving").count() == 2
    })
    .await;
    let operations = world.agent.operations();
    assert_eq!(operations[operations.len() - 2..], ["configure", "init"]);
    world.terminate();
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_that_is_gone_is_started_again() {
    let world = World::start(Setup::default()).await;
    world.ready().await;
    // The agent goes on answering, so only the list can tell.
    std::fs::remove_file(world.folder.path().join("running")).unwrap();
    world.logged("error enclave-ended").await;
    until("a second start", || world.calls().len() == 2).await;
    until("it serves again", || {
        world.log().matches("info  serving").count() == 2
    })
    .await;
    world.terminate();
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_with_another_context_id_is_not_left_behind() {
    let before = |dir: &std::path::Path| {
        let text = std::fs::read_to_string(dir.join("nitro-cli")).unwrap();
        // The first start gives context id 18.
        let text = text.replace(
            "\"EnclaveCID\":16,\"NumberOfCPUs\":2,\"CPUIDs\":[1,3],\"MemoryMiB\":512}",
            "\"EnclaveCID\":%s,\"NumberOfCPUs\":2,\"CPUIDs\":[1,3],\"MemoryMiB\":512}",
        );
        let text = text.replace(
            "\"$n\"\n    ;;",
            "\"$n\" \"$([ \"$n\" = 1 ] && echo 18 || echo 16)\"\n    ;;",
        );
        std::fs::write(dir.join("nitro-cli"), text).unwrap();
    };
    let world = World::start(Setup {
        before,
        ..Setup::default()
    })
    .await;
    world.ready().await;
    let calls = world.calls();
    assert_eq!(calls.len(), 3, "{calls:?}");
    assert_eq!(calls[1], "terminate-enclave --enclave-id i-0-enc1");
    assert!(
        world
            .log()
            .contains("the new enclave has context id 18, expected 16")
    );
    world.terminate();
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serving_enclave_is_taken_over_and_can_be_left_running() {
    let before = |dir: &std::path::Path| std::fs::write(dir.join("running"), "i-0-enc9").unwrap();
    let setup = Setup {
        agent: Agent::new("initialised"),
        before,
        more: "keep_enclave = true",
        ..Setup::default()
    };
    let world = World::start(setup).await;
    world.ready().await;
    world.logged("credentials-refreshed").await;
    assert_eq!(world.agent.operations(), ["refresh_credentials"]);
    assert_eq!(world.calls(), Vec::<String>::new());
    world.terminate();
    let running = world.folder.path().join("running");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(running.exists());
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_with_another_config_is_named() {
    let before = |dir: &std::path::Path| std::fs::write(dir.join("running"), "i-0-enc9").unwrap();
    // SHA-384 of the canonical text of the configuration in `world.rs`, by `sha384sum`.
    let same =
        "8f36bf8d4d12121f29b2a4af89b9a76ccc0e3e2b0b42ada3ba6e25b17334348c99473c2ec685d50e336bb9d79949ac3c";
    for (hash, expected) in [(same.to_owned(), false), ("00".repeat(48), true)] {
        let agent = Agent::new("initialised");
        agent.with(|state| state.config_sha384 = Some(hash));
        let world = World::start(Setup {
            agent,
            before,
            ..Setup::default()
        })
        .await;
        world.ready().await;
        assert_eq!(
            world.log().contains("config-differs"),
            expected,
            "{}",
            world.log()
        );
        world.terminate();
        world.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_sends_what_changed_in_the_tables() {
    let world = World::start(Setup::default()).await;
    world.ready().await;
    {
        let mut tables = world.tables.lock().unwrap();
        tables.keys[3] = item(3, &json!({ "BOOL": false }));
        tables.keys.push(item(30, &json!({ "BOOL": true })));
        tables.keys.push(item(31, &json!({ "BOOL": true })));
    }
    // The first is refused: it changes nothing, and the next tries all of it again.
    world
        .agent
        .with(|state| state.refusals = vec![(503, json!({ "error": "busy: another change is under way" }))]);
    world.hang_up();
    world.logged("tables-not-followed").await;
    world.hang_up();
    world.logged("tables-followed messages=2").await;
    let done = [
        "configure",
        "init",
        "refresh_credentials",
        "remove_keys",
        "refresh_credentials",
        "remove_keys",
        "add_keys",
    ];
    assert_eq!(world.agent.operations(), done);
    assert_eq!(world.agent.with(|state| state.keys), 26);
    world.hang_up();
    world.logged("tables-followed messages=0").await;
    assert_eq!(world.agent.operations().len(), done.len());
    world.terminate();
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_replaced_before_they_expire() {
    let world = World::start(Setup {
        lives: Duration::from_secs(100),
        ..Setup::default()
    })
    .await;
    world.ready().await;
    until("new ones were sent", || {
        world.agent.operations().contains(&"refresh_credentials")
    })
    .await;
    world.logged("credentials-refreshed").await;
    assert_eq!(*world.lives.lock().unwrap(), Duration::from_secs(100));
    world.terminate();
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tables_are_named_and_nothing_is_sent() {
    let broken = |change: fn(&mut Tables)| {
        let mut tables = tables();
        change(&mut tables);
        tables
    };
    for (tables, expected) in [
        (broken(|t| t.tls = None), "has no item with key_id 1"),
        (
            broken(|t| t.keys.truncate(0)),
            "has no active key for the configured web3signer_uuids (0 inactive)",
        ),
        (
            broken(|t| drop(t.keys[3]["encrypted_key_password_mnemonic_b64"].take())),
            "encrypted_key_password_mnemonic_b64 is",
        ),
        (
            broken(|t| t.keys[3] = item(3, &json!({ "S": "maybe" }))),
            "active is neither a boolean nor",
        ),
    ] {
        let mut tables = tables;
        tables
            .keys
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(|item| item.retain(|_, value| !value.is_null()));
        let world = World::start(Setup {
            tables,
            ..Setup::default()
        })
        .await;
        world.logged(expected).await;
        assert!(!world.agent.operations().contains(&"init"));
        assert!(!world.heard("READY=1"));
        world.terminate();
        world.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_key_id_is_found_too() {
    let mut tables = tables();
    tables.number = false;
    let world = World::start(Setup {
        tables,
        ..Setup::default()
    })
    .await;
    world.ready().await;
    world.terminate();
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_enclave_says_is_written_and_bounded() {
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;

    let world = World::start(Setup::default()).await;
    world.ready().await;
    let mut stream = UnixStream::connect(world.folder.path().join("vsock_9002"))
        .await
        .unwrap();
    let record = r#"{"uptime_ms":42,"source":"signer","level":"warn","event":"output","fields":{"slot":"9"},"text":"a\u001b[31mb","dropped":3}"#;
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(3_000_000));
    for line in [
        record,
        "not json",
        &long,
        r#"{"uptime_ms":43,"source":"later","level":"error","event":"after"}"#,
    ] {
        stream.write_all(line.as_bytes()).await.unwrap();
        stream.write_all(b"\n").await.unwrap();
    }
    world.logged("warn  enclave source=signer uptime_ms=42 enclave_event=output enclave_slot=9 text=\"a\\u{1b}[31mb\" dropped=3").await;
    world
        .logged("error enclave source=other uptime_ms=43 enclave_event=after")
        .await;
    let (_, text) = http(world.metrics, &get("/metrics")).await;
    assert_eq!(number(&text, "parent_enclave_bad_records_total"), 2);
    assert_eq!(number(&text, "parent_enclave_dropped_records_total"), 3);

    let mut stream = UnixStream::connect(world.folder.path().join("vsock_9001"))
        .await
        .unwrap();
    stream
        .write_all(b"NWBR\x01\x06\x00\x07\x00\x6f\x00\x00\x00\x00\x10\x00")
        .await
        .unwrap();
    world
        .logged("enclave-died stage=heartbeat code=heartbeat-failed errno=111 detail=0 uptime_ms=4096")
        .await;
    world.terminate();
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let run = |text: &str, command: &str| {
        let config = support::write(dir.path().join("parent.toml"), text);
        let output = Command::new(env!("CARGO_BIN_EXE_parent"))
            .args([command, "--config"])
            .arg(config)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run("", "check-config"), (Some(0), String::new()));
    let (code, text) = run("[log]\nlevle = 1", "check-config");
    assert_eq!(code, Some(2));
    assert!(text.contains("unknown field `levle`"), "{text}");
    let (code, text) = run("", "watchdog");
    assert_eq!(code, Some(2));
    assert!(text.contains("watchdog needs the section [watchdog]"), "{text}");
    assert_eq!(run("", "status").0, Some(3), "no vsock, no enclave");
}
