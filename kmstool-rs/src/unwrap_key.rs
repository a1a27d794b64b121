//! The RSA key that KMS encrypts its answers to, and the two decryptions that open such an answer. All of it is aws-lc's.
//!
//! This file does not know the layout of an answer ([`crate::envelope`]) nor how the key gets attested
//! ([`crate::recipient`], which makes its own key and takes none).

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Modulus of the key, bytes; also the length of what is encrypted to it. RSA-2048 is what KMS is known to take.
pub const MODULUS_BYTES: usize = 256;
/// Length of an AES-256 key, bytes.
const CONTENT_KEY_BYTES: usize = 32;

/// Why there is no key, or nothing was decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// The key could not be made.
    #[error("cannot make an RSA-2048 key")]
    Generate,
    /// The bytes are not the PKCS#8 form of an RSA-2048 private key.
    #[error("not an RSA-2048 private key in PKCS#8 form")]
    Key,
    /// One error for every way in which a decryption fails (OAEP, length of the content key, padding), so that whoever
    /// made the ciphertext learns nothing from it.
    #[error("cannot decrypt the enveloped data")]
    Decrypt,
}

/// An RSA-2048 key pair. The private half stays inside aws-lc and is wiped there on drop.
pub struct UnwrapKey {
    private: OaepPrivateDecryptingKey,
    public_der: Vec<u8>,
    id: [u8; 32],
}

impl UnwrapKey {
    /// A fresh key with exponent 65537.
    ///
    /// # Errors
    /// [`UnwrapError::Generate`].
    pub fn generate() -> Result<Self, UnwrapError> {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| UnwrapError::Generate)?;
        Self::new(key).ok_or(UnwrapError::Generate)
    }

    /// A stored key, to open envelopes that were made for it. Such a key can never get attested by this crate.
    ///
    /// # Errors
    /// [`UnwrapError::Key`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, UnwrapError> {
        let key = PrivateDecryptingKey::from_pkcs8(der).map_err(|_| UnwrapError::Key)?;
        if key.key_size_bytes() != MODULUS_BYTES {
            return Err(UnwrapError::Key);
        }
        Self::new(key).ok_or(UnwrapError::Key)
    }

    fn new(key: PrivateDecryptingKey) -> Option<Self> {
        let public: PublicKeyX509Der<'static> = key.public_key().as_der().ok()?;
        let public_der = public.as_ref().to_vec();
        let id = digest(&SHA256, &public_der).as_ref().try_into().ok()?;
        let private = OaepPrivateDecryptingKey::new(key).ok()?;
        Some(Self {
            private,
            public_der,
            id,
        })
    }

    /// DER `SubjectPublicKeyInfo` of the public half.
    #[must_use]
    pub fn public_der(&self) -> &[u8] {
        &self.public_der
    }

    /// SHA-256 of [`Self::public_der`]: how KMS names the recipient in its answers.
    #[must_use]
    pub const fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// Opens RSAES-OAEP (SHA-256, MGF1 with SHA-256, empty label) around an AES-256 key, and AES-256-CBC with PKCS#7
    /// padding under it.
    ///
    /// # Errors
    /// [`UnwrapError::Decrypt`].
    pub(crate) fn open(
        &self,
        wrapped_key: &[u8; MODULUS_BYTES],
        iv: &[u8; 16],
        ciphertext: Vec<u8>,
    ) -> Result<Secret<Vec<u8>>, UnwrapError> {
        let mut room = Zeroizing::new([0_u8; MODULUS_BYTES]);
        let content_key = self
            .private
            .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped_key, &mut room[..], None)
            .map_err(|_| UnwrapError::Decrypt)?;
        if content_key.len() != CONTENT_KEY_BYTES {
            return Err(UnwrapError::Decrypt);
        }
        let content_key = UnboundCipherKey::new(&AES_256, content_key)
            .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
            .map_err(|_| UnwrapError::Decrypt)?;
        let mut content = Zeroizing::new(ciphertext);
        let start = DecryptionContext::Iv128(iv.into());
        let length = content_key
            .decrypt(&mut content, start)
            .map_err(|_| UnwrapError::Decrypt)?
            .len();
        content.truncate(length);
        Ok(Secret::from(content))
    }
}

impl std::fmt::Debug for UnwrapKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnwrapKey")
            .field("id", &hex::encode(self.id))
            .finish_non_exhaustive()
    }
}
