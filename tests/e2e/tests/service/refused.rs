//! What a refusal must look like.

use serde_json::{Value, json};

/// An expected refusal.
pub(crate) struct Refused<'a> {
    status: Option<u16>,
    word: Option<&'a str>,
    items: Option<Vec<(&'a str, u64, &'a str)>>,
    code: Option<&'a str>,
}

impl<'a> Refused<'a> {
    const NOTHING: Self = Self {
        status: None,
        word: None,
        items: None,
        code: None,
    };

    /// As a whole, with this status and first word.
    pub(crate) const fn whole(status: u16, word: &'a str) -> Self {
        Self {
            status: Some(status),
            word: Some(word),
            ..Self::NOTHING
        }
    }

    /// As a whole, with this status.
    pub(crate) const fn any(status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::NOTHING
        }
    }

    /// For one item.
    pub(crate) fn item(kind: &'a str, index: u64, code: &'a str) -> Self {
        Self::items(&[(kind, index, code)])
    }

    /// For exactly these items.
    pub(crate) fn items(items: &[(&'a str, u64, &'a str)]) -> Self {
        Self {
            items: Some(items.to_vec()),
            ..Self::NOTHING
        }
    }

    /// For at least one item with this code, and none with another but `skipped`.
    pub(crate) const fn with(code: &'a str) -> Self {
        Self {
            code: Some(code),
            ..Self::NOTHING
        }
    }

    /// Whether `answer` is it.
    pub(crate) fn is(&self, what: &str, answer: &Value) {
        assert_ne!(answer["status"], 200, "{what}: {answer}");
        if let Some(status) = self.status {
            assert_eq!(answer["status"], json!(status), "{what}: {answer}");
        }
        if let Some(expected) = self.word {
            assert_eq!(word(answer), expected, "{what}: {answer}");
        }
        let listed = answer["body"]["items"].as_array().cloned().unwrap_or_default();
        if let Some(items) = &self.items {
            let expected: Vec<Value> = items
                .iter()
                .map(|(kind, index, code)| json!([kind, index, code]))
                .collect();
            let found: Vec<Value> = listed
                .iter()
                .filter(|item| !["ok", "skipped"].contains(&item["code"].as_str().unwrap()))
                .map(|item| json!([item["kind"], item["index"], item["code"]]))
                .collect();
            assert_eq!(found, expected, "{what}: {answer}");
            assert_eq!(word(answer), "items-failed", "{what}: {answer}");
        }
        if let Some(code) = self.code {
            let codes: Vec<&str> = listed.iter().map(|item| item["code"].as_str().unwrap()).collect();
            assert!(codes.contains(&code), "{what}: {answer}");
            assert!(
                codes.iter().all(|c| *c == code || *c == "skipped"),
                "{what}: {answer}"
            );
        }
    }
}

/// The first word of a refusal.
pub(crate) fn word(answer: &Value) -> &str {
    let text = answer["body"]["error"].as_str().unwrap_or_default();
    text.split(':').next().unwrap_or_default()
}
