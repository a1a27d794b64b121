//! The form of every answer: `{"body":{…},"status":N}` with the statuses of HTTP, and `{"error":"…"}` as the body of
//! those that are not 200. The published guidance has this form, and its watchdog reads it.

use std::error::Error;

use serde::Serialize;
use serde_json::{Value, json};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Outcome {
    /// Done.
    Ok,
    /// The message is wrong.
    BadRequest,
    /// The message did not arrive in time.
    Timeout,
    /// The message is too long.
    TooLarge,
    /// The enclave could not do it.
    Internal,
    /// The enclave did not do it in time.
    Unavailable,
}

impl Outcome {
    /// The number in the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::BadRequest => 400,
            Self::Timeout => 408,
            Self::TooLarge => 413,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How the request ended.
    pub outcome: Outcome,
    /// What is answered.
    pub body: Value,
}

#[derive(Serialize)]
struct Envelope<'a> {
    body: &'a Value,
    status: u16,
}

impl Answer {
    /// A good answer.
    #[must_use]
    pub const fn ok(body: Value) -> Self {
        Self {
            outcome: Outcome::Ok,
            body,
        }
    }

    /// A refusal. The text is that of `error` and of its causes; the first word is fixed, for programs.
    #[must_use]
    pub fn refusal(outcome: Outcome, error: &dyn Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        Self {
            outcome,
            body: json!({ "error": text }),
        }
    }

    /// The bytes on the wire: one line of JSON, without its end.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let envelope = Envelope {
            body: &self.body,
            status: self.outcome.status(),
        };
        // Only maps with keys that are no text, and writers, can fail here; there is neither.
        serde_json::to_vec(&envelope).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use abi::events::EventError;

    use super::*;
    use crate::message::MessageError;
    use crate::sources::SourceError;
    use crate::status::StatusError;

    #[test]
    fn the_form_is_that_of_the_guidance() {
        let ok = Answer::ok(json!({ "init_state": false }));
        assert_eq!(ok.to_bytes(), br#"{"body":{"init_state":false},"status":200}"#);
        let bad = Answer::refusal(
            Outcome::BadRequest,
            &MessageError::UnknownOperation {
                found: "x".to_owned(),
            },
        );
        assert_eq!(
            bad.to_bytes(),
            br#"{"body":{"error":"unknown-operation: \"x\""},"status":400}"#
        );
    }

    #[test]
    fn causes_are_told() {
        let error = StatusError::Source(SourceError::Event {
            path: "/x".into(),
            line: 3,
            source: EventError::Foreign,
        });
        let bad = Answer::refusal(Outcome::Internal, &error);
        let text = bad.body["error"].as_str().unwrap();
        assert_eq!(
            text,
            "source-failed: line 3 of /x is no event: line does not start with nitro-init"
        );
    }
}
