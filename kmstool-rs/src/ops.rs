//! The operations of KMS that answer to an attested recipient: what is asked, and what must come back.
//!
//! Each is a struct whose values are already within KMS's limits. The reply's own form is in [`crate::reply`].
//! Source: AWS KMS API reference, `Decrypt`, `GenerateDataKey`, `GenerateDataKeyPair`, `GenerateRandom`.

use base64ct::{Base64, Encoding as _};
use serde::Serialize;

use crate::key_id::KeyId;
use crate::reply::{Reply, ReplyError};
use crate::request::{
    DataKeySpec, EncryptionAlgorithm, EncryptionContext, MAX_CIPHERTEXT_BYTES, MAX_RANDOM_BYTES, RequestError,
};
use crate::secret::Secret;

/// A request's JSON, keys as in the API. Absent ones are not written.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Fields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext_blob: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_algorithm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_spec: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_pair_spec: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number_of_bytes: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_context: Option<&'a EncryptionContext>,
    recipient: Recipient<'a>,
}

/// Whom KMS shall encrypt its answer to.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Recipient<'a> {
    key_encryption_algorithm: &'static str,
    attestation_document: &'a str,
}

/// An operation of KMS.
pub trait Operation {
    /// What the caller gets.
    type Answer;
    /// KMS's name of the operation.
    const NAME: &'static str;

    /// The request but for its recipient.
    fn fields(&self) -> Fields<'_>;

    /// Checks the reply before the envelope in it is opened.
    ///
    /// # Errors
    /// [`ReplyError::Key`], [`ReplyError::Algorithm`], [`ReplyError::Missing`].
    fn check(&self, reply: &Reply) -> Result<(), ReplyError>;

    /// The answer, from the checked reply and what was in its envelope.
    ///
    /// # Errors
    /// [`ReplyError::PlaintextLength`], [`ReplyError::Missing`].
    fn answer(&self, reply: Reply, plaintext: Secret<Vec<u8>>) -> Result<Self::Answer, ReplyError>;

    /// The request's body: JSON with the base64 of an attestation document.
    fn body(&self, document_base64: &str) -> Vec<u8> {
        let mut fields = self.fields();
        fields.recipient = Recipient {
            key_encryption_algorithm: EncryptionAlgorithm::RsaesOaepSha256.name(),
            attestation_document: document_base64,
        };
        // Text keys and values only: writing them cannot fail.
        serde_json::to_vec(&fields).unwrap_or_default()
    }
}

/// `Decrypt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decrypt {
    ciphertext: Vec<u8>,
    /// Pins the key: the answer must name it. KMS needs it only for asymmetric keys.
    pub key_id: Option<KeyId>,
    /// KMS's default is [`EncryptionAlgorithm::SymmetricDefault`].
    pub algorithm: Option<EncryptionAlgorithm>,
    /// What the ciphertext was made with, exactly.
    pub context: EncryptionContext,
}

impl Decrypt {
    /// A request without key, algorithm and context; set them on the value.
    ///
    /// # Errors
    /// [`RequestError::CiphertextLength`].
    pub fn new(ciphertext: Vec<u8>) -> Result<Self, RequestError> {
        if ciphertext.is_empty() || ciphertext.len() > MAX_CIPHERTEXT_BYTES {
            return Err(RequestError::CiphertextLength(ciphertext.len()));
        }
        Ok(Self {
            ciphertext,
            key_id: None,
            algorithm: None,
            context: EncryptionContext::default(),
        })
    }

    /// As [`Self::new`], from base64 (standard alphabet, padded).
    ///
    /// # Errors
    /// [`RequestError::Base64`], [`RequestError::CiphertextLength`].
    pub fn from_base64(text: &str) -> Result<Self, RequestError> {
        Self::new(Base64::decode_vec(text).map_err(|_| RequestError::Base64)?)
    }
}

/// What `Decrypt` gives.
#[derive(Debug)]
pub struct Decrypted {
    /// The plaintext.
    pub plaintext: Secret<Vec<u8>>,
    /// ARN of the key that KMS used.
    pub key_arn: String,
}

impl Operation for Decrypt {
    type Answer = Decrypted;
    const NAME: &'static str = "Decrypt";

    fn fields(&self) -> Fields<'_> {
        Fields {
            ciphertext_blob: Some(Base64::encode_string(&self.ciphertext)),
            key_id: self.key_id.as_ref().map(KeyId::as_str),
            encryption_algorithm: self.algorithm.map(EncryptionAlgorithm::name),
            encryption_context: Some(&self.context).filter(|context| !context.is_empty()),
            ..Fields::default()
        }
    }

    fn check(&self, reply: &Reply) -> Result<(), ReplyError> {
        reply.check_key(self.key_id.as_ref())?;
        reply.check_algorithm(self.algorithm)
    }

    fn answer(&self, reply: Reply, plaintext: Secret<Vec<u8>>) -> Result<Decrypted, ReplyError> {
        Ok(Decrypted {
            plaintext,
            key_arn: reply.key_id()?,
        })
    }
}

/// `GenerateDataKey`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerateDataKey {
    /// The key that encrypts the data key; the answer must name it.
    pub key_id: KeyId,
    /// Length of the data key.
    pub spec: DataKeySpec,
    /// What the data key shall be bound to.
    pub context: EncryptionContext,
}

/// A key that KMS made, in the clear and encrypted.
#[derive(Debug)]
pub struct DataKey {
    /// The data key.
    pub plaintext: Secret<Vec<u8>>,
    /// The data key encrypted under the KMS key.
    pub ciphertext: Vec<u8>,
    /// ARN of the key that KMS used.
    pub key_arn: String,
}

impl Operation for GenerateDataKey {
    type Answer = DataKey;
    const NAME: &'static str = "GenerateDataKey";

    fn fields(&self) -> Fields<'_> {
        Fields {
            key_id: Some(self.key_id.as_str()),
            key_spec: Some(match self.spec {
                DataKeySpec::Aes128 => "AES_128",
                DataKeySpec::Aes256 => "AES_256",
            }),
            encryption_context: Some(&self.context).filter(|context| !context.is_empty()),
            ..Fields::default()
        }
    }

    fn check(&self, reply: &Reply) -> Result<(), ReplyError> {
        reply.check_key(Some(&self.key_id))
    }

    fn answer(&self, mut reply: Reply, plaintext: Secret<Vec<u8>>) -> Result<DataKey, ReplyError> {
        let length = match self.spec {
            DataKeySpec::Aes128 => 16,
            DataKeySpec::Aes256 => 32,
        };
        Ok(DataKey {
            plaintext: exactly(length, plaintext)?,
            ciphertext: reply
                .ciphertext_blob
                .take()
                .ok_or(ReplyError::Missing("CiphertextBlob"))?,
            key_arn: reply.key_id()?,
        })
    }
}

/// `GenerateDataKeyPair`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerateDataKeyPair {
    /// The key that encrypts the private key; the answer must name it.
    pub key_id: KeyId,
    spec: String,
    /// What the private key shall be bound to.
    pub context: EncryptionContext,
}

impl GenerateDataKeyPair {
    /// `spec` by KMS's name, such as `RSA_2048` or `ECC_NIST_P256`; KMS judges it.
    ///
    /// # Errors
    /// [`RequestError::KeyPairSpec`].
    pub fn new(key_id: KeyId, spec: &str) -> Result<Self, RequestError> {
        let form = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if !(1..=64).contains(&spec.len()) || !spec.bytes().all(form) {
            return Err(RequestError::KeyPairSpec);
        }
        Ok(Self {
            key_id,
            spec: spec.to_owned(),
            context: EncryptionContext::default(),
        })
    }
}

/// A key pair that KMS made.
#[derive(Debug)]
pub struct DataKeyPair {
    /// DER PKCS#8 private key.
    pub private_key: Secret<Vec<u8>>,
    /// The private key encrypted under the KMS key.
    pub private_key_ciphertext: Vec<u8>,
    /// DER `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
    /// ARN of the key that KMS used.
    pub key_arn: String,
}

impl Operation for GenerateDataKeyPair {
    type Answer = DataKeyPair;
    const NAME: &'static str = "GenerateDataKeyPair";

    fn fields(&self) -> Fields<'_> {
        Fields {
            key_id: Some(self.key_id.as_str()),
            key_pair_spec: Some(&self.spec),
            encryption_context: Some(&self.context).filter(|context| !context.is_empty()),
            ..Fields::default()
        }
    }

    fn check(&self, reply: &Reply) -> Result<(), ReplyError> {
        reply.check_key(Some(&self.key_id))
    }

    fn answer(&self, mut reply: Reply, plaintext: Secret<Vec<u8>>) -> Result<DataKeyPair, ReplyError> {
        let ciphertext = reply.private_key_ciphertext_blob.take();
        Ok(DataKeyPair {
            private_key: plaintext,
            private_key_ciphertext: ciphertext.ok_or(ReplyError::Missing("PrivateKeyCiphertextBlob"))?,
            public_key: reply.public_key.take().ok_or(ReplyError::Missing("PublicKey"))?,
            key_arn: reply.key_id()?,
        })
    }
}

/// `GenerateRandom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerateRandom(u16);

impl GenerateRandom {
    /// `length` random bytes, 1 to [`MAX_RANDOM_BYTES`].
    ///
    /// # Errors
    /// [`RequestError::RandomLength`].
    pub const fn new(length: u16) -> Result<Self, RequestError> {
        if length == 0 || length > MAX_RANDOM_BYTES {
            return Err(RequestError::RandomLength(length));
        }
        Ok(Self(length))
    }
}

impl Operation for GenerateRandom {
    type Answer = Secret<Vec<u8>>;
    const NAME: &'static str = "GenerateRandom";

    fn fields(&self) -> Fields<'_> {
        Fields {
            number_of_bytes: Some(self.0),
            ..Fields::default()
        }
    }

    fn check(&self, _: &Reply) -> Result<(), ReplyError> {
        Ok(())
    }

    fn answer(&self, _: Reply, plaintext: Secret<Vec<u8>>) -> Result<Secret<Vec<u8>>, ReplyError> {
        exactly(self.0.into(), plaintext)
    }
}

fn exactly(expected: usize, plaintext: Secret<Vec<u8>>) -> Result<Secret<Vec<u8>>, ReplyError> {
    let actual = plaintext.expose().len();
    if actual == expected {
        Ok(plaintext)
    } else {
        Err(ReplyError::PlaintextLength { expected, actual })
    }
}
