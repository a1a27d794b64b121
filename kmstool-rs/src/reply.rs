//! KMS's answer with status 200: JSON, tolerant about what is new, strict about what is used.
//!
//! Keys that are not known are ignored and may come in any order. A plaintext in the clear is refused: whoever sent it did
//! not honour the recipient. Nothing of the answer's text is repeated in an error.

use base64ct::{Base64, Encoding as _};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use crate::envelope::MAX_ENVELOPE_BYTES;
use crate::key_id::KeyId;
use crate::request::{EncryptionAlgorithm, MAX_CIPHERTEXT_BYTES};

/// Longest body that is read, bytes: the longest parts of the longest reply in base64, three times over.
pub const MAX_REPLY_BYTES: usize = 96 * 1024;
/// Longest public key, bytes.
const MAX_PUBLIC_KEY_BYTES: usize = 8192;

/// Why an answer is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// Not a JSON object with the known keys' types.
    #[error("KMS answered something else than the expected JSON: line {line}, column {column}")]
    Json {
        /// From 1.
        line: usize,
        /// As above.
        column: usize,
    },
    /// A key that this operation's reply must have.
    #[error("KMS answered without {0}")]
    Missing(&'static str),
    /// A value that is not padded base64, or is empty or too long.
    #[error("KMS answered with a {field} that is not base64 of 1 to {max} bytes")]
    Blob {
        /// The key.
        field: &'static str,
        /// The limit.
        max: usize,
    },
    /// A plaintext outside the envelope.
    #[error("KMS answered with a plaintext in the clear")]
    Clear,
    /// Another key.
    #[error("KMS used another key: expected {expected:?}, found {found:?}")]
    Key {
        /// The key asked for.
        expected: String,
        /// The key in the answer.
        found: String,
    },
    /// Another algorithm.
    #[error("KMS used another encryption algorithm than {expected}")]
    Algorithm {
        /// The algorithm asked for.
        expected: &'static str,
    },
    /// A key or random bytes of another length.
    #[error("KMS answered with {actual} bytes, expected {expected}")]
    PlaintextLength {
        /// Asked for.
        expected: usize,
        /// Received.
        actual: usize,
    },
}

/// A reply whose values were decoded and are within their limits.
#[derive(Debug)]
pub struct Reply {
    key_id: Option<String>,
    algorithm: Option<String>,
    /// Ciphertext of a data key.
    pub(crate) ciphertext_blob: Option<Vec<u8>>,
    /// Ciphertext of a private key.
    pub(crate) private_key_ciphertext_blob: Option<Vec<u8>>,
    /// A public key.
    pub(crate) public_key: Option<Vec<u8>>,
    envelope: Vec<u8>,
}

impl Reply {
    /// Reads a body.
    ///
    /// # Errors
    /// `Json`, `Missing`, `Blob` and `Clear` of [`ReplyError`].
    pub fn parse(body: &[u8]) -> Result<Self, ReplyError> {
        let raw: RawReply = serde_json::from_slice(body).map_err(|error| ReplyError::Json {
            line: error.line(),
            column: error.column(),
        })?;
        if raw.plaintext.is_some_and(|Blank(blank)| !blank)
            || raw.private_key_plaintext.is_some_and(|Blank(blank)| !blank)
        {
            return Err(ReplyError::Clear);
        }
        let envelope = blob(
            "CiphertextForRecipient",
            MAX_ENVELOPE_BYTES,
            raw.ciphertext_for_recipient,
        )?;
        Ok(Self {
            key_id: raw.key_id,
            algorithm: raw.encryption_algorithm,
            ciphertext_blob: blob("CiphertextBlob", MAX_CIPHERTEXT_BYTES, raw.ciphertext_blob)?,
            private_key_ciphertext_blob: blob(
                "PrivateKeyCiphertextBlob",
                MAX_CIPHERTEXT_BYTES,
                raw.private_key_ciphertext_blob,
            )?,
            public_key: blob("PublicKey", MAX_PUBLIC_KEY_BYTES, raw.public_key)?,
            envelope: envelope.ok_or(ReplyError::Missing("CiphertextForRecipient"))?,
        })
    }

    /// The bytes of `CiphertextForRecipient`.
    #[must_use]
    pub fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// The ARN of the key that KMS used.
    pub(crate) fn key_id(self) -> Result<String, ReplyError> {
        self.key_id.ok_or(ReplyError::Missing("KeyId"))
    }

    /// A key ARN must be there, and be the pinned key's if one is pinned.
    pub(crate) fn check_key(&self, pinned: Option<&KeyId>) -> Result<(), ReplyError> {
        let found = self.key_id.as_deref().ok_or(ReplyError::Missing("KeyId"))?;
        match pinned {
            Some(pinned) if !pinned.allows(found) => Err(ReplyError::Key {
                expected: pinned.as_str().to_owned(),
                found: found.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// The algorithm, if it is named and one was asked for, must be that one.
    pub(crate) fn check_algorithm(&self, asked: Option<EncryptionAlgorithm>) -> Result<(), ReplyError> {
        match (asked, &self.algorithm) {
            (Some(asked), Some(found)) if asked.name() != found => Err(ReplyError::Algorithm {
                expected: asked.name(),
            }),
            _ => Ok(()),
        }
    }
}

fn blob(field: &'static str, max: usize, text: Option<String>) -> Result<Option<Vec<u8>>, ReplyError> {
    let Some(text) = text else { return Ok(None) };
    match Base64::decode_vec(&text) {
        Ok(bytes) if (1..=max).contains(&bytes.len()) => Ok(Some(bytes)),
        _ => Err(ReplyError::Blob { field, max }),
    }
}

/// Claims of a JSON text.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawReply {
    key_id: Option<String>,
    encryption_algorithm: Option<String>,
    ciphertext_blob: Option<String>,
    private_key_ciphertext_blob: Option<String>,
    public_key: Option<String>,
    ciphertext_for_recipient: Option<String>,
    plaintext: Option<Blank>,
    private_key_plaintext: Option<Blank>,
}

/// Whether a value is empty; the value itself is never kept.
struct Blank(bool);

impl<'de> Deserialize<'de> for Blank {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;

        impl<'de> Visitor<'de> for Look {
            type Value = Blank;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Blank, E> {
                Ok(Blank(text.is_empty()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Blank, A::Error> {
                let mut blank = true;
                while items.next_element::<IgnoredAny>()?.is_some() {
                    blank = false;
                }
                Ok(Blank(blank))
            }
        }

        deserializer.deserialize_any(Look)
    }
}
