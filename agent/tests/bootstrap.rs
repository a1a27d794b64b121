//! `configure` and `init` over sockets, and every step of them failing.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::request::Request;
use control::answer::{Item, ItemCode, Refusal};
use control::artefact::Kind;
use control::provision::{Binding, Outcome, Work};
use serde_json::{Value, json};
use support::enclave::{Act, Enclave};
use support::scene::{Scene, init, key, nothing_secret_is_said, word};
use support::{Settings, TestAgent, TestNsm, config};

#[expect(dead_code, reason = "other files need more of it")]
mod support;

#[test]
fn the_good_way_from_nothing_to_signing() {
    let scene = Scene::new(|_| ());
    assert_eq!(scene.agent.phase(), "unconfigured");
    let early = scene.init();
    assert_eq!(
        (early["status"].as_u64(), word(&early)),
        (Some(409), "not-configured")
    );

    let configured = scene.configure(&config("hoodi"));
    let pcr16 = configured["body"]["pcr16"].as_str().unwrap();
    let register = scene.agent.nsm.register(16);
    assert_eq!(pcr16, nsm::Pcr(register).to_string());
    assert_eq!(configured["body"]["changed"], true);
    assert_eq!(
        scene.agent.nsm.locked.lock().unwrap().len(),
        32,
        "every register is locked"
    );
    assert_eq!(scene.modes(), [""; 0], "nothing was decrypted before");
    assert_eq!(scene.configure(&config("hoodi"))["body"]["changed"], false);
    let other = scene.configure(&config("mainnet"));
    assert_eq!(
        (other["status"].as_u64(), word(&other)),
        (Some(409), "config-conflict")
    );
    assert_eq!(scene.init_state(), false);

    assert_eq!(scene.init(), json!({"body": {"init_state": true}, "status": 200}));
    assert_eq!(scene.init_state(), true);
    assert_eq!(scene.requests(), [Request::StartProvision, Request::StartSigner]);
    the_job_is_right(&scene);
    let again = scene.init();
    assert_eq!(
        (again["status"].as_u64(), word(&again)),
        (Some(409), "already-initialised")
    );
    assert_eq!(scene.modes(), ["init"]);

    what_is_told_is_right(&scene, &configured["body"]["config_sha384"]);
    nothing_secret_is_said(&scene);
}

fn the_job_is_right(scene: &Scene) {
    let jobs = scene.enclave.jobs.lock().unwrap();
    let job = jobs.last().unwrap();
    assert_eq!(
        serde_json::to_value(job.config.clone().unwrap()).unwrap(),
        config("hoodi")
    );
    let Work::Init {
        credential,
        artefacts,
    } = &job.work
    else {
        panic!()
    };
    assert_eq!(credential.secret_access_key(), "planted/secret");
    let kinds: Vec<_> = artefacts.iter().map(|a| (a.kind, a.index)).collect();
    assert_eq!(
        kinds,
        [
            (Kind::TlsKey, 0),
            (Kind::Clients, 0),
            (Kind::ValidatorKey, 0),
            (Kind::ValidatorKey, 1)
        ]
    );
    // The context comes from the config, also where the message names no stack.
    for artefact in artefacts {
        let Binding::Bound { stack, pubkey } = &artefact.binding else {
            panic!()
        };
        assert_eq!(stack.as_str(), "0f9e8d7c-0000-4000-8000-00000000000a");
        assert_eq!(pubkey.is_some(), artefact.kind == Kind::ValidatorKey);
    }
}

fn what_is_told_is_right(scene: &Scene, config: &Value) {
    let status = scene.agent.ask(r#"{"operation":"status"}"#);
    let body = &status["body"];
    assert_eq!(body["phase"], "initialised");
    assert_eq!(body["signer"]["state"], "healthy");
    assert_eq!((body["keys"].as_u64(), &body["config_sha384"]), (Some(2), config));
    assert_eq!(
        body["certificate"],
        json!({"not_after_unix_s": 1_900_000_000, "sha256": "01".repeat(32)})
    );
    assert_eq!(
        body["artefact_versions"],
        json!({"tls-key": 1, "clients": 1, "slashing-credential": 0})
    );
    let attested = scene.agent.ask(r#"{"operation":"attest","nonce":"00"}"#);
    let claims: Value = serde_json::from_str(attested["body"]["claims"].as_str().unwrap()).unwrap();
    assert_eq!(claims["public_keys"], json!([key(1), key(2)]));
    assert_eq!(claims["config_sha384"], *config);
    assert_eq!(claims["slashing_store"], json!({"kind": "memory"}));
    assert_eq!(claims["tls_public_key_sha256"], "02".repeat(32));
}

#[test]
fn a_failed_init_leaves_the_state_before_and_can_be_done_again() {
    let scene = Scene::configured(|settings| settings.patience.job = Duration::from_secs(3));
    let item = |index, code| Item {
        kind: Kind::ValidatorKey,
        index,
        pubkey: None,
        code,
    };
    let refusal = Refusal {
        error: "items-failed: 1 of 4 items".to_owned(),
        items: vec![item(1, ItemCode::KmsCiphertext)],
        failed: 1,
    };
    let refused = Act::Outcome(Box::new(Outcome::Refused { refusal }));
    for (act, expected, jobs) in [
        (refused, "items-failed", 1),
        (Act::Die, "provision-failed", 1),
        (Act::Garbage, "provision-failed", 1),
        (Act::Absent, "provision-failed", 0),
        (Act::NotStarted, "provision-failed", 0),
        (Act::Silent, "provision-failed", 0),
        (Act::Slow(Duration::from_secs(4)), "provision-failed", 1),
    ] {
        scene.act(act.clone());
        let before = scene.modes().len();
        let answer = scene.init();
        assert_eq!(
            (answer["status"].as_u64(), word(&answer)),
            (Some(500), expected),
            "{act:?}: {answer}"
        );
        assert_eq!(scene.modes().len() - before, jobs, "{act:?}");
        assert_eq!(
            (scene.init_state(), scene.agent.phase().as_str()),
            (json!(false), "init-failed")
        );
        assert!(!scene.requests().contains(&Request::StartSigner), "{act:?}");
        let other = scene.configure(&config("mainnet"));
        assert_eq!(word(&other), "config-conflict", "{act:?}");
        if expected == "items-failed" {
            assert_eq!(answer["body"]["failed"], 1);
            assert_eq!(answer["body"]["items"][0]["code"], "kms-ciphertext");
            assert_eq!(answer["body"]["items"][0]["index"], 1);
        }
    }
    // The last one may still be at work.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(scene.init()["status"], 200);
    assert_eq!(scene.agent.phase(), "initialised");
    nothing_secret_is_said(&scene);
}

#[test]
fn a_signer_that_does_not_start_is_undone() {
    let scene = Scene::configured(|settings| settings.patience.signer = Duration::from_secs(2));
    *scene.enclave.dies.lock().unwrap() = true;
    let answer = scene.init();
    assert_eq!(
        (answer["status"].as_u64(), word(&answer)),
        (Some(500), "signer-failed")
    );
    assert_eq!(scene.modes(), ["init", "rollback"]);
    assert!(
        scene.enclave.state.lock().unwrap().is_none(),
        "its files are gone"
    );
    *scene.enclave.dies.lock().unwrap() = false;

    *scene.enclave.upcheck.lock().unwrap() = "HTTP/1.1 503 Service Unavailable\r\n\r\n";
    scene.requests();
    let answer = scene.init();
    assert_eq!(word(&answer), "signer-failed", "{answer}");
    let requests = scene.requests();
    assert_eq!(
        requests,
        [
            Request::StartProvision,
            Request::StartSigner,
            Request::StopSigner,
            Request::StartProvision
        ]
    );
    assert_eq!(scene.agent.phase(), "init-failed");
    *scene.enclave.upcheck.lock().unwrap() = "HTTP/1.1 200 OK\r\n\r\n";

    // It is up, but does not serve a key that it was given.
    *scene.enclave.forgets.lock().unwrap() = true;
    let answer = scene.init();
    assert_eq!(word(&answer), "signer-failed", "{answer}");
    let text = answer["body"]["error"].as_str().unwrap();
    assert!(
        text.contains("1 of its 2 are missing, 0 are not its own"),
        "{text}"
    );
    assert!(
        scene.enclave.state.lock().unwrap().is_none(),
        "its files are gone"
    );
    *scene.enclave.forgets.lock().unwrap() = false;
    assert_eq!(scene.init()["status"], 200);
}

#[test]
fn another_certificate_than_the_reported_one_is_not_healthy() {
    let scene = Scene::configured(|settings| settings.patience.signer = Duration::from_secs(2));
    // An impostor takes the signer's place: everything is right but its key.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let impostor = support::enclave::Identity::new("localhost");
    scene.enclave.play_signer(listener, &impostor);
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let enclave = Enclave::new(dir.path().to_owned());
    *enclave.running.lock().unwrap() = true;
    let mut settings = Settings::new(TestNsm::default());
    settings.provisioned = true;
    settings.signer = address;
    settings.patience.signer = Duration::from_secs(2);
    let agent = TestAgent::within(dir, settings, || ());
    enclave.play_pid1(&agent.pid1);
    agent.ask(&json!({"operation": "configure", "config": config("hoodi")}).to_string());
    let answer = agent.ask_service(&init().to_string());
    assert_eq!(word(&answer), "signer-failed", "{answer}");
}

#[test]
fn one_change_at_a_time() {
    let scene = Scene::configured(|_| ());
    scene.act(Act::Slow(Duration::from_secs(2)));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| scene.init());
        while scene.agent.phase() != "initialising" {
            std::thread::yield_now();
        }
        let started = Instant::now();
        for answer in [
            scene.init(),
            scene.configure(&config("hoodi")),
            scene
                .agent
                .ask(&json!({"operation": "remove_keys", "public_keys": [key(1)]}).to_string()),
        ] {
            assert_eq!((answer["status"].as_u64(), word(&answer)), (Some(503), "busy"));
        }
        assert_eq!(scene.init_state(), false);
        assert!(started.elapsed() < Duration::from_secs(2));
        assert_eq!(first.join().unwrap()["status"], 200);
    });
}

#[test]
fn an_init_whose_caller_leaves_goes_on() {
    let scene = Scene::configured(|_| ());
    scene.act(Act::Slow(Duration::from_millis(500)));
    let mut stream = scene.agent.connect_to("service");
    stream.write_all(init().to_string().as_bytes()).unwrap();
    while scene.agent.phase() == "configured" {
        std::thread::yield_now();
    }
    drop(stream);
    let started = Instant::now();
    while scene.init_state() != true {
        assert!(started.elapsed() < support::ENOUGH);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_measurement_that_fails_half_way_accepts_the_same_config_only() {
    for broken in ["ExtendPCR", "LockPCRs"] {
        let scene = Scene::new(|_| ());
        scene.agent.nsm.breaking(&[broken]);
        let failed = scene.configure(&config("hoodi"));
        assert_eq!(
            (failed["status"].as_u64(), word(&failed)),
            (Some(500), "nsm-failed")
        );
        assert_eq!(scene.agent.phase(), "unconfigured");
        scene.agent.nsm.breaking(&[]);
        if broken == "LockPCRs" {
            assert_eq!(word(&scene.configure(&config("mainnet"))), "config-conflict");
        }
        assert_eq!(scene.configure(&config("hoodi"))["status"], 200);
        assert_eq!(scene.init()["status"], 200);
    }
}
