//! Ciphertexts in a format of this KMS's own: AES-256-GCM under the key's material, bound to the encryption context.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `simkms`, 0, 1 |
//! | 16 | id of the key |
//! | 12 | nonce, random |
//! | n | encrypted plaintext |
//! | 16 | tag over all, and over the encryption context |
//!
//! The context is authenticated as the number of its pairs and then, sorted by key, each text with its length; numbers are 4 bytes,
//! big-endian.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use zeroize::Zeroizing;

use super::key::{KeyId, Material};

/// Names and values that must be the same when decrypting.
pub type EncryptionContext = BTreeMap<String, String>;

const MAGIC: &[u8; 8] = b"simkms\x00\x01";
const NONCE_LEN: usize = 12;

/// Encrypts `plaintext` under the key `id` with `material`.
///
/// # Errors
/// [`Unspecified`] when the cryptographic library fails.
pub fn seal(
    id: KeyId,
    material: &Material,
    plaintext: &[u8],
    context: &EncryptionContext,
) -> Result<Vec<u8>, Unspecified> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, material.expose())?;
    let mut contents = plaintext.to_vec();
    let nonce = key.seal_in_place_append_tag(Aad::from(authenticated(id, context)), &mut contents)?;
    Ok([&MAGIC[..], &id.0, nonce.as_ref(), &contents].concat())
}

/// The key that a blob says it is encrypted under, unproven. `None` when it is no blob of this KMS.
#[must_use]
pub fn key_id(blob: &[u8]) -> Option<KeyId> {
    split(blob).map(|(id, _, _)| id)
}

/// The plaintext of a blob. `None` when anything of it, or of the context, was changed.
#[must_use]
pub fn open(blob: &[u8], material: &Material, context: &EncryptionContext) -> Option<Zeroizing<Vec<u8>>> {
    let (id, nonce, contents) = split(blob)?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, material.expose()).ok()?;
    let mut contents = Zeroizing::new(contents.to_vec());
    let aad = Aad::from(authenticated(id, context));
    let length = key
        .open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut contents)
        .ok()?
        .len();
    contents.truncate(length);
    Some(contents)
}

fn split(blob: &[u8]) -> Option<(KeyId, [u8; NONCE_LEN], &[u8])> {
    let rest = blob.strip_prefix(MAGIC)?;
    let (id, rest) = rest.split_first_chunk()?;
    let (nonce, contents) = rest.split_first_chunk()?;
    Some((KeyId(*id), *nonce, contents))
}

fn authenticated(id: KeyId, context: &EncryptionContext) -> Vec<u8> {
    // The API's limits keep every length far below 2^32.
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = [&MAGIC[..], &id.0, &number(context.len())].concat();
    for text in context.iter().flat_map(|(key, value)| [key, value]) {
        bytes.extend(number(text.len()));
        bytes.extend(text.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn every_change_is_noticed() {
        let material = Material::random().unwrap();
        let id = KeyId([7; 16]);
        let given = context(&[("a", "b"), ("c", "")]);
        let blob = seal(id, &material, b"plaintext", &given).unwrap();
        assert_eq!(key_id(&blob), Some(id));
        assert_eq!(blob.len(), 8 + 16 + 12 + 9 + 16);
        assert_eq!(open(&blob, &material, &given).unwrap().as_slice(), b"plaintext");
        for at in 0..blob.len() {
            let mut changed = blob.clone();
            changed[at] ^= 1;
            assert_eq!(open(&changed, &material, &given), None, "byte {at}");
            assert_eq!(open(&blob[..at], &material, &given), None, "cut at {at}");
        }
        assert_eq!(open(&[&blob[..], &[0]].concat(), &material, &given), None);
        assert_eq!(open(&blob, &Material::random().unwrap(), &given), None);
        for other in [
            context(&[]),
            context(&[("a", "b")]),
            context(&[("a", "bc"), ("", "")]),
            context(&[("a", "b"), ("c", "x")]),
        ] {
            assert_eq!(open(&blob, &material, &other), None, "{other:?}");
        }
    }

    #[test]
    fn foreign_blobs_have_no_key() {
        for blob in [&b""[..], b"simkms", b"simkms\x00\x01", &[1; 200]] {
            assert_eq!(key_id(blob), None);
        }
    }
}
