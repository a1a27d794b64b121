//! Why a request that was understood is not done, and the answer that says so.

use std::time::Duration;

use control::answer::{BAD_REQUEST, CONFLICT, INTERNAL, Item, Refusal, UNAVAILABLE, codes};
use control::policy::NotAllowed;

use crate::answer::{Answer, failed};
use crate::entries::Missing;
use crate::handover::HandoverError;
use crate::measured::MeasureError;
use crate::outbound::NotOpened;
use crate::phase::Refused;
use crate::pid1::Lost;
use crate::served::NotServed;
use crate::status::StatusError;
use crate::supervise::NotHealthy;
use crate::upcheck::ClientError;

/// Why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Not in this phase.
    #[error(transparent)]
    Phase(#[from] Refused),
    /// Another change is under way.
    #[error("another change is under way; ask again when it has ended")]
    Busy,
    /// The manifest does not allow it.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The manifest has a config, and this is another.
    #[error("the image's manifest has a deployment config, and this is another")]
    Manifest,
    /// An artefact is missing.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// Items are refused.
    #[error("{} of the items cannot be used; nothing was changed", .0.len())]
    Items(Vec<Item>),
    /// provision refuses.
    #[error(transparent)]
    Provision(Refusal),
    /// There is no outcome of provision.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// provision says that it has done what it cannot have done.
    #[error("`provision` gave {0}")]
    State(&'static str),
    /// There are no credentials: the agent was started again.
    #[error("there are no credentials; send refresh_credentials first")]
    NoCredential,
    /// The health client cannot be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The image has no signer.
    #[error("the image has no signer")]
    NoSigner,
    /// The signer does not start.
    #[error("PID 1 could not start the signer")]
    NotStarted,
    /// The signer does not get healthy.
    #[error(transparent)]
    NotHealthy(#[from] NotHealthy),
    /// The signer does not serve its keys.
    #[error(transparent)]
    NotServed(#[from] NotServed),
    /// PID 1 is gone.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// A tunnel cannot be opened.
    #[error(transparent)]
    Tunnel(#[from] NotOpened),
    /// The file of hosts cannot be written.
    #[error("the names of the tunnels cannot be written")]
    Hosts(#[source] std::io::Error),
    /// The module does not measure.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// No attestation document.
    #[error(transparent)]
    Nsm(#[from] nsm::NsmError),
    /// The claims have no text.
    #[error(transparent)]
    Claims(#[from] control::canonical::CanonicalError),
    /// No status.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// The module does not answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// A task ended without a result.
    #[error("the work ended without a result")]
    Stopped,
}

impl Failure {
    /// The answer's fixed word.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Phase(refused) => match refused {
                Refused::Conflict | Refused::Locked => codes::CONFIG_CONFLICT,
                Refused::NotConfigured => codes::NOT_CONFIGURED,
                Refused::Initialised => codes::INITIALISED,
                Refused::NotInitialised => codes::NOT_INITIALISED,
                Refused::Initialising => codes::BUSY,
            },
            Self::Busy => codes::BUSY,
            Self::NotAllowed(_) => codes::NOT_ALLOWED,
            Self::Manifest => codes::CONFIG_CONFLICT,
            Self::Missing(_) => codes::ARTEFACT_MISSING,
            Self::Items(_) => codes::ITEMS_FAILED,
            Self::Provision(refusal) => refusal.code(),
            Self::Handover(_) | Self::State(_) => "provision-failed",
            Self::NoCredential => "no-credentials",
            Self::Client(_)
            | Self::NoSigner
            | Self::NotStarted
            | Self::NotHealthy(_)
            | Self::NotServed(_) => codes::SIGNER_FAILED,
            Self::Lost(_) | Self::Stopped => "stopped",
            Self::Tunnel(_) | Self::Hosts(_) => "tunnel-failed",
            Self::Measure(_) | Self::Nsm(_) | Self::Status(StatusError::Nsm(_)) => codes::NSM_FAILED,
            Self::Claims(_) => "not-written",
            Self::Status(_) => "source-failed",
            Self::Late(_) => codes::UNAVAILABLE,
        }
    }

    /// The answer's status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Phase(Refused::Initialising) | Self::Busy | Self::Late(_) => UNAVAILABLE,
            Self::Phase(_) | Self::Manifest | Self::NoCredential => CONFLICT,
            Self::NotAllowed(_) | Self::Missing(_) => BAD_REQUEST,
            Self::Provision(refusal) => match refusal.code() {
                codes::NOT_ALLOWED | codes::ARTEFACT_MISSING => BAD_REQUEST,
                codes::BUSY | codes::UNAVAILABLE => UNAVAILABLE,
                _ => INTERNAL,
            },
            _ => INTERNAL,
        }
    }

    /// The answer.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let refusal = match self {
            Self::Provision(refusal) => refusal.clone(),
            Self::Items(items) => {
                let (items, failed) = failed(items);
                Refusal {
                    error: format!("{}: {self}", self.code()),
                    items,
                    failed,
                }
            }
            _ => return Answer::refused(self.status(), self.code(), &self.text()),
        };
        Answer::refusal(self.status(), refusal)
    }

    /// The text with those of its causes.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
