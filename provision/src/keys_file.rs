//! The file of all keys: YAML documents of one fixed form, which both signers read, and which only this module reads back.
//!
//! ```text
//! ---
//! type: "file-raw"
//! keyType: "BLS"
//! privateKey: "0x<64 lower-case digits>"
//! ```
//! Ascending by public key. There is no file when there is no key: the signers take an empty one for an error.

use std::collections::BTreeMap;

use keystore::{PublicKey, SecretKey};
use zeroize::Zeroizing;

/// Before the digits of a document, from its first line.
const HEAD: &[u8] = b"---\ntype: \"file-raw\"\nkeyType: \"BLS\"\nprivateKey: \"0x";
/// After them.
const TAIL: &[u8] = b"\"\n";
/// Digits of a key.
const DIGITS: usize = 64;
/// Length of a document, bytes.
const DOCUMENT: usize = HEAD.len() + DIGITS + TAIL.len();

/// Keys by their public key.
pub type Keys = BTreeMap<PublicKey, SecretKey>;

/// The file of an earlier job is not of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("document {document} of the file of keys is not as it was written")]
pub struct KeysFileError {
    /// From 1.
    pub document: usize,
}

/// The file; `None` for no keys.
#[must_use]
pub fn write(keys: &Keys) -> Option<Zeroizing<Vec<u8>>> {
    if keys.is_empty() {
        return None;
    }
    // All at once: a buffer that grows leaves copies behind.
    let mut file = Zeroizing::new(Vec::with_capacity(keys.len() * DOCUMENT));
    let mut digits = Zeroizing::new([0; DIGITS]);
    for secret in keys.values() {
        // The lengths fit by their types.
        hex::encode_to_slice(secret.expose_bytes().as_slice(), digits.as_mut_slice()).unwrap_or_default();
        for part in [HEAD, digits.as_slice(), TAIL] {
            file.extend_from_slice(part);
        }
    }
    Some(file)
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// [`KeysFileError`].
pub fn read(file: &[u8]) -> Result<Keys, KeysFileError> {
    let mut keys = Keys::new();
    for (number, document) in (1..).zip(file.chunks(DOCUMENT)) {
        let bad = KeysFileError { document: number };
        let digits = document
            .strip_prefix(HEAD)
            .and_then(|rest| rest.strip_suffix(TAIL))
            .ok_or(bad)?;
        let mut bytes = Zeroizing::new([0; DIGITS / 2]);
        hex::decode_to_slice(digits, bytes.as_mut_slice()).map_err(|_| bad)?;
        let secret = SecretKey::from_bytes(&bytes).map_err(|_| bad)?;
        if keys.insert(secret.public_key(), secret).is_some() {
            return Err(bad);
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: u8) -> Keys {
        let key = |n| {
            let mut bytes = [0x11; 32];
            bytes[31] = n;
            let secret = SecretKey::from_bytes(&bytes).unwrap();
            (secret.public_key(), secret)
        };
        (0..count).map(key).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        assert!(write(&keys(0)).is_none());
        assert!(read(b"").unwrap().is_empty());
        let file = write(&keys(3)).unwrap();
        let expected: Vec<_> = keys(3).into_keys().collect();
        assert_eq!(read(&file).unwrap().into_keys().collect::<Vec<_>>(), expected);
        let text = std::str::from_utf8(&file).unwrap();
        assert_eq!(text.matches(&"11".repeat(31)).count(), 3);
        assert_eq!(file.capacity(), file.len());
    }

    #[test]
    fn anything_else_is_refused() {
        let file = write(&keys(2)).unwrap();
        for length in (1..file.len()).filter(|length| *length != DOCUMENT) {
            assert!(read(&file[..length]).is_err(), "{length}");
        }
        for at in 0..file.len() {
            let mut other = file.to_vec();
            other[at] ^= 0x80;
            assert!(read(&other).is_err(), "{at}");
        }
        let twice = [&file[..DOCUMENT], &file[..DOCUMENT]].concat();
        assert_eq!(read(&twice).unwrap_err(), KeysFileError { document: 2 });
    }
}
