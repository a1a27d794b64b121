//! An agent with everything around it, from the config to a signer.

use std::net::TcpListener;
use std::sync::Arc;

use abi::request::Request;
use serde_json::{Value, json};

use super::enclave::{Act, Enclave};
use super::{Settings, TestAgent, TestNsm, config};

/// An agent with PID 1, provision and a signer.
pub(crate) struct Scene {
    pub(crate) agent: TestAgent,
    pub(crate) enclave: Arc<Enclave>,
}

impl Scene {
    pub(crate) fn new(change: impl FnOnce(&mut Settings)) -> Self {
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
    pub(crate) fn restart(&mut self, change: impl FnOnce(&mut Settings)) {
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

    pub(crate) fn configure(&self, config: &Value) -> Value {
        self.agent
            .ask(&json!({"operation": "configure", "config": config}).to_string())
    }

    pub(crate) fn configured(change: impl FnOnce(&mut Settings)) -> Self {
        let scene = Self::new(change);
        let answer = scene.configure(&config("hoodi"));
        assert_eq!(answer["status"], 200, "{answer}");
        scene
    }

    pub(crate) fn initialised(change: impl FnOnce(&mut Settings)) -> Self {
        let scene = Self::configured(change);
        assert_eq!(scene.init(), json!({"body": {"init_state": true}, "status": 200}));
        scene
    }

    pub(crate) fn init(&self) -> Value {
        self.agent.ask_service(&init().to_string())
    }

    pub(crate) fn init_state(&self) -> Value {
        self.agent.ask_service(r#"{"operation":"init_state"}"#)["body"]["init_state"].clone()
    }

    pub(crate) fn modes(&self) -> Vec<&'static str> {
        let jobs = self.enclave.jobs.lock().unwrap();
        jobs.iter().map(|job| job.work.name()).collect()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.enclave.requests.lock().unwrap())
    }

    pub(crate) fn act(&self, act: Act) {
        self.enclave.acts.lock().unwrap().push_back(act);
    }
}

pub(crate) fn key(n: u8) -> String {
    format!("0x{n:02x}{}", "ab".repeat(47))
}

pub(crate) fn credential() -> Value {
    json!({"access_key_id": "AKIAPLANTEDID", "secret_access_key": "planted/secret", "token": "planted-token"})
}

pub(crate) fn init() -> Value {
    json!({
        "operation": "init", "credential": credential(), "encrypted_tls_key": {"ciphertext": "AAAA"},
        "encrypted_clients": {"ciphertext": "AAEC"},
        "encrypted_validator_keys": [
            {"ciphertext": "AQID", "pubkey": key(1)},
            {"ciphertext": "AQIE", "pubkey": key(2), "stack": "0f9e8d7c-0000-4000-8000-00000000000a"},
        ],
    })
}

pub(crate) fn word(answer: &Value) -> &str {
    answer["body"]["error"]
        .as_str()
        .unwrap()
        .split(':')
        .next()
        .unwrap()
}

/// Searches what the agent says of itself for what the tests planted.
pub(crate) fn nothing_secret_is_said(scene: &Scene) {
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
