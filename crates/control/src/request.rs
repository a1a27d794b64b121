//! What the parent may ask for. Bytes become a [`Request`] in [`super::reader`] only.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Surface;
use super::config::DeploymentConfig;
use super::text::{Ciphertext, Nonce, PublicKey, StackId};

/// A message that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request {
    /// Whether `init` was done.
    InitState,
    /// Decrypt everything and start the signer. Refused when it was done.
    Init(Box<Init>),
    /// An attestation document; never with a public key.
    Attest {
        /// The asker's.
        nonce: Nonce,
    },
    /// Sets the deployment config, once. The same config again is no error; another one is refused, also after a failed
    /// `init`, and any is refused where the manifest has one.
    Configure {
        /// The config.
        config: Box<DeploymentConfig>,
    },
    /// How the enclave is.
    Status,
    /// Adds validator keys to the running signer: all of them, or none.
    AddKeys {
        /// 1 to [`super::MAX_KEYS`].
        encrypted_validator_keys: Vec<KeyEntry>,
    },
    /// Takes validator keys away from the signer. The parent's word is enough: it costs availability only.
    RemoveKeys {
        /// 1 to [`super::MAX_KEYS`].
        public_keys: Vec<PublicKey>,
    },
    /// Replaces the list of clients or the client CA. An older version is refused.
    SetClients {
        /// The list or CA.
        encrypted_clients: Entry,
    },
    /// Replaces the AWS credentials of `init`, for the KMS calls of `add_keys` and `set_clients`.
    RefreshCredentials {
        /// The new ones.
        credential: Credential,
    },
    /// Numbers of the agent and the signer.
    Metrics,
}

/// The fields of `init`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Init {
    /// For the KMS calls.
    pub credential: Credential,
    /// The signer's TLS key.
    pub encrypted_tls_key: Entry,
    /// 1 to [`super::MAX_KEYS`] validator keys. More that fit into no one message follow with `add_keys`.
    pub encrypted_validator_keys: Vec<KeyEntry>,
    /// Who may use the signer. Must be there unless the image and the config let any client in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted_clients: Option<Entry>,
    /// The slashing store's credential. Must be there for a store that is not memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted_slashing_credential: Option<Entry>,
}

/// Temporary AWS credentials of the parent. They are no secret from the parent, but from logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    access_key_id: Zeroizing<String>,
    secret_access_key: Zeroizing<String>,
    token: Zeroizing<String>,
}

/// A part of a credential is empty, longer than [`MAX_CREDENTIAL_BYTES`], or not visible ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} of the credential is empty, longer than 8192 bytes, or not visible ASCII")]
pub struct CredentialError {
    /// Name of the part.
    pub part: &'static str,
}

/// Longest part of a credential, bytes.
pub const MAX_CREDENTIAL_BYTES: usize = 8192;

impl Credential {
    /// Checks the form of each part. The token may be empty: long-lived credentials have none.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn new(
        access_key_id: String,
        secret_access_key: String,
        token: String,
    ) -> Result<Self, CredentialError> {
        let credential = Self {
            access_key_id: Zeroizing::new(access_key_id),
            secret_access_key: Zeroizing::new(secret_access_key),
            token: Zeroizing::new(token),
        };
        let good = |text: &str, least| {
            (least..=MAX_CREDENTIAL_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let refused = |part| Err(CredentialError { part });
        match &credential {
            c if !good(&c.access_key_id, 1) => refused("access_key_id"),
            c if !good(&c.secret_access_key, 1) => refused("secret_access_key"),
            c if !good(&c.token, 0) => refused("token"),
            _ => Ok(credential),
        }
    }

    /// The access key's id.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The secret access key.
    #[must_use]
    pub fn secret_access_key(&self) -> &str {
        &self.secret_access_key
    }

    /// The session token, empty for long-lived credentials.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// The form of the published guidance.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCredential<'a> {
    access_key_id: std::borrow::Cow<'a, str>,
    secret_access_key: std::borrow::Cow<'a, str>,
    token: std::borrow::Cow<'a, str>,
}

impl Serialize for Credential {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawCredential {
            access_key_id: self.access_key_id().into(),
            secret_access_key: self.secret_access_key().into(),
            token: self.token().into(),
        };
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Credential {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawCredential::deserialize(deserializer)?;
        Self::new(
            raw.access_key_id.into_owned(),
            raw.secret_access_key.into_owned(),
            raw.token.into_owned(),
        )
        .map_err(serde::de::Error::custom)
    }
}

/// An artefact that is no validator key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A bare string: encrypted without context. Only a `legacy_no_context` image takes it.
    Legacy(Ciphertext),
    /// `{"ciphertext":…}`: encrypted under [`super::artefact::context`].
    Bound {
        /// What KMS made of it.
        ciphertext: Ciphertext,
        /// Its stack, one of the config's. May be absent where the config has one only.
        stack: Option<StackId>,
    },
}

/// A validator key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyEntry {
    /// A bare string: encrypted without context. Only a `legacy_no_context` image takes it.
    Legacy(Ciphertext),
    /// `{"ciphertext":…,"pubkey":…}`: encrypted under [`super::artefact::key_context`].
    Bound {
        /// What KMS made of it.
        ciphertext: Ciphertext,
        /// The public key that the decrypted one must have.
        pubkey: PublicKey,
        /// Its stack, one of the config's. May be absent where the config has one only.
        stack: Option<StackId>,
    },
}

impl Request {
    /// The name in `operation`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::InitState => "init_state",
            Self::Init(_) => "init",
            Self::Attest { .. } => "attest",
            Self::Configure { .. } => "configure",
            Self::Status => "status",
            Self::AddKeys { .. } => "add_keys",
            Self::RemoveKeys { .. } => "remove_keys",
            Self::SetClients { .. } => "set_clients",
            Self::RefreshCredentials { .. } => "refresh_credentials",
            Self::Metrics => "metrics",
        }
    }

    /// Whether the operation is served on this port.
    #[must_use]
    pub const fn allowed_on(&self, surface: Surface) -> bool {
        match self {
            Self::Attest { .. } => true,
            Self::InitState | Self::Init(_) => matches!(surface, Surface::Service),
            _ => matches!(surface, Surface::Control),
        }
    }

    /// The message as it is sent. It may hold credentials, so it is wiped when it is dropped.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // The size is found first: a vector that grows leaves copies behind.
        let mut count = Count(0);
        // Only maps with keys that are no text, and writers, can fail here; there is neither.
        serde_json::to_writer(&mut count, self).unwrap_or_default();
        let mut bytes = Zeroizing::new(Vec::with_capacity(count.0));
        serde_json::to_writer(&mut *bytes, self).unwrap_or_default();
        bytes
    }
}

/// Counts what is written.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
