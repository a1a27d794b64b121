//! PKCS#12: the form in which both signers take their key. Always written anew, with a random password, so that what the
//! enclave gets does not depend on which tool made the file.

use std::fmt::Write as _;

use anyhow::Context as _;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, Pkcs12ImportPolicy, PrivateKey, PrivateKeyChain};
use zeroize::Zeroizing;

use super::Identity;

/// Largest PKCS#12 file that is read, in bytes.
pub const MAX_PKCS12_BYTES: usize = 64 * 1024;
/// Name of the one entry.
const ALIAS: &str = "tls";

/// Packs a key with its chain. The password is 32 random bytes in hex.
///
/// # Errors
/// When the library refuses key or certificate.
pub fn pack(identity: &Identity) -> anyhow::Result<(Zeroizing<Vec<u8>>, Zeroizing<String>)> {
    let mut random = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(random.as_mut_slice())
        .ok()
        .context("no random numbers")?;
    let mut password = Zeroizing::new(String::with_capacity(64));
    for byte in random.iter() {
        write!(password, "{byte:02x}")?;
    }
    let key = PrivateKey::from_der(&identity.key).context("the private key is not PKCS#8")?;
    let certificates = identity.chain.iter().map(|der| Certificate::from_der(der));
    let certificates: Vec<_> = certificates
        .collect::<Result<_, _>>()
        .context("a certificate cannot be packed")?;
    let mut store = KeyStore::new();
    store.add_entry(
        ALIAS,
        KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(ALIAS.as_bytes(), key, certificates)),
    );
    let pkcs12 = store.writer(&password).write().context("packing PKCS#12")?;
    Ok((Zeroizing::new(pkcs12), password))
}

/// Takes the one key and its chain out of a PKCS#12 file.
///
/// # Errors
/// A wrong password, damage, no key or several.
pub fn unpack(pkcs12: &[u8], password: &str) -> anyhow::Result<Identity> {
    let store = KeyStore::from_pkcs12(pkcs12, password, Pkcs12ImportPolicy::Strict)
        .context("it does not open: wrong password, damaged, or not PKCS#12")?;
    let mut chains = store.entries().filter_map(|(_, entry)| match entry {
        KeyStoreEntry::PrivateKeyChain(chain) if !chain.certs().is_empty() => Some(chain),
        _ => None,
    });
    let chain = chains
        .next()
        .context("it holds no private key with a certificate")?;
    anyhow::ensure!(
        chains.next().is_none(),
        "it holds several private keys; a server has one"
    );
    Ok(Identity {
        key: Zeroizing::new(chain.key().as_der().to_vec()),
        chain: chain
            .certs()
            .iter()
            .map(|certificate| certificate.as_der().to_vec())
            .collect(),
    })
}
