//! The signer's TLS key and certificate: a PKCS#12 file and its password.

use std::time::SystemTime;

use control::answer::ItemCode;
use control::provision::TlsCertificate;
use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{decode, read, version};
use crate::certificate::Read;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    tls_keystore_b64: &'a str,
    tls_password_b64: &'a str,
    #[serde(default)]
    version: u64,
}

/// What the signer is given, and what the agent is told.
#[derive(Debug)]
pub struct Tls {
    /// Version of the artefact; 0 where it says none.
    pub version: u64,
    /// The file.
    pub pkcs12: Zeroizing<Vec<u8>>,
    /// Its password: one line.
    pub password: Zeroizing<Vec<u8>>,
    /// Its end-entity certificate.
    pub certificate: TlsCertificate,
}

/// Opens it as the signer will, and checks that the key is that of the certificate and that the chain is valid now.
///
/// # Errors
/// [`ItemCode::Payload`], [`ItemCode::Certificate`], [`ItemCode::CertificateDates`].
pub fn tls(plaintext: &[u8], now: SystemTime) -> Result<Tls, ItemCode> {
    let raw: Raw<'_> = read(plaintext)?;
    let (pkcs12, mut password) = (decode(raw.tls_keystore_b64)?, decode(raw.tls_password_b64)?);
    // Whoever made the text with a shell has left its line end; the signer reads the first line.
    while password.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        password.pop();
    }
    if password.iter().any(|byte| b"\r\n\0".contains(byte)) {
        return Err(ItemCode::Payload);
    }
    let text = std::str::from_utf8(&password).map_err(|_| ItemCode::Payload)?;
    let store = KeyStore::from_pkcs12(&pkcs12, text, Pkcs12ImportPolicy::Strict)
        .map_err(|_| ItemCode::Certificate)?;
    let mut chains = store.entries().filter_map(|(_, entry)| match entry {
        KeyStoreEntry::PrivateKeyChain(chain) if !chain.certs().is_empty() => Some(chain),
        _ => None,
    });
    // A server has one key; the signer refuses a second one.
    let (Some(chain), None) = (chains.next(), chains.next()) else {
        return Err(ItemCode::Certificate);
    };
    let certificates: Vec<_> = chain
        .certs()
        .iter()
        .map(|certificate| CertificateDer::from(certificate.as_der().to_vec()))
        .collect();
    let certificate = certificates.first().ok_or(ItemCode::Certificate)?;
    let read: Vec<Read> = certificates
        .iter()
        .map(|der| Read::of(der))
        .collect::<Result<_, _>>()?;
    let described = read.first().ok_or(ItemCode::Certificate)?.describe(certificate)?;
    fits(chain.key().as_der(), certificates)?;
    for certificate in &read {
        certificate.valid_at(now)?;
    }
    Ok(Tls {
        version: version(raw.version)?,
        certificate: described,
        pkcs12,
        password,
    })
}

fn fits(key: &[u8], certificates: Vec<CertificateDer<'static>>) -> Result<(), ItemCode> {
    let key = PrivatePkcs8KeyDer::from(key.to_vec());
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    // A key that cannot be compared with its certificate is refused as well.
    CertifiedKey::from_der(certificates, key.into(), &provider)
        .and_then(|certified| certified.keys_match())
        .map_err(|_| ItemCode::Certificate)
}
