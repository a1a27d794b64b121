//! What an observer is told about decisions, for metrics. Nothing here decides.

use std::time::Duration;

use crate::duty::Duty;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A proposal.
    Block,
    /// A vote.
    Attestation,
}

impl From<Duty> for Operation {
    fn from(duty: Duty) -> Self {
        match duty {
            Duty::Block { .. } => Self::Block,
            Duty::Attestation { .. } => Self::Attestation,
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The duty may be signed.
    Permitted,
    /// A rule forbids it.
    Prevented,
    /// The store did not answer, or does not know the validator.
    Failed,
}

/// Told about every decision of a store, after it was made. Called on the path of a signature, so it must be quick.
pub trait Observer: Send + Sync {
    /// A duty was judged in `duration`.
    fn decided(&self, operation: Operation, outcome: Outcome, duration: Duration);

    /// A store did something on its own that an operator may want to read (pruning, a failed health check).
    fn noted(&self, text: &str);
}

/// Looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn decided(&self, _: Operation, _: Outcome, _: Duration) {}

    fn noted(&self, _: &str) {}
}

/// An error and its causes in one line, for a note.
pub(super) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
