//! A command line, environment or configuration file that cannot be used. Exit status 2.

use super::option::Level;

/// What is shown on standard output below the error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    /// The usage of the command.
    Usage,
    /// Names that look like the one that was not found.
    Suggestions(Vec<String>),
    /// Nothing.
    Nothing,
}

/// Parameters that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct UsageError {
    /// The command whose usage helps.
    pub level: Level,
    /// One sentence, in the words that upstream uses where it has the same error.
    pub reason: String,
    /// What to show with it.
    pub show: Show,
}

impl UsageError {
    /// An error that is best explained by the usage.
    #[must_use]
    pub fn new(level: Level, reason: String) -> Self {
        Self {
            level,
            reason,
            show: Show::Usage,
        }
    }
}
