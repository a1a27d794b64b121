//! What KMS says when it refuses: its own error name, message and request id, and what kind of failure that is.
//!
//! KMS sends throttling as HTTP 400, so the name decides, never the status alone. Contract: section 2.3 of the KMS notes;
//! AWS KMS API reference, "Common errors".

use std::fmt;
use std::time::SystemTime;

use serde::Deserialize;

use crate::clock;

/// Longest message that is kept, bytes.
const MAX_MESSAGE_BYTES: usize = 1024;

/// Kinds of failure that a caller may want to tell apart. Also the order of the detailed exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Class {
    /// The request was made wrongly by the caller.
    Usage,
    /// Credentials are absent, malformed, unknown, expired, or sign wrongly.
    Credentials,
    /// The policies do not allow it: permission, wrong measurements, or no attestation.
    Denied,
    /// The proxy or KMS could not be reached, or the connection broke.
    Network,
    /// The TLS session could not be made: certificate, name or protocol.
    Tls,
    /// The security module did not give a document.
    Nsm,
    /// KMS, or who speaks for it, answered something that is no valid answer to the request.
    Malformed,
    /// KMS refused the request for another reason: unknown or disabled key, wrong ciphertext or context.
    Refused,
    /// KMS asked to slow down until the attempts were used up.
    Throttled,
    /// KMS failed until the attempts were used up.
    Unavailable,
    /// This clock and KMS's differ by more than KMS tolerates, and stamping with KMS's time did not help.
    ClockSkew,
}

impl Class {
    /// Lower-case word for machines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Credentials => "credentials",
            Self::Denied => "denied",
            Self::Network => "network",
            Self::Tls => "tls",
            Self::Nsm => "nsm",
            Self::Malformed => "malformed",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::ClockSkew => "clock_skew",
        }
    }
}

/// An answer of KMS other than 200. All text in it is one line of printable characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceError {
    /// HTTP status.
    pub status: u16,
    /// KMS's name of the error, such as `AccessDeniedException`; empty when it gave none.
    pub name: String,
    /// KMS's message; empty when it gave none.
    pub message: String,
    /// KMS's id of the request; empty when it gave none.
    pub request_id: String,
    /// KMS's clock when it answered, from the message or the `Date` header.
    pub server_time: Option<SystemTime>,
}

/// The parts of a response that an error is read from.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawError<'a> {
    /// HTTP status.
    pub status: u16,
    /// Header `x-amzn-ErrorType`.
    pub type_header: Option<&'a str>,
    /// Header `x-amzn-RequestId`.
    pub request_id: Option<&'a str>,
    /// Header `Date`.
    pub date: Option<&'a str>,
    /// The body: JSON, or anything.
    pub body: &'a [u8],
}

#[derive(Default, Deserialize)]
struct Body {
    #[serde(rename = "__type")]
    kind: Option<String>,
    message: Option<String>,
    #[serde(rename = "Message")]
    capital_message: Option<String>,
}

impl ServiceError {
    /// Reads an error answer. Never fails: what cannot be read is left empty.
    #[must_use]
    pub fn read(raw: &RawError<'_>) -> Self {
        let body: Body = serde_json::from_slice(raw.body).unwrap_or_default();
        let name = match &body.kind {
            Some(kind) => kind.rsplit('#').next(),
            None => raw.type_header.and_then(|header| header.split(':').next()),
        };
        let name = name.filter(|name| {
            name.len() <= 128
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        });
        let message = body.message.or(body.capital_message).unwrap_or_default();
        let server_time = time_in(&message).or_else(|| raw.date.and_then(clock::http_date));
        Self {
            status: raw.status,
            name: name.unwrap_or_default().to_owned(),
            message: one_line(&message),
            request_id: one_line(raw.request_id.unwrap_or_default()),
            server_time,
        }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn class(&self) -> Class {
        match self.name.as_str() {
            "AccessDeniedException" | "AccessDenied" => Class::Denied,
            "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "RequestLimitExceeded" => {
                Class::Throttled
            }
            "RequestTimeTooSkewed" | "RequestExpired" => Class::ClockSkew,
            "InvalidSignatureException" | "SignatureDoesNotMatch" if blames_the_stamp(&self.message) => {
                Class::ClockSkew
            }
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "ExpiredTokenException"
            | "ExpiredToken"
            | "IncompleteSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationTokenException"
            | "MissingAuthenticationToken"
            | "OptInRequired" => Class::Credentials,
            "KMSInternalException"
            | "DependencyTimeoutException"
            | "KeyUnavailableException"
            | "InternalFailure"
            | "ServiceUnavailable"
            | "ServiceUnavailableException" => Class::Unavailable,
            _ if self.status == 429 => Class::Throttled,
            _ if self.status >= 500 => Class::Unavailable,
            "" => Class::Malformed,
            _ => Class::Refused,
        }
    }

    /// Replaces `secret` wherever KMS repeated it.
    pub(crate) fn redact(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.message = self.message.replace(secret, "[redacted]");
            self.request_id = self.request_id.replace(secret, "[redacted]");
        }
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() {
            "no error name"
        } else {
            &self.name
        };
        write!(f, "{name} (HTTP {}", self.status)?;
        if !self.request_id.is_empty() {
            write!(f, ", request id {}", self.request_id)?;
        }
        f.write_str(")")?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ServiceError {}

/// The first line, without control characters, cut at [`MAX_MESSAGE_BYTES`].
///
/// The first line only: a signature error goes on with the canonical request, and that holds the session token.
fn one_line(text: &str) -> String {
    let line = text.split(['\n', '\r']).next().unwrap_or_default();
    let end = line.floor_char_boundary(MAX_MESSAGE_BYTES);
    line.get(..end).unwrap_or_default().replace(char::is_control, " ")
}

fn blames_the_stamp(message: &str) -> bool {
    message.starts_with("Signature expired") || message.starts_with("Signature not yet current")
}

/// KMS's clock in `… (20181105T221604Z - 5 min.)`: the stamp in the parentheses.
fn time_in(message: &str) -> Option<SystemTime> {
    let (_, inside) = message.rsplit_once('(').filter(|_| blames_the_stamp(message))?;
    clock::stamp(inside.split(' ').next()?)
}

#[cfg(test)]
#[path = "service_error/tests.rs"]
mod tests;
