//! Does what a message asks.
//!
//! The module answers one request at a time and can take long, so its work is done on a thread beside the event loop,
//! one piece at a time. A piece that hangs keeps its place: later requests are answered `unavailable` in time, and no
//! second thread starts.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nsm::Nsm;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::answer::{Answer, Outcome};
use crate::message::Request;
use crate::sources::Sources;
use crate::status::{Status, StatusError};

/// The module as the agent holds it.
///
/// [`Nsm`] has no way to put a public key into a document, so no code of the agent can.
pub type SharedNsm = Arc<dyn Nsm + Send + Sync>;

/// Answers messages.
#[derive(Clone)]
pub struct Operations {
    nsm: SharedNsm,
    sources: Arc<Sources>,
    turn: Arc<Semaphore>,
    patience: Duration,
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operations")
            .field("sources", &self.sources)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// Why a request that was understood is not done.
#[derive(Debug, thiserror::Error)]
enum OperationError {
    #[error("unavailable: no answer within {} ms", .patience.as_millis())]
    Late { patience: Duration },
    #[error("stopped: the work ended without a result")]
    Stopped,
    #[error(transparent)]
    Status(#[from] StatusError),
    #[error("nsm-failed")]
    Nsm(#[from] nsm::NsmError),
    #[error("not-written")]
    Json(#[from] serde_json::Error),
}

impl OperationError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Late { .. } => Outcome::Unavailable,
            Self::Stopped | Self::Status(_) | Self::Nsm(_) | Self::Json(_) => Outcome::Internal,
        }
    }
}

impl Operations {
    /// `patience` is how long one answer may take, waiting for its turn included.
    #[must_use]
    pub fn new(nsm: SharedNsm, sources: Sources, patience: Duration) -> Self {
        Self {
            nsm,
            sources: Arc::new(sources),
            turn: Arc::new(Semaphore::new(1)),
            patience,
        }
    }

    /// The answer to one message.
    pub async fn answer(&self, message: &[u8]) -> Answer {
        let request = match Request::parse(message) {
            Ok(request) => request,
            Err(error) => return Answer::refusal(Outcome::BadRequest, &error),
        };
        match self.perform(request).await {
            Ok(body) => Answer::ok(body),
            Err(error) => Answer::refusal(error.outcome(), &error),
        }
    }

    async fn perform(&self, request: Request) -> Result<Value, OperationError> {
        let (nsm, sources) = (Arc::clone(&self.nsm), Arc::clone(&self.sources));
        match request {
            Request::Status => {
                let work = move || Ok(serde_json::to_value(Status::collect(&*nsm, &sources)?)?);
                self.in_turn(work).await
            }
            Request::Attest { nonce } => {
                let work = move || Ok(STANDARD.encode(nsm.attest(None, Some(&nonce))?));
                let document = self.in_turn(work).await?;
                Ok(json!({ "attestation_document": document }))
            }
        }
    }

    /// Runs work that blocks, alone and within the patience.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, OperationError> + Send + 'static,
    ) -> Result<T, OperationError> {
        let turn = Arc::clone(&self.turn);
        let done = async move {
            let permit = turn.acquire_owned().await.map_err(|_| OperationError::Stopped)?;
            let result = tokio::task::spawn_blocking(move || {
                let result = work();
                drop(permit);
                result
            });
            result.await.map_err(|_| OperationError::Stopped)?
        };
        let late = |_| OperationError::Late {
            patience: self.patience,
        };
        tokio::time::timeout(self.patience, done).await.map_err(late)?
    }
}
