//! The bootstrap over sockets: `configure`, `init`, the changes after it, and every step of it failing.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::request::Request;
use control::answer::{Item, ItemCode, Refusal};
use control::artefact::Kind;
use control::policy::Distribution;
use control::provision::{Binding, Outcome, Work};
use serde_json::{Value, json};
use support::enclave::{Act, Enclave};
use support::{Settings, TestAgent, TestNsm, config};

#[expect(dead_code, reason = "other files need more of it")]
mod support;

/// An agent with PID 1, provision and a signer.
struct Scene {
    agent: TestAgent,
    enclave: Arc<Enclave>,
}

impl Scene {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let enclave = Enclave::new(dir.path().to_owned());
        let mut settings = Settings::new(TestNsm::default());
        settings.provisioned = true;
        settings.signer = listener.local_addr().unwrap();
        change(&mut settings);
        enclave.play_signer(listener, &enclave.signer);
        let agent = TestAgent::within(dir, settings, || ());
        enclave.play_pid1(&agent.pid1);
        Self { agent, enclave }
    }

    /// The agent ends and another starts in its place.
    fn restart(&mut self, change: impl FnOnce(&mut Settings)) {
        let mut settings = Settings::new(TestNsm::default());
        settings.nsm = Arc::clone(&self.agent.nsm);
        settings.provisioned = true;
        settings.signer = self.agent.core.signer_address();
        change(&mut settings);
        let dir = Arc::clone(&self.agent.dir);
        self.agent.pid1.shutdown(std::net::Shutdown::Both).unwrap();
        self.agent = TestAgent::within(dir, settings, || ());
        self.enclave.play_pid1(&self.agent.pid1);
    }

    fn configure(&self, config: &Value) -> Value {
        self.agent
            .ask(&json!({"operation": "configure", "config": config}).to_string())
    }

    fn configured(change: impl FnOnce(&mut Settings)) -> Self {
        let scene = Self::new(change);
        let answer = scene.configure(&config("hoodi"));
        assert_eq!(answer["status"], 200, "{answer}");
        scene
    }

    fn initialised(change: impl FnOnce(&mut Settings)) -> Self {
        let scene = Self::configured(change);
        assert_eq!(scene.init(), json!({"body": {"init_state": true}, "status": 200}));
        scene
    }

    fn init(&self) -> Value {
        self.agent.ask_service(&init().to_string())
    }

    fn init_state(&self) -> Value {
        self.agent.ask_service(r#"{"operation":"init_state"}"#)["body"]["init_state"].clone()
    }

    fn modes(&self) -> Vec<&'static str> {
        let jobs = self.enclave.jobs.lock().unwrap();
        jobs.iter().map(|job| job.work.name()).collect()
    }

    fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.enclave.requests.lock().unwrap())
    }

    fn act(&self, act: Act) {
        self.enclave.acts.lock().unwrap().push_back(act);
    }
}

fn key(n: u8) -> String {
    format!("0x{n:02x}{}", "ab".repeat(47))
}

fn credential() -> Value {
    json!({"access_key_id": "AKIAPLANTEDID", "secret_access_key": "planted/secret", "token": "planted-token"})
}

fn init() -> Value {
    json!({
        "operation": "init", "credential": credential(), "encrypted_tls_key": {"ciphertext": "AAAA"},
        "encrypted_clients": {"ciphertext": "AAEC"},
        "encrypted_validator_keys": [
            {"ciphertext": "AQID", "pubkey": key(1)},
            {"ciphertext": "AQIE", "pubkey": key(2), "stack": "0f9e8d7c-0000-4000-8000-00000000000a"},
        ],
    })
}

fn word(answer: &Value) -> &str {
    answer["body"]["error"]
        .as_str()
        .unwrap()
        .split(':')
        .next()
        .unwrap()
}

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

/// Searches what the agent says of itself for what the tests planted.
fn nothing_secret_is_said(scene: &Scene) {
    let mut said = vec![
        scene.agent.ask(r#"{"operation":"status"}"#).to_string(),
        scene.agent.ask(r#"{"operation":"metrics"}"#).to_string(),
        scene
            .agent
            .ask(r#"{"operation":"attest","nonce":"00"}"#)
            .to_string(),
        format!("{:?}", scene.agent.core),
    ];
    while let Some(record) = scene.agent.ring.take() {
        said.push(serde_json::to_string(&record).unwrap());
    }
    for text in said {
        for secret in ["planted", "PLANTED"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn tls_is_carried_to_the_signer_once_it_was_started() {
    let scene = Scene::configured(|_| ());
    let connect = || {
        let mut stream = scene.agent.connect_to("service");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(rustls::pki_types::CertificateDer::from(
                scene.enclave.signer.certificate.clone(),
            ))
            .unwrap();
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![scene.enclave.health.certificate.clone().into()],
                rustls::pki_types::PrivateKeyDer::try_from(scene.enclave.health.key.clone()).unwrap(),
            )
            .unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut tls = rustls::Stream::new(&mut tls, &mut stream);
        let mut echo = [0; 5];
        tls.write_all(b"hello")
            .and_then(|()| tls.read_exact(&mut echo))
            .map(|()| echo)
    };
    assert!(connect().is_err(), "before init");
    assert_eq!(scene.init()["status"], 200);
    for _ in 0..20 {
        assert_eq!(&connect().unwrap(), b"hello");
    }
    assert_eq!(scene.init_state(), true, "messages are still served there");
    let metrics = scene.agent.ask(r#"{"operation":"metrics"}"#);
    let text = metrics["body"]["text"].as_str().unwrap();
    for line in [
        "nitro_agent_tls_total 20",
        "nitro_agent_tls_refused_total 1",
        "nitro_agent_keys 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
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
fn messages_that_the_config_or_the_image_does_not_allow() {
    let scene = Scene::configured(|_| ());
    let with = |change: &dyn Fn(&mut Value)| {
        let mut message = init();
        change(&mut message);
        scene.agent.ask_service(&message.to_string())
    };
    let missing = with(&|m| drop(m.as_object_mut().unwrap().remove("encrypted_clients")));
    assert_eq!(
        (missing["status"].as_u64(), word(&missing)),
        (Some(400), "artefact-missing")
    );
    let bare = with(&|m| m["encrypted_validator_keys"][0] = json!("AQID"));
    assert_eq!(
        (bare["status"].as_u64(), word(&bare)),
        (Some(500), "items-failed")
    );
    assert_eq!(
        bare["body"]["items"],
        json!([{"kind": "validator-key", "index": 0, "code": "legacy-refused"}])
    );
    let foreign = with(&|m| {
        m["encrypted_validator_keys"][1]["stack"] = json!("0f9e8d7c-0000-4000-8000-00000000000b");
        m["encrypted_tls_key"] = json!("AAAA");
    });
    assert_eq!(
        foreign["body"]["items"],
        json!([
            {"kind": "tls-key", "index": 0, "code": "legacy-refused"},
            {"kind": "validator-key", "index": 1, "pubkey": key(2), "code": "unknown-stack"},
        ])
    );
    assert_eq!(scene.modes(), [""; 0], "provision was not asked");
    assert_eq!(scene.agent.phase(), "init-failed");
    assert_eq!(scene.init()["status"], 200);

    let mut any = config("hoodi");
    any["client_authentication"] = json!("any-client");
    let closed = Scene::new(|_| ());
    let answer = closed.configure(&any);
    assert_eq!(
        (answer["status"].as_u64(), word(&answer)),
        (Some(400), "not-allowed")
    );
    assert_eq!(closed.agent.nsm.register(16), [0; 48], "nothing was measured");
    let strict = Scene::new(|settings| settings.policy.trust.memory_slashing = false);
    assert_eq!(word(&strict.configure(&config("hoodi"))), "not-allowed");
}

#[test]
fn a_legacy_image_takes_the_guidances_own_message() {
    let scene = Scene::configured(|settings| {
        settings.policy.trust.legacy_no_context = true;
        settings.policy.trust.allow_any_client = true;
    });
    drop(scene);
    let scene = Scene::new(|settings| {
        settings.policy.trust.legacy_no_context = true;
        settings.policy.trust.allow_any_client = true;
    });
    let mut any = config("hoodi");
    any["client_authentication"] = json!("any-client");
    assert_eq!(scene.configure(&any)["status"], 200);
    let message = json!({"operation": "init", "credential": credential(), "encrypted_tls_key": "AAAA", "encrypted_validator_keys": ["AQID", "AQIE"]});
    let answer = scene.agent.ask_service(&message.to_string());
    assert_eq!(answer, json!({"body": {"init_state": true}, "status": 200}));
    let jobs = scene.enclave.jobs.lock().unwrap();
    let Work::Init { artefacts, .. } = &jobs[0].work else {
        panic!()
    };
    assert!(
        artefacts
            .iter()
            .all(|artefact| artefact.binding == Binding::None {})
    );
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

#[test]
fn keys_and_clients_are_changed_under_the_running_signer() {
    for distribution in [Distribution::Native, Distribution::Consensys] {
        let scene = Scene::initialised(|settings| settings.policy.signer.distribution = distribution);
        let apply = match distribution {
            Distribution::Native => vec![Request::StartProvision, Request::ReloadSigner],
            Distribution::Consensys => {
                vec![Request::StartProvision, Request::StopSigner, Request::StartSigner]
            }
        };
        scene.requests();
        let add = json!({"operation": "add_keys", "encrypted_validator_keys": [{"ciphertext": "AQIF", "pubkey": key(3)}]});
        let added = scene.agent.ask(&add.to_string());
        assert_eq!(added, json!({"body": {"items": [], "keys": 3}, "status": 200}));
        assert_eq!(scene.requests(), apply);
        let clients = json!({"operation": "set_clients", "encrypted_clients": {"ciphertext": "AQIG"}});
        assert_eq!(scene.agent.ask(&clients.to_string())["status"], 200);
        assert_eq!(scene.requests(), apply);
        let remove = json!({"operation": "remove_keys", "public_keys": [key(1)]}).to_string();
        assert_eq!(scene.agent.ask(&remove)["body"]["keys"], 2);
        assert_eq!(scene.requests(), apply);
        // Nothing to do: the signer is left alone.
        assert_eq!(scene.agent.ask(&remove)["body"]["keys"], 2);
        assert_eq!(scene.requests(), [Request::StartProvision]);
        let status = scene.agent.ask(r#"{"operation":"status"}"#);
        assert_eq!(status["body"]["keys"], 2);
        assert_eq!(status["body"]["artefact_versions"]["clients"], 2);

        scene.act(Act::Die);
        let failed = scene.agent.ask(&add.to_string());
        assert_eq!(word(&failed), "provision-failed");
        assert_eq!(scene.agent.ask(r#"{"operation":"status"}"#)["body"]["keys"], 2);
        assert_eq!(scene.init_state(), true, "the signer goes on");
    }
}

#[test]
fn changes_need_init_first() {
    let scene = Scene::configured(|_| ());
    for message in [
        json!({"operation": "add_keys", "encrypted_validator_keys": [{"ciphertext": "AQIF", "pubkey": key(3)}]}),
        json!({"operation": "set_clients", "encrypted_clients": {"ciphertext": "AQIG"}}),
        json!({"operation": "remove_keys", "public_keys": [key(1)]}),
        json!({"operation": "refresh_credentials", "credential": credential()}),
    ] {
        let answer = scene.agent.ask(&message.to_string());
        assert_eq!(
            (answer["status"].as_u64(), word(&answer)),
            (Some(409), "not-initialised"),
            "{message}"
        );
    }
    assert_eq!(scene.modes(), [""; 0]);
}

#[test]
fn refreshed_credentials_are_used_next() {
    let scene = Scene::initialised(|_| ());
    let fresh = json!({"access_key_id": "AKIAFRESH", "secret_access_key": "fresh", "token": ""});
    let refresh = json!({"operation": "refresh_credentials", "credential": fresh});
    assert_eq!(
        scene.agent.ask(&refresh.to_string()),
        json!({"body": {"accepted": true}, "status": 200})
    );
    let add = json!({"operation": "add_keys", "encrypted_validator_keys": [{"ciphertext": "AQIF", "pubkey": key(3)}]});
    assert_eq!(scene.agent.ask(&add.to_string())["status"], 200);
    let jobs = scene.enclave.jobs.lock().unwrap();
    let Work::AddKeys { credential, .. } = &jobs.last().unwrap().work else {
        panic!()
    };
    assert_eq!(credential.access_key_id(), "AKIAFRESH");
}

#[test]
fn a_restarted_agent_finds_its_signer_again() {
    let mut scene = Scene::initialised(|_| ());
    scene.requests();
    scene.restart(|_| ());
    let started = Instant::now();
    while scene.init_state() != true
        || scene.agent.ask(r#"{"operation":"status"}"#)["body"]["signer"]["state"] != "healthy"
    {
        assert!(started.elapsed() < support::ENOUGH);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(scene.requests(), [Request::StartProvision, Request::StartSigner]);
    assert_eq!(scene.modes(), ["init", "recover"]);
    assert_eq!(word(&scene.init()), "already-initialised");
    assert_eq!(word(&scene.configure(&config("mainnet"))), "config-conflict");
    let status = scene.agent.ask(r#"{"operation":"status"}"#);
    assert_eq!(status["body"]["keys"], 2);
    // The credentials are gone with the agent that had them.
    let add = json!({"operation": "add_keys", "encrypted_validator_keys": [{"ciphertext": "AQIF", "pubkey": key(3)}]});
    assert_eq!(word(&scene.agent.ask(&add.to_string())), "no-credentials");
}

#[test]
fn a_restarted_agent_without_a_signer_takes_the_same_config_only() {
    let mut scene = Scene::configured(|_| ());
    scene.act(Act::Die);
    assert_eq!(word(&scene.init()), "provision-failed");
    scene.restart(|_| ());
    let started = Instant::now();
    while scene.modes() != ["init", "recover"] {
        assert!(started.elapsed() < support::ENOUGH);
        std::thread::sleep(Duration::from_millis(20));
    }
    let conflict = loop {
        let answer = scene.configure(&config("mainnet"));
        if word(&answer) != "busy" {
            break answer;
        }
    };
    assert_eq!(word(&conflict), "config-conflict");
    assert_eq!(scene.configure(&config("hoodi"))["status"], 200);
    assert_eq!(scene.init()["status"], 200);
}

#[test]
fn the_manifests_config_is_measured_without_being_asked_for() {
    let deployment: control::config::RawConfig = serde_json::from_value(config("hoodi")).unwrap();
    let scene = Scene::new(|settings| {
        settings.policy.deployment = Some(Box::new(deployment.try_into().unwrap()));
    });
    let started = Instant::now();
    while scene.agent.phase() != "configured" {
        assert!(started.elapsed() < support::ENOUGH);
    }
    assert_ne!(scene.agent.nsm.register(16), [0; 48]);
    let other = scene.configure(&config("mainnet"));
    assert_eq!(
        (other["status"].as_u64(), word(&other)),
        (Some(409), "config-conflict")
    );
    assert_eq!(scene.configure(&config("hoodi"))["body"]["changed"], false);
    assert_eq!(scene.init()["status"], 200);
}

#[test]
fn an_image_without_a_signer_says_so() {
    let scene = Scene::configured(|settings| settings.provisioned = false);
    let answer = scene.init();
    assert_eq!(
        (answer["status"].as_u64(), word(&answer)),
        (Some(500), "signer-failed")
    );
}

#[test]
fn a_peer_of_another_user_gets_no_job() {
    // The scene's provision has the tests' own user; the agent waits for another.
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let path = dir.path().join("socket");
    let (pid1, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let enclave = Enclave::new(dir.path().to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let channel = agent::channel::Channel::take(&theirs).unwrap();
        let pid1_of_agent = agent::pid1::Pid1::new(&channel).unwrap();
        let handover = agent::handover::Handover::listen(&path, u32::MAX - 7).unwrap();
        enclave.play_pid1(&pid1);
        enclave.acts.lock().unwrap().push_back(Act::Silent);
        let peer = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let job = control::provision::Job {
            config: None,
            work: Work::Recover,
        };
        let outcome = handover.run(&pid1_of_agent, &job, Duration::from_secs(1)).await;
        assert!(
            matches!(
                outcome,
                Err(agent::handover::HandoverError::Late { step: "connect" })
            ),
            "{outcome:?}"
        );
        let mut all = Vec::new();
        let mut peer = peer;
        peer.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"");
    });
}
