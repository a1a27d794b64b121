//! The `diff` command: why two images differ, from the register down to the line of a file.
//!
//! Sections with equal hashes are skipped. A ramdisk that differs is read once for hashes, and once more for the content of
//! the files that differ; only one file is in memory at a time, and of each no more is kept than what is compared. So the
//! images may be of any size and made by anyone. Nothing is verified here: see [`crate::verify`].

use std::fs::File;
use std::path::{Path, PathBuf};

use eif::{EifError, EifFile, Measured, SectionKind};
use serde::Serialize;

use crate::both::both;
use crate::cpio_read::Budget;
use crate::cursor::Cursor;
use crate::file::{OpenError, open_regular};

mod anatomy;
mod facts;
mod kernel;
mod legible;
mod ramdisk;
mod text;
mod zip;

pub use anatomy::{Content, Member, MemberChange};
pub use kernel::KernelDifference;
pub use ramdisk::{FileDifference, RamdiskDifference};

/// Why two images could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
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

/// One property with its two values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it is, for example `mode`.
    pub what: String,
    /// Its value in the first image, `-` if it has none.
    pub a: String,
    /// Its value in the second.
    pub b: String,
}

impl Change {
    /// `None` when both are equal.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers and texts alike, at two dozen call sites"
    )]
    fn of(what: &str, a: impl ToString, b: impl ToString) -> Option<Self> {
        let (a, b) = (a.to_string(), b.to_string());
        (a != b).then(|| Self {
            what: what.to_owned(),
            a,
            b,
        })
    }
}

/// A register in both images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Register {
    /// `PCR0`, `PCR1`, `PCR2` or `PCR8`.
    pub name: &'static str,
    /// Whether both have the same value.
    pub same: bool,
    /// In the first, 96 hex digits; `-` for an unsigned image's PCR8.
    pub a: String,
    /// In the second.
    pub b: String,
}

/// A section in both images: the first kernel of one with that of the other, and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SectionDifference {
    /// `kernel`, `cmdline`, `metadata`, `signature`, `ramdisk 0`, `ramdisk 1`, …
    pub name: String,
    /// Size and SHA-384 in the first image, unless it has none.
    pub a: Option<SectionFacts>,
    /// In the second.
    pub b: Option<SectionFacts>,
    /// What is behind it, when both have it and it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

/// A section of one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SectionFacts {
    /// Bytes of data.
    pub size: u64,
    /// SHA-384 of the data.
    pub sha384: String,
}

impl SectionDifference {
    /// Whether both images have it with the same bytes.
    #[must_use]
    pub fn same(&self) -> bool {
        self.a.is_some() && self.a == self.b
    }
}

/// What differs inside a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detail {
    /// Of the command line, the metadata or the signature: values side by side.
    Values(Vec<Change>),
    /// Of a kernel.
    Kernel(KernelDifference),
    /// Of a ramdisk.
    Ramdisk(RamdiskDifference),
}

/// All differences of two images. Serialises to the `--json` form; [`Difference::to_text`] gives the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Whether the files are the same, byte for byte.
    pub same: bool,
    /// PCR0, PCR1, PCR2, PCR8.
    pub registers: Vec<Register>,
    /// Version, architecture, memory, processors, order of sections, CRC; only what differs.
    pub header: Vec<Change>,
    /// Every section of either image.
    pub sections: Vec<SectionDifference>,
}

/// One image, opened and measured.
struct Side<'a> {
    path: &'a Path,
    image: EifFile<Cursor<'a>>,
    measured: Measured,
}

/// Compares two images, unpacking at most `budget` of each.
///
/// # Errors
/// [`DiffError`] when one of them is no image or cannot be read.
pub fn diff(a: &Path, b: &Path, budget: Budget) -> Result<Difference, DiffError> {
    let (file_a, file_b) = (open_regular(a)?, open_regular(b)?);
    let (side_a, side_b) = both(|| Side::open(a, &file_a), || Side::open(b, &file_b));
    let (mut side_a, mut side_b) = (side_a?, side_b?);
    let registers = facts::registers(&side_a.measured.measurements, &side_b.measured.measurements);
    let header = facts::header(&side_a, &side_b);
    let mut sections = Vec::new();
    let mut budgets = [budget, budget];
    for (name, at_a, at_b) in pairs(&side_a, &side_b) {
        let mut section = SectionDifference {
            name,
            a: at_a.and_then(|index| side_a.facts(index)),
            b: at_b.and_then(|index| side_b.facts(index)),
            detail: None,
        };
        if let (Some(at_a), Some(at_b), false) = (at_a, at_b, section.same()) {
            section.detail = Some(detail(&mut side_a, at_a, &mut side_b, at_b, &mut budgets)?);
        }
        sections.push(section);
    }
    let lengths = side_a.image.length() == side_b.image.length();
    Ok(Difference {
        same: lengths && header.is_empty() && sections.iter().all(SectionDifference::same),
        registers,
        header,
        sections,
    })
}

/// How two contents of the file `path` differ.
#[must_use]
pub fn contents(path: &str, a: &[u8], b: &[u8]) -> Content {
    let anatomy = |bytes| anatomy::Anatomy::of(bytes, ramdisk::MAX_DEPTH);
    anatomy::compare(path, anatomy(a), anatomy(b))
}

/// How two kernels differ.
#[must_use]
pub fn kernels(a: &[u8], b: &[u8]) -> KernelDifference {
    kernel::compare(kernel::of_bytes(a), kernel::of_bytes(b))
}

impl<'a> Side<'a> {
    fn open(path: &'a Path, file: &'a File) -> Result<Self, DiffError> {
        let invalid = |source| DiffError::Image {
            path: path.to_owned(),
            source,
        };
        let mut image = EifFile::open(Cursor::new(file)).map_err(invalid)?;
        let measured = image.measure().map_err(invalid)?;
        Ok(Self {
            path,
            image,
            measured,
        })
    }

    fn facts(&self, index: usize) -> Option<SectionFacts> {
        let (section, sha384) = (
            self.image.sections().get(index)?,
            self.measured.sections.get(index)?,
        );
        Some(SectionFacts {
            size: section.size,
            sha384: sha384.to_string(),
        })
    }

    /// Indexes of the sections of a kind.
    fn of_kind(&self, kind: SectionKind) -> Vec<usize> {
        let sections = self.image.sections().iter().enumerate();
        sections
            .filter(|(_, section)| section.kind == kind)
            .map(|(index, _)| index)
            .collect()
    }

    fn bytes(&mut self, index: usize, limit: u64) -> Result<Vec<u8>, DiffError> {
        self.image
            .section_bytes(index, limit)
            .map_err(|source| DiffError::Image {
                path: self.path.to_owned(),
                source,
            })
    }
}

/// Sections that belong together, in the order in which they are explained.
fn pairs(a: &Side<'_>, b: &Side<'_>) -> Vec<(String, Option<usize>, Option<usize>)> {
    let kinds = [
        SectionKind::Kernel,
        SectionKind::Cmdline,
        SectionKind::Ramdisk,
        SectionKind::Metadata,
        SectionKind::Signature,
    ];
    let mut pairs = Vec::new();
    for kind in kinds {
        let (of_a, of_b) = (a.of_kind(kind), b.of_kind(kind));
        for number in 0..of_a.len().max(of_b.len()) {
            let name = match kind {
                SectionKind::Ramdisk => format!("ramdisk {number}"),
                _ => kind.name().to_owned(),
            };
            pairs.push((name, of_a.get(number).copied(), of_b.get(number).copied()));
        }
    }
    pairs
}

fn detail(
    a: &mut Side<'_>,
    at_a: usize,
    b: &mut Side<'_>,
    at_b: usize,
    budgets: &mut [Budget; 2],
) -> Result<Detail, DiffError> {
    let kind = a.image.sections().get(at_a).map(|section| section.kind);
    Ok(match kind {
        Some(SectionKind::Kernel) => {
            let (of_a, of_b) = (kernel::read(a, at_a)?, kernel::read(b, at_b)?);
            Detail::Kernel(kernel::compare(of_a, of_b))
        }
        Some(SectionKind::Ramdisk) => Detail::Ramdisk(ramdisk::compare(a, at_a, b, at_b, budgets)?),
        Some(SectionKind::Cmdline) => Detail::Values(facts::cmdline(a, at_a, b, at_b)?),
        Some(SectionKind::Metadata) => Detail::Values(facts::metadata(a, at_a, b, at_b)?),
        Some(SectionKind::Signature) | None => Detail::Values(facts::signature(a, b)),
    })
}
