//! What is in the files after each kind of job.

use std::os::unix::fs::PermissionsExt as _;

use control::answer::{ItemCode, codes};
use control::artefact::Kind;
use control::provision::{HEALTH_CLIENT_NAME, Outcome, Work};
use e2e::service::artefacts::hex;
use serde_json::json;
use simulator::kms::operation::Operation;

use crate::world::{World, credential, public, secret};

fn has_key(world: &World, n: u32) -> bool {
    let digits = hex(&*secret(n).expose_bytes());
    world
        .files()
        .iter()
        .any(|(_, bytes)| String::from_utf8_lossy(bytes).contains(&digits))
}

#[test]
fn a_hundred_keys_in_one_batch() {
    let world = World::new();
    let Outcome::Done { items, state } = world.run(world.init(world.artefacts(100))) else {
        panic!()
    };
    let state = state.unwrap();
    assert_eq!((items.len(), state.public_keys.len()), (102, 100));
    assert!(items.iter().all(|item| item.code == ItemCode::Ok));
    let mut expected: Vec<_> = (0..100).map(public).collect();
    expected.sort();
    assert_eq!(state.public_keys, expected);
    assert_eq!(state.config, world.config);
    assert_eq!(state.artefact_versions.clients, 2);
    let counts = world.kms().counts();
    assert_eq!(counts.calls_of(Operation::Decrypt), 102);
    assert_eq!(
        (counts.tls_sessions, *world.module.documents.lock().unwrap()),
        (1, 1)
    );
    let files = world.files();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "g1/config.yaml",
            "g1/keys/keys.yaml",
            "g1/known-clients",
            "g1/state.json",
            "g1/tls.p12",
            "g1/tls.password",
            "g1/versions.json"
        ]
    );
    let known = world.file("known-clients");
    let known: Vec<_> = known.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert_eq!(
        (known[0].0, known[1]),
        (
            HEALTH_CLIENT_NAME,
            (world.client.name.as_str(), world.client.sha256().as_str())
        )
    );
    assert_eq!(
        world.file("versions.json"),
        r#"{"clients":2,"slashing-credential":0,"tls-key":0}"#
    );
    assert!((0..100).all(|n| has_key(&world, n)));
}

#[test]
fn keys_come_and_go() {
    let world = World::new();
    let first = world.done(world.init(world.artefacts(3)));
    let Outcome::Done { items, state } = world.run(world.add(vec![world.compact(0, 2), world.compact(1, 3)]))
    else {
        panic!()
    };
    let codes: Vec<_> = items.iter().map(|item| (item.index, item.code)).collect();
    assert_eq!(codes, [(0, ItemCode::Already), (1, ItemCode::Ok)]);
    let state = state.unwrap();
    assert_eq!(state.public_keys.len(), 4);
    assert_eq!(
        (&state.health, &state.tls),
        (&first.health, &first.tls),
        "the agent goes on with what it has"
    );
    assert!(has_key(&world, 3));
    // Nothing to do is done without new files.
    let before = world.files();
    assert_eq!(
        world.done(world.add(vec![world.compact(0, 3)])).public_keys,
        state.public_keys
    );
    assert_eq!(world.files(), before);
    let (_, items) = world.refused(world.add(vec![
        world.compact(0, 4),
        world.sealed_key(1, &public(5), "{}", &world.key),
    ]));
    assert_eq!(items, [(Kind::ValidatorKey, 1, ItemCode::Payload)]);
    assert_eq!(world.files(), before, "all or nothing");
    let removed = world.run(Work::RemoveKeys {
        public_keys: vec![public(0), public(9), public(1)],
    });
    let Outcome::Done { items, state } = removed else {
        panic!()
    };
    let codes: Vec<_> = items.iter().map(|item| item.code).collect();
    assert_eq!(codes, [ItemCode::Ok, ItemCode::Already, ItemCode::Ok]);
    assert_eq!(state.unwrap().public_keys.len(), 2);
    assert!(!has_key(&world, 0) && !has_key(&world, 1) && has_key(&world, 2));
    let state = world.done(Work::RemoveKeys {
        public_keys: vec![public(2), public(3)],
    });
    assert_eq!(state.public_keys, []);
    assert!(!world.signer().join("current/keys/keys.yaml").exists());
    assert_eq!(
        world.done(world.add(vec![world.compact(0, 7)])).public_keys,
        [public(7)]
    );
    assert_eq!(world.done(Work::Recover).public_keys, [public(7)]);
}

#[test]
fn clients_only_get_newer() {
    let world = World::new();
    world.done(world.init(world.artefacts(1)));
    let set = |version| Work::SetClients {
        credential: credential("ASIA1"),
        artefact: world.clients(version),
    };
    assert_eq!(world.done(set(5)).artefact_versions.clients, 5);
    assert_eq!(
        world.file("versions.json"),
        r#"{"clients":5,"slashing-credential":0,"tls-key":0}"#
    );
    let before = world.files();
    let (code, items) = world.refused(set(4));
    assert_eq!(
        (code.as_str(), items),
        (codes::ITEMS_FAILED, vec![(Kind::Clients, 0, ItemCode::Version)])
    );
    assert_eq!(world.files(), before);
    assert_eq!(world.done(set(5)).artefact_versions.clients, 5);
    let wrong = Work::SetClients {
        credential: credential("ASIA1"),
        artefact: world.tls(),
    };
    assert_eq!(world.refused(wrong).0, codes::ARTEFACT_MISSING);
}

#[test]
fn before_init_and_after_a_rollback_there_is_nothing() {
    let world = World::new();
    for work in [
        Work::RemoveKeys {
            public_keys: vec![public(0)],
        },
        world.add(vec![world.compact(0, 0)]),
    ] {
        assert_eq!(world.refused(work).0, codes::NOT_INITIALISED);
    }
    assert_eq!(
        world.run(Work::Recover),
        Outcome::Done {
            items: vec![],
            state: None
        }
    );
    world.done(world.init(world.artefacts(2)));
    std::fs::write(world.signer().join("slashing/journal"), "the signer's").unwrap();
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(world.signer().join("slashing/journal"), mode).unwrap();
    assert_eq!(
        world.run(Work::Rollback),
        Outcome::Done {
            items: vec![],
            state: None
        }
    );
    assert_eq!(
        world.files(),
        [("slashing/journal".to_owned(), b"the signer's".to_vec())],
        "what was signed stays signed"
    );
    assert_eq!(
        world.run(Work::Recover),
        Outcome::Done {
            items: vec![],
            state: None
        }
    );
}

/// What a killed provision can leave at any moment: the next job wipes it, whatever that job is.
#[test]
fn what_was_cut_off_is_wiped() {
    let world = World::new();
    world.done(world.init(world.artefacts(2)));
    let before = world.files();
    let half = world.signer().join("g2");
    std::fs::create_dir_all(half.join("keys")).unwrap();
    std::fs::write(half.join("keys/keys.yaml"), "privateKey: half of").unwrap();
    std::os::unix::fs::symlink("g2", world.signer().join("next")).unwrap();
    world.done(Work::Recover);
    assert_eq!(world.files(), before);
    assert!(!half.exists() && !world.signer().join("next").is_symlink());
    // Killed between the swap and the wipe: the generation of before is still there.
    std::fs::create_dir_all(world.signer().join("g0")).unwrap();
    std::fs::write(world.signer().join("g0/state.json"), "{}").unwrap();
    world.done(world.add(vec![world.compact(0, 5)]));
    assert!(!world.signer().join("g0").exists());
    // A damaged file is said, not repaired.
    std::fs::write(world.signer().join("current/keys/keys.yaml"), "").unwrap();
    assert_eq!(world.refused(Work::Recover).0, codes::FILES_FAILED);
    world.done(world.init(world.artefacts(1)));
}

#[test]
fn an_outcome_that_nobody_heard_is_undone() {
    let world = World::new();
    world.done(world.init(world.artefacts(1)));
    let before = world.files();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let job = |work| control::provision::Job {
        config: Some(Box::new(world.config.clone())),
        work,
    };
    let (ended, vault) = runtime.block_on(provision::run::run(
        job(world.add(vec![world.compact(0, 1)])),
        world.outside(),
    ));
    assert!(has_key(&world, 1));
    vault.undo(&ended.swap.unwrap()).unwrap();
    assert_eq!(world.files(), before);
    assert_eq!(world.done(Work::Recover).public_keys, [public(0)]);
}

#[test]
fn too_late_is_nothing() {
    let world = World::new();
    let mut outside = world.outside();
    let calls = std::cell::Cell::new(0);
    outside.late = Box::new(move || calls.replace(calls.get() + 1) > 0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let job = control::provision::Job {
        config: Some(Box::new(world.config.clone())),
        work: world.init(world.artefacts(3)),
    };
    let (ended, _) = runtime.block_on(provision::run::run(job, outside));
    let Outcome::Refused { refusal } = ended.outcome else {
        panic!()
    };
    assert_eq!((refusal.code(), world.files()), (codes::UNAVAILABLE, vec![]));
}

/// The signer's files for each store and each way of clients, word for word where they matter.
#[test]
fn configurations() {
    let tunnel = json!([{"name": "db.example.org", "port": 5432, "vsock_port": 8101}]);
    let store =
        json!({"kind": "postgresql", "host": "db.example.org", "port": 5432, "database": "web3signer"});
    let change = json!({"slashing_store": store, "outbound": tunnel});
    for distribution in ["native", "consensys"] {
        let mut world = World::with(&change, &json!({"memory_slashing": false}));
        world.policy.signer.distribution = serde_json::from_value(distribution.into()).unwrap();
        let login = json!({"version": 1, "postgresql": {
            "username": "signer", "password": "a \"quoted\" \u{e9}", "ca_pem": world.ca_pem(),
        }});
        let mut artefacts = world.artefacts(1);
        artefacts.push(world.sealed(Kind::SlashingCredential, &login.to_string()));
        world.done(world.init(artefacts));
        let config = world.file("config.yaml");
        let current = world.signer().join("current").display().to_string();
        let expected = format!(
            "key-config-path: \"{current}/keys\"\nlogging: \"INFO\"\nhttp-listen-host: \"127.0.0.1\"\nhttp-listen-port: 9000\n\
             http-host-allowlist: \"*\"\ntls-keystore-file: \"{current}/tls.p12\"\n\
             tls-keystore-password-file: \"{current}/tls.password\"\ntls-known-clients-file: \"{current}/known-clients\"\n\
             eth2.network: \"hoodi\"\neth2.slashing-protection-enabled: true\n\
             eth2.slashing-protection-db-url: \"jdbc:postgresql://db.example.org:5432/web3signer?sslmode=verify-full&sslrootcert={current}/store-ca.pem\"\n\
             eth2.slashing-protection-db-username: \"signer\"\neth2.slashing-protection-db-password: \"a \\\"quoted\\\" \u{e9}\"\n"
        );
        assert_eq!(config, expected);
        assert_eq!(world.file("store-ca.pem"), world.ca_pem());
    }
    let table = json!({"kind": "dynamodb", "table_arn": "arn:aws:dynamodb:us-east-1:111122223333:table/slashing",
        "table_id": "12345678-0000-4000-8000-00000000000b"});
    let change = json!({"slashing_store": table, "outbound": [{"name": "dynamodb.us-east-1.amazonaws.com", "port": 443, "vsock_port": 8101}]});
    let mut world = World::with(&change, &json!({}));
    let mut artefacts = world.artefacts(1);
    let key = json!({"version": 3, "access_key_id": "AKIA1", "secret_access_key": "store-secret"});
    artefacts.push(world.sealed(Kind::SlashingCredential, &key.to_string()));
    world.done(world.init(artefacts.clone()));
    assert_eq!(
        world.file("store.json"),
        r#"{"access_key_id":"AKIA1","secret_access_key":"store-secret"}"#
    );
    let config = world.file("config.yaml");
    for line in [
        "eth2.dynamodb-slashing-table-id: \"12345678-0000-4000-8000-00000000000b\"\n",
        "eth2.dynamodb-slashing-ca-file: \"/etc/ssl/certs/ca-certificates.crt\"\n",
    ] {
        assert!(config.contains(line), "{config}");
    }
    world.policy.signer.distribution = control::policy::Distribution::Consensys;
    assert_eq!(world.refused(world.init(artefacts)).0, codes::NOT_ALLOWED);
}
