//! What KMS answers when it refuses, in KMS's own words.
//!
//! Source: AWS KMS API reference, "Common errors" and the errors of each operation; texts as clients report them.

use serde_json::{Value, json};

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {}", .message.as_deref().unwrap_or("no message"))]
pub struct KmsError {
    /// HTTP status.
    pub status: u16,
    /// The `__type`.
    pub name: &'static str,
    /// The message; some errors of KMS have none.
    pub message: Option<String>,
}

impl KmsError {
    /// The error `name` with HTTP status 400.
    #[must_use]
    pub fn refuse(name: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            name,
            message: Some(message.into()),
        }
    }

    /// A field of the request is missing or out of its limits.
    #[must_use]
    pub fn validation(message: impl Into<String>) -> Self {
        Self::refuse("ValidationException", message)
    }

    /// A constraint of the API's model is broken.
    #[must_use]
    pub fn constraint(field: &str, constraint: &str) -> Self {
        Self::validation(format!(
            "1 validation error detected: Value at '{field}' failed to satisfy constraint: Member must {constraint}"
        ))
    }

    /// A required field is absent.
    #[must_use]
    pub fn missing(field: &str) -> Self {
        Self::validation(format!(
            "1 validation error detected: Value null at '{field}' failed to satisfy constraint: Member must not be null"
        ))
    }

    /// The body is not what the operation takes.
    #[must_use]
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::refuse("SerializationException", message)
    }

    /// Policy, or its absence, says no.
    #[must_use]
    pub fn denied(message: impl Into<String>) -> Self {
        Self::refuse("AccessDeniedException", message)
    }

    /// A key or an alias does not exist.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::refuse("NotFoundException", message)
    }

    /// The ciphertext was changed, is none of this KMS, or belongs to another encryption context. KMS gives no message.
    #[must_use]
    pub const fn invalid_ciphertext() -> Self {
        Self {
            status: 400,
            name: "InvalidCiphertextException",
            message: None,
        }
    }

    /// Something here is broken.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self {
            status: 500,
            name: "KMSInternalException",
            message: Some(message.into()),
        }
    }

    /// The body of the answer. The key of the message has a capital M in an `AccessDeniedException` and nowhere else.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = json!({ "__type": self.name });
        let key = if self.name == "AccessDeniedException" {
            "Message"
        } else {
            "message"
        };
        if let (Some(message), Some(body)) = (&self.message, body.as_object_mut()) {
            body.insert(key.to_owned(), message.as_str().into());
        }
        body
    }
}

/// An error with its causes, on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let texts = std::iter::once(error.to_string()).chain(causes.map(ToString::to_string));
    texts.collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_forms_of_kms() {
        let body = |error: KmsError| error.body().to_string();
        assert_eq!(
            body(KmsError::denied("no")),
            r#"{"Message":"no","__type":"AccessDeniedException"}"#
        );
        assert_eq!(
            body(KmsError::validation("no")),
            r#"{"__type":"ValidationException","message":"no"}"#
        );
        assert_eq!(
            body(KmsError::invalid_ciphertext()),
            r#"{"__type":"InvalidCiphertextException"}"#
        );
    }
}
