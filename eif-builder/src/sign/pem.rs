//! A signing key in a PEM file: PKCS#8, or the SEC 1 form that `openssl ecparam -genkey` writes.
//!
//! The bytes of the file are wiped; nothing shows them.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::key::{KeyError, SigningKey};

/// A P-384 key takes about 400 bytes.
const MAX_KEY_BYTES: u64 = 16 * 1024;

/// A key in memory.
pub struct PemKey {
    name: String,
    pair: EcdsaKeyPair,
}

impl fmt::Debug for PemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PemKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl PemKey {
    /// Reads the key in a file.
    ///
    /// # Errors
    /// [`KeyError`] `Read`, `TooLarge`, `Encrypted`, `Pem` or `NotP384`.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        // Looked at before it is opened: opening a pipe would wait for a writer.
        if !fs::metadata(path).map_err(KeyError::Read)?.is_file() {
            return Err(KeyError::Read(io::Error::other("it is not a regular file")));
        }
        let file = File::open(path).map_err(KeyError::Read)?;
        // Full size at once: a buffer that grows leaves copies behind.
        let limit = usize::try_from(MAX_KEY_BYTES + 1).unwrap_or(usize::MAX);
        let mut pem = Zeroizing::new(Vec::with_capacity(limit));
        file.take(MAX_KEY_BYTES + 1)
            .read_to_end(&mut pem)
            .map_err(KeyError::Read)?;
        if pem.len() as u64 > MAX_KEY_BYTES {
            return Err(KeyError::TooLarge { limit: MAX_KEY_BYTES });
        }
        Self::from_pem(&path.display().to_string(), &pem)
    }

    /// Reads the first private key of a PEM text.
    ///
    /// # Errors
    /// [`KeyError`] `Encrypted`, `Pem` or `NotP384`.
    pub fn from_pem(name: &str, pem: &[u8]) -> Result<Self, KeyError> {
        let has = |needle: &[u8]| pem.windows(needle.len()).any(|window| window == needle);
        if has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        let mut der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| KeyError::Pem)?;
        let algorithm = &ECDSA_P384_SHA384_FIXED_SIGNING;
        let pair = match &der {
            PrivateKeyDer::Sec1(key) => EcdsaKeyPair::from_private_key_der(algorithm, key.secret_sec1_der()),
            PrivateKeyDer::Pkcs8(key) => EcdsaKeyPair::from_pkcs8(algorithm, key.secret_pkcs8_der()),
            _ => return Err(KeyError::NotP384),
        };
        der.zeroize();
        Ok(Self {
            name: name.to_owned(),
            pair: pair.map_err(|_| KeyError::NotP384)?,
        })
    }
}

impl SigningKey for PemKey {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn public_point(&self) -> Result<Vec<u8>, KeyError> {
        Ok(self.pair.public_key().as_ref().to_vec())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| KeyError::Signing)?.as_ref().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_told_apart() {
        let refused = |pem: &str| PemKey::from_pem("k", pem.as_bytes()).unwrap_err();
        assert!(matches!(refused(""), KeyError::Pem));
        assert!(matches!(
            refused("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"),
            KeyError::NotP384
        ));
        assert!(matches!(
            refused("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"),
            KeyError::Encrypted
        ));
        assert!(matches!(
            refused(
                "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END EC PRIVATE KEY-----\n"
            ),
            KeyError::Encrypted
        ));
        assert!(matches!(
            refused("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"),
            KeyError::NotP384
        ));
    }
}
