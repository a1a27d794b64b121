//! The log stream: the enclave connects to [`abi::vsock::LOG_PORT`] of the parent and writes records, one JSON object on a line each.
//!
//! ```text
//! {"uptime_ms":4200,"source":"agent","level":"info","event":"listening","fields":{"port":"5000"}}
//! {"uptime_ms":9000,"source":"signer","level":"warn","event":"output","text":"…","dropped":3}
//! ```
//! The enclave writes, the parent reads; nothing goes back. A parent that does not read costs records (`dropped` counts them),
//! never time: signing does not wait for a log. There is no secret in a record: what the signer prints passes a filter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Longest line without its LF, bytes. What is longer is cut by who writes, and dropped by who reads.
pub const MAX_RECORD_BYTES: usize = 8192;

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// PID 1; `event` and `fields` are those of [`abi::events`].
    Init,
    /// The agent.
    Agent,
    /// The one-shot that decrypts.
    Provision,
    /// The signer.
    Signer,
    /// A part that this version has no word for.
    #[serde(other)]
    Other,
}

/// How much it matters. In ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// For the developer.
    Debug,
    /// What happens when all is well.
    Info,
    /// Worth a look.
    Warn,
    /// Something does not work.
    Error,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Milliseconds since the enclave's kernel started.
    pub uptime_ms: u64,
    /// Who says it.
    pub source: Source,
    /// How much it matters.
    pub level: Level,
    /// What happened: a fixed word of the source.
    pub event: String,
    /// What is said about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// A line of the source's own output, filtered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Records that were dropped since the one before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_that_of_the_head() {
        let line = r#"{"uptime_ms":4200,"source":"agent","level":"info","event":"listening","fields":{"port":"5000"}}"#;
        let record: Record = serde_json::from_str(line).unwrap();
        assert_eq!(record.fields["port"], "5000");
        assert_eq!(serde_json::to_string(&record).unwrap(), line);
        let line = r#"{"uptime_ms":1,"source":"signer","level":"warn","event":"output","text":"a\u001bb","dropped":3}"#;
        assert_eq!(
            serde_json::to_string(&serde_json::from_str::<Record>(line).unwrap()).unwrap(),
            line
        );
        assert!(Level::Error > Level::Info);
    }
}
