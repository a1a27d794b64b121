//! `slashing credential set`: how the signer identifies itself to its store. Not the instance's role: the parent must not be
//! able to write there.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use control::artefact::{Kind, context};
use control::config::SlashingStore;
use control::text::StackId;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};

use crate::payload::{Credential, Database, Login, Plaintext, SecretText};
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
    /// The public half of the credential: id of the access key, or name of the user.
    pub name: String,
}

/// Reads a credential for the config's store; its version is set by [`store`].
///
/// # Errors
/// When it is not in a form for that store. Its text is not repeated.
pub fn read(path: &Path, store: &SlashingStore) -> anyhow::Result<Credential> {
    let bytes = read_file(path, MAX_BYTES)?;
    let shown = path.display();
    let login = match store {
        SlashingStore::Dynamodb { .. } => access_key(&bytes).with_context(|| {
            format!(
                "{shown} is neither the output of `aws iam create-access-key` nor an object of access_key_id, \
                 secret_access_key and, optionally, session_token and expiration; or one of them has spaces"
            )
        })?,
        SlashingStore::Postgresql { .. } => database(&bytes).with_context(|| {
            format!("{shown} is not an object of username, password and ca_pem, none of them empty")
        })?,
        SlashingStore::Memory {} => bail!("the slashing store of the config is memory: it has no credential"),
    };
    Ok(Credential { version: 0, login })
}

fn access_key(bytes: &[u8]) -> Option<Login> {
    let plain = match serde_json::from_slice::<Created>(bytes) {
        Ok(created) => Plain {
            access_key_id: created.key.id,
            secret_access_key: created.key.secret,
            session_token: None,
            expiration: None,
        },
        Err(_) => serde_json::from_slice(bytes).ok()?,
    };
    // What would break a header is no credential.
    let parts = [
        Some(plain.access_key_id.as_str()),
        Some(plain.secret_access_key.expose()),
    ];
    let parts = parts.into_iter().chain([
        plain.session_token.as_ref().map(SecretText::expose),
        plain.expiration.as_deref(),
    ]);
    let fine = |value: &str| {
        !value.is_empty()
            && value
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
    };
    if !parts.flatten().all(fine) {
        return None;
    }
    Some(Login::AccessKey {
        access_key_id: plain.access_key_id,
        secret_access_key: plain.secret_access_key,
        session_token: plain.session_token,
        expiration: plain.expiration,
    })
}

fn database(bytes: &[u8]) -> Option<Login> {
    let postgresql: Database = serde_json::from_slice(bytes).ok()?;
    let fine = |value: &str| !value.is_empty() && !value.chars().any(char::is_control);
    let certificates = CertificateDer::pem_slice_iter(postgresql.ca_pem.as_bytes());
    let authorities = certificates.collect::<Result<Vec<_>, _>>().ok()?;
    (fine(&postgresql.username) && fine(postgresql.password.expose()) && !authorities.is_empty())
        .then_some(Login::Database { postgresql })
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
        name: match &credential.login {
            Login::AccessKey { access_key_id, .. } => access_key_id.clone(),
            Login::Database { postgresql } => postgresql.username.clone(),
        },
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
