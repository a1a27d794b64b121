//! Taking over a key that exists: from PKCS#12, or from PEM files.

use std::path::Path;

use anyhow::{Context as _, ensure};
use rcgen::KeyPair;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::Identity;
use super::certificate::Leaf;
use super::pack::{self, MAX_PKCS12_BYTES};
use crate::secret::{self, read_file};

/// Longest file of PEM text, bytes.
const MAX_PEM_BYTES: usize = 256 * 1024;

/// From a PKCS#12 file; its password from a file, or asked for.
///
/// # Errors
/// What is wrong with either file.
pub fn from_pkcs12(file: &Path, password_file: Option<&Path>) -> anyhow::Result<Identity> {
    let bytes = read_file(file, MAX_PKCS12_BYTES)?;
    let shown = file.display().to_string();
    // A password of PKCS#12 is taken as it stands: EIP-2335's rules are for keystores. Only the line's end goes.
    let password = if let Some(path) = password_file {
        let bytes = read_file(path, keystore::MAX_PASSWORD_LEN)?;
        let text = std::str::from_utf8(&bytes)
            .ok()
            .with_context(|| format!("{} is not text", path.display()))?;
        Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())
    } else {
        let typed = secret::ask_line(&shown)?;
        Zeroizing::new(
            std::str::from_utf8(&typed)
                .context("the password is not text")?
                .to_owned(),
        )
    };
    pack::unpack(&bytes, &password).context(shown)
}

/// From a private key and a certificate chain, both in PEM.
///
/// # Errors
/// What is wrong with either file.
pub fn from_pem(key: &Path, chain: &Path) -> anyhow::Result<Identity> {
    let text = read_file(key, MAX_PEM_BYTES)?;
    let key = PrivatePkcs8KeyDer::from_pem_slice(&text).ok().with_context(|| {
        format!(
            "{} has no private key as PKCS#8 in PEM (openssl pkcs8 -topk8 -nocrypt makes one)",
            key.display()
        )
    })?;
    Ok(Identity {
        key: Zeroizing::new(key.secret_pkcs8_der().to_vec()),
        chain: certificates(chain)?,
    })
}

/// Every certificate of a PEM file, in DER.
///
/// # Errors
/// When it cannot be read, or has none.
pub fn certificates(path: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let text = read_file(path, MAX_PEM_BYTES)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .ok()
        .with_context(|| format!("{} is no PEM text", path.display()))?;
    ensure!(!found.is_empty(), "{} has no certificate in PEM", path.display());
    Ok(found)
}

/// Checks that key and certificate belong together, that it is for `host`, and valid now.
///
/// # Errors
/// What does not hold.
pub fn check(identity: &Identity, host: &str, now_unix_s: u64) -> anyhow::Result<Leaf> {
    let der = identity.chain.first().context("no certificate")?;
    let leaf = Leaf::read(der).context("the server's certificate")?;
    let key = KeyPair::try_from(identity.key.as_slice()).context(
        "the private key is of a kind that the signer cannot use; P-256, P-384, Ed25519 and RSA are known",
    )?;
    ensure!(
        rcgen::PublicKeyData::der_bytes(&key) == leaf.public_key.as_slice(),
        "the private key is not that of the first certificate"
    );
    leaf.check_host(host).context("the server's certificate")?;
    leaf.check_dates(now_unix_s).context("the server's certificate")?;
    for (number, der) in identity.chain.iter().enumerate().skip(1) {
        Leaf::read(der)
            .and_then(|issuer| issuer.check_dates(now_unix_s))
            .with_context(|| format!("certificate {} of the chain", number + 1))?;
    }
    Ok(leaf)
}
