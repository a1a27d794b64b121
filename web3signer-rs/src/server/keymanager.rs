//! The key manager interface for local keystores: list, import, delete. Bodies hold passwords and are never logged.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::StatusCode;
use keystore::PublicKey;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::respond::{Answer, failure, json};
use crate::app::{App, causes, tell};
use crate::client_keys::Allowed;
use crate::keys::{DeleteOutcome, ImportOutcome, Opened, PendingImport};
use crate::slashing::interchange::Interchange;
use crate::slashing::key::ValidatorKey;
use crate::slashing::{ImportBy, Leaving};

#[derive(Serialize)]
struct List<T> {
    data: Vec<T>,
}

#[derive(Serialize)]
struct Listed {
    validating_pubkey: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    derivation_path: Option<String>,
    readonly: bool,
}

/// `GET /eth/v1/keystores`.
#[must_use]
pub fn list(app: &App, allowed: &Allowed) -> Answer {
    let snapshot = app.signer.keys.snapshot();
    let data = snapshot
        .iter()
        .filter(|key| allowed.has(key.public_key().as_bytes()))
        .map(|key| Listed {
            validating_pubkey: format!("0x{}", hex::encode(key.public_key().as_bytes())),
            derivation_path: key.derivation_path().map(str::to_owned),
            readonly: key.readonly(),
        })
        .collect();
    json(StatusCode::OK, &List { data })
}

/// The body of an import. Wiped when it goes.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Import {
    keystores: Vec<String>,
    passwords: Vec<String>,
    #[zeroize(skip)]
    slashing_protection: Option<String>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Outcome {
    fn new(status: &'static str) -> Self {
        Self {
            status,
            message: None,
        }
    }

    fn error(message: String) -> Self {
        Self {
            status: "error",
            message: Some(message),
        }
    }
}

/// What a keystore of an import is, in request order.
enum Step {
    Done(Outcome),
    Pending(Box<PendingImport>),
}

/// `POST /eth/v1/keystores`. The slashing data goes in before the keys can sign.
pub async fn import(app: &Arc<App>, body: &[u8]) -> Answer {
    let Ok(import) = serde_json::from_slice::<Import>(body) else {
        return failure(
            StatusCode::BAD_REQUEST,
            "expected keystores, passwords and slashing_protection",
        );
    };
    if import.keystores.len() != import.passwords.len() {
        return failure(
            StatusCode::BAD_REQUEST,
            "there must be as many passwords as keystores",
        );
    }
    let interchange = match import
        .slashing_protection
        .as_deref()
        .filter(|text| !text.trim().is_empty())
    {
        Some(text) if app.signer.protection.is_on() => match Interchange::parse(text) {
            Ok(interchange) => Some(interchange),
            Err(error) => return failure(StatusCode::BAD_REQUEST, &causes(&error)),
        },
        _ => None,
    };
    let shared = Arc::clone(app);
    let Ok(mut steps) = tokio::task::spawn_blocking(move || open(&shared, &import)).await else {
        return failure(StatusCode::INTERNAL_SERVER_ERROR, "the import failed");
    };
    let names: Vec<ValidatorKey> = steps.iter().filter_map(pending_name).collect();
    if let Some(interchange) = interchange.filter(|_| !names.is_empty()) {
        match app
            .signer
            .protection
            .import(&interchange.only(&names), ImportBy::KeyManager)
            .await
        {
            Ok(report) => {
                for (key, why) in report.skipped {
                    app.log
                        .warn(format_args!("slashing data of {key} not imported: {why}"));
                }
            }
            Err(error) => return failure(StatusCode::BAD_REQUEST, &causes(&error)),
        }
    }
    match app.signer.protection.register(&names).await {
        Ok(registration) => {
            tell(&app.log, &registration);
            // A key that was deleted here before may sign again, on top of the history just imported.
            if let Err(error) = app.signer.protection.enable(&names).await {
                fail_pending(&mut steps, &causes(&error));
            }
        }
        Err(error) => fail_pending(&mut steps, &causes(&error)),
    }
    let shared = Arc::clone(app);
    let Ok(data) = tokio::task::spawn_blocking(move || finish(&shared, steps)).await else {
        return failure(StatusCode::INTERNAL_SERVER_ERROR, "the import failed");
    };
    app.count_keys();
    json(StatusCode::OK, &List { data })
}

/// Decrypts every keystore. One that is named twice counts as a duplicate the second time.
fn open(app: &App, import: &Import) -> Vec<Step> {
    let mut seen = BTreeSet::new();
    let pairs = import.keystores.iter().zip(&import.passwords);
    pairs
        .map(
            |(keystore, password)| match app.signer.keys.open_import(keystore.as_bytes(), password) {
                Ok(Opened::Duplicate(_)) => Step::Done(Outcome::new("duplicate")),
                Ok(Opened::Pending(pending)) => {
                    if seen.insert(*pending.public_key()) {
                        Step::Pending(pending)
                    } else {
                        Step::Done(Outcome::new("duplicate"))
                    }
                }
                Err(error) => Step::Done(Outcome::error(causes(&error))),
            },
        )
        .collect()
}

fn pending_name(step: &Step) -> Option<ValidatorKey> {
    match step {
        Step::Pending(pending) => Some(ValidatorKey::from_bytes(pending.public_key().to_bytes())),
        Step::Done(_) => None,
    }
}

fn fail_pending(steps: &mut [Step], why: &str) {
    for step in steps {
        if matches!(step, Step::Pending(_)) {
            *step = Step::Done(Outcome::error(why.to_owned()));
        }
    }
}

fn finish(app: &App, steps: Vec<Step>) -> Vec<Outcome> {
    steps
        .into_iter()
        .map(|step| match step {
            Step::Done(outcome) => outcome,
            Step::Pending(pending) => {
                let name = hex::encode(pending.public_key().as_bytes());
                match app.signer.keys.import(*pending) {
                    Ok(ImportOutcome::Imported) => {
                        app.log.info(format_args!("key 0x{name} imported"));
                        Outcome::new("imported")
                    }
                    Ok(ImportOutcome::Duplicate) => Outcome::new("duplicate"),
                    Err(error) => Outcome::error(causes(&error)),
                }
            }
        })
        .collect()
}

#[derive(Deserialize)]
struct Delete {
    pubkeys: Vec<String>,
}

#[derive(Serialize)]
struct Deleted {
    data: Vec<Outcome>,
    slashing_protection: String,
}

/// `DELETE /eth/v1/keystores`. No key that is deleted can make a signature that the exported history does not have.
pub async fn delete(app: &Arc<App>, allowed: &Allowed, body: &[u8]) -> Answer {
    let delete: Delete = match serde_json::from_slice(body) {
        Ok(delete) => delete,
        Err(error) => return failure(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let mut names = Vec::with_capacity(delete.pubkeys.len());
    for text in &delete.pubkeys {
        match text.to_ascii_lowercase().parse::<ValidatorKey>() {
            Ok(name) => names.push(name),
            Err(error) => return failure(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    }
    let mut outcomes = Vec::with_capacity(names.len());
    for name in &names {
        outcomes.push(if allowed.has(name.as_bytes()) {
            delete_one(app, *name).await
        } else {
            Outcome::new("not_found")
        });
    }
    app.count_keys();
    let visible: Vec<ValidatorKey> = names
        .iter()
        .filter(|name| allowed.has(name.as_bytes()))
        .copied()
        .collect();
    let (known, text) = match history(app, &visible).await {
        Ok(history) => history,
        Err(answer) => return answer,
    };
    for (name, outcome) in names.iter().zip(&mut outcomes) {
        if outcome.status == "not_found" && known.contains(name) {
            *outcome = Outcome::new("not_active");
        }
    }
    let deleted = Deleted {
        data: outcomes,
        slashing_protection: text,
    };
    json(StatusCode::OK, &deleted)
}

async fn delete_one(app: &Arc<App>, name: ValidatorKey) -> Outcome {
    let Ok(key) = PublicKey::from_bytes(name.as_bytes()) else {
        return Outcome::new("not_found");
    };
    let shared = Arc::clone(app);
    let deleted = tokio::task::spawn_blocking(move || shared.signer.keys.delete(&key)).await;
    match deleted {
        Err(_) => Outcome::error("the deletion failed".to_owned()),
        Ok(Err(error)) => Outcome::error(causes(&error)),
        Ok(Ok(DeleteOutcome::NotLoaded)) => Outcome::new("not_found"),
        Ok(Ok(DeleteOutcome::Deleted)) => {
            app.log.info(format_args!("key {name} deleted"));
            // Requests that looked the key up before are judged one by one in the store: either they are noted before
            // this call, and the export has them, or they are refused after it.
            match app.signer.protection.disable(&[name], Leaving::Deleted).await {
                Ok(()) => Outcome::new("deleted"),
                Err(error) => Outcome::error(format!(
                    "the key is deleted here, but slashing protection could not note it: {}",
                    causes(&error)
                )),
            }
        }
    }
}

/// The history of keys: which of them have one, and the text.
async fn history(app: &App, names: &[ValidatorKey]) -> Result<(BTreeSet<ValidatorKey>, String), Answer> {
    if !app.signer.protection.is_on() || names.is_empty() {
        let root = app.signer.network.genesis_validators_root().unwrap_or_default();
        return Ok((BTreeSet::new(), Interchange::empty(root).to_text()));
    }
    match app.signer.protection.export(Some(names)).await {
        Ok(interchange) => Ok((
            interchange.validators.keys().copied().collect(),
            interchange.to_text(),
        )),
        Err(error) => {
            app.log.error(causes(&error));
            Err(failure(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the keys are deleted, but their slashing protection history cannot be read; ask again",
            ))
        }
    }
}
