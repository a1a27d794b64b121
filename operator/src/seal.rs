//! From a plaintext to an artefact: KMS Encrypt under the deployment's key, with the encryption context of the enclave.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::text::{Ciphertext, KeyArn};

use crate::aws::reason;
use crate::payload::Plaintext;

/// Encrypts under one key.
#[derive(Clone, Debug)]
pub struct Sealer {
    client: Client,
    key: KeyArn,
}

impl Sealer {
    /// For this key.
    #[must_use]
    pub const fn new(client: Client, key: KeyArn) -> Self {
        Self { client, key }
    }

    /// Encrypts. The answer must name the very key: an alias or a replica would not decrypt in the enclave.
    ///
    /// # Errors
    /// What KMS says, or an answer that cannot be used.
    pub async fn seal(
        &self,
        plaintext: &Plaintext,
        context: &BTreeMap<String, String>,
    ) -> anyhow::Result<Ciphertext> {
        let answer = self
            .client
            .encrypt()
            .key_id(self.key.as_str())
            .plaintext(Blob::new(plaintext.expose()))
            .set_encryption_context(Some(context.clone().into_iter().collect()))
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("KMS Encrypt under {}: {}", self.key, reason(&error)))?;
        if answer.key_id() != Some(self.key.as_str()) {
            bail!(
                "KMS encrypted under {:?}, expected {}",
                answer.key_id().unwrap_or_default(),
                self.key
            );
        }
        let blob = answer.ciphertext_blob().context("KMS gave no ciphertext")?;
        STANDARD
            .encode(blob.as_ref())
            .parse()
            .context("KMS gave a ciphertext of a wrong length")
    }
}
