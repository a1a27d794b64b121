//! Writing an image in one pass: every source is read once, hashed on the way, and never held as a whole.
//!
//! The header comes last, over zeros, so a file that was cut short has no magic and no reader takes it for an
//! image. Output is a function of the parts alone: the bytes that AWS's builder writes for the same parts.

use std::io::{self, Read, Seek, Write};

use crate::hashes::Targets;
use crate::header::{
    Architecture, HEADER_BYTES, HEADER_BYTES_IN_CRC, Header, MAX_SECTIONS, TableEntry, VERSION,
};
use crate::lanes::{self, Lanes, PumpError};
use crate::measure::{Digest, Measurements};
use crate::section::{SECTION_HEADER_BYTES, SectionHeader, SectionKind};
use crate::signature::{Signature, SignatureError};

/// Most ramdisks of an unsigned image: 32 sections less kernel, command line and metadata. One less if signed.
pub const MAX_RAMDISKS: usize = MAX_SECTIONS - 3;

/// A section's data: `size` bytes from `source`, no fewer and no more.
#[expect(missing_debug_implementations, reason = "a reader has nothing to show")]
pub struct Part<'a> {
    /// Where the bytes come from, read once and in order.
    pub source: &'a mut dyn Read,
    /// How many bytes it has.
    pub size: u64,
}

/// Everything that goes into an image.
#[expect(missing_debug_implementations, reason = "readers have nothing to show")]
pub struct Parts<'a> {
    /// A bzImage (`x86_64`) or an uncompressed Image (aarch64).
    pub kernel: Part<'a>,
    /// The kernel's command line, without NUL.
    pub cmdline: &'a [u8],
    /// The metadata section, see [`crate::Metadata::to_bytes`].
    pub metadata: &'a [u8],
    /// 1 to [`MAX_RAMDISKS`] archives in the order in which the kernel unpacks them.
    pub ramdisks: Vec<Part<'a>>,
    /// A ready-made signature section, or `None` for an unsigned image.
    pub signature: Option<&'a Signature>,
}

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// An image needs a ramdisk.
    #[error("an image needs at least one ramdisk")]
    NoRamdisk,
    /// More sections than the table holds.
    #[error("{actual} ramdisks are given, at most {limit} fit")]
    TooManyRamdisks {
        /// How many there are.
        actual: usize,
        /// How many fit.
        limit: usize,
    },
    /// The kernel would see only what is before it.
    #[error("the command line has a NUL at byte {at}")]
    NulInCmdline {
        /// Offset of the first.
        at: usize,
    },
    /// The parts together exceed 2^64 bytes.
    #[error("the parts together are larger than a file can be")]
    TooLarge,
    /// A part could not be read.
    #[error("cannot read the {kind} (section {index})")]
    Source {
        /// Which section.
        index: usize,
        /// Which kind.
        kind: SectionKind,
        /// The reader's reason.
        #[source]
        source: io::Error,
    },
    /// A part has fewer bytes than said, or more (then `actual` is one more).
    #[error("the {kind} (section {index}) has {actual} bytes, expected {expected}")]
    SourceSize {
        /// Which section.
        index: usize,
        /// Which kind.
        kind: SectionKind,
        /// Size that was said.
        expected: u64,
        /// Bytes that came.
        actual: u64,
    },
    /// The signature section is not usable.
    #[error("cannot write the signature")]
    Signature(#[from] SignatureError),
    /// The image could not be written.
    #[error("cannot write the image")]
    Output(#[from] io::Error),
}

/// A section as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionReport {
    /// What it holds.
    pub kind: SectionKind,
    /// Offset of its 12-byte header in the file.
    pub offset: u64,
    /// Size of its data in bytes.
    pub size: u64,
    /// SHA-384 of its data.
    pub sha384: Digest,
}

/// An image as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its registers.
    pub measurements: Measurements,
    /// Its sections in the order of the file.
    pub sections: Vec<SectionReport>,
    /// Its size in bytes.
    pub size: u64,
    /// Its CRC-32.
    pub crc: u32,
}

/// Writes images with these header values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EifWriter {
    /// The machine that the kernel is for.
    pub architecture: Architecture,
    /// Memory in bytes that the image asks for when the operator names none.
    pub default_mem: u64,
    /// Processors that it asks for.
    pub default_cpus: u64,
}

impl EifWriter {
    /// Writes the image to `out`, which must be empty, and measures it.
    ///
    /// Uses at most 4 MiB of buffers and one or two threads beside the caller's.
    ///
    /// # Errors
    /// [`WriteError`]; `out` then holds no image. Nothing is written if the parts alone are at fault.
    pub fn write<W: Write + Seek>(&self, parts: Parts<'_>, out: &mut W) -> Result<Written, WriteError> {
        let limit = MAX_RAMDISKS - usize::from(parts.signature.is_some());
        match parts.ramdisks.len() {
            0 => return Err(WriteError::NoRamdisk),
            actual if actual > limit => return Err(WriteError::TooManyRamdisks { actual, limit }),
            _ => {}
        }
        if let Some(at) = parts.cmdline.iter().position(|&byte| byte == 0) {
            return Err(WriteError::NulInCmdline { at });
        }
        let signature = parts.signature.map(Signature::encode);
        let (mut cmdline, mut metadata) = (parts.cmdline, parts.metadata);
        let mut signature_bytes = signature.as_deref().unwrap_or_default();
        let cmdline = Part::of(&mut cmdline);
        let metadata = Part::of(&mut metadata);
        let mut sections = vec![
            (SectionKind::Kernel, parts.kernel.shorter()),
            (SectionKind::Cmdline, cmdline),
            (SectionKind::Metadata, metadata),
        ];
        let ramdisks = parts.ramdisks.into_iter();
        sections.extend(ramdisks.map(|part| (SectionKind::Ramdisk, part.shorter())));
        if signature.is_some() {
            sections.push((SectionKind::Signature, Part::of(&mut signature_bytes)));
        }
        let mut written = self.sections(sections, out)?;
        written.measurements.pcr8 = parts.signature.map(Signature::pcr8);
        Ok(written)
    }

    fn sections<W: Write + Seek>(
        &self,
        sections: Vec<(SectionKind, Part<'_>)>,
        out: &mut W,
    ) -> Result<Written, WriteError> {
        let mut header = Header {
            version: VERSION,
            architecture: self.architecture,
            default_mem: self.default_mem,
            default_cpus: self.default_cpus,
            sections: Vec::new(),
            crc: 0,
        };
        let mut size = HEADER_BYTES;
        let mut kinds = Vec::new();
        for (kind, part) in &sections {
            kinds.push(*kind);
            header.sections.push(TableEntry {
                offset: size,
                size: part.size,
            });
            let data = size.checked_add(SECTION_HEADER_BYTES);
            size = data
                .and_then(|data| data.checked_add(part.size))
                .ok_or(WriteError::TooLarge)?;
        }
        out.rewind()?;
        out.write_all(&[0; 548])?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(header.encode().get(..HEADER_BYTES_IN_CRC).unwrap_or_default());
        let ((), hashed) = lanes::hashing(|lanes| {
            let mut ramdisks = 0;
            for (index, (kind, part)) in sections.into_iter().enumerate() {
                let targets = Targets::of(kind, ramdisks);
                copy(lanes, targets, index, kind, part, &mut |bytes| {
                    crc.update(bytes);
                    out.write_all(bytes)
                })?;
                ramdisks += usize::from(kind == SectionKind::Ramdisk);
            }
            Ok::<_, WriteError>(())
        })?;
        header.crc = crc.finalize();
        out.rewind()?;
        out.write_all(&header.encode())?;
        out.flush()?;
        let digests = hashed.sections.into_iter();
        let report = |((kind, entry), sha384): ((SectionKind, &TableEntry), Digest)| SectionReport {
            kind,
            offset: entry.offset,
            size: entry.size,
            sha384,
        };
        Ok(Written {
            measurements: hashed.measurements,
            sections: kinds
                .into_iter()
                .zip(&header.sections)
                .zip(digests)
                .map(report)
                .collect(),
            size,
            crc: header.crc,
        })
    }
}

impl<'a> Part<'a> {
    /// The same part for a shorter time, so that it can stand in a list with others.
    fn shorter<'b>(self) -> Part<'b>
    where
        'a: 'b,
    {
        Part {
            source: self.source,
            size: self.size,
        }
    }

    fn of(bytes: &'a mut &[u8]) -> Self {
        Self {
            size: bytes.len() as u64,
            source: bytes,
        }
    }
}

/// One section with its header.
fn copy(
    lanes: &mut Lanes,
    targets: Targets,
    index: usize,
    kind: SectionKind,
    part: Part<'_>,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), WriteError> {
    let Part {
        source,
        size: expected,
    } = part;
    let header = SectionHeader { kind, size: expected };
    sink(&header.encode())?;
    let wrong_size = |actual| WriteError::SourceSize {
        index,
        kind,
        expected,
        actual,
    };
    let unreadable = |source| WriteError::Source { index, kind, source };
    let outcome = lanes.section(targets, source, expected, sink);
    outcome.map_err(|error| match error {
        PumpError::Read(source) => unreadable(source),
        PumpError::Short { actual } => wrong_size(actual),
        PumpError::Sink(source) => WriteError::Output(source),
    })?;
    // `Read::read` may be interrupted, `read_exact` is not.
    match source.read_exact(&mut [0]) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Err(source) => Err(unreadable(source)),
        Ok(()) => Err(wrong_size(expected.saturating_add(1))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const WRITER: EifWriter = EifWriter {
        architecture: Architecture::X86_64,
        default_mem: 1 << 30,
        default_cpus: 2,
    };

    fn write(
        kernel: (&[u8], u64),
        cmdline: &[u8],
        ramdisks: usize,
    ) -> Result<(Written, Vec<u8>), WriteError> {
        let mut source = kernel.0;
        let mut data = vec![&b"ramdisk"[..]; ramdisks];
        let mut out = Cursor::new(Vec::new());
        let parts = Parts {
            kernel: Part {
                source: &mut source,
                size: kernel.1,
            },
            cmdline,
            metadata: b"{}",
            ramdisks: data.iter_mut().map(Part::of).collect(),
            signature: None,
        };
        let written = WRITER.write(parts, &mut out)?;
        Ok((written, out.into_inner()))
    }

    #[test]
    fn reports_what_is_in_the_file() {
        let (written, bytes) = write((b"kernel", 6), b"quiet", 2).unwrap();
        assert_eq!(written.size, bytes.len() as u64);
        assert_eq!(Header::parse(&bytes).unwrap().crc, written.crc);
        let data = [&b"kernel"[..], b"quiet", b"{}", b"ramdisk", b"ramdisk"];
        for (section, data) in written.sections.iter().zip(data) {
            let start = usize::try_from(section.offset).unwrap() + 12;
            assert_eq!(&bytes[start..][..data.len()], data);
            assert_eq!(
                (section.size, section.sha384),
                (data.len() as u64, Digest::of(data))
            );
        }
        assert_eq!(written.sections.len(), 5);
    }

    #[test]
    fn parts_at_fault_are_named() {
        use WriteError::{NoRamdisk, NulInCmdline, SourceSize, TooLarge, TooManyRamdisks};
        let kernel = (&b"kernel"[..], 6);
        write(kernel, b"", 29).unwrap();
        assert!(matches!(write(kernel, b"", 0), Err(NoRamdisk)));
        assert!(matches!(
            write(kernel, b"", 30),
            Err(TooManyRamdisks {
                actual: 30,
                limit: 29
            })
        ));
        assert!(matches!(write(kernel, b"a\0", 1), Err(NulInCmdline { at: 1 })));
        for (size, found) in [(7, 6), (5, 6), (0, 1), (1 << 63, 6)] {
            match write((kernel.0, size), b"", 1) {
                Err(SourceSize { expected, actual, .. }) => assert_eq!((expected, actual), (size, found)),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(write((kernel.0, u64::MAX), b"", 1), Err(TooLarge)));
    }

    #[test]
    fn a_failed_write_leaves_no_image() {
        let mut out = Cursor::new(Vec::new());
        let (mut kernel, mut ramdisk) = (&b"kernel"[..], &b"short"[..]);
        let parts = Parts {
            kernel: Part::of(&mut kernel),
            cmdline: b"",
            metadata: b"",
            ramdisks: vec![Part {
                source: &mut ramdisk,
                size: 6,
            }],
            signature: None,
        };
        WRITER.write(parts, &mut out).unwrap_err();
        Header::parse(out.get_ref()).unwrap_err();
    }
}
