//! `slashing credential set`: how the signer identifies itself to its store. Not the instance's role: the parent must not be
//! able to write there.

use std::path::Path;

use anyhow::{Context as _, ensure};
use control::artefact::{Kind, context};
use control::text::StackId;
use serde::{Deserialize, Serialize};

use crate::payload::{Credential, Plaintext, SecretText};
use crate::seal::Sealer;
use crate::secret::read_file;
use crate::tables::tls::{Change, TlsItem};

/// Longest file, bytes; `web3signer-rs` reads no longer one.
const MAX_BYTES: usize = 16 * 1024;

/// The output of `aws iam create-access-key`.
#[derive(Deserialize)]
struct Created {
    #[serde(rename = "AccessKey")]
    key: CreatedKey,
}

#[derive(Deserialize)]
struct CreatedKey {
    #[serde(rename = "AccessKeyId")]
    id: String,
    #[serde(rename = "SecretAccessKey")]
    secret: SecretText,
}

/// The form of the signer's credential file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    access_key_id: String,
    secret_access_key: SecretText,
    session_token: Option<SecretText>,
    expiration: Option<String>,
}

/// What was written, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Nothing was written.
    pub dry_run: bool,
    /// Version of the artefact.
    pub version: u64,
    /// The public half of the credential.
    pub access_key_id: String,
}

/// Reads a credential; its version is set by [`store`].
///
/// # Errors
/// When it is in neither form. Its text is not repeated.
pub fn read(path: &Path) -> anyhow::Result<Credential> {
    let bytes = read_file(path, MAX_BYTES)?;
    let shown = path.display();
    let plain = serde_json::from_slice::<Created>(&bytes)
        .ok()
        .map(|created| Plain {
            access_key_id: created.key.id,
            secret_access_key: created.key.secret,
            session_token: None,
            expiration: None,
        });
    let plain = plain.or_else(|| serde_json::from_slice(&bytes).ok()).with_context(|| {
        format!(
            "{shown} is neither the output of `aws iam create-access-key` nor an object of access_key_id, secret_access_key \
             and, optionally, session_token and expiration"
        )
    })?;
    // What would break a header is no credential.
    let fine = |value: &str| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
    let token = plain.session_token;
    ensure!(
        fine(&plain.access_key_id)
            && fine(plain.secret_access_key.expose())
            && token.as_ref().is_none_or(|token| fine(token.expose())),
        "{shown} has an empty value, or one with spaces or characters beyond ASCII"
    );
    Ok(Credential {
        version: 0,
        access_key_id: plain.access_key_id,
        secret_access_key: plain.secret_access_key,
        session_token: token,
        expiration: plain.expiration,
    })
}

/// Encrypts and writes it.
///
/// # Errors
/// What KMS and DynamoDB say.
pub async fn store(
    mut credential: Credential,
    item: &TlsItem,
    sealer: &Sealer,
    stack: &StackId,
    (least, wanted): (u64, Option<u64>),
    dry_run: bool,
) -> anyhow::Result<Written> {
    ensure!(
        item.has(Kind::TlsKey),
        "the table has no TLS key yet; `tls create` or `tls import` comes first"
    );
    item.check_stack(stack, Kind::SlashingCredential)?;
    credential.version = item.next_version(Kind::SlashingCredential, least, wanted)?;
    let written = Written {
        dry_run,
        version: credential.version,
        access_key_id: credential.access_key_id.clone(),
    };
    let plaintext = Plaintext::credential(&credential)?;
    if !dry_run {
        let change = Change {
            kind: Kind::SlashingCredential,
            ciphertext: sealer
                .seal(&plaintext, &context(stack, Kind::SlashingCredential))
                .await?,
            version: credential.version,
            stack: stack.clone(),
            certificate_b64: None,
        };
        item.write(&change).await?;
    }
    Ok(written)
}
