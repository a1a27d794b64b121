//! Gives the enclave what it needs: artefacts, keys that did not fit, new credentials.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::answer::{Changed, InitState, Refreshed, codes};
use control::config::ClientAuthentication;
use control::request::Request;
use tokio::time::Instant;

use super::{ASK_TIME, Driver, Known, SOME_TIME};
use crate::ask::{AskError, ask};
use crate::config::Times;
use crate::imds::ImdsError;
use crate::journal::chain;
use crate::service::Client;
use crate::tables::{self, Artefacts, TablesError};
use crate::watchdog::message::{Given, messages};

/// Failed items that are written out.
const MAX_SHOWN_ITEMS: usize = 20;

/// Why artefacts could not be given.
#[derive(Debug, thiserror::Error)]
pub(super) enum InitError {
    #[error("no credentials")]
    Imds(#[from] ImdsError),
    #[error(transparent)]
    Tables(#[from] TablesError),
    #[error("the enclave did not take the artefacts")]
    Ask(#[from] AskError),
    #[error("there is nothing to send")]
    Nothing,
}

impl Driver {
    pub(super) async fn init(&mut self) -> Result<(), InitError> {
        let begin = Instant::now();
        let credentials = self.imds.credentials().await?;
        let artefacts = tables::read(&self.config.tables, &credentials).await?;
        let read_ms = begin.elapsed().as_millis();
        let (keys, inactive) = (artefacts.keys.len(), artefacts.inactive);
        self.journal.info(
            "artefacts-read",
            &[("keys", &keys), ("inactive", &inactive), ("took_ms", &read_ms)],
        );
        let mut messages =
            messages(&artefacts, &credentials.credential, self.config.tables.legacy).into_iter();
        let init = messages.next().ok_or(InitError::Nothing)?;
        let sent = match &init {
            Request::Init(init) => init.encrypted_validator_keys.len(),
            _ => 0,
        };
        let begin = Instant::now();
        let Times { init: patience, .. } = self.config.times;
        match ask::<InitState>(&self.dialer, &init, patience).await {
            Err(error)
                if error
                    .refusal()
                    .is_some_and(|refusal| refusal.code() == codes::INITIALISED) =>
            {
                self.journal.warn(
                    "already-initialised",
                    &[("meaning", &"an earlier init was done after all")],
                );
            }
            answered => {
                answered?;
                self.journal
                    .info("initialised", &[("took_ms", &begin.elapsed().as_millis())]);
            }
        }
        self.known = Known {
            credentials: Some(credentials),
            refreshed: None,
            no_refresh: false,
            client: self.client(&artefacts),
            pending: messages.collect(),
            added: None,
            given: Some(Given::first(&artefacts, sent)),
            all: Some(Given::all(&artefacts)),
            good_since: None,
            was_ready: self.known.was_ready,
        };
        Ok(())
    }

    /// What looks at the service over TLS: only where it would be let in.
    fn client(&self, artefacts: &Artefacts) -> Option<Client> {
        let any = self
            .deployment
            .as_ref()
            .is_some_and(|d| d.fields().client_authentication == ClientAuthentication::AnyClient);
        if self.service.client_certificate.is_none() && !any {
            return None;
        }
        let pem = artefacts
            .tls
            .certificate_b64
            .as_ref()
            .and_then(|text| STANDARD.decode(text).ok());
        match Client::new(&self.service, pem.as_deref()) {
            Ok(client) => Some(client),
            Err(error) => {
                self.journal.warn("tls-not-probed", &[("error", &chain(&error))]);
                None
            }
        }
    }

    /// Sends keys that did not fit into `init`. What fails is tried again; the other keys are served meanwhile.
    pub(super) async fn send_pending(&mut self) {
        let tried = self.known.added.is_some_and(|at| at.elapsed() < SOME_TIME);
        if self.known.pending.is_empty() || tried {
            return;
        }
        self.known.added = Some(Instant::now());
        let pending = std::mem::take(&mut self.known.pending);
        for request in pending {
            match ask::<Changed>(&self.dialer, &request, self.config.times.init).await {
                Ok(changed) => self.journal.info("keys-added", &[("keys", &changed.keys)]),
                Err(error) => {
                    self.say_refusal("add-keys-failed", &InitError::Ask(error));
                    self.known.pending.push(request);
                }
            }
        }
        if self.known.pending.is_empty() {
            self.known.given = self.known.all.take();
        }
    }

    /// Gives the agent new credentials before the old ones expire.
    pub(super) async fn refresh(&mut self) {
        // Without any an enclave was taken over; what it holds is the last watchdog's.
        let held = self.known.credentials.as_ref();
        let due = held.is_none_or(|held| self.journal.now() >= held.refresh_at());
        let tried = self.known.refreshed.is_some_and(|at| at.elapsed() < SOME_TIME);
        if !due || tried || self.known.no_refresh {
            return;
        }
        self.known.refreshed = Some(Instant::now());
        let credentials = match self.imds.credentials().await {
            Ok(credentials) => credentials,
            Err(error) => return self.journal.warn("refresh-failed", &[("error", &chain(&error))]),
        };
        let request = Request::RefreshCredentials {
            credential: credentials.credential.clone(),
        };
        match ask::<Refreshed>(&self.dialer, &request, ASK_TIME).await {
            Ok(_) => {
                self.journal.info("credentials-refreshed", &[]);
                self.known.credentials = Some(credentials);
            }
            Err(error) => {
                self.known.no_refresh = error
                    .refusal()
                    .is_some_and(|refusal| refusal.code() == "unknown-operation");
                self.journal.warn("refresh-failed", &[("error", &chain(&error))]);
            }
        }
    }

    pub(super) fn say_refusal(&self, event: &str, error: &InitError) {
        self.journal.error(event, &[("error", &chain(error))]);
        let InitError::Ask(ask) = error else { return };
        let Some(refusal) = ask.refusal() else { return };
        for item in refusal.items.iter().take(MAX_SHOWN_ITEMS) {
            let code = serde_json::to_value(item.code).ok();
            let code = code.as_ref().and_then(|code| code.as_str()).unwrap_or("other");
            let pubkey = item.pubkey.as_ref().map_or("-", |key| key.as_str());
            self.journal.error(
                "item-failed",
                &[
                    ("kind", &item.kind.name()),
                    ("index", &item.index),
                    ("pubkey", &pubkey),
                    ("code", &code),
                ],
            );
        }
    }
}
