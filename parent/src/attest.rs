//! Attestation for auditors: `GET /attest?nonce=HEX`, or `POST /attest` with `{"nonce":"HEX"}`.
//!
//! The agent is asked with `attest` and nothing else can be; its answer is passed on. A document is signed by the NSM and
//! needs no other protection on its way, so this is plain HTTP. The NSM is slow: questions are rated, in all and
//! for each source, and one is under way at a time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use control::answer::Attestation;
use control::request::Request as Ask;
use control::text::Nonce;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::ask::ask;
use crate::http_server::{Answer, JSON, answer, serve};
use crate::limits::{Places, Rate};
use crate::metrics::{Kind, Metrics, Number, count};
use crate::transport::Dialer;

/// Questions at once, and one more for each [`EVERY`].
const BURST: u32 = 4;
/// See [`BURST`].
const EVERY: Duration = Duration::from_secs(1);
/// Longest body of a question, bytes.
const MAX_BODY_BYTES: usize = 512;
/// Time for the agent's answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The relay.
#[derive(Debug)]
pub struct Relay {
    dialer: Dialer,
    rate: Rate,
    turn: Mutex<()>,
    asked: Number,
    refused: Number,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    nonce: Nonce,
}

impl Relay {
    /// A relay to the enclave.
    #[must_use]
    pub fn new(dialer: Dialer, metrics: &Metrics) -> Arc<Self> {
        let counter = |name, help| metrics.add(Kind::Counter, name, help);
        Arc::new(Self {
            dialer,
            rate: Rate::new(BURST, EVERY),
            turn: Mutex::new(()),
            asked: counter(
                "parent_attest_asked_total",
                "Attestation documents asked of the enclave.",
            ),
            refused: counter(
                "parent_attest_refused_total",
                "Questions refused: bad, or too many.",
            ),
        })
    }

    /// Serves for ever.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let respond = move |request: Request<Incoming>, _: IpAddr| {
            let relay = Arc::clone(&self);
            async move { relay.respond(request).await }
        };
        serve(listener, Places::new(32, 4), respond).await;
    }

    async fn respond(&self, request: Request<Incoming>) -> Answer {
        let nonce = match nonce(request).await {
            Ok(nonce) => nonce,
            Err((status, text)) => {
                count(&self.refused);
                return error(status, text);
            }
        };
        let Ok(turn) = tokio::time::timeout(PATIENCE, self.turn.lock()).await else {
            return self.too_many();
        };
        if !self.rate.take() {
            return self.too_many();
        }
        count(&self.asked);
        let answered = ask::<Attestation>(&self.dialer, &Ask::Attest { nonce }, PATIENCE).await;
        drop(turn);
        match answered
            .ok()
            .and_then(|attestation| serde_json::to_vec(&attestation).ok())
        {
            Some(body) => answer(StatusCode::OK, JSON, body),
            None => error(StatusCode::BAD_GATEWAY, "the enclave does not give a document"),
        }
    }

    fn too_many(&self) -> Answer {
        count(&self.refused);
        let mut answer = error(StatusCode::TOO_MANY_REQUESTS, "too many questions");
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        answer
    }
}

fn error(status: StatusCode, text: &str) -> Answer {
    answer(status, JSON, json!({ "error": text }).to_string())
}

async fn nonce(request: Request<Incoming>) -> Result<Nonce, (StatusCode, &'static str)> {
    const WRONG: (StatusCode, &str) = (
        StatusCode::BAD_REQUEST,
        "nonce must be 1 to 64 bytes in hexadecimal digits; nothing else may be asked",
    );
    if request.uri().path() != "/attest" {
        return Err((StatusCode::NOT_FOUND, "only /attest is here"));
    }
    match *request.method() {
        Method::GET => {
            let query = request
                .uri()
                .query()
                .and_then(|query| query.strip_prefix("nonce="));
            query.and_then(|nonce| nonce.parse().ok()).ok_or(WRONG)
        }
        Method::POST => {
            let body = Limited::new(request.into_body(), MAX_BODY_BYTES)
                .collect()
                .await
                .map_err(|_| WRONG)?;
            let question: Question = serde_json::from_slice(&body.to_bytes()).map_err(|_| WRONG)?;
            Ok(question.nonce)
        }
        _ => Err((StatusCode::METHOD_NOT_ALLOWED, "GET or POST")),
    }
}
