//! An existing image: checked when opened, measured in one read, any size, bounded memory.
//!
//! Opening checks the header, the section table against the file's length, every section header and the signature
//! section's form. Only [`EifFile::measure`] reads all of the data and tells whether the CRC is right.

use std::io::{self, Read, Seek, SeekFrom, Take};

use crate::hashes::Targets;
use crate::header::{HEADER_BYTES, HEADER_BYTES_IN_CRC, Header, HeaderError};
use crate::lanes::{self, PumpError};
use crate::layout::{self, LayoutError};
use crate::measure::{Digest, Measurements};
use crate::section::{SECTION_HEADER_BYTES, SectionError, SectionHeader, SectionKind};
use crate::signature::{MAX_SIGNATURE_BYTES, Signature, SignatureError};

/// Why a file is not an image that can be relied on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EifError {
    /// The file could not be read.
    #[error("cannot read the image")]
    Read(#[from] io::Error),
    /// The file header is not valid.
    #[error("the image has no valid header")]
    Header(#[from] HeaderError),
    /// A section header is not valid.
    #[error("section {index} has no valid header")]
    Section {
        /// Which section.
        index: usize,
        /// Why.
        #[source]
        source: SectionError,
    },
    /// The sections do not make an image.
    #[error("the image's sections are not valid")]
    Layout(#[from] LayoutError),
    /// The signature section is not valid.
    #[error("the image's signature is not valid")]
    Signature(#[from] SignatureError),
    /// There is no such section.
    #[error("there is no section {index}")]
    NoSuchSection {
        /// Which section was asked for.
        index: usize,
    },
    /// A section is larger than the caller is willing to hold.
    #[error("the {kind} section has {size} bytes, at most {limit} are accepted")]
    TooLarge {
        /// Which kind.
        kind: SectionKind,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The file is not the one that was opened.
    #[error("the image changed while it was read, at section {index}")]
    Changed {
        /// Where that was seen.
        index: usize,
    },
}

/// A section of an opened image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// What it holds.
    pub kind: SectionKind,
    /// Offset of its 12-byte header in the file.
    pub offset: u64,
    /// Size of its data in bytes.
    pub size: u64,
}

/// What reading all of an image gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Its registers.
    pub measurements: Measurements,
    /// SHA-384 of each section's data, in the order of the file.
    pub sections: Vec<Digest>,
    /// The CRC-32 that its header should have; compare with [`Header::crc`].
    pub crc: u32,
}

/// An opened image.
#[derive(Debug)]
pub struct EifFile<R> {
    source: R,
    length: u64,
    header: Header,
    sections: Vec<Section>,
    signature: Option<Signature>,
}

impl<R: Read + Seek> EifFile<R> {
    /// Opens an image and checks everything that can be checked without reading the data.
    ///
    /// # Errors
    /// [`EifError`], the first rule that is broken.
    pub fn open(mut source: R) -> Result<Self, EifError> {
        let length = source.seek(SeekFrom::End(0))?;
        source.rewind()?;
        let mut bytes = Vec::new();
        source.by_ref().take(HEADER_BYTES).read_to_end(&mut bytes)?;
        let header = Header::parse(&bytes)?;
        layout::check_table(&header, length)?;
        let mut sections = Vec::new();
        for (index, entry) in header.sections.iter().enumerate() {
            source.seek(SeekFrom::Start(entry.offset))?;
            let found = section_header(&mut source, index)?;
            if found.size != entry.size {
                return Err(EifError::Layout(LayoutError::SizeMismatch {
                    index,
                    table: entry.size,
                    header: found.size,
                }));
            }
            sections.push(Section {
                kind: found.kind,
                offset: entry.offset,
                size: entry.size,
            });
        }
        let kinds: Vec<_> = sections.iter().map(|section| section.kind).collect();
        layout::check_kinds(header.version, &kinds)?;
        let mut file = Self {
            source,
            length,
            header,
            sections,
            signature: None,
        };
        if let Some(index) = kinds.iter().position(|&kind| kind == SectionKind::Signature) {
            file.signature = Some(Signature::parse(
                &file.section_bytes(index, MAX_SIGNATURE_BYTES)?,
            )?);
        }
        Ok(file)
    }

    /// The file header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The sections in the order of the file.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The file's length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The signature section, if there is one. That it signs this image is not checked.
    #[must_use]
    pub fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }

    /// A section's data as a stream.
    ///
    /// # Errors
    /// [`EifError::NoSuchSection`] or [`EifError::Read`].
    pub fn section_reader(&mut self, index: usize) -> Result<Take<&mut R>, EifError> {
        let section = self
            .sections
            .get(index)
            .ok_or(EifError::NoSuchSection { index })?;
        let data = section.offset.saturating_add(SECTION_HEADER_BYTES);
        self.source.seek(SeekFrom::Start(data))?;
        Ok(self.source.by_ref().take(section.size))
    }

    /// A section's data, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// [`EifError::TooLarge`], [`EifError::NoSuchSection`], [`EifError::Changed`] or [`EifError::Read`].
    pub fn section_bytes(&mut self, index: usize, limit: u64) -> Result<Vec<u8>, EifError> {
        let section = *self
            .sections
            .get(index)
            .ok_or(EifError::NoSuchSection { index })?;
        let Section { kind, size, .. } = section;
        if size > limit {
            return Err(EifError::TooLarge { kind, size, limit });
        }
        let mut bytes = Vec::new();
        self.section_reader(index)?.read_to_end(&mut bytes)?;
        if bytes.len() as u64 != size {
            return Err(EifError::Changed { index });
        }
        Ok(bytes)
    }

    /// Reads the whole file once and computes its registers, section digests and CRC.
    ///
    /// Uses at most 4 MiB of buffers and one or two threads beside the caller's. A wrong CRC is not an error here.
    ///
    /// # Errors
    /// [`EifError::Read`], or [`EifError::Changed`] if the file is no longer the one that was opened.
    pub fn measure(&mut self) -> Result<Measured, EifError> {
        let mut crc = crc32fast::Hasher::new();
        crc.update(
            self.header
                .encode()
                .get(..HEADER_BYTES_IN_CRC)
                .unwrap_or_default(),
        );
        self.source.seek(SeekFrom::Start(HEADER_BYTES))?;
        let (source, sections) = (&mut self.source, &self.sections);
        let ((), hashed) = lanes::hashing(|lanes| {
            let mut ramdisks = 0;
            for (index, section) in sections.iter().enumerate() {
                let expected = SectionHeader {
                    kind: section.kind,
                    size: section.size,
                };
                if section_header(source, index)? != expected {
                    return Err(EifError::Changed { index });
                }
                crc.update(&expected.encode());
                let targets = Targets::of(section.kind, ramdisks);
                let mut sink = |bytes: &[u8]| {
                    crc.update(bytes);
                    Ok(())
                };
                let outcome = lanes.section(targets, source, section.size, &mut sink);
                outcome.map_err(|error| match error {
                    PumpError::Read(source) | PumpError::Sink(source) => EifError::Read(source),
                    PumpError::Short { .. } => EifError::Changed { index },
                })?;
                ramdisks += usize::from(section.kind == SectionKind::Ramdisk);
            }
            Ok(())
        })?;
        let mut measurements = hashed.measurements;
        measurements.pcr8 = self.signature.as_ref().map(Signature::pcr8);
        Ok(Measured {
            measurements,
            sections: hashed.sections,
            crc: crc.finalize(),
        })
    }
}

/// The section header at the source's position.
fn section_header<R: Read>(source: &mut R, index: usize) -> Result<SectionHeader, EifError> {
    let mut bytes = Vec::new();
    source
        .by_ref()
        .take(SECTION_HEADER_BYTES)
        .read_to_end(&mut bytes)?;
    SectionHeader::parse(&bytes).map_err(|source| EifError::Section { index, source })
}
