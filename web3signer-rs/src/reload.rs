//! Reading keys, TLS files and the map of clients again: on `POST /reload` and on SIGHUP. One at a time.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::clock::{Clock, timestamp};

/// What `GET /reload` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// In words.
    pub status: Phase,
    /// Start or end of the last reload.
    #[serde(rename = "lastOperationTime", skip_serializing_if = "Option::is_none")]
    pub last_operation_time: Option<String>,
    /// What was wrong with it.
    #[serde(rename = "lastError", skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// How far the last reload came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// None was asked for.
    Idle,
    /// One runs.
    Running,
    /// All is loaded.
    Completed,
    /// Some keys could not be loaded.
    CompletedWithErrors,
    /// Nothing has changed.
    Failed,
}

/// How a reload ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All is loaded.
    Clean,
    /// This many sources of keys could not be used.
    WithErrors(usize),
    /// Nothing has changed, or not all of it, for this reason.
    Failed(String),
}

/// The state of reloads.
#[derive(Debug)]
pub struct Reloads {
    status: Mutex<Status>,
    clock: Arc<dyn Clock>,
}

impl Reloads {
    /// None yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let status = Status {
            status: Phase::Idle,
            last_operation_time: None,
            last_error: None,
        };
        Self {
            status: Mutex::new(status),
            clock,
        }
    }

    /// What to answer.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins a reload. `false`: one runs already.
    #[must_use]
    pub fn begin(&self) -> bool {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.status == Phase::Running {
            return false;
        }
        *status = self.at(Phase::Running, None);
        true
    }

    /// Ends it.
    pub fn end(&self, ending: Ending) {
        let status = match ending {
            Ending::Clean => self.at(Phase::Completed, None),
            Ending::WithErrors(count) => self.at(
                Phase::CompletedWithErrors,
                Some(format!("Reload completed with {count} signer loading error(s)")),
            ),
            Ending::Failed(why) => self.at(Phase::Failed, Some(format!("Reload failed: {why}"))),
        };
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    fn at(&self, phase: Phase, error: Option<String>) -> Status {
        Status {
            status: phase,
            last_operation_time: Some(timestamp(self.clock.now())),
            last_error: error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Fixed;

    #[test]
    fn one_at_a_time_and_the_words_of_the_interface() {
        let reloads = Reloads::new(Arc::new(Fixed(0)));
        let json = |reloads: &Reloads| serde_json::to_string(&reloads.status()).unwrap();
        assert_eq!(json(&reloads), r#"{"status":"idle"}"#);
        assert!(reloads.begin());
        assert!(!reloads.begin());
        assert_eq!(
            json(&reloads),
            r#"{"status":"running","lastOperationTime":"1970-01-01T00:00:00.000Z"}"#
        );
        reloads.end(Ending::WithErrors(3));
        assert_eq!(
            json(&reloads),
            r#"{"status":"completed_with_errors","lastOperationTime":"1970-01-01T00:00:00.000Z","lastError":"Reload completed with 3 signer loading error(s)"}"#
        );
        assert!(reloads.begin());
        reloads.end(Ending::Clean);
        assert_eq!(reloads.status().status, Phase::Completed);
        assert!(reloads.begin());
        reloads.end(Ending::Failed("x".to_owned()));
        assert_eq!(reloads.status().last_error.as_deref(), Some("Reload failed: x"));
    }
}
