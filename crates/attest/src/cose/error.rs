//! What can be wrong with an envelope, and where.

use super::{ES384, MAX_DOCUMENT_LEN, SIGNATURE_LEN, TAG_SIGN1};
use crate::cbor::CborError;

/// A part of a document, for error messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The four-element array around everything.
    Document,
    /// The header that the signature covers.
    Protected,
    /// The header that the signature does not cover.
    Unprotected,
    /// The map of claims, as a byte string.
    Payload,
    /// The signature.
    Signature,
}

impl core::fmt::Display for Part {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Document => "document",
            Self::Protected => "protected header",
            Self::Unprotected => "unprotected header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// Why bytes are not the envelope of an attestation document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoseError {
    /// The document is longer than [`MAX_DOCUMENT_LEN`].
    #[error("the document has {len} bytes, the limit is {MAX_DOCUMENT_LEN}")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// A part is not well-formed CBOR.
    #[error("the {part} is not well-formed CBOR")]
    Cbor {
        /// The part.
        part: Part,
        /// What is wrong and where in that part.
        #[source]
        source: CborError,
    },
    /// A CBOR tag other than `COSE_Sign1`.
    #[error("the document has CBOR tag {tag}, expected {TAG_SIGN1} (COSE_Sign1) or none")]
    Tag {
        /// The tag.
        tag: u64,
    },
    /// The document is not an array.
    #[error("the document is {found}, expected an array of 4 elements")]
    NotArray {
        /// What it is.
        found: &'static str,
    },
    /// The array does not have four elements.
    #[error("the document is an array of {count} elements, expected 4")]
    ElementCount {
        /// How many it has; 5 stands for more than 4 when the length is indefinite.
        count: u64,
    },
    /// A part has another CBOR type.
    #[error("the {part} is {found}, expected {expected}")]
    WrongType {
        /// The part.
        part: Part,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// The protected header has a parameter besides the algorithm.
    #[error("the protected header has a parameter besides 1 (algorithm) at byte {offset}")]
    ExtraParameter {
        /// Where, in the protected header.
        offset: usize,
    },
    /// The protected header does not say ES384. QEMU's unsigned documents say -1.
    #[error("the protected header names algorithm {}, expected {ES384} (ES384)", Found(*.found))]
    Algorithm {
        /// The COSE algorithm number, if there is one.
        found: Option<i128>,
    },
    /// The unprotected header is not empty.
    #[error("the unprotected header is not empty; the signature does not cover it and AWS leaves it empty")]
    UnprotectedNotEmpty,
    /// The signature does not have 96 bytes.
    #[error("the signature has {len} bytes, expected {SIGNATURE_LEN} (r and s of P-384)")]
    SignatureLength {
        /// Its length.
        len: usize,
    },
}

struct Found(Option<i128>);

impl core::fmt::Display for Found {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(number) => write!(f, "{number}"),
            None => f.write_str("none"),
        }
    }
}
