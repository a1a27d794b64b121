//! What requests carry: the JSON fields that are read, and their limits. Fields that are not read are ignored, as AWS does.
//!
//! Source: AWS KMS API reference, the request syntax of each operation.

use base64ct::{Base64, Encoding as _};
use serde::de::{Deserialize, Deserializer, Error as _};
use zeroize::Zeroizing;

use crate::kms::blob::EncryptionContext;
use crate::kms::error::KmsError;

/// All texts of an encryption context together, in bytes.
const MAX_CONTEXT: usize = 8192;

/// Bytes in base64, standard alphabet, padded. Wiped when dropped.
pub(super) struct Blob(pub(super) Zeroizing<Vec<u8>>);

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = Base64::decode_vec(&text).map_err(|_| D::Error::custom("not base64"))?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Recipient {
    pub(super) key_encryption_algorithm: Option<String>,
    pub(super) attestation_document: Option<Blob>,
}

/// What all cryptographic operations have.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Crypto {
    pub(super) key_id: Option<String>,
    pub(super) plaintext: Option<Blob>,
    pub(super) ciphertext_blob: Option<Blob>,
    pub(super) encryption_context: Option<EncryptionContext>,
    pub(super) encryption_algorithm: Option<String>,
    pub(super) key_spec: Option<String>,
    pub(super) key_pair_spec: Option<String>,
    pub(super) number_of_bytes: Option<i64>,
    pub(super) custom_key_store_id: Option<String>,
    pub(super) grant_tokens: Option<Vec<String>>,
    pub(super) dry_run: Option<bool>,
    pub(super) recipient: Option<Recipient>,
}

impl Crypto {
    /// Reads a body and checks what does not depend on the operation.
    pub(super) fn parse(body: &[u8]) -> Result<Self, KmsError> {
        let input: Self = parse(body)?;
        if let Some(algorithm) = input.encryption_algorithm.as_deref()
            && algorithm != "SYMMETRIC_DEFAULT"
        {
            return Err(match algorithm {
                "RSAES_OAEP_SHA_1" | "RSAES_OAEP_SHA_256" | "SM2PKE" => KmsError::refuse(
                    "InvalidKeyUsageException",
                    format!("Algorithm {algorithm} is incompatible with key spec SYMMETRIC_DEFAULT."),
                ),
                _ => KmsError::constraint(
                    "encryptionAlgorithm",
                    "satisfy enum value set: [SM2PKE, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SYMMETRIC_DEFAULT]",
                ),
            });
        }
        let context = input.encryption_context.iter().flatten();
        let size: usize = context.map(|(key, value)| key.len() + value.len()).sum();
        if size > MAX_CONTEXT {
            return Err(KmsError::constraint(
                "encryptionContext",
                "have at most 8192 bytes in all",
            ));
        }
        match input.grant_tokens.as_deref() {
            None | Some([]) => {}
            Some(tokens) if tokens.len() > 10 || tokens.iter().any(|t| !(1..=8192).contains(&t.len())) => {
                return Err(KmsError::constraint(
                    "grantTokens",
                    "have at most 10 tokens of 1 to 8192 characters",
                ));
            }
            // There are no grants here, so no token can be valid.
            Some(_) => {
                return Err(KmsError::refuse(
                    "InvalidGrantTokenException",
                    "Invalid grant token",
                ));
            }
        }
        Ok(input)
    }

    /// The encryption context; none is the same as an empty one.
    pub(super) fn context(&mut self) -> EncryptionContext {
        self.encryption_context.take().unwrap_or_default()
    }
}

/// Reads a body.
pub(super) fn parse<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, KmsError> {
    // The parser's own text can repeat a part of the body, so it is not shown.
    serde_json::from_slice(body).map_err(|error| {
        KmsError::serialization(format!(
            "the body is not the JSON of this operation: line {}, column {}",
            error.line(),
            error.column()
        ))
    })
}

/// Checks the length of a blob.
pub(super) fn length(field: &str, bytes: &[u8], least: usize, most: usize) -> Result<(), KmsError> {
    if (least..=most).contains(&bytes.len()) {
        return Ok(());
    }
    Err(KmsError::constraint(
        field,
        &format!("have length between {least} and {most}"),
    ))
}
