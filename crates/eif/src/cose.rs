//! The bytes of one signature: an untagged `COSE_Sign1` that says "register 0 has this value".
//!
//! ```text
//! [ h'a1 01 38 22', {}, h'{"register_index": 0, "register_value": [48 integers]}', h'r || s' ]
//! ```
//! It makes what is to be signed and takes a signature apart; it holds no key and does no cryptography. `SPEC.md`,
//! section 6; RFC 9052, sections 4.2 and 4.4.

use crate::measure::Pcr;
use crate::reader::Reader;
use crate::signature::{ARRAY, BYTES, MAP, SignatureError, TEXT, UNSIGNED, byte_list, head, put_head, take};

const INDEX_KEY: &[u8] = b"register_index";
const VALUE_KEY: &[u8] = b"register_value";
/// Context of a signature by one signer (RFC 9052, section 4.4).
const CONTEXT: &[u8] = b"Signature1";

/// The algorithms that AWS's tools use, by the certificate's curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
}

/// Why bytes are not the signature of a register.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoseError {
    /// Not CBOR of the form above. Offsets in the source count from the start of the part.
    #[error("the {part} of the COSE_Sign1 is not of the form that AWS's tools write")]
    Form {
        /// `envelope` or `payload`.
        part: &'static str,
        /// What is wrong there.
        #[source]
        source: SignatureError,
    },
    /// Bytes after the end of a part.
    #[error("{left} bytes follow the {part} of the COSE_Sign1")]
    Trailing {
        /// `envelope` or `payload`.
        part: &'static str,
        /// How many.
        left: usize,
    },
    /// A protected header that is not one algorithm out of three and nothing else.
    #[error(
        "the protected header of the COSE_Sign1 is {actual}, expected a10126 (ES256), a1013822 (ES384) or a1013823 (ES512)"
    )]
    Protected {
        /// What is there, hex, at most 32 bytes of it.
        actual: String,
    },
    /// Something in the unprotected header, which nothing vouches for.
    #[error("the unprotected header of the COSE_Sign1 is not empty")]
    Unprotected,
    /// Another number of elements than four, or of members than two.
    #[error("the {part} of the COSE_Sign1 has {actual} items, expected {expected}")]
    Count {
        /// `envelope` or `payload`.
        part: &'static str,
        /// How many there are.
        actual: u64,
        /// How many there should be.
        expected: u64,
    },
    /// A payload that does not name a register and its value, in this order.
    #[error("the payload of the COSE_Sign1 does not have exactly the keys register_index and register_value")]
    Keys,
    /// A value that is none of a register.
    #[error("the signed register has {actual} bytes, expected 48")]
    Value {
        /// Its length in bytes.
        actual: usize,
    },
    /// A signature that the algorithm cannot have made.
    #[error("the signature has {actual} bytes, expected {expected}")]
    SignatureLength {
        /// Its length in bytes.
        actual: usize,
        /// The length that the algorithm's have.
        expected: usize,
    },
}

/// A register with its value, and a signature over both that is not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedPcr {
    /// What signed.
    pub algorithm: SignatureAlgorithm,
    /// Which register; AWS's tools sign 0.
    pub index: u64,
    /// Its value.
    pub value: Pcr,
    /// r and s, big-endian, each of the curve's length.
    pub signature: Vec<u8>,
}

impl SignatureAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Es256, Self::Es384, Self::Es512];

    /// Its name in RFC 9053.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
        }
    }

    /// Bytes of a signature: r and s.
    #[must_use]
    pub const fn signature_bytes(self) -> usize {
        match self {
            Self::Es256 => 64,
            Self::Es384 => 96,
            Self::Es512 => 132,
        }
    }

    /// `{1: algorithm}`, encoded (RFC 9053, section 2.1: -7, -35, -36).
    const fn protected(self) -> &'static [u8] {
        match self {
            Self::Es256 => &[0xa1, 0x01, 0x26],
            Self::Es384 => &[0xa1, 0x01, 0x38, 0x22],
            Self::Es512 => &[0xa1, 0x01, 0x38, 0x23],
        }
    }
}

impl SignedPcr {
    /// What has to be signed to say that register 0 is `pcr0`: the `Sig_structure`, before hashing.
    #[must_use]
    pub fn message(algorithm: SignatureAlgorithm, pcr0: &Pcr) -> Vec<u8> {
        message(algorithm, &payload(0, pcr0))
    }

    /// What this signature has to be checked over.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        message(self.algorithm, &payload(self.index, &self.value))
    }

    /// The untagged `COSE_Sign1`, as AWS's tools write it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_head(&mut out, ARRAY, 4);
        put_bytes(&mut out, self.algorithm.protected());
        put_head(&mut out, MAP, 0);
        put_bytes(&mut out, &payload(self.index, &self.value));
        put_bytes(&mut out, &self.signature);
        out
    }

    /// Takes a `COSE_Sign1` apart. One form only: what parses encodes to the same bytes again, but for heads that are
    /// longer than they need to be.
    ///
    /// # Errors
    /// [`CoseError`], the first rule that is broken.
    pub fn parse(cose: &[u8]) -> Result<Self, CoseError> {
        let part = "envelope";
        let form = |source| CoseError::Form { part, source };
        let mut reader = Reader::new(cose);
        expect_count(part, head(&mut reader, ARRAY, "a list").map_err(form)?, 4)?;
        let protected = byte_string(&mut reader).map_err(form)?;
        let algorithm = SignatureAlgorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.protected() == protected)
            .ok_or_else(|| CoseError::Protected {
                actual: hex::encode(protected.get(..32).unwrap_or(protected)),
            })?;
        if head(&mut reader, MAP, "a map").map_err(form)? != 0 {
            return Err(CoseError::Unprotected);
        }
        let signed = byte_string(&mut reader).map_err(form)?;
        let signature = byte_string(&mut reader).map_err(form)?;
        expect_end(part, &reader)?;
        let expected = algorithm.signature_bytes();
        if signature.len() != expected {
            return Err(CoseError::SignatureLength {
                actual: signature.len(),
                expected,
            });
        }
        let (index, value) = register(signed)?;
        let parsed = Self {
            algorithm,
            index,
            value,
            signature: signature.to_vec(),
        };
        // AWS's reader compares the payload byte for byte with the one it would have written.
        if payload(index, &value) == signed {
            Ok(parsed)
        } else {
            Err(CoseError::Keys)
        }
    }
}

/// Register and value of a payload.
fn register(bytes: &[u8]) -> Result<(u64, Pcr), CoseError> {
    let part = "payload";
    let form = |source| CoseError::Form { part, source };
    let mut reader = Reader::new(bytes);
    expect_count(part, head(&mut reader, MAP, "a map").map_err(form)?, 2)?;
    expect_key(&mut reader, INDEX_KEY)?;
    let index = head(&mut reader, UNSIGNED, "a register's number").map_err(form)?;
    expect_key(&mut reader, VALUE_KEY)?;
    let value = byte_list(&mut reader).map_err(form)?;
    expect_end(part, &reader)?;
    let actual = value.len();
    let value = value.try_into().map_err(|_| CoseError::Value { actual })?;
    Ok((index, Pcr::from_bytes(value)))
}

fn expect_count(part: &'static str, actual: u64, expected: u64) -> Result<(), CoseError> {
    if actual == expected {
        return Ok(());
    }
    Err(CoseError::Count {
        part,
        actual,
        expected,
    })
}

fn expect_key(reader: &mut Reader<'_>, key: &[u8]) -> Result<(), CoseError> {
    let part = "payload";
    let form = |source| CoseError::Form { part, source };
    let length = head(reader, TEXT, "a key").map_err(form)?;
    if take(reader, length).map_err(form)? == key {
        return Ok(());
    }
    Err(CoseError::Keys)
}

fn expect_end(part: &'static str, reader: &Reader<'_>) -> Result<(), CoseError> {
    match reader.left() {
        0 => Ok(()),
        left => Err(CoseError::Trailing { part, left }),
    }
}

fn byte_string<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], SignatureError> {
    let length = head(reader, BYTES, "a byte string")?;
    take(reader, length)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_head(out, BYTES, bytes.len());
    out.extend(bytes);
}

fn payload(index: u64, value: &Pcr) -> Vec<u8> {
    let mut out = Vec::new();
    put_head(&mut out, MAP, 2);
    put_head(&mut out, TEXT, INDEX_KEY.len());
    out.extend(INDEX_KEY);
    put_head(&mut out, UNSIGNED, usize::try_from(index).unwrap_or(usize::MAX));
    put_head(&mut out, TEXT, VALUE_KEY.len());
    out.extend(VALUE_KEY);
    put_head(&mut out, ARRAY, value.as_bytes().len());
    for &byte in value.as_bytes() {
        put_head(&mut out, UNSIGNED, byte.into());
    }
    out
}

fn message(algorithm: SignatureAlgorithm, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_head(&mut out, ARRAY, 4);
    put_head(&mut out, TEXT, CONTEXT.len());
    out.extend(CONTEXT);
    put_bytes(&mut out, algorithm.protected());
    put_bytes(&mut out, b"");
    put_bytes(&mut out, payload);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::Signature;

    const SIGNED: &[u8] = include_bytes!("../tests/data/signed.eif");

    /// The `COSE_Sign1` in an image that AWS's builder signed.
    fn aws() -> Vec<u8> {
        let mut image = crate::EifFile::open(std::io::Cursor::new(SIGNED)).unwrap();
        let pcr0 = image.measure().unwrap().measurements.pcr0;
        let section = image.signature().map(Signature::signatures).unwrap();
        let cose = section[0].cose.clone();
        assert_eq!(SignedPcr::parse(&cose).unwrap().value, pcr0);
        cose
    }

    #[test]
    fn what_aws_wrote_is_what_we_write() {
        let cose = aws();
        let signed = SignedPcr::parse(&cose).unwrap();
        assert_eq!((signed.algorithm, signed.index), (SignatureAlgorithm::Es384, 0));
        assert_eq!(signed.encode(), cose);
        let message = SignedPcr::message(SignatureAlgorithm::Es384, &signed.value);
        assert_eq!(signed.to_be_signed(), message);
        assert_eq!(message[..17], *b"\x84\x6aSignature1\x44\xa1\x01\x38\x22");
    }

    #[test]
    fn every_cut_is_refused_and_no_flip_keeps_its_meaning() {
        let cose = aws();
        let whole = SignedPcr::parse(&cose).unwrap();
        for end in 0..cose.len() {
            SignedPcr::parse(&cose[..end]).unwrap_err();
        }
        for at in 0..cose.len() {
            for bit in 0..8 {
                let mut flipped = cose.clone();
                flipped[at] ^= 1 << bit;
                if let Ok(parsed) = SignedPcr::parse(&flipped) {
                    assert_ne!(parsed, whole, "byte {at} bit {bit}");
                    assert_eq!(parsed.encode(), flipped);
                }
            }
        }
    }

    #[test]
    fn each_rule_has_its_error() {
        let cose = aws();
        let parse = |bytes: &[u8]| SignedPcr::parse(bytes).unwrap_err();
        assert!(matches!(
            parse(&[&cose[..], b"x"].concat()),
            CoseError::Trailing { left: 1, .. }
        ));
        assert!(matches!(
            parse(&[&[0xd2], &cose[..]].concat()),
            CoseError::Form {
                part: "envelope",
                source: SignatureError::Type { at: 0, .. }
            }
        ));
        let mut three = cose.clone();
        three[0] = 0x83;
        assert!(matches!(
            parse(&three),
            CoseError::Count {
                actual: 3,
                expected: 4,
                ..
            }
        ));
        let mut es256k = cose.clone();
        es256k[5] = 0x2e;
        assert!(matches!(parse(&es256k), CoseError::Protected { actual } if actual == "a101382e"));
        let mut es512 = cose.clone();
        es512[5] = 0x23;
        assert!(matches!(
            parse(&es512),
            CoseError::SignatureLength {
                actual: 96,
                expected: 132
            }
        ));
        let unprotected = [&cose[..6], &[0xa1, 0, 0], &cose[7..]].concat();
        assert!(matches!(parse(&unprotected), CoseError::Unprotected));
        let huge = [0x84, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(matches!(
            parse(&huge),
            CoseError::Form {
                source: SignatureError::Truncated(_),
                ..
            }
        ));
    }
}
