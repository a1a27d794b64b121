//! What the agent and `provision` say to each other: one request, one answer, over a Unix stream socket inside the enclave.
//!
//! ```text
//! agent                                              provision (signer's user, started by PID 1 for each job)
//!   listens on SOCKET, asks PID 1 to start provision
//!                       <---------------- connects; each side checks the other's user by SO_PEERCRED
//!   frame(Job)          ---------------->
//!                       <---------------- frame(Outcome)                  then both close, and provision ends
//!
//! frame = length:u32 (big-endian, at most MAX_JOB_BYTES or MAX_OUTCOME_BYTES) and that many bytes of JSON
//! ```
//!
//! - The agent has no plaintext at any time: the job holds ciphertexts, the outcome says how each went.
//! - What a job changes is all or nothing. A job that is refused, or ends without an outcome, has left everything as before.
//! - The JSON is strict on both sides: both programs are of the same image.
//! - provision reads [`super::policy::ImagePolicy`] itself, and does not take the agent's word for the config: PCR16 must
//!   be locked and hold it.
//! - Everything that must outlive a restart of the agent is in provision's files. [`Work::Recover`] tells it again.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::answer::{Item, Refusal};
use super::artefact::Kind;
use super::config::{ArtefactVersions, DeploymentConfig};
use super::request::Credential;
use super::text::{Ciphertext, DerText, PublicKey, Sha256Hex, StackId};

/// The folder of [`SOCKET`]: a memory file system of the agent's (mode 0750) whose group is the signer's. Nobody else can enter.
pub const SOCKET_DIR: &str = "/run/provision";
/// The socket, made by the agent.
pub const SOCKET: &str = "/run/provision/socket";

/// Memory file system of the signer's user, mode 0700: everything that provision writes is below it. The agent cannot enter.
pub const SIGNER_DIR: &str = "/run/signer";
/// What the signer reads. A link to the folder of one generation, swapped in one step.
pub const SIGNER_CURRENT: &str = "/run/signer/current";
/// The signer's configuration; the only thing that its command line names.
pub const SIGNER_CONFIG: &str = "/run/signer/current/config.yaml";

/// Longest job, bytes: a control message of the longest kind, whose entries here have more words around them.
pub const MAX_JOB_BYTES: usize = 24 * 1024 * 1024;
/// Longest outcome, bytes: the public keys of a full enclave, and the items that an answer lists.
pub const MAX_OUTCOME_BYTES: usize = 4 * 1024 * 1024;
/// Bytes before the JSON of a frame.
pub const PREFIX_BYTES: usize = 4;

/// Common name of the certificate by which the agent checks the signer's health. No other client may have it.
pub const HEALTH_CLIENT_NAME: &str = "nitro-web3signer-health";

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The deployment config, which PCR16 must hold. Absent for [`Work::Recover`] only: the agent may not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Box<DeploymentConfig>>,
    /// The work.
    pub work: Work,
}

/// The kinds of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Work {
    /// Decrypt everything and make the signer's files from nothing. Files of an earlier job that the signer never used, or
    /// of one that was cut off, are wiped first.
    Init {
        /// For the KMS calls.
        credential: Credential,
        /// At most one of each other kind, and 1 to [`super::MAX_KEYS`] validator keys.
        artefacts: Vec<Sealed>,
    },
    /// Decrypt validator keys and add them to the files.
    AddKeys {
        /// For the KMS calls.
        credential: Credential,
        /// Validator keys only.
        artefacts: Vec<Sealed>,
    },
    /// Decrypt the list of clients or the client CA and replace the files.
    SetClients {
        /// For the KMS calls.
        credential: Credential,
        /// The one artefact.
        artefact: Sealed,
    },
    /// Wipe the files of these keys. Those that are not there are [`super::answer::ItemCode::Already`].
    RemoveKeys {
        /// 1 to [`super::MAX_KEYS`].
        public_keys: Vec<PublicKey>,
    },
    /// Wipe everything: the signer did not start with it. The signer does not run.
    Rollback,
    /// Change nothing and tell what is there: the agent was started again.
    Recover,
}

impl Work {
    /// The name in `mode`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Init { .. } => "init",
            Self::AddKeys { .. } => "add-keys",
            Self::SetClients { .. } => "set-clients",
            Self::RemoveKeys { .. } => "remove-keys",
            Self::Rollback => "rollback",
            Self::Recover => "recover",
        }
    }
}

/// An artefact as KMS made it, and what it must turn out to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// What it is for.
    pub kind: Kind,
    /// Its number in the message's list, for [`Item::index`].
    pub index: u64,
    /// The ciphertext.
    pub ciphertext: Ciphertext,
    /// How it was encrypted.
    pub binding: Binding,
}

/// The encryption context that the ciphertext must have been made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "context", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Binding {
    /// None. Only an image whose policy says `legacy_no_context` may be asked for this.
    None {},
    /// [`super::artefact::context`], or [`super::artefact::key_context`] for a validator key.
    Bound {
        /// One of the config's.
        stack: StackId,
        /// Of a validator key, and only of one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pubkey: Option<PublicKey>,
    },
}

/// How the job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outcome {
    /// Done: what is there now. `None` after a rollback, and for [`Work::Recover`] when there is nothing.
    Done {
        /// One for each artefact or public key, in their order; at most [`super::MAX_ITEMS`].
        items: Vec<Item>,
        /// What is there now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<Box<State>>,
    },
    /// Not done; everything is as it was.
    Refused {
        /// Why, with the items that failed. Its first word is one of [`super::answer::codes`].
        refusal: Refusal,
    },
}

/// What the signer is started with. Nothing in it is secret but [`HealthClient::private_key`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The config that it was made under.
    pub config: DeploymentConfig,
    /// Keys that the files hold, ascending.
    pub public_keys: Vec<PublicKey>,
    /// The signer's TLS certificate.
    pub tls: TlsCertificate,
    /// Versions that the artefacts say of themselves; 0 where there is none.
    pub artefact_versions: ArtefactVersions,
    /// The agent's own way to the signer.
    pub health: HealthClient,
}

/// The signer's TLS certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsCertificate {
    /// The end-entity certificate. Health checks are made with this one and no other.
    pub certificate: DerText,
    /// SHA-256 of it.
    pub sha256: Sha256Hex,
    /// SHA-256 of its `SubjectPublicKeyInfo` in DER.
    pub public_key_sha256: Sha256Hex,
    /// Last second of its validity, in seconds since 1970-01-01 UTC.
    pub not_after_unix_s: i64,
}

/// A client certificate that provision made for the agent, self-signed, with the name [`HEALTH_CLIENT_NAME`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthClient {
    /// The certificate.
    pub certificate: DerText,
    /// Its private key, PKCS#8 in DER and base64. It lets its holder ask the signer whatever a client may ask.
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    pub private_key: Zeroizing<String>,
}

fn as_text<S: serde::Serializer>(text: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn from_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

impl fmt::Debug for HealthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthClient")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// Why bytes are no frame of this protocol.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Longer than it may be.
    #[error("the frame has {found} bytes, expected 1 to {most}")]
    Length {
        /// How long it is.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// Not JSON of the expected form. The text is not repeated.
    #[error("the frame is not of its form at line {line} column {column}")]
    Form {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
}

/// A frame with this content. Wiped when it is dropped: a job has credentials, an outcome a private key.
///
/// # Errors
/// [`FrameError::Length`] when the content is longer than `most`.
pub fn frame(content: &impl Serialize, most: usize) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    // The size is found first: a vector that grows leaves copies behind.
    let mut count = super::request::Count(0);
    let form = |e: serde_json::Error| FrameError::Form {
        line: e.line(),
        column: e.column(),
    };
    serde_json::to_writer(&mut count, content).map_err(form)?;
    let found = count.0;
    let prefix = u32::try_from(found).ok().filter(|_| (1..=most).contains(&found));
    let prefix = prefix.ok_or(FrameError::Length { found, most })?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(PREFIX_BYTES + found));
    bytes.extend_from_slice(&prefix.to_be_bytes());
    serde_json::to_writer(&mut *bytes, content).map_err(form)?;
    Ok(bytes)
}

/// The length that a frame's prefix says.
///
/// # Errors
/// [`FrameError::Length`] when it is 0 or above `most`.
pub fn length(prefix: [u8; PREFIX_BYTES], most: usize) -> Result<usize, FrameError> {
    let found = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    if (1..=most).contains(&found) {
        Ok(found)
    } else {
        Err(FrameError::Length { found, most })
    }
}

/// Reads the content of a frame, without its prefix.
///
/// # Errors
/// [`FrameError::Form`].
pub fn content<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(bytes).map_err(|e| FrameError::Form {
        line: e.line(),
        column: e.column(),
    })
}

#[cfg(test)]
mod tests;
