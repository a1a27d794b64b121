//! The answer to one message, on its way to the wire. Its form is that of [`control::answer`].

use control::answer::{BAD_REQUEST, Envelope, INTERNAL, Item, OK, Refusal, TIMEOUT, TOO_LARGE};
use control::reader::MessageError;
use control::{MAX_ANSWER_BYTES, MAX_ITEMS};
use serde::Serialize;
use serde_json::Value;

use crate::frame::FrameError;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How the request ended, a status of [`control::answer`].
    pub status: u16,
    /// What is answered.
    pub body: Value,
}

impl Answer {
    /// A good answer.
    #[must_use]
    pub fn ok(body: &impl Serialize) -> Self {
        serde_json::to_value(body).map_or_else(
            |_| Self::refused(INTERNAL, "not-written", "the answer has no form in JSON"),
            |body| Self { status: OK, body },
        )
    }

    /// A refusal: its fixed word, and a text for people.
    #[must_use]
    pub fn refused(status: u16, code: &str, text: &str) -> Self {
        let refusal = Refusal {
            error: format!("{code}: {text}"),
            items: Vec::new(),
            failed: 0,
        };
        Self::refusal(status, refusal)
    }

    /// A refusal that may name items; at most [`MAX_ITEMS`] of them are listed.
    #[must_use]
    pub fn refusal(status: u16, mut refusal: Refusal) -> Self {
        refusal.items.truncate(MAX_ITEMS);
        Self {
            status,
            body: serde_json::to_value(&refusal).unwrap_or_default(),
        }
    }

    /// The message is no request.
    #[must_use]
    pub fn message(error: &MessageError) -> Self {
        let status = if *error == MessageError::TooLarge {
            TOO_LARGE
        } else {
            BAD_REQUEST
        };
        Self::worded(status, error)
    }

    /// The bytes are no message.
    #[must_use]
    pub fn frame(error: &FrameError) -> Self {
        let status = if matches!(error, FrameError::TooLarge { .. }) {
            TOO_LARGE
        } else {
            BAD_REQUEST
        };
        Self::worded(status, error)
    }

    /// The message did not come in time.
    #[must_use]
    pub fn late() -> Self {
        Self::refused(TIMEOUT, "timeout", "the message did not arrive in time")
    }

    /// An error whose text starts with its fixed word.
    #[must_use]
    pub fn worded(status: u16, error: &dyn std::error::Error) -> Self {
        let refusal = Refusal {
            error: error.to_string(),
            items: Vec::new(),
            failed: 0,
        };
        Self::refusal(status, refusal)
    }

    /// The bytes on the wire: one line of JSON, without its end.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let envelope = Envelope {
            body: &self.body,
            status: self.status,
        };
        // Only maps with keys that are no text, and writers, can fail here; there is neither.
        let bytes = serde_json::to_vec(&envelope).unwrap_or_default();
        if bytes.len() <= MAX_ANSWER_BYTES {
            return bytes;
        }
        let too_long = format!("the answer would have {} bytes", bytes.len());
        Self::refused(INTERNAL, "not-written", &too_long).to_bytes()
    }
}

/// The items that failed, and how many they are.
#[must_use]
pub fn failed(items: &[Item]) -> (Vec<Item>, u64) {
    use control::answer::ItemCode;
    let bad = |item: &&Item| !matches!(item.code, ItemCode::Ok | ItemCode::Already | ItemCode::Skipped);
    let listed: Vec<Item> = items.iter().filter(bad).take(MAX_ITEMS).cloned().collect();
    let count = items.iter().filter(bad).count();
    (listed, u64::try_from(count).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use control::answer::InitState;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_form_is_that_of_the_guidance() {
        let ok = Answer::ok(&InitState { init_state: false });
        assert_eq!(ok.to_bytes(), br#"{"body":{"init_state":false},"status":200}"#);
        let bad = Answer::message(&MessageError::UnknownOperation {
            found: "x".to_owned(),
        });
        assert_eq!(
            bad.to_bytes(),
            br#"{"body":{"error":"unknown-operation: \"x\""},"status":400}"#
        );
        assert_eq!(Answer::message(&MessageError::TooLarge).status, 413);
    }

    #[test]
    fn an_answer_is_never_too_long() {
        let long = Answer::ok(&json!({ "text": "x".repeat(MAX_ANSWER_BYTES) }));
        let bytes = long.to_bytes();
        assert!(
            bytes.starts_with(br#"{"body":{"error":"not-written: "#),
            "{}",
            bytes.len()
        );
    }
}
