//! The answers: `{"body":{…},"status":N}` with the statuses of HTTP. A body that is not of status 200 is a [`Refusal`].
//!
//! Both sides use these types: the agent writes them, the parent reads them. A reader ignores fields that it does not know.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::MAX_ANSWER_BYTES;
use super::artefact::Kind;
use super::text::PublicKey;

/// Done.
pub const OK: u16 = 200;
/// The message is wrong.
pub const BAD_REQUEST: u16 = 400;
/// The message did not arrive in time.
pub const TIMEOUT: u16 = 408;
/// Not in this state: `init` was done, another config is set, nothing is configured.
pub const CONFLICT: u16 = 409;
/// The message is too long.
pub const TOO_LARGE: u16 = 413;
/// The enclave could not do it.
pub const INTERNAL: u16 = 500;
/// The enclave did not do it in time, or is busy with a change.
pub const UNAVAILABLE: u16 = 503;

/// An answer on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<B> {
    /// What is answered.
    pub body: B,
    /// How it went; the constants of this module.
    pub status: u16,
}

/// Answer to `init_state` and to a good `init`, as the published guidance has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitState {
    /// Whether `init` was done.
    pub init_state: bool,
}

/// Answer to `attest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// The document of the NSM, in base64.
    pub attestation_document: String,
    /// The canonical text of [`super::claims::Claims`] whose hash is in the document. Absent from an agent before claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<String>,
}

/// Answer to `configure`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// SHA-384 of the canonical config.
    pub config_sha384: String,
    /// PCR16 after it.
    pub pcr16: String,
    /// `false` when the same config had been set before.
    pub changed: bool,
}

/// Answer to `add_keys`, `remove_keys` and `set_clients` when they were done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// One for each item, in the order of the message; at most [`super::MAX_ITEMS`].
    pub items: Vec<Item>,
    /// Validator keys that the signer has now.
    pub keys: u64,
}

/// Answer to `refresh_credentials`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    /// Always `true`: whether KMS takes them is seen with the next call.
    pub accepted: bool,
}

/// Answer to `metrics`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsText {
    /// Prometheus text format, version 0.0.4.
    pub text: String,
}

/// How one item of a message went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What it is for.
    pub kind: Kind,
    /// Its number in the message's list, from 0; 0 for what stands alone.
    pub index: u64,
    /// Its public key, when the message or the plaintext said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pubkey: Option<PublicKey>,
    /// How it went.
    pub code: ItemCode,
}

/// How one item went. It says no more about a plaintext than that it is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ItemCode {
    /// Done, or good (when another item of the same message is not).
    Ok,
    /// Nothing to do: the signer has it, or does not have it, already.
    Already,
    /// Not looked at, because of something before it.
    Skipped,
    /// The base64 of the ciphertext is not exact.
    BadBase64,
    /// A bare string, and the image wants an encryption context.
    LegacyRefused,
    /// Its stack is not one of the config's, or there are several and none is named.
    UnknownStack,
    /// The same validator twice.
    Duplicate,
    /// KMS: the ciphertext is damaged, or was encrypted under another context: for another key, kind or stack.
    KmsCiphertext,
    /// KMS: encrypted under another key than the config's.
    KmsKey,
    /// KMS: the key policy, or the caller's, does not let this enclave decrypt.
    KmsDenied,
    /// KMS: the key is disabled or about to be deleted.
    KmsKeyState,
    /// KMS: the credentials are expired or not valid.
    KmsCredentials,
    /// KMS: too many calls.
    KmsThrottled,
    /// KMS could not be reached.
    KmsUnreachable,
    /// KMS failed in another way, or its answer does not hold together.
    KmsFailed,
    /// The plaintext is not of the form that its kind has.
    Payload,
    /// The artefact's version is below the config's or the highest that was seen.
    Version,
    /// The keystore is damaged, or its password is another.
    Keystore,
    /// The secret key is none of BLS12-381.
    SecretKey,
    /// The public key is not that of the secret key.
    PublicKeyMismatch,
    /// The certificate or PKCS#12 cannot be read, or does not fit the private key.
    Certificate,
    /// The certificate is not valid yet, or no more.
    CertificateDates,
    /// The slashing store has no record for the key, or a deactivated one.
    NoSlashingRecord,
    /// A newer image says something that this version has no word for.
    #[serde(other)]
    Other,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    /// A fixed word, a colon, and a text for people.
    pub error: String,
    /// Items that failed, at most [`super::MAX_ITEMS`]; only with [`codes::ITEMS_FAILED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// How many items failed, the ones that are not listed included.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// First words of [`Refusal::error`] beside those of [`super::reader::MessageError`].
pub mod codes {
    /// An item failed; nothing was changed.
    pub const ITEMS_FAILED: &str = "items-failed";
    /// `init` was done before.
    pub const INITIALISED: &str = "already-initialised";
    /// The operation needs `init` first.
    pub const NOT_INITIALISED: &str = "not-initialised";
    /// There is no deployment config yet.
    pub const NOT_CONFIGURED: &str = "not-configured";
    /// Another config is set, or the manifest has one.
    pub const CONFIG_CONFLICT: &str = "config-conflict";
    /// The config asks for something that the image's manifest does not allow.
    pub const NOT_ALLOWED: &str = "not-allowed";
    /// An artefact that the config demands is not in the message.
    pub const ARTEFACT_MISSING: &str = "artefact-missing";
    /// Another change is under way.
    pub const BUSY: &str = "busy";
    /// The signer did not start.
    pub const SIGNER_FAILED: &str = "signer-failed";
    /// The slashing store cannot be reached, or is not the config's.
    pub const STORE_FAILED: &str = "store-failed";
    /// `provision` could not write the signer's files, or not read those that are there.
    pub const FILES_FAILED: &str = "files-failed";
    /// Nothing could be asked of KMS.
    pub const KMS_FAILED: &str = "kms-failed";
    /// There are no credentials for KMS, or ones of no known form.
    pub const NO_CREDENTIALS: &str = "no-credentials";
    /// The NSM does not answer.
    pub const NSM_FAILED: &str = "nsm-failed";
    /// No answer in time.
    pub const UNAVAILABLE: &str = "unavailable";
}

impl Refusal {
    /// The fixed word.
    #[must_use]
    pub fn code(&self) -> &str {
        self.error.split(':').next().unwrap_or_default()
    }
}

/// Why an answer is not a good one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The enclave refused.
    #[error("the enclave refused with status {status}: {refusal}")]
    Refused {
        /// The status.
        status: u16,
        /// Why.
        refusal: Refusal,
    },
    /// Not an answer of this protocol.
    #[error("the answer of {length} bytes is not JSON of the expected form")]
    Form {
        /// How long it is.
        length: usize,
        /// Where it is wrong.
        source: serde_json::Error,
    },
    /// Longer than [`MAX_ANSWER_BYTES`].
    #[error("the answer has more than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
}

/// Reads an answer whose good body is a `B`.
///
/// # Errors
/// [`AnswerError`], by its variants.
pub fn read<B: DeserializeOwned>(bytes: &[u8]) -> Result<B, AnswerError> {
    #[derive(Deserialize)]
    struct Status {
        status: u16,
    }

    if bytes.len() > MAX_ANSWER_BYTES {
        return Err(AnswerError::TooLong);
    }
    let form = |source| AnswerError::Form {
        length: bytes.len(),
        source,
    };
    let Status { status } = serde_json::from_slice(bytes).map_err(form)?;
    if status == OK {
        let good: Envelope<B> = serde_json::from_slice(bytes).map_err(form)?;
        return Ok(good.body);
    }
    let bad: Envelope<Refusal> = serde_json::from_slice(bytes).map_err(form)?;
    Err(AnswerError::Refused {
        status,
        refusal: bad.body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_answers_are_read() {
        let state = InitState { init_state: true };
        let bytes = br#"{"body":{"init_state":true},"status":200}"#;
        assert_eq!(read::<InitState>(bytes).unwrap(), state);
        let envelope = Envelope {
            body: state,
            status: OK,
        };
        assert_eq!(serde_json::to_vec(&envelope).unwrap(), bytes);
        let newer = br#"{"body":{"init_state":true,"x":[]},"status":200,"y":1}"#;
        assert_eq!(read::<InitState>(newer).unwrap(), state);
    }

    #[test]
    fn refusals_are_read() {
        let bytes = br#"{"body":{"error":"items-failed: 1 of 2","items":[{"kind":"validator-key","index":1,"code":"kms-ciphertext"},{"kind":"tls-key","index":0,"code":"invented-later"}],"failed":1},"status":500}"#;
        let AnswerError::Refused { status, refusal } = read::<InitState>(bytes).unwrap_err() else {
            panic!()
        };
        assert_eq!(
            (status, refusal.code(), refusal.failed),
            (INTERNAL, codes::ITEMS_FAILED, 1)
        );
        let codes: Vec<_> = refusal.items.iter().map(|item| item.code).collect();
        assert_eq!(codes, [ItemCode::KmsCiphertext, ItemCode::Other]);
        let short = Refusal {
            error: "busy: x".to_owned(),
            items: Vec::new(),
            failed: 0,
        };
        assert_eq!(serde_json::to_string(&short).unwrap(), r#"{"error":"busy: x"}"#);
    }

    #[test]
    fn other_bytes_are_no_answer() {
        let good = br#"{"body":{"init_state":true},"status":200}"#;
        for length in 0..good.len() {
            assert!(
                matches!(read::<InitState>(&good[..length]), Err(AnswerError::Form { .. })),
                "{length}"
            );
        }
        for bad in [
            "[]",
            "{}",
            r#"{"body":{},"status":200}"#,
            r#"{"body":{},"status":500}"#,
            r#"{"body":{"error":"x"},"status":"500"}"#,
        ] {
            assert!(
                matches!(read::<InitState>(bad.as_bytes()), Err(AnswerError::Form { .. })),
                "{bad}"
            );
        }
        let long = vec![b' '; MAX_ANSWER_BYTES + 1];
        assert!(matches!(read::<InitState>(&long), Err(AnswerError::TooLong)));
    }
}
