//! What a signing key can do, wherever it is kept.

use std::fmt::Debug;
use std::io;

/// Bytes of an ES384 signature: r and s, 48 each, big-endian.
pub const SIGNATURE_BYTES: usize = 96;

/// Why a key cannot be used. No text quotes the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file could not be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// More bytes than any key has.
    #[error("it has more than {limit} bytes, more than any key in PEM form")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// A key that a passphrase protects.
    #[error(
        "it is encrypted; decrypt it into a file that only you can read: openssl pkey -in KEY -out DECRYPTED"
    )]
    Encrypted,
    /// No key in PEM form.
    #[error(
        "it is no private key in PEM form (-----BEGIN PRIVATE KEY----- or -----BEGIN EC PRIVATE KEY-----)"
    )]
    Pem,
    /// Not a P-384 key.
    #[error("it is not a P-384 key; make one: openssl ecparam -name secp384r1 -genkey -noout -out KEY")]
    NotP384,
    /// The library that signs failed.
    #[error("signing failed")]
    Signing,
    /// Neither a file nor the ARN of a KMS key.
    #[error("it is not an ARN like arn:aws:kms:REGION:ACCOUNT:key/ID")]
    Arn,
    /// KMS did not do it.
    #[error("KMS {operation} failed: {reason}")]
    Kms {
        /// `GetPublicKey` or `Sign`.
        operation: &'static str,
        /// What it or the client says; no secret is in it.
        reason: String,
    },
    /// A KMS key for something else.
    #[error("KMS says that it is {found}, expected a SIGN_VERIFY key of ECC_NIST_P384")]
    KmsKey {
        /// Its usage and kind.
        found: String,
    },
    /// An answer of KMS that makes no sense.
    #[error("KMS {operation} answered without a usable {what}")]
    KmsAnswer {
        /// `GetPublicKey` or `Sign`.
        operation: &'static str,
        /// What is missing or malformed.
        what: &'static str,
    },
    /// The client could not be set up.
    #[error("the KMS client cannot be set up")]
    Client(#[source] io::Error),
}

/// A P-384 key that can sign.
pub trait SigningKey: Debug {
    /// Its path or ARN, for messages.
    fn name(&self) -> String;

    /// Its public key: 0x04, x, y, 97 bytes.
    ///
    /// # Errors
    /// [`KeyError`].
    fn public_point(&self) -> Result<Vec<u8>, KeyError>;

    /// ECDSA with SHA-384 over `message`: r and s, [`SIGNATURE_BYTES`].
    ///
    /// # Errors
    /// [`KeyError`].
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;
}
