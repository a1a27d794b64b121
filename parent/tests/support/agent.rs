//! A stand-in agent: keeps what it was told, refuses what a test wants refused.

use std::sync::{Arc, Mutex};

use control::Surface;
use control::request::Request;
use serde_json::{Value, json};

use super::{Folder, answer, handler, message, status};

#[derive(Default)]
pub(crate) struct State {
    pub(crate) phase: &'static str,
    pub(crate) signer: &'static str,
    pub(crate) received: Vec<Request>,
    /// Answers to the next `init`s, in place of a good one.
    pub(crate) refusals: Vec<(u16, Value)>,
    pub(crate) keys: u64,
    pub(crate) config_sha384: Option<String>,
}

#[derive(Clone, Default)]
pub(crate) struct Agent(pub(crate) Arc<Mutex<State>>);

impl Agent {
    pub(crate) fn new(phase: &'static str) -> Self {
        let agent = Self::default();
        agent.with(|state| (state.phase, state.signer) = (phase, "healthy"));
        agent
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    /// Names of the operations that came, `status` left out.
    pub(crate) fn operations(&self) -> Vec<&'static str> {
        self.with(|state| {
            state
                .received
                .iter()
                .map(Request::name)
                .filter(|name| *name != "status")
                .collect()
        })
    }

    pub(crate) fn serve(&self) -> Folder {
        let agent = self.clone();
        Folder::start(handler(move |port, mut stream| {
            let agent = agent.clone();
            async move {
                let surface = if port == 5000 {
                    Surface::Service
                } else {
                    Surface::Control
                };
                if let Some(request) = message(&mut stream, surface).await {
                    let (code, body) = agent.with(|state| respond(state, &request));
                    answer(&mut stream, code, body).await;
                }
            }
        }))
    }
}

fn respond(state: &mut State, request: &Request) -> (u16, Value) {
    state.received.push(request.clone());
    match request {
        Request::Status => {
            let mut body = status(state.phase, state.signer, state.keys);
            if let Some(hash) = &state.config_sha384 {
                body["config_sha384"] = json!(hash);
            }
            (200, body)
        }
        Request::Configure { .. } => {
            state.phase = "configured";
            (
                200,
                json!({ "config_sha384": "ab", "pcr16": "cd", "changed": true }),
            )
        }
        Request::Init(init) => {
            if !state.refusals.is_empty() {
                state.phase = "init-failed";
                return state.refusals.remove(0);
            }
            state.phase = "initialised";
            state.keys = u64::try_from(init.encrypted_validator_keys.len()).unwrap();
            (200, json!({ "init_state": true }))
        }
        Request::AddKeys {
            encrypted_validator_keys: keys,
        } => changed(state, i64::try_from(keys.len()).unwrap()),
        Request::RemoveKeys { public_keys } => changed(state, -i64::try_from(public_keys.len()).unwrap()),
        Request::SetClients { .. } => changed(state, 0),
        Request::RefreshCredentials { .. } => (200, json!({ "accepted": true })),
        Request::Attest { nonce } => (
            200,
            json!({ "attestation_document": "aGVsbG8=", "claims": nonce.as_str() }),
        ),
        _ => (400, json!({ "error": "unknown-operation: \"x\"" })),
    }
}

fn changed(state: &mut State, by: i64) -> (u16, Value) {
    if !state.refusals.is_empty() {
        return state.refusals.remove(0);
    }
    state.keys = state.keys.saturating_add_signed(by);
    (200, json!({ "items": [], "keys": state.keys }))
}
