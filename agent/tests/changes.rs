//! What a message may ask for, what happens after `init`, and an agent that is started again.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::request::Request;
use control::policy::Distribution;
use control::provision::{Binding, Work};
use serde_json::{Value, json};
use support::config;
use support::enclave::{Act, Enclave};
use support::scene::{Scene, credential, init, key, word};

#[expect(dead_code, reason = "other files need more of it")]
mod support;

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
    assert_eq!(scene.modes(), [""; 0], "there is nothing to recover");
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
