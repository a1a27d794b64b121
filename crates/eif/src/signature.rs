//! The signature section: CBOR `[{"signing_certificate": [ints], "signature": [ints]}, ...]`.
//!
//! It takes the section apart and makes PCR8 from the certificate. It neither makes nor checks a signature.
//! Both values are arrays of small integers, not byte strings. `SPEC.md`, section 6.

use crate::measure::{Digest, Pcr};
use crate::pem::{self, PemError};
use crate::reader::{Reader, Short};

/// Longest signature section, as AWS's tools allow it.
pub const MAX_SIGNATURE_BYTES: u64 = 32_768;

const CERTIFICATE_KEY: &[u8] = b"signing_certificate";
const SIGNATURE_KEY: &[u8] = b"signature";
/// CBOR major types (RFC 8949, section 3.1).
pub(crate) const UNSIGNED: u8 = 0;
pub(crate) const BYTES: u8 = 2;
pub(crate) const TEXT: u8 = 3;
pub(crate) const ARRAY: u8 = 4;
pub(crate) const MAP: u8 = 5;

/// Why bytes are not a signature section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// More than [`MAX_SIGNATURE_BYTES`].
    #[error("signature section has {actual} bytes, at most 32768 are allowed")]
    TooLong {
        /// Bytes found.
        actual: u64,
    },
    /// It ends inside an item.
    #[error("signature section is cut off")]
    Truncated(#[source] Short),
    /// An item of another type than the format has there; an indefinite length counts as one.
    #[error("signature section has CBOR head {actual:#04x} at offset {at}, expected {expected}")]
    Type {
        /// Offset in the section.
        at: usize,
        /// What the format has there.
        expected: &'static str,
        /// The item's first byte.
        actual: u8,
    },
    /// A map with other keys than `signing_certificate` and `signature`, each once.
    #[error("signature {index} does not have exactly the keys signing_certificate and signature")]
    Keys {
        /// Which signature.
        index: usize,
    },
    /// A list element above 255.
    #[error("signature section has {actual} at offset {at}, expected a byte (0 to 255)")]
    NotByte {
        /// Offset in the section.
        at: usize,
        /// The value found.
        actual: u64,
    },
    /// There is no signature in it.
    #[error("signature section is an empty list")]
    Empty,
    /// Bytes after the list.
    #[error("signature section has {left} bytes after its end")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// A certificate that cannot be read.
    #[error("certificate of signature {index} cannot be read")]
    Certificate {
        /// Which signature.
        index: usize,
        /// Why.
        #[source]
        source: PemError,
    },
}

/// One signed register. AWS's tools write and check exactly one, of PCR0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcrSignature {
    /// The signing certificate as PEM text.
    pub certificate_pem: Vec<u8>,
    /// An untagged `COSE_Sign1` over `{"register_index", "register_value"}`. Not checked.
    pub cose: Vec<u8>,
}

/// A well-formed signature section. Invariant: at least one signature, each with a readable certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    signatures: Vec<PcrSignature>,
    first_certificate: Vec<u8>,
}

impl Signature {
    /// Takes a signature section apart.
    ///
    /// # Errors
    /// [`SignatureError`], the first rule that is broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, SignatureError> {
        let actual = bytes.len() as u64;
        if actual > MAX_SIGNATURE_BYTES {
            return Err(SignatureError::TooLong { actual });
        }
        let mut reader = Reader::new(bytes);
        let count = head(&mut reader, ARRAY, "a list of signatures")?;
        let mut signatures = Vec::new();
        for _ in 0..count {
            signatures.push(signature(&mut reader, signatures.len())?);
        }
        if reader.left() > 0 {
            return Err(SignatureError::Trailing { left: reader.left() });
        }
        Self::new(signatures)
    }

    /// A section with these signatures.
    ///
    /// # Errors
    /// [`SignatureError::Empty`], [`SignatureError::Certificate`] or [`SignatureError::TooLong`].
    pub fn new(signatures: Vec<PcrSignature>) -> Result<Self, SignatureError> {
        let mut certificates = Vec::new();
        for (index, signature) in signatures.iter().enumerate() {
            let der = pem::certificate_der(&signature.certificate_pem);
            certificates.push(der.map_err(|source| SignatureError::Certificate { index, source })?);
        }
        let first_certificate = certificates.into_iter().next().ok_or(SignatureError::Empty)?;
        let section = Self {
            signatures,
            first_certificate,
        };
        match section.encode().len() as u64 {
            0..=MAX_SIGNATURE_BYTES => Ok(section),
            actual => Err(SignatureError::TooLong { actual }),
        }
    }

    /// The section's bytes, as AWS's tools write them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_head(&mut out, ARRAY, self.signatures.len());
        for signature in &self.signatures {
            put_head(&mut out, MAP, 2);
            let members = [
                (CERTIFICATE_KEY, &signature.certificate_pem),
                (SIGNATURE_KEY, &signature.cose),
            ];
            for (key, value) in members {
                put_head(&mut out, TEXT, key.len());
                out.extend(key);
                put_head(&mut out, ARRAY, value.len());
                for &byte in value {
                    put_head(&mut out, UNSIGNED, byte.into());
                }
            }
        }
        out
    }

    /// The signatures, at least one.
    #[must_use]
    pub fn signatures(&self) -> &[PcrSignature] {
        &self.signatures
    }

    /// DER bytes of the first signature's certificate, the one that PCR8 is made from.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.first_certificate
    }

    /// PCR8 of an image with this signature.
    #[must_use]
    pub fn pcr8(&self) -> Pcr {
        Pcr::extended_with(&Digest::of(&self.first_certificate))
    }
}

fn signature(reader: &mut Reader<'_>, index: usize) -> Result<PcrSignature, SignatureError> {
    let members = head(reader, MAP, "a map")?;
    let (mut certificate, mut cose) = (None, None);
    for _ in 0..members {
        let length = head(reader, TEXT, "a key")?;
        let slot = match take(reader, length)? {
            CERTIFICATE_KEY => &mut certificate,
            SIGNATURE_KEY => &mut cose,
            _ => return Err(SignatureError::Keys { index }),
        };
        if slot.is_some() {
            return Err(SignatureError::Keys { index });
        }
        *slot = Some(byte_list(reader)?);
    }
    match (certificate, cose) {
        (Some(certificate_pem), Some(cose)) => Ok(PcrSignature {
            certificate_pem,
            cose,
        }),
        _ => Err(SignatureError::Keys { index }),
    }
}

/// A list of integers below 256. It grows with what is there, never with what a length claims.
pub(crate) fn byte_list(reader: &mut Reader<'_>) -> Result<Vec<u8>, SignatureError> {
    let count = head(reader, ARRAY, "a list of bytes")?;
    let mut bytes = Vec::new();
    for _ in 0..count {
        let at = reader.at();
        let actual = head(reader, UNSIGNED, "a byte")?;
        bytes.push(u8::try_from(actual).map_err(|_| SignatureError::NotByte { at, actual })?);
    }
    Ok(bytes)
}

/// The argument of an item of type `major`.
pub(crate) fn head(
    reader: &mut Reader<'_>,
    major: u8,
    expected: &'static str,
) -> Result<u64, SignatureError> {
    use SignatureError::Truncated;
    let at = reader.at();
    let first = reader.u8().map_err(Truncated)?;
    let argument = match (first >> 5 == major).then_some(first & 0x1f) {
        Some(small @ 0..24) => small.into(),
        Some(24) => reader.u8().map_err(Truncated)?.into(),
        Some(25) => reader.u16().map_err(Truncated)?.into(),
        Some(26) => reader.u32().map_err(Truncated)?.into(),
        Some(27) => reader.u64().map_err(Truncated)?,
        _ => {
            return Err(SignatureError::Type {
                at,
                expected,
                actual: first,
            });
        }
    };
    Ok(argument)
}

pub(crate) fn take<'a>(reader: &mut Reader<'a>, length: u64) -> Result<&'a [u8], SignatureError> {
    let wanted = usize::try_from(length).unwrap_or(usize::MAX);
    reader.bytes(wanted).map_err(SignatureError::Truncated)
}

/// The shortest head of type `major` with this argument.
pub(crate) fn put_head(out: &mut Vec<u8>, major: u8, argument: usize) {
    let mut first = |low: u8| out.push(major << 5 | low);
    if let Ok(byte) = u8::try_from(argument) {
        if byte < 24 {
            return first(byte);
        }
        first(0x18);
        out.push(byte);
    } else if let Ok(short) = u16::try_from(argument) {
        first(0x19);
        out.extend(short.to_be_bytes());
    } else {
        first(0x1b);
        out.extend((argument as u64).to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
