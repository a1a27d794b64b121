//! `tls`: the signer's TLS key, made or taken over, packed as PKCS#12, encrypted, and written with its certificate.

pub mod certificate;
pub mod create;
pub mod import;
pub mod pack;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::artefact::{Kind, context};
use control::text::StackId;
use serde::Serialize;
use zeroize::Zeroizing;

use self::certificate::Leaf;
use crate::payload::Plaintext;
use crate::seal::Sealer;
use crate::tables::tls::{Change, TlsItem};

/// A private key with its certificates.
pub struct Identity {
    /// PKCS#8 in DER.
    pub key: Zeroizing<Vec<u8>>,
    /// Certificates in DER, the server's own first.
    pub chain: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({} certificates)", self.chain.len())
    }
}

impl Identity {
    /// The certificates as PEM, the server's own first.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|der| ::certificate::pem(der)).collect()
    }
}

/// What was written, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Nothing was written.
    pub dry_run: bool,
    /// Version of the artefact.
    pub version: u64,
    /// The server's certificate.
    pub certificate: Leaf,
    /// SHA-256 of it in DER, hex.
    pub sha256: String,
}

/// Packs, encrypts and writes a TLS key. `least` is the lowest version that the deployment takes.
///
/// # Errors
/// A key that is too long for KMS; what KMS and DynamoDB say.
pub async fn store(
    identity: &Identity,
    leaf: Leaf,
    item: &TlsItem,
    sealer: &Sealer,
    stack: &StackId,
    (least, wanted): (u64, Option<u64>),
    dry_run: bool,
) -> anyhow::Result<Written> {
    item.check_stack(stack, Kind::TlsKey)?;
    let version = item.next_version(Kind::TlsKey, least, wanted)?;
    let (pkcs12, password) = pack::pack(identity)?;
    let plaintext = Plaintext::tls(&pkcs12, password.as_bytes(), version)?;
    let written = Written {
        dry_run,
        version,
        sha256: certificate::fingerprint(identity.chain.first().map_or(&[], Vec::as_slice)),
        certificate: leaf,
    };
    if !dry_run {
        let change = Change {
            kind: Kind::TlsKey,
            ciphertext: sealer.seal(&plaintext, &context(stack, Kind::TlsKey)).await?,
            version,
            stack: stack.clone(),
            certificate_b64: Some(STANDARD.encode(identity.chain_pem())),
        };
        item.write(&change).await?;
    }
    Ok(written)
}
