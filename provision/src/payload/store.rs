//! How the signer identifies itself to its slashing store. The form must be that of the config's store.

use control::answer::ItemCode;
use control::config::SlashingStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{read, version};
use crate::certificate::Read;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    version: u64,
    #[serde(borrow)]
    access_key_id: Option<&'a str>,
    #[serde(borrow)]
    secret_access_key: Option<&'a str>,
    #[serde(borrow)]
    session_token: Option<&'a str>,
    #[serde(borrow)]
    expiration: Option<&'a str>,
    postgresql: Option<RawLogin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLogin {
    username: String,
    #[serde(deserialize_with = "secret")]
    password: Zeroizing<String>,
    ca_pem: String,
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

/// A credential with the version of its artefact.
pub struct Versioned {
    /// The version.
    pub version: u64,
    /// The credential.
    pub credential: Credential,
}

/// The credential.
pub enum Credential {
    /// The file of the native signer, complete.
    Dynamodb(Zeroizing<Vec<u8>>),
    /// Parts of the signer's configuration.
    Postgresql(Login),
}

/// User and password of a database, and what its server is known by.
pub struct Login {
    /// The user.
    pub username: String,
    /// The password.
    pub password: Zeroizing<String>,
    /// PEM of the authorities that the server's certificate may chain to.
    pub authorities: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(..)")
    }
}

impl std::fmt::Debug for Versioned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Versioned({}, ..)", self.version)
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(..)")
    }
}

/// As the signer's file has it.
#[derive(Serialize)]
struct File<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<&'a str>,
}

/// Reads and checks.
///
/// # Errors
/// [`ItemCode::Payload`]; [`ItemCode::Certificate`] for the database's authorities.
pub fn store(plaintext: &[u8], store: &SlashingStore) -> Result<Versioned, ItemCode> {
    let raw: Raw<'_> = read(plaintext)?;
    let credential = match (store, raw.access_key_id, raw.secret_access_key, raw.postgresql) {
        (SlashingStore::Dynamodb { .. }, Some(access_key_id), Some(secret_access_key), None) => {
            let file = File {
                access_key_id,
                secret_access_key,
                session_token: raw.session_token,
                expiration: raw.expiration,
            };
            let parts = [
                Some(access_key_id),
                Some(secret_access_key),
                raw.session_token,
                raw.expiration,
            ];
            if !parts.into_iter().flatten().all(is_word) {
                return Err(ItemCode::Payload);
            }
            let mut bytes = Zeroizing::new(Vec::with_capacity(plaintext.len() + 64));
            serde_json::to_writer(&mut *bytes, &file).map_err(|_| ItemCode::Payload)?;
            Credential::Dynamodb(bytes)
        }
        (SlashingStore::Postgresql { .. }, None, None, Some(login))
            if raw.session_token.is_none() && raw.expiration.is_none() =>
        {
            Credential::Postgresql(login.checked()?)
        }
        _ => return Err(ItemCode::Payload),
    };
    Ok(Versioned {
        version: version(raw.version)?,
        credential,
    })
}

/// Visible ASCII, as every part of an AWS credential.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl RawLogin {
    fn checked(self) -> Result<Login, ItemCode> {
        let is_text = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        if !is_text(&self.username) || !is_text(&self.password) {
            return Err(ItemCode::Payload);
        }
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.ca_pem.as_bytes()).collect();
        let found = found.map_err(|_| ItemCode::Certificate)?;
        if found.is_empty() {
            return Err(ItemCode::Certificate);
        }
        for der in &found {
            Read::of(der)?;
        }
        Ok(Login {
            username: self.username,
            password: self.password,
            authorities: self.ca_pem,
        })
    }
}
