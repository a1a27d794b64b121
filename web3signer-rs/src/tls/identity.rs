//! The server's own key and certificate chain, from a PKCS#12 file and its password.

use std::sync::Arc;

use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

/// Largest PKCS#12 file, in bytes. A chain of ten certificates needs a few ten thousand.
pub const FILE_LIMIT: usize = 1 << 20;

/// Why a key store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Larger than [`FILE_LIMIT`].
    #[error("it has {0} bytes; at most {FILE_LIMIT} are read")]
    TooLarge(usize),
    /// Wrong password or damaged; the format cannot tell the two apart.
    #[error("it does not open: wrong password, damaged, or not PKCS#12 ({0})")]
    NotOpened(String),
    /// No private key with a certificate.
    #[error(
        "it holds no private key with a certificate; make it with openssl pkcs12 -export -inkey KEY -in CERT"
    )]
    NoKey,
    /// More than one.
    #[error("it holds {0} private keys; a server has one")]
    SeveralKeys(usize),
    /// Key and certificate do not fit, or the key's type is not for TLS.
    #[error("its key cannot serve its certificate: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The first line of a password file, without its line break.
#[must_use]
pub fn password(file: &[u8]) -> Option<Zeroizing<String>> {
    let line = file.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    std::str::from_utf8(line)
        .ok()
        .map(|text| Zeroizing::new(text.to_owned()))
}

/// Reads a PKCS#12 file's bytes.
///
/// # Errors
/// See [`IdentityError`].
pub fn read(
    bytes: &[u8],
    password: &str,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, IdentityError> {
    if bytes.len() > FILE_LIMIT {
        return Err(IdentityError::TooLarge(bytes.len()));
    }
    let store = KeyStore::from_pkcs12(bytes, password, Pkcs12ImportPolicy::Strict)
        .map_err(|e| IdentityError::NotOpened(e.to_string()))?;
    let mut chains = store.entries().filter_map(|(_, entry)| match entry {
        p12_keystore::KeyStoreEntry::PrivateKeyChain(chain) if !chain.certs().is_empty() => Some(chain),
        _ => None,
    });
    let chain = chains.next().ok_or(IdentityError::NoKey)?;
    let more = chains.count();
    if more > 0 {
        return Err(IdentityError::SeveralKeys(more + 1));
    }
    let certificates = chain
        .certs()
        .iter()
        .map(|certificate| CertificateDer::from(certificate.as_der().to_vec()))
        .collect();
    let key = PrivatePkcs8KeyDer::from(chain.key().as_der().to_vec());
    let certified = CertifiedKey::from_der(certificates, key.into(), provider)?;
    certified.keys_match()?;
    Ok(Arc::new(certified))
}
