//! What an image holds, told from its bytes alone: ours or anyone's, sound or hostile.
//!
//! What makes the file no image at all is a [`DescribeError`]. What is wrong inside a well-formed image (its CRC, a
//! ramdisk that cannot be listed, metadata that is not JSON) is described and named by [`Description::problems`].
//! The file is read once for the registers and, at the same time, once more for the listings, never held. It verifies no
//! signature.

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};

use eif::{EifError, EifFile, Measured, SectionKind, Signature};
use serde::Serialize;
use serde_json::Value;

use crate::both::both;
use crate::cpio_read::{Budget, printable};
use crate::cursor::Cursor;
use crate::digest::Sha256;
use crate::file::{OpenError, open_regular};
use crate::initramfs::{self, Segment};

mod text;

/// Longest command line; the kernel takes 2048 bytes on `x86_64` and aarch64.
const MAX_CMDLINE_BYTES: u64 = 64 * 1024;
/// Longest metadata. AWS's tools write less than 16 KiB unless Docker says more.
const MAX_METADATA_BYTES: u64 = 1024 * 1024;

/// Why there is nothing to describe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescribeError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file is not an image, or not one that can be relied on.
    #[error("{} is not a valid image", path.display())]
    Image {
        /// Its path.
        path: PathBuf,
        /// Which rule it breaks.
        #[source]
        source: EifError,
    },
}

/// Everything about an image. Serialises to the `--json` form; [`Description::to_text`] gives the other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// Size of the file in bytes.
    pub size: u64,
    /// Format version, 2 to 4.
    pub version: u16,
    /// `x86_64` or `aarch64`.
    pub architecture: &'static str,
    /// Memory in bytes that the image asks for.
    pub default_mem: u64,
    /// Processors that it asks for.
    pub default_cpus: u64,
    /// The CRC-32.
    pub crc: Crc,
    /// As nitro-cli prints them.
    #[serde(rename = "Measurements")]
    pub measurements: Value,
    /// In the order of the file.
    pub sections: Vec<SectionFacts>,
    /// The kernel's command line; bytes that are not printable text appear as `\xNN`, a backslash as `\\`.
    pub cmdline: String,
    /// The metadata section, unless the version has none.
    pub metadata: Option<Metadata>,
    /// The signature section, if there is one. It is not verified.
    pub signature: Option<SignatureFacts>,
    /// What is in each ramdisk, in their order.
    pub ramdisks: Vec<Ramdisk>,
}

/// The CRC-32 in the header and the one of the bytes, as 8 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Crc {
    /// In the header.
    pub stored: String,
    /// Of the bytes.
    pub computed: String,
    /// Whether they are equal.
    pub ok: bool,
}

/// A section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SectionFacts {
    /// `kernel`, `cmdline`, `ramdisk`, `signature` or `metadata`.
    pub kind: &'static str,
    /// Offset of its 12-byte header in the file.
    pub offset: u64,
    /// Size of its data in bytes.
    pub size: u64,
    /// SHA-384 of its data.
    pub sha384: String,
}

/// The metadata section. Nothing may be trusted because of it: it is not measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metadata {
    /// What it says.
    Json(Value),
    /// It is not JSON, for this reason.
    Invalid(String),
}

/// What the signature section claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignatureFacts {
    /// How many signatures it has; AWS checks the first.
    pub count: usize,
    /// Always false here.
    pub verified: bool,
    /// SHA-256 of the first certificate's DER bytes.
    pub certificate_sha256: Sha256,
    /// Size of that certificate in bytes.
    pub certificate_size: usize,
    /// Size of the first signature's `COSE_Sign1` in bytes.
    pub cose_size: usize,
}

/// A ramdisk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ramdisk {
    /// Which section it is.
    pub section: usize,
    /// What is in it.
    pub segments: Vec<Segment>,
    /// Why the listing ends early, if it does.
    pub problem: Option<String>,
}

/// Describes the image at `path`, with the default [`Budget`].
///
/// # Errors
/// [`DescribeError`].
pub fn describe(path: &Path) -> Result<Description, DescribeError> {
    describe_within(path, Budget::default())
}

/// Describes the image at `path`, listing its ramdisks as far as `budget` allows.
///
/// # Errors
/// [`DescribeError`].
pub fn describe_within(path: &Path, mut budget: Budget) -> Result<Description, DescribeError> {
    let file = open_regular(path)?;
    facts(&file, &mut budget).map_err(|source| DescribeError::Image {
        path: path.to_owned(),
        source,
    })
}

fn facts(file: &File, budget: &mut Budget) -> Result<Description, EifError> {
    let mut image = EifFile::open(Cursor::new(file))?;
    // Before the slow part: an image that is refused for these is refused at once.
    let (cmdline, metadata) = (cmdline(&mut image)?, metadata(&mut image)?);
    let mut again = EifFile::open(Cursor::new(file))?;
    let (measured, ramdisks) = both(|| image.measure(), || ramdisks(&mut again, budget));
    let (measured, ramdisks) = (measured?, ramdisks?);
    let header = image.header().clone();
    Ok(Description {
        size: image.length(),
        version: header.version,
        architecture: header.architecture.name(),
        default_mem: header.default_mem,
        default_cpus: header.default_cpus,
        crc: Crc {
            stored: format!("{:08x}", header.crc),
            computed: format!("{:08x}", measured.crc),
            ok: header.crc == measured.crc,
        },
        measurements: measured.measurements.to_json(),
        sections: sections(&image, &measured),
        cmdline,
        metadata,
        signature: image.signature().map(signature),
        ramdisks,
    })
}

fn sections(image: &EifFile<Cursor<'_>>, measured: &Measured) -> Vec<SectionFacts> {
    let pairs = image.sections().iter().zip(&measured.sections);
    let facts = pairs.map(|(section, digest)| SectionFacts {
        kind: section.kind.name(),
        offset: section.offset,
        size: section.size,
        sha384: digest.to_string(),
    });
    facts.collect()
}

fn only(image: &EifFile<Cursor<'_>>, kind: SectionKind) -> Option<usize> {
    image.sections().iter().position(|section| section.kind == kind)
}

fn cmdline(image: &mut EifFile<Cursor<'_>>) -> Result<String, EifError> {
    let bytes = match only(image, SectionKind::Cmdline) {
        Some(index) => image.section_bytes(index, MAX_CMDLINE_BYTES)?,
        None => Vec::new(),
    };
    Ok(printable(&bytes))
}

fn metadata(image: &mut EifFile<Cursor<'_>>) -> Result<Option<Metadata>, EifError> {
    let Some(index) = only(image, SectionKind::Metadata) else {
        return Ok(None);
    };
    let bytes = image.section_bytes(index, MAX_METADATA_BYTES)?;
    let parsed = serde_json::from_slice(&bytes);
    Ok(Some(parsed.map_or_else(
        |error| Metadata::Invalid(error.to_string()),
        Metadata::Json,
    )))
}

fn signature(signature: &Signature) -> SignatureFacts {
    SignatureFacts {
        count: signature.signatures().len(),
        verified: false,
        certificate_sha256: Sha256::of(signature.certificate_der()),
        certificate_size: signature.certificate_der().len(),
        cose_size: signature.signatures().first().map_or(0, |first| first.cose.len()),
    }
}

fn ramdisks(image: &mut EifFile<Cursor<'_>>, budget: &mut Budget) -> Result<Vec<Ramdisk>, EifError> {
    let indexes: Vec<_> = (0..image.sections().len())
        .filter(|&index| {
            image
                .sections()
                .get(index)
                .is_some_and(|section| section.kind == SectionKind::Ramdisk)
        })
        .collect();
    let mut ramdisks = Vec::new();
    for section in indexes {
        let listing = initramfs::list(&mut image.section_reader(section)?, budget);
        ramdisks.push(Ramdisk {
            section,
            segments: listing.segments,
            problem: listing.problem.map(|problem| chain(&problem)),
        });
    }
    Ok(ramdisks)
}

/// An error with its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl Description {
    /// What is wrong with the image, one line each; empty when everything could be checked and is sound.
    ///
    /// A caller should treat a non-empty list as a failed check, after printing the description.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.crc.ok {
            let Crc { stored, computed, .. } = &self.crc;
            problems.push(format!(
                "the CRC-32 in the header is {stored}, of the bytes {computed}"
            ));
        }
        if let Some(Metadata::Invalid(reason)) = &self.metadata {
            problems.push(format!("the metadata is not JSON: {reason}"));
        }
        for (index, ramdisk) in self.ramdisks.iter().enumerate() {
            if let Some(problem) = &ramdisk.problem {
                problems.push(format!("ramdisk {index} cannot be listed to its end: {problem}"));
            }
        }
        problems
    }

    /// The `--json` form: indented, ending in a newline.
    ///
    /// # Errors
    /// None in practice; every key is text and every number finite.
    pub fn to_json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

#[cfg(test)]
mod tests;
