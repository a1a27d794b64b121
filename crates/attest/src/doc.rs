//! The payload of an attestation document: one CBOR map, every field within the limits that AWS gives.
//!
//! It proves the form of the claims, not that they are true: that is [`crate::verify()`]. Spec: `SPEC.md`
//! section 2, after "Attestation document specification" in the docs of aws-nitro-enclaves-nsm-api.

mod error;

pub use error::{DocError, Field, UnverifiedError};

use crate::cbor::{CborError, Count, Item, Reader};
use crate::cose::Envelope;
use crate::pcr::{Pcr, PcrSet};
use crate::time::UnixMs;

/// The only digest that the NSM uses for its PCRs.
const DIGEST: &str = "SHA384";
/// PCRs in a document, and indices below it.
const MAX_PCRS: u64 = 32;
/// Certificates in a bundle. AWS sends 4 and gives no limit; this one bounds work and memory.
const MAX_BUNDLE: usize = 16;
/// Length of a certificate, in bytes (AWS).
const MAX_CERTIFICATE: usize = 1024;
/// Length of public key, user data and nonce, in bytes each. AWS's grammar says 1024, its prose 512 for
/// the latter two; its device takes 1024 (ADR 5).
const MAX_OPTIONAL: usize = 1024;
/// Characters of an unknown key that an error repeats.
const SHOWN_KEY: usize = 40;

/// What a document claims, in the document's own bytes. Who holds only this knows nothing of its truth: see
/// [`UnverifiedDoc`] and [`crate::VerifiedDoc`], which hand it out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claims<'a> {
    /// Identifier of the NSM, not empty: instance id, `-enc`, enclave id.
    pub module_id: &'a str,
    /// When the document was made, by the NSM's clock; above zero.
    pub timestamp: UnixMs,
    /// The PCRs that were locked then, 1 to 32 of them. Real documents have at least 0 to 15.
    pub pcrs: PcrSet,
    /// DER of the certificate whose key signed the document, 1 to 1024 bytes.
    pub certificate: &'a [u8],
    /// DER of the certificates above it, root first, 1 to 16 of 1 to 1024 bytes.
    pub cabundle: Vec<&'a [u8]>,
    /// The key that the enclave gave, 1 to 1024 bytes, no form implied.
    pub public_key: Option<&'a [u8]>,
    /// What the enclave gave, 0 to 1024 bytes.
    pub user_data: Option<&'a [u8]>,
    /// What the enclave gave, 0 to 1024 bytes; a proof of freshness if the verifier chose it.
    pub nonce: Option<&'a [u8]>,
}

/// A document that was parsed. **Nothing in it is proven**: anyone can write one.
#[derive(Clone, Debug)]
pub struct UnverifiedDoc<'a> {
    envelope: Envelope<'a>,
    claims: Claims<'a>,
}

impl<'a> UnverifiedDoc<'a> {
    /// Parses a document without looking at certificates and signature, signed or not.
    ///
    /// # Errors
    /// [`UnverifiedError`] naming the layer that is malformed.
    pub fn parse(document: &'a [u8]) -> Result<Self, UnverifiedError> {
        let envelope = Envelope::parse(document)?;
        let claims = Claims::parse(envelope.payload())?;
        Ok(Self { envelope, claims })
    }

    /// What the document claims; unproven.
    #[must_use]
    pub const fn unverified_claims(&self) -> &Claims<'a> {
        &self.claims
    }

    /// Algorithm and signature, unproven.
    #[must_use]
    pub const fn unverified_envelope(&self) -> &Envelope<'a> {
        &self.envelope
    }
}

/// The fields as they come, in any order.
#[derive(Default)]
struct Fields<'a> {
    module_id: Option<&'a str>,
    timestamp: Option<UnixMs>,
    digest: Option<()>,
    pcrs: Option<PcrSet>,
    certificate: Option<&'a [u8]>,
    cabundle: Option<Vec<&'a [u8]>>,
    public_key: Option<&'a [u8]>,
    user_data: Option<&'a [u8]>,
    nonce: Option<&'a [u8]>,
}

impl<'a> Claims<'a> {
    /// Whether the enclave runs in debug mode: the hypervisor then leaves PCR0, 1 and 2 at zero.
    /// Also `true` when the document does not list PCR0, which real ones always do.
    #[must_use]
    pub fn is_debug(&self) -> bool {
        self.pcrs.get(0).is_none_or(Pcr::is_zero)
            || [1, 2]
                .iter()
                .any(|index| self.pcrs.get(*index).is_some_and(Pcr::is_zero))
    }

    /// Reads a payload: one map and nothing after it.
    pub(crate) fn parse(payload: &'a [u8]) -> Result<Self, DocError> {
        let mut reader = Reader::new(payload);
        let mut count = match reader.item()? {
            Item::Map(count) => count,
            other => return Err(DocError::NotMap { found: other.kind() }),
        };
        let mut fields = Fields::default();
        let mut seen = [false; Field::ALL.len()];
        while reader.more(&mut count)? {
            let offset = reader.offset();
            let field = field(&mut reader)?;
            for (known, seen) in Field::ALL.iter().zip(&mut seen) {
                if *known == field && core::mem::replace(seen, true) {
                    return Err(CborError::DuplicateKey { offset }.into());
                }
            }
            fields.read(field, &mut reader)?;
        }
        reader.finish()?;
        fields.complete()
    }
}

impl<'a> Fields<'a> {
    /// Reads the value of `field`; null leaves it absent.
    fn read(&mut self, field: Field, reader: &mut Reader<'a>) -> Result<(), DocError> {
        let item = reader.item()?;
        if item == Item::Null {
            return Ok(());
        }
        match field {
            Field::ModuleId => {
                let id = text(field, item)?;
                within(field, id.len(), 1, usize::MAX)?;
                self.module_id = Some(id);
            }
            Field::Digest => {
                let found = text(field, item)?;
                self.digest = Some(if found == DIGEST {
                    Ok(())
                } else {
                    Err(DocError::Digest)
                }?);
            }
            Field::Timestamp => self.timestamp = Some(timestamp(item)?),
            Field::Pcrs => self.pcrs = Some(pcrs(item, reader)?),
            Field::Certificate => self.certificate = Some(bytes(field, item, 1, MAX_CERTIFICATE)?),
            Field::Cabundle => self.cabundle = Some(cabundle(item, reader)?),
            Field::PublicKey => self.public_key = Some(bytes(field, item, 1, MAX_OPTIONAL)?),
            Field::UserData => self.user_data = Some(bytes(field, item, 0, MAX_OPTIONAL)?),
            Field::Nonce => self.nonce = Some(bytes(field, item, 0, MAX_OPTIONAL)?),
        }
        Ok(())
    }

    fn complete(self) -> Result<Claims<'a>, DocError> {
        let missing = |field| move || DocError::Missing { field };
        self.digest.ok_or_else(missing(Field::Digest))?;
        Ok(Claims {
            module_id: self.module_id.ok_or_else(missing(Field::ModuleId))?,
            timestamp: self.timestamp.ok_or_else(missing(Field::Timestamp))?,
            pcrs: self.pcrs.ok_or_else(missing(Field::Pcrs))?,
            certificate: self.certificate.ok_or_else(missing(Field::Certificate))?,
            cabundle: self.cabundle.ok_or_else(missing(Field::Cabundle))?,
            public_key: self.public_key,
            user_data: self.user_data,
            nonce: self.nonce,
        })
    }
}

fn field(reader: &mut Reader<'_>) -> Result<Field, DocError> {
    match reader.item()? {
        Item::Text(key) => Field::ALL
            .into_iter()
            .find(|field| field.name() == key)
            .ok_or_else(|| DocError::UnknownKey {
                key: key.chars().take(SHOWN_KEY).collect(),
            }),
        other => Err(DocError::KeyType { found: other.kind() }),
    }
}

fn text(field: Field, item: Item<'_>) -> Result<&str, DocError> {
    match item {
        Item::Text(text) => Ok(text),
        other => Err(DocError::WrongType {
            field,
            expected: "a text string",
            found: other.kind(),
        }),
    }
}

fn bytes(field: Field, item: Item<'_>, min: usize, max: usize) -> Result<&[u8], DocError> {
    match item {
        Item::Bytes(bytes) => within(field, bytes.len(), min, max).map(|()| bytes),
        other => Err(DocError::WrongType {
            field,
            expected: "a byte string",
            found: other.kind(),
        }),
    }
}

fn within(field: Field, len: usize, min: usize, max: usize) -> Result<(), DocError> {
    if (min..=max).contains(&len) {
        Ok(())
    } else {
        Err(DocError::Length { field, len, min, max })
    }
}

fn timestamp(item: Item<'_>) -> Result<UnixMs, DocError> {
    match item {
        Item::Unsigned(0) | Item::Negative(_) => Err(DocError::Timestamp),
        Item::Unsigned(ms) => Ok(UnixMs::new(ms)),
        other => Err(DocError::WrongType {
            field: Field::Timestamp,
            expected: "an unsigned integer",
            found: other.kind(),
        }),
    }
}

fn pcrs(item: Item<'_>, reader: &mut Reader<'_>) -> Result<PcrSet, DocError> {
    let field = Field::Pcrs;
    let mut count = match item {
        Item::Map(count) => count,
        other => {
            return Err(DocError::WrongType {
                field,
                expected: "a map",
                found: other.kind(),
            });
        }
    };
    if let Count::Definite(count) = count
        && count > MAX_PCRS
    {
        return Err(DocError::PcrCount { count });
    }
    let mut set = PcrSet::new();
    let mut read = 0;
    while reader.more(&mut count)? {
        read += 1;
        if read > MAX_PCRS {
            return Err(DocError::PcrCount { count: read });
        }
        let offset = reader.offset();
        let index = match reader.item()? {
            Item::Unsigned(index) => i128::from(index),
            Item::Negative(n) => -1 - i128::from(n),
            other => {
                return Err(DocError::WrongType {
                    field,
                    expected: "integer keys",
                    found: other.kind(),
                });
            }
        };
        let narrow = u8::try_from(index).map_err(|_| DocError::PcrIndex { index })?;
        let value = pcr(reader.item()?)?;
        if set
            .insert(narrow, value)
            .map_err(|_| DocError::PcrIndex { index })?
            .is_some()
        {
            return Err(CborError::DuplicateKey { offset }.into());
        }
    }
    if set.is_empty() {
        Err(DocError::PcrCount { count: 0 })
    } else {
        Ok(set)
    }
}

fn pcr(item: Item<'_>) -> Result<Pcr, DocError> {
    let (min, max) = (Pcr::LEN, Pcr::LEN);
    let value = bytes(Field::Pcrs, item, min, max)?;
    value
        .try_into()
        .map(Pcr::from_bytes)
        .map_err(|_| DocError::Length {
            field: Field::Pcrs,
            len: value.len(),
            min,
            max,
        })
}

fn cabundle<'a>(item: Item<'a>, reader: &mut Reader<'a>) -> Result<Vec<&'a [u8]>, DocError> {
    let field = Field::Cabundle;
    let mut count = match item {
        Item::Array(count) => count,
        other => {
            return Err(DocError::WrongType {
                field,
                expected: "an array",
                found: other.kind(),
            });
        }
    };
    let mut bundle = Vec::new();
    while reader.more(&mut count)? {
        if bundle.len() == MAX_BUNDLE {
            return Err(DocError::BundleCount {
                count: MAX_BUNDLE + 1,
            });
        }
        bundle.push(bytes(field, reader.item()?, 1, MAX_CERTIFICATE)?);
    }
    if bundle.is_empty() {
        Err(DocError::BundleCount { count: 0 })
    } else {
        Ok(bundle)
    }
}
