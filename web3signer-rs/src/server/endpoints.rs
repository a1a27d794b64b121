//! The answers of every endpoint but the key manager's.

use std::sync::Arc;

use base64ct::{Base64, Encoding};
use http::{HeaderMap, StatusCode};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::accept::{admits, wants_json};
use super::respond::{Answer, failure, json, text};
use crate::app::{App, causes};
use crate::client_keys::Allowed;
use crate::keys::SourceCount;
use crate::signer::SignFault;

/// `GET /upcheck`.
#[must_use]
pub fn upcheck(headers: &HeaderMap) -> Answer {
    if admits(headers, "text", "plain") {
        text(StatusCode::OK, "OK")
    } else {
        failure(StatusCode::NOT_ACCEPTABLE, "this endpoint answers text/plain")
    }
}

/// `GET /api/v1/eth2/publicKeys`: the keys that this client may use.
#[must_use]
pub fn public_keys(app: &App, allowed: &Allowed, headers: &HeaderMap) -> Answer {
    if !admits(headers, "application", "json") {
        return failure(
            StatusCode::NOT_ACCEPTABLE,
            "this endpoint answers application/json",
        );
    }
    let snapshot = app.signer.keys.snapshot();
    let names: Vec<String> = snapshot
        .iter()
        .filter(|key| allowed.has(key.public_key().as_bytes()))
        .map(|key| format!("0x{}", hex::encode(key.public_key().as_bytes())))
        .collect();
    json(StatusCode::OK, &names)
}

#[derive(Serialize)]
struct Signed<'a> {
    signature: &'a str,
}

/// `POST /api/v1/eth2/sign/{identifier}`.
pub async fn sign(
    app: &App,
    allowed: &Allowed,
    identifier: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Answer {
    match app.signer.sign(allowed, identifier, body).await {
        Ok(signature) => {
            let signature = format!("0x{}", hex::encode(signature.to_bytes()));
            if wants_json(headers) {
                json(
                    StatusCode::OK,
                    &Signed {
                        signature: &signature,
                    },
                )
            } else {
                text(StatusCode::OK, signature)
            }
        }
        Err(fault) => refuse(app, identifier, &fault),
    }
}

/// A refusal is logged with the key and the reason, never with the body.
fn refuse(app: &App, identifier: &str, fault: &SignFault) -> Answer {
    let status = fault.status();
    let why = causes(fault);
    // A path segment may be long; a key is 98 characters.
    let identifier: String = identifier.chars().take(98).collect();
    let line = format_args!("not signed ({}): {identifier}: {why}", status.as_u16());
    match fault {
        SignFault::Bad(_) | SignFault::NotFound => app.log.info(line),
        SignFault::Refused(_) | SignFault::Cannot(_) => app.log.warn(line),
        SignFault::Pool(_) => app.log.error(line),
    }
    failure(status, &why)
}

#[derive(Serialize)]
struct Check<'a> {
    id: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<CheckData>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checks: Vec<Self>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct CheckData {
    keys_loaded: usize,
    error_count: usize,
}

#[derive(Serialize)]
struct Health<'a> {
    status: &'a str,
    checks: Vec<Check<'a>>,
    outcome: &'a str,
}

fn state(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

impl<'a> Check<'a> {
    fn new(id: &'a str, up: bool) -> Self {
        Self {
            id,
            status: state(up),
            data: None,
            checks: Vec::new(),
        }
    }

    fn of_source(id: &'a str, source: SourceCount) -> Self {
        Self {
            data: Some(CheckData {
                keys_loaded: source.keys_loaded,
                error_count: source.error_count,
            }),
            ..Self::new(id, source.error_count == 0)
        }
    }
}

/// `GET /healthcheck`.
#[must_use]
pub fn healthcheck(app: &App) -> Answer {
    let snapshot = app.signer.keys.snapshot();
    let counts = snapshot.counts();
    let mut sources = vec![Check::of_source("config-files-loading", counts.config)];
    sources.extend(
        counts
            .bulk
            .map(|bulk| Check::of_source("keystores-bulk-loading", bulk)),
    );
    let keys_up = sources.iter().all(|check| check.status == state(true));
    let mut checks = vec![
        Check::new("default-check", true),
        Check {
            checks: sources,
            ..Check::new("keys-check", keys_up)
        },
    ];
    if app.signer.protection.is_on() {
        checks.push(Check::new(
            "slashing-protection-db-health-check",
            app.signer.protection.is_healthy(),
        ));
    }
    let up = checks.iter().all(|check| check.status == state(true));
    let status = if up {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let health = Health {
        status: state(up),
        checks,
        outcome: state(up),
    };
    json(status, &health)
}

#[derive(Serialize)]
struct Word<'a> {
    status: &'a str,
    message: &'a str,
}

/// `POST /reload`.
#[must_use]
pub fn reload(app: &Arc<App>) -> Answer {
    if app.start_reload() {
        let message =
            "Reload operation accepted and is running in the background. Use GET /reload to check status.";
        json(
            StatusCode::ACCEPTED,
            &Word {
                status: "accepted",
                message,
            },
        )
    } else {
        let message = "A reload operation is already in progress. Please try again later.";
        json(
            StatusCode::CONFLICT,
            &Word {
                status: "error",
                message,
            },
        )
    }
}

/// `GET /reload`.
#[must_use]
pub fn reload_status(app: &App) -> Answer {
    json(StatusCode::OK, &app.reloads.status())
}

#[derive(Serialize, Default)]
struct Watermark {
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<String>,
}

/// `GET /api/v1/eth2/highWatermark`.
pub async fn high_watermark(app: &App) -> Answer {
    match app.signer.protection.high_watermark().await {
        Ok(mark) => {
            let mark = mark.map_or_else(Watermark::default, |mark| Watermark {
                epoch: Some(mark.epoch.to_string()),
                slot: Some(mark.slot.to_string()),
            });
            json(StatusCode::OK, &mark)
        }
        Err(error) => {
            app.log.error(causes(&error));
            failure(
                StatusCode::INTERNAL_SERVER_ERROR,
                "slashing protection does not answer",
            )
        }
    }
}

/// The one kind of request of the signing extension.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    #[serde(rename = "type")]
    kind: ProofKind,
    #[serde(rename = "platform")]
    _platform: String,
    #[serde(rename = "timestamp")]
    _timestamp: IgnoredAny,
}

#[derive(Deserialize)]
enum ProofKind {
    #[serde(rename = "PROOF_OF_VALIDATION")]
    Validation,
}

#[derive(Serialize)]
struct SignedProof {
    payload: String,
    signature: String,
}

/// `POST /api/v1/eth2/ext/sign/{identifier}`: signs the body as it came.
///
/// The bytes are a JSON object, and a signing root is 32 bytes: nothing that is signed here is a duty.
pub async fn extension_sign(app: &App, allowed: &Allowed, identifier: &str, body: &[u8]) -> Answer {
    match serde_json::from_slice::<Proof>(body) {
        Ok(Proof {
            kind: ProofKind::Validation,
            ..
        }) if body.len() != 32 => {}
        Ok(_) => return failure(StatusCode::BAD_REQUEST, "a body of 32 bytes is not signed"),
        Err(error) => return failure(StatusCode::BAD_REQUEST, &error.to_string()),
    }
    match app.signer.sign_text(allowed, identifier, Arc::from(body)).await {
        Ok(signature) => {
            let signed = SignedProof {
                payload: Base64::encode_string(body),
                signature: format!("0x{}", hex::encode(signature.to_bytes())),
            };
            json(StatusCode::OK, &signed)
        }
        Err(fault) => refuse(app, identifier, &fault),
    }
}
