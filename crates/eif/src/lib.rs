//! Enclave image files (EIF): the bytes, the measurements, and nothing else.
//!
//! [`EifWriter`] writes an image in one pass while hashing it, [`EifFile`] checks and measures an existing one.
//! Memory stays bounded whatever the sizes are. [`SignedPcr`] is the bytes of a signature; it builds no ramdisk, and neither
//! makes nor checks a signature.
//! The byte format is written down in `SPEC.md` beside this crate.
//!
//! ```text
//! | header 548 | 12 + kernel | 12 + cmdline | 12 + metadata | 12 + ramdisk 0 | 12 + ramdisk 1 ... | 12 + signature |
//! ```
#![forbid(unsafe_code)]

mod cose;
mod hashes;
mod header;
mod lanes;
mod layout;
mod measure;
mod metadata;
mod pair;
mod parse;
mod pem;
mod reader;
mod resign;
mod section;
mod sha384;
mod signature;
mod write;

pub use cose::{CoseError, SignatureAlgorithm, SignedPcr};
pub use header::{Architecture, HEADER_BYTES, Header, HeaderError, MAX_SECTIONS, TableEntry, VERSION};
pub use layout::LayoutError;
pub use measure::{Digest, Measurements, NotHex, Pcr};
pub use metadata::{BuildInfo, Metadata};
pub use parse::{EifError, EifFile, Measured, Section};
pub use pem::{PemError, certificate_der};
pub use reader::Short;
pub use resign::ResignError;
pub use section::{SECTION_HEADER_BYTES, SectionError, SectionHeader, SectionKind};
pub use signature::{MAX_SIGNATURE_BYTES, PcrSignature, Signature, SignatureError};
pub use write::{EifWriter, MAX_RAMDISKS, Part, Parts, SectionReport, WriteError, Written};
