//! The plaintexts of artefacts: strict JSON of at most 4096 bytes, read where it lies.
//!
//! ```text
//! validator key        {"secret_key":"0x…"}                                                             compact
//!                      {"keystore_b64":"…","password_b64":"…","mnemonic_b64":"…"}                       the published guidance's
//! TLS key              {"tls_keystore_b64":"…","tls_password_b64":"…","version":N}                      version: 0 when absent
//! clients              {"version":N,"known_clients":[{"name":"…","sha256":"…"}],"ca_pem":"…"}
//! slashing credential  {"version":N,"access_key_id":"…","secret_access_key":"…"}                        DynamoDB
//!                      {"version":N,"postgresql":{"username":"…","password":"…","ca_pem":"…"}}          PostgreSQL
//! ```
//! - A mnemonic is passed over: the parser skips it where it stands, nothing is decoded or copied.
//! - Secret texts are taken without JSON escapes only (base64 and hex have none), so no parser keeps a copy of them. The
//!   password of a database may have some.
//! - Unknown and repeated fields are refused. An error says [`ItemCode::Payload`] and no more.

pub mod clients;
pub mod key;
pub mod store;
pub mod tls;

use base64ct::{Base64, Encoding as _};
use control::answer::ItemCode;
use control::canonical::MAX_NUMBER;
use serde::Deserialize;
use zeroize::Zeroizing;

/// Longest plaintext, bytes.
///
/// Source: KMS API reference, `Encrypt`, with a symmetric key.
pub const MAX_BYTES: usize = 4096;

/// Reads JSON strictly.
///
/// # Errors
/// [`ItemCode::Payload`].
pub(crate) fn read<'a, T: Deserialize<'a>>(plaintext: &'a [u8]) -> Result<T, ItemCode> {
    if plaintext.len() > MAX_BYTES {
        return Err(ItemCode::Payload);
    }
    serde_json::from_slice(plaintext).map_err(|_| ItemCode::Payload)
}

/// Exact base64 with padding.
pub(crate) fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, ItemCode> {
    let mut bytes = Zeroizing::new(vec![0; text.len() / 4 * 3 + 3]);
    let length = Base64::decode(text, &mut bytes)
        .map_err(|_| ItemCode::Payload)?
        .len();
    bytes.truncate(length);
    Ok(bytes)
}

/// As above, the other way.
pub(crate) fn base64(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(Base64::encode_string(bytes))
}

/// A version that can be written in every file of ours.
pub(crate) const fn version(number: u64) -> Result<u64, ItemCode> {
    if number <= MAX_NUMBER {
        Ok(number)
    } else {
        Err(ItemCode::Payload)
    }
}

#[cfg(test)]
mod tests;
