//! The `COSE_Sign1` envelope of an attestation document: four parts, ES384, nothing else.
//!
//! Spec: RFC 9052 sections 4.2 and 4.4, narrowed by `SPEC.md` section 1. It does not look into the payload
//! and knows nothing of certificates; the key comes from [`crate::chain`].

mod error;

pub use error::{CoseError, Part};

use aws_lc_rs::digest::{Context, SHA384};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};

use crate::cbor::{CborError, Count, Item, Reader};
use crate::cert::P384Key;

/// Longest document that is read, in bytes. Genuine ones have 4.4 to 5.3 KB; the NSM device's answer
/// buffer holds 12288.
pub const MAX_DOCUMENT_LEN: usize = 16 * 1024;

/// COSE algorithm number of ECDSA with SHA-384 (RFC 9053 section 2.1).
const ES384: i128 = -35;
/// CBOR tag of `COSE_Sign1` (RFC 9052 section 2).
const TAG_SIGN1: u64 = 18;
/// Header label of the algorithm (RFC 9052 section 3.1).
const LABEL_ALG: u64 = 1;
/// Length of an ES384 signature: r and s, 48 bytes each, big-endian.
const SIGNATURE_LEN: usize = 96;

/// The four parts of a `COSE_Sign1`, of the right CBOR types. Nothing about the algorithm or the
/// signature is proven.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    protected: &'a [u8],
    algorithm: Option<i128>,
    unprotected_is_empty: bool,
    payload: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Splits a document, at most [`MAX_DOCUMENT_LEN`] bytes, into its parts.
    ///
    /// # Errors
    /// [`CoseError`]: every variant but [`CoseError::SignatureLength`]; [`CoseError::Algorithm`] not either,
    /// since an unsigned document still has parts.
    pub fn parse(document: &'a [u8]) -> Result<Self, CoseError> {
        if document.len() > MAX_DOCUMENT_LEN {
            return Err(CoseError::TooLong { len: document.len() });
        }
        let [protected, unprotected, payload, signature] = split(document)?;
        let protected = byte_string(Part::Protected, protected)?;
        let unprotected_is_empty = is_empty_map(unprotected)?;
        Ok(Self {
            protected,
            algorithm: algorithm(protected)?,
            unprotected_is_empty,
            payload: byte_string(Part::Payload, payload)?,
            signature: byte_string(Part::Signature, signature)?,
        })
    }

    /// The COSE algorithm number of the protected header, if it has one. It is not proven by anything.
    #[must_use]
    pub const fn algorithm(&self) -> Option<i128> {
        self.algorithm
    }

    /// The payload as it was received.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The signature as it was received.
    #[must_use]
    pub const fn signature(&self) -> &'a [u8] {
        self.signature
    }

    /// Asserts that this is an envelope as AWS makes it: ES384, nothing unprotected, a signature of 96 bytes.
    pub(crate) fn require_es384(&self) -> Result<(), CoseError> {
        if self.algorithm != Some(ES384) {
            return Err(CoseError::Algorithm {
                found: self.algorithm,
            });
        }
        if !self.unprotected_is_empty {
            return Err(CoseError::UnprotectedNotEmpty);
        }
        if self.signature.len() != SIGNATURE_LEN {
            return Err(CoseError::SignatureLength {
                len: self.signature.len(),
            });
        }
        Ok(())
    }

    /// Whether the signature over protected header and payload is by `key`. Both values of s are accepted.
    pub(crate) fn is_signed_by(&self, key: &P384Key) -> bool {
        // Sig_structure of RFC 9052 section 4.4: ["Signature1", protected, external_aad = h'', payload].
        let mut digest = Context::new(&SHA384);
        digest.update(b"\x84\x6aSignature1");
        update_byte_string(&mut digest, self.protected);
        update_byte_string(&mut digest, b"");
        update_byte_string(&mut digest, self.payload);
        UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key)
            .verify_digest(&digest.finish(), self.signature)
            .is_ok()
    }
}

/// The four elements of the outer array, each one whole well-formed item.
fn split(document: &[u8]) -> Result<[&[u8]; 4], CoseError> {
    let cbor = |source| CoseError::Cbor {
        part: Part::Document,
        source,
    };
    let mut reader = Reader::new(document);
    let mut head = reader.item().map_err(cbor)?;
    if let Item::Tag(tag) = head {
        if tag != TAG_SIGN1 {
            return Err(CoseError::Tag { tag });
        }
        head = reader.item().map_err(cbor)?;
    }
    let Item::Array(mut count) = head else {
        return Err(CoseError::NotArray { found: head.kind() });
    };
    if let Count::Definite(count) = count
        && count != 4
    {
        return Err(CoseError::ElementCount { count });
    }
    let mut elements: [&[u8]; 4] = [&[]; 4];
    for (index, element) in (0_u64..).zip(&mut elements) {
        if !reader.more(&mut count).map_err(cbor)? {
            return Err(CoseError::ElementCount { count: index });
        }
        let start = reader.offset();
        reader.skip().map_err(cbor)?;
        *element = document.get(start..reader.offset()).unwrap_or_default();
    }
    if reader.more(&mut count).map_err(cbor)? {
        return Err(CoseError::ElementCount { count: 5 });
    }
    reader.finish().map_err(cbor)?;
    Ok(elements)
}

fn byte_string(part: Part, element: &[u8]) -> Result<&[u8], CoseError> {
    match Reader::new(element)
        .item()
        .map_err(|source| CoseError::Cbor { part, source })?
    {
        Item::Bytes(bytes) => Ok(bytes),
        other => Err(CoseError::WrongType {
            part,
            expected: "a byte string",
            found: other.kind(),
        }),
    }
}

fn is_empty_map(element: &[u8]) -> Result<bool, CoseError> {
    let part = Part::Unprotected;
    let cbor = |source| CoseError::Cbor { part, source };
    let mut reader = Reader::new(element);
    match reader.item().map_err(cbor)? {
        Item::Map(mut count) => Ok(!reader.more(&mut count).map_err(cbor)?),
        other => Err(CoseError::WrongType {
            part,
            expected: "a map",
            found: other.kind(),
        }),
    }
}

/// The algorithm in a protected header that holds nothing else. Zero bytes stand for an empty map
/// (RFC 9052 section 3).
fn algorithm(protected: &[u8]) -> Result<Option<i128>, CoseError> {
    if protected.is_empty() {
        return Ok(None);
    }
    let part = Part::Protected;
    let cbor = |source| CoseError::Cbor { part, source };
    let mut reader = Reader::new(protected);
    let mut count = match reader.item().map_err(cbor)? {
        Item::Map(count) => count,
        other => {
            return Err(CoseError::WrongType {
                part,
                expected: "a map",
                found: other.kind(),
            });
        }
    };
    let mut algorithm = None;
    while reader.more(&mut count).map_err(cbor)? {
        let offset = reader.offset();
        if reader.item().map_err(cbor)? != Item::Unsigned(LABEL_ALG) {
            return Err(CoseError::ExtraParameter { offset });
        }
        let number = match reader.item().map_err(cbor)? {
            Item::Unsigned(n) => i128::from(n),
            Item::Negative(n) => -1 - i128::from(n),
            other => {
                return Err(CoseError::WrongType {
                    part,
                    expected: "a map to an integer",
                    found: other.kind(),
                });
            }
        };
        if algorithm.replace(number).is_some() {
            return Err(cbor(CborError::DuplicateKey { offset }));
        }
    }
    reader.finish().map_err(cbor)?;
    Ok(algorithm)
}

/// Hashes `bytes` with the minimal head of a CBOR byte string before them.
fn update_byte_string(digest: &mut Context, bytes: &[u8]) {
    // usize has at most 64 bits on every target of this crate, so no length is lost here.
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes();
    let [.., b6, b7] = len;
    match bytes.len() {
        0..24 => digest.update(&[0x40 | b7]),
        24..256 => digest.update(&[0x58, b7]),
        // A document has at most MAX_DOCUMENT_LEN bytes, so two bytes of length are always enough.
        _ => digest.update(&[0x59, b6, b7]),
    }
    digest.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `84 43(a10126) a0 41(00) 41(00)` with parts replaced.
    fn document(parts: [&[u8]; 4]) -> Vec<u8> {
        [&[0x84], parts.concat().as_slice()].concat()
    }

    #[test]
    fn headers_are_read_and_kept_apart() {
        let bytes = document([&[0x43, 0xa1, 1, 0x20], &[0xa0], &[0x41, 7], &[0x41, 8]]);
        let envelope = Envelope::parse(&bytes).unwrap();
        assert_eq!(envelope.algorithm(), Some(-1));
        assert_eq!((envelope.payload(), envelope.signature()), (&[7][..], &[8][..]));
        assert_eq!(
            envelope.require_es384(),
            Err(CoseError::Algorithm { found: Some(-1) })
        );
    }

    #[test]
    fn protected_header_holds_the_algorithm_alone() {
        let parse = |header: &[u8]| {
            let head = [0x40 | u8::try_from(header.len()).unwrap()];
            let bytes = document([&[&head, header].concat(), &[0xa0], &[0x40], &[0x40]]);
            Envelope::parse(&bytes).map(|envelope| envelope.algorithm())
        };
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&[0xa0]), Ok(None));
        assert_eq!(parse(&[0xa1, 1, 0x38, 0x22]), Ok(Some(-35)));
        assert_eq!(parse(&[0xbf, 1, 0x38, 0x22, 0xff]), Ok(Some(-35)));
        assert_eq!(parse(&[0xa1, 4, 1]), Err(CoseError::ExtraParameter { offset: 1 }));
        assert_eq!(
            parse(&[0xa2, 1, 1, 4, 1]),
            Err(CoseError::ExtraParameter { offset: 3 })
        );
        let twice = CborError::DuplicateKey { offset: 3 };
        assert_eq!(
            parse(&[0xa2, 1, 1, 1, 1]),
            Err(CoseError::Cbor {
                part: Part::Protected,
                source: twice
            })
        );
        assert!(matches!(
            parse(&[0xa1, 1, 0x40]),
            Err(CoseError::WrongType {
                part: Part::Protected,
                ..
            })
        ));
        assert!(matches!(
            parse(&[0xa0, 0]),
            Err(CoseError::Cbor {
                part: Part::Protected,
                ..
            })
        ));
    }

    #[test]
    fn length_is_capped_before_anything_is_read() {
        let len = MAX_DOCUMENT_LEN + 1;
        assert_eq!(
            Envelope::parse(&vec![0x84; len]).unwrap_err(),
            CoseError::TooLong { len }
        );
    }
}
