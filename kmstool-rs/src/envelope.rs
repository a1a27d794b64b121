//! `CiphertextForRecipient`: the CMS `EnvelopedData` in which KMS answers, read and opened.
//!
//! Exactly the one structure that KMS sends, in any BER or DER spelling: one `KeyTransRecipientInfo` with a
//! `subjectKeyIdentifier`, RSAES-OAEP with SHA-256 throughout, AES-256-CBC. What is refused beyond that, and why, is in
//! `docs/adr/0007-cms-strictness.md`. There is no MAC in it: what it says is only as trustworthy as the TLS session.
//!
//! Spec: RFC 5652 section 6, RFC 4055 section 4.1, RFC 3565 section 2.1.

use crate::ber::{self, BerError, Reader};
use crate::secret::Secret;
use crate::unwrap_key::{MODULUS_BYTES, UnwrapError, UnwrapKey};

/// Longest `CiphertextForRecipient`, bytes. Source: AWS KMS API reference, `Decrypt`, response elements.
pub const MAX_ENVELOPE_BYTES: usize = 6144;

const ENVELOPED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x03];
const DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x01];
const RSAES_OAEP: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x07];
const MGF1: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x08];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const AES256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2A];

/// Why bytes are no envelope for us, or cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Longer than [`MAX_ENVELOPE_BYTES`].
    #[error("enveloped data of {actual} bytes, expected at most 6144")]
    TooLong {
        /// Its length.
        actual: usize,
    },
    /// Not the expected structure.
    #[error("enveloped data is malformed")]
    Ber(#[from] BerError),
    /// A version other than 2, which both structures have when the recipient is named by its key.
    #[error("{what} has a version other than 2")]
    Version {
        /// Which structure.
        what: &'static str,
    },
    /// An object identifier other than the only one allowed here.
    #[error("{what} is not {expected}")]
    Algorithm {
        /// What the identifier names.
        what: &'static str,
        /// The only allowed value.
        expected: &'static str,
    },
    /// A part with a wrong length.
    #[error("{what} has {actual} bytes, expected {expected}")]
    PartLength {
        /// Which part.
        what: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        actual: usize,
    },
    /// Encrypted to another key than ours.
    #[error("enveloped data is for another recipient key: expected {}, found {}", hex::encode(.expected), hex::encode(.found))]
    Recipient {
        /// SHA-256 of our public key.
        expected: [u8; 32],
        /// What the envelope says.
        found: [u8; 32],
    },
    /// See [`UnwrapError::Decrypt`].
    #[error(transparent)]
    Unwrap(#[from] UnwrapError),
}

/// A well-formed envelope: every algorithm and length in it is as it must be, nothing is decrypted yet.
#[derive(Debug)]
pub struct Envelope {
    recipient: [u8; 32],
    wrapped_key: [u8; MODULUS_BYTES],
    iv: [u8; 16],
    /// 16 bytes or more, a multiple of 16.
    ciphertext: Vec<u8>,
}

impl Envelope {
    /// Reads an envelope and nothing after it.
    ///
    /// # Errors
    /// Every [`EnvelopeError`] but the last two.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(EnvelopeError::TooLong { actual: bytes.len() });
        }
        let mut reader = Reader::new(bytes);
        let envelope = reader.constructed(ber::SEQUENCE, |content_info| {
            oid(content_info, ENVELOPED_DATA, "content type", "envelopedData")?;
            content_info.constructed(ber::CONTEXT_0 | ber::CONSTRUCTED, |explicit| {
                explicit.constructed(ber::SEQUENCE, enveloped_data)
            })
        })?;
        reader.finish()?;
        Ok(envelope)
    }

    /// Whom it is for: SHA-256 of the recipient's DER `SubjectPublicKeyInfo`.
    #[must_use]
    pub const fn recipient(&self) -> &[u8; 32] {
        &self.recipient
    }

    /// Checks that it is for `key` and decrypts it.
    ///
    /// # Errors
    /// [`EnvelopeError::Recipient`], [`EnvelopeError::Unwrap`].
    pub fn open(self, key: &UnwrapKey) -> Result<Secret<Vec<u8>>, EnvelopeError> {
        if self.recipient != *key.id() {
            return Err(EnvelopeError::Recipient {
                expected: *key.id(),
                found: self.recipient,
            });
        }
        Ok(key.open(&self.wrapped_key, &self.iv, self.ciphertext)?)
    }
}

fn enveloped_data(reader: &mut Reader<'_>) -> Result<Envelope, EnvelopeError> {
    version(reader, "EnvelopedData")?;
    let (recipient, wrapped_key) = reader.constructed(ber::SET, |recipients| {
        recipients.constructed(ber::SEQUENCE, key_transport)
    })?;
    let (iv, ciphertext) = reader.constructed(ber::SEQUENCE, |content| {
        oid(content, DATA, "type of the content", "data")?;
        let iv = content.constructed(ber::SEQUENCE, |cipher| {
            oid(cipher, AES256_CBC, "content cipher", "AES-256-CBC")?;
            let iv = cipher
                .peek()
                .map_or(Ok(Vec::new()), |_| cipher.octets(ber::OCTET_STRING))?;
            array("initialization vector", "16", &iv)
        })?;
        Ok::<_, EnvelopeError>((iv, content.octets(ber::CONTEXT_0)?))
    })?;
    if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(16) {
        return Err(EnvelopeError::PartLength {
            what: "encrypted content",
            expected: "a multiple of 16, not 0",
            actual: ciphertext.len(),
        });
    }
    Ok(Envelope {
        recipient,
        wrapped_key,
        iv,
        ciphertext,
    })
}

fn key_transport(reader: &mut Reader<'_>) -> Result<([u8; 32], [u8; MODULUS_BYTES]), EnvelopeError> {
    version(reader, "KeyTransRecipientInfo")?;
    let recipient = array("subjectKeyIdentifier", "32", reader.primitive(ber::CONTEXT_0)?)?;
    reader.constructed(ber::SEQUENCE, |algorithm| {
        oid(algorithm, RSAES_OAEP, "key encryption algorithm", "RSAES-OAEP")?;
        algorithm.constructed(ber::SEQUENCE, oaep_parameters)
    })?;
    let wrapped_key = array("encrypted key", "256", &reader.octets(ber::OCTET_STRING)?)?;
    Ok((recipient, wrapped_key))
}

/// Both hashes spelled out as SHA-256 (the defaults are SHA-1), and no label after them.
fn oaep_parameters(reader: &mut Reader<'_>) -> Result<(), EnvelopeError> {
    let default = |what, expected| EnvelopeError::Algorithm { what, expected };
    if reader.peek() != Some(ber::CONTEXT_0 | ber::CONSTRUCTED) {
        return Err(default("OAEP hash", "SHA-256"));
    }
    reader.constructed(ber::CONTEXT_0 | ber::CONSTRUCTED, |hash| {
        hash.constructed(ber::SEQUENCE, |algorithm| sha256(algorithm, "OAEP hash"))
    })?;
    if reader.peek() != Some(ber::CONTEXT_1_CONSTRUCTED) {
        return Err(default("OAEP mask generation function", "MGF1 with SHA-256"));
    }
    reader.constructed(ber::CONTEXT_1_CONSTRUCTED, |mask| {
        mask.constructed(ber::SEQUENCE, |algorithm| {
            oid(algorithm, MGF1, "OAEP mask generation function", "MGF1")?;
            algorithm.constructed(ber::SEQUENCE, |hash| sha256(hash, "hash of MGF1"))
        })
    })
}

/// The identifier of SHA-256, with or without NULL parameters.
fn sha256(reader: &mut Reader<'_>, what: &'static str) -> Result<(), EnvelopeError> {
    oid(reader, SHA256, what, "SHA-256")?;
    if reader.peek().is_some() {
        array::<0>("NULL", "0", reader.primitive(ber::NULL)?)?;
    }
    Ok(())
}

fn version(reader: &mut Reader<'_>, what: &'static str) -> Result<(), EnvelopeError> {
    if reader.primitive(ber::INTEGER)? == [2] {
        Ok(())
    } else {
        Err(EnvelopeError::Version { what })
    }
}

fn oid(
    reader: &mut Reader<'_>,
    allowed: &[u8],
    what: &'static str,
    expected: &'static str,
) -> Result<(), EnvelopeError> {
    if reader.primitive(ber::OID)? == allowed {
        Ok(())
    } else {
        Err(EnvelopeError::Algorithm { what, expected })
    }
}

fn array<const N: usize>(
    what: &'static str,
    expected: &'static str,
    bytes: &[u8],
) -> Result<[u8; N], EnvelopeError> {
    bytes.try_into().map_err(|_| EnvelopeError::PartLength {
        what,
        expected,
        actual: bytes.len(),
    })
}
