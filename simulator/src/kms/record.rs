//! What happened: one line a call, and numbers for tests. Never a plaintext, a secret key or a token.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use attest::UnixMs;
use serde_json::{Value, json};

use super::fault::Kind;
use super::operation::Operation;

/// One call.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it came.
    pub at: UnixMs,
    /// The id that its answer carries.
    pub request_id: String,
    /// What was asked for, if that is known here.
    pub operation: Option<Operation>,
    /// Who asked, once the signature held.
    pub principal: Option<String>,
    /// ARN of the key, once there was one.
    pub key: Option<String>,
    /// PCR0 of the verified attestation document, hex.
    pub pcr0: Option<String>,
    /// The statement of the policy that allowed it: its name, else its index.
    pub allowed_by: Option<String>,
    /// The error that was answered.
    pub error: Option<&'static str>,
    /// What went wrong on request.
    pub fault: Option<Kind>,
}

impl Entry {
    pub(crate) fn new(at: UnixMs, request_id: String) -> Self {
        Self {
            at,
            request_id,
            operation: None,
            principal: None,
            key: None,
            pcr0: None,
            allowed_by: None,
            error: None,
            fault: None,
        }
    }

    /// The first 16 digits of PCR0.
    #[must_use]
    pub fn pcr0_short(&self) -> Option<&str> {
        self.pcr0.as_deref().and_then(|pcr| pcr.get(..16))
    }

    /// The entry as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "at_ms": self.at.as_millis(),
            "request_id": self.request_id,
            "operation": self.operation.map(Operation::name),
            "principal": self.principal,
            "key": self.key,
            "pcr0": self.pcr0_short(),
            "allowed_by": self.allowed_by,
            "error": self.error,
            "fault": self.fault.map(Kind::name),
        })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.operation.map_or("-", Operation::name);
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let key = self
            .key
            .as_deref()
            .and_then(|arn| arn.rsplit('/').next())
            .unwrap_or("-");
        write!(
            f,
            "{} {name} by {} key {key} pcr0 {}",
            self.at,
            text(&self.principal),
            self.pcr0_short().unwrap_or("-")
        )?;
        match (self.error, &self.allowed_by) {
            (Some(error), _) => write!(f, ": {error}")?,
            (None, Some(statement)) => write!(f, ": ok, allowed by {statement}")?,
            (None, None) => f.write_str(": ok")?,
        }
        match self.fault {
            Some(fault) => write!(f, " (fault: {})", fault.name()),
            None => Ok(()),
        }
    }
}

/// Where entries go.
#[derive(Clone)]
pub struct Log(Arc<dyn Fn(&Entry) + Send + Sync>);

impl Log {
    /// A log that calls `write`.
    pub fn new(write: impl Fn(&Entry) + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }

    /// A log that forgets.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    pub(crate) fn write(&self, entry: &Entry) {
        (self.0)(entry);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log(..)")
    }
}

/// Numbers since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls whose signature held, by operation.
    pub calls: BTreeMap<String, u64>,
    /// Answers, by error name; `ok` for those without.
    pub answers: BTreeMap<String, u64>,
    /// Connections that were taken.
    pub connections: u64,
    /// Connections whose TLS handshake was completed, by both sides.
    pub tls_sessions: u64,
    /// Connections whose TLS handshake was not.
    pub tls_failures: u64,
    /// Of the latter, those whose first bytes were no TLS at all.
    pub cleartext_connections: u64,
    /// Requests with an `Authorization` header. They can only come after the handshake: a client that refuses the
    /// certificate leaves this at zero.
    pub credentials_seen: u64,
    /// Requests with an attestation document.
    pub documents_seen: u64,
    /// How many different documents these were.
    pub distinct_documents: u64,
    seen: BTreeSet<Vec<u8>>,
}

/// Different documents that are told apart; beyond, the number stands still.
const MAX_DISTINCT: usize = 100_000;

impl Counts {
    /// Calls of one operation.
    #[must_use]
    pub fn calls_of(&self, operation: Operation) -> u64 {
        self.calls.get(operation.name()).copied().unwrap_or_default()
    }

    /// Answers with this error name, or `ok`.
    #[must_use]
    pub fn answers_of(&self, name: &str) -> u64 {
        self.answers.get(name).copied().unwrap_or_default()
    }

    pub(crate) fn called(&mut self, operation: Operation) {
        *self.calls.entry(operation.name().to_owned()).or_default() += 1;
    }

    pub(crate) fn answered(&mut self, name: &str) {
        *self.answers.entry(name.to_owned()).or_default() += 1;
    }

    pub(crate) fn document(&mut self, sha256: &[u8]) {
        self.documents_seen += 1;
        if self.seen.len() < MAX_DISTINCT && self.seen.insert(sha256.to_vec()) {
            self.distinct_documents += 1;
        }
    }

    /// The numbers as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "calls": self.calls,
            "answers": self.answers,
            "connections": self.connections,
            "tls_sessions": self.tls_sessions,
            "tls_failures": self.tls_failures,
            "cleartext_connections": self.cleartext_connections,
            "credentials_seen": self.credentials_seen,
            "documents_seen": self.documents_seen,
            "distinct_documents": self.distinct_documents,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_what_and_why() {
        let mut entry = Entry::new(UnixMs::new(1_541_456_164_000), "r".into());
        assert_eq!(
            entry.to_string(),
            "2018-11-05T22:16:04.000Z - by - key - pcr0 -: ok"
        );
        entry.operation = Some(Operation::Decrypt);
        entry.principal = Some("arn:p".into());
        entry.key = Some("arn:aws:kms:r:a:key/k".into());
        entry.pcr0 = Some("ab".repeat(48));
        entry.allowed_by = Some("Use".into());
        let start = "2018-11-05T22:16:04.000Z Decrypt by arn:p key k pcr0 abababababababab";
        assert_eq!(entry.to_string(), format!("{start}: ok, allowed by Use"));
        entry.error = Some("AccessDeniedException");
        entry.fault = Some(Kind::Throttle);
        assert_eq!(
            entry.to_string(),
            format!("{start}: AccessDeniedException (fault: throttle)")
        );
        assert_eq!(entry.to_json()["pcr0"], "abababababababab");
    }

    #[test]
    fn documents_are_told_apart() {
        let mut counts = Counts::default();
        for document in [b"a", b"b", b"a"] {
            counts.document(document);
        }
        assert_eq!((counts.documents_seen, counts.distinct_documents), (3, 2));
        counts.called(Operation::Decrypt);
        counts.answered("ok");
        assert_eq!(counts.calls_of(Operation::Decrypt), 1);
        assert_eq!((counts.answers_of("ok"), counts.answers_of("x")), (1, 0));
    }
}
