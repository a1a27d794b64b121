//! A validator's key.

use control::answer::ItemCode;
use keystore::{DecryptError, Keystore, Password, PublicKey, SecretKey};
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::{decode, read};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow)]
    secret_key: Option<&'a str>,
    #[serde(borrow)]
    keystore_b64: Option<&'a str>,
    #[serde(borrow)]
    password_b64: Option<&'a str>,
    #[expect(dead_code, reason = "it may be there, and is never read")]
    mnemonic_b64: Option<IgnoredAny>,
}

/// The key that a plaintext holds. `expected` is the public key that it was bound to, where it was bound.
///
/// A keystore's password costs its key derivation; what can be compared before is.
///
/// # Errors
/// [`ItemCode::Payload`], [`ItemCode::Keystore`], [`ItemCode::SecretKey`], [`ItemCode::PublicKeyMismatch`].
pub fn key(plaintext: &[u8], expected: Option<&PublicKey>) -> Result<(PublicKey, SecretKey), ItemCode> {
    let raw: Raw<'_> = read(plaintext)?;
    let secret = match (raw.secret_key, raw.keystore_b64, raw.password_b64) {
        (Some(digits), None, None) => compact(digits)?,
        (None, Some(json), Some(password)) => from_keystore(json, password, expected)?,
        _ => return Err(ItemCode::Payload),
    };
    let public = secret.public_key();
    if expected.is_some_and(|expected| *expected != public) {
        return Err(ItemCode::PublicKeyMismatch);
    }
    Ok((public, secret))
}

fn compact(text: &str) -> Result<SecretKey, ItemCode> {
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), bytes.as_mut_slice())
        .map_err(|_| ItemCode::Payload)?;
    SecretKey::from_bytes(&bytes).map_err(|_| ItemCode::SecretKey)
}

fn from_keystore(json: &str, password: &str, expected: Option<&PublicKey>) -> Result<SecretKey, ItemCode> {
    let (json, password) = (decode(json)?, decode(password)?);
    let keystore = Keystore::parse(&json).map_err(|_| ItemCode::Keystore)?;
    let password = Password::from_utf8(&password).map_err(|_| ItemCode::Keystore)?;
    if expected.is_some_and(|expected| expected != keystore.public_key()) {
        return Err(ItemCode::PublicKeyMismatch);
    }
    keystore.decrypt(&password).map_err(|error| match error {
        DecryptError::NotAKey(_) => ItemCode::SecretKey,
        DecryptError::AnotherKey { .. } => ItemCode::PublicKeyMismatch,
        _ => ItemCode::Keystore,
    })
}
