//! What an attestation document commits to beside its measurements.
//!
//! The document's `user_data` is [`TAG`] and the SHA-384 of the canonical text ([`super::canonical`]) of [`Claims`], 64 bytes in
//! all. The text travels beside the document; who checks hashes the text **as it came** and then reads it. `public_key` of the
//! document is always absent here: a document with a public key is for KMS only.

use serde::{Deserialize, Serialize};

use super::canonical::{CanonicalError, canonical};
use super::config::{ArtefactVersions, SlashingStore};
use super::text::{PublicKey, Sha256Hex, Sha384Hex};

/// First 16 bytes of `user_data`: no other data of this project starts so.
pub const TAG: [u8; 16] = *b"nw3s-claims-v1\0\0";

/// Length of a SHA-384, bytes.
const HASH_BYTES: usize = 48;

/// Length of `user_data`, bytes.
pub const USER_DATA_BYTES: usize = TAG.len() + HASH_BYTES;

/// What is claimed. Fields that are absent are not known yet: before `init` there is no certificate and no key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// SHA-384 of the canonical deployment config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_sha384: Option<Sha384Hex>,
    /// SHA-256 of the signer's TLS certificate in DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_certificate_sha256: Option<Sha256Hex>,
    /// SHA-256 of its `SubjectPublicKeyInfo` in DER, which stays when the certificate is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_public_key_sha256: Option<Sha256Hex>,
    /// Public keys that the signer holds, ascending.
    pub public_keys: Vec<PublicKey>,
    /// Versions of the artefacts in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artefact_versions: Option<ArtefactVersions>,
    /// The slashing store in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slashing_store: Option<SlashingStore>,
}

impl Claims {
    /// The text whose SHA-384 is attested. Public keys are sorted for it.
    ///
    /// # Errors
    /// [`CanonicalError::Number`] for a version above 2^53 - 1.
    pub fn canonical(&self) -> Result<String, CanonicalError> {
        let mut claims = self.clone();
        claims.public_keys.sort();
        canonical(&claims)
    }
}

/// The `user_data` for claims with this hash.
#[must_use]
pub fn user_data(sha384: &[u8; HASH_BYTES]) -> [u8; USER_DATA_BYTES] {
    let mut data = [0; USER_DATA_BYTES];
    for (to, from) in data.iter_mut().zip(TAG.iter().chain(sha384)) {
        *to = *from;
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_data_are_fixed() {
        let key = |digits: &str| digits.repeat(48).parse::<PublicKey>().unwrap();
        let mut claims = Claims {
            config_sha384: None,
            tls_certificate_sha256: None,
            tls_public_key_sha256: None,
            public_keys: vec![key("b0"), key("a0")],
            artefact_versions: None,
            slashing_store: None,
        };
        let keys = format!(r#"["0x{}","0x{}"]"#, "a0".repeat(48), "b0".repeat(48));
        assert_eq!(
            claims.canonical().unwrap(),
            format!(r#"{{"public_keys":{keys}}}"#)
        );
        claims.public_keys.clear();
        claims.config_sha384 = Some("01".repeat(48).parse().unwrap());
        claims.tls_certificate_sha256 = Some("02".repeat(32).parse().unwrap());
        claims.tls_public_key_sha256 = Some("03".repeat(32).parse().unwrap());
        claims.artefact_versions = Some(ArtefactVersions {
            tls_key: 1,
            clients: 2,
            slashing_credential: 3,
        });
        claims.slashing_store = Some(SlashingStore::Memory {});
        let expected = format!(
            r#"{{"artefact_versions":{{"clients":2,"slashing_credential":3,"tls_key":1}},"config_sha384":"{}","public_keys":[],"slashing_store":{{"kind":"memory"}},"tls_certificate_sha256":"{}","tls_public_key_sha256":"{}"}}"#,
            "01".repeat(48),
            "02".repeat(32),
            "03".repeat(32)
        );
        assert_eq!(claims.canonical().unwrap(), expected);
        assert_eq!(serde_json::from_str::<Claims>(&expected).unwrap(), claims);
        let data = user_data(&[7; 48]);
        assert_eq!(data[..16], *b"nw3s-claims-v1\0\0");
        assert_eq!(data[16..], [7; 48]);
    }
}
