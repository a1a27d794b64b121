//! Where sections may be and which of them an image needs. `SPEC.md`, section 3.
//!
//! Readers disagree on what gaps, overlaps and a table out of order mean: some follow the table, some the file.
//! So the only accepted layout is the one where both readings are the same.

use crate::header::{HEADER_BYTES, Header};
use crate::section::{SECTION_HEADER_BYTES, SectionKind};

/// Why a header and its sections do not make an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A section starts before the end of what precedes it.
    #[error("section {index} starts at {offset}, inside what ends at {expected}")]
    Overlap {
        /// Which section.
        index: usize,
        /// Where it starts.
        offset: u64,
        /// Where it must start.
        expected: u64,
    },
    /// Bytes before a section belong to nothing.
    #[error("section {index} starts at {offset}, expected {expected}: the bytes between belong to nothing")]
    Gap {
        /// Which section.
        index: usize,
        /// Where it starts.
        offset: u64,
        /// Where it must start.
        expected: u64,
    },
    /// A section ends after the file.
    #[error("section {index} has {size} bytes at {offset}, the file ends at {length}")]
    BeyondEnd {
        /// Which section.
        index: usize,
        /// Where it starts.
        offset: u64,
        /// Size of its data in the table.
        size: u64,
        /// Length of the file.
        length: u64,
    },
    /// The file goes on after the last section.
    #[error("the last section ends at {end}, the file at {length}")]
    Trailing {
        /// End of the last section.
        end: u64,
        /// Length of the file.
        length: u64,
    },
    /// Table and section header do not agree.
    #[error("section {index} has {table} bytes in the table and {header} in its own header")]
    SizeMismatch {
        /// Which section.
        index: usize,
        /// Size in the table.
        table: u64,
        /// Size in the section's header.
        header: u64,
    },
    /// A section that every image needs is missing.
    #[error("there is no {kind} section")]
    Missing {
        /// Which kind.
        kind: SectionKind,
    },
    /// A section that may be there once is there again.
    #[error("section {index} is a second {kind}")]
    Repeated {
        /// Which section.
        index: usize,
        /// Which kind.
        kind: SectionKind,
    },
    /// A ramdisk before the kernel.
    #[error("section {index} is a ramdisk before the kernel")]
    RamdiskBeforeKernel {
        /// Which section.
        index: usize,
    },
    /// A section that the image's version does not have.
    #[error("section {index} is a {kind}, which format version {version} does not have")]
    NotInVersion {
        /// Which section.
        index: usize,
        /// Which kind.
        kind: SectionKind,
        /// Version of the image.
        version: u16,
    },
}

/// The sections follow the header and each other without gap, in the table's order, up to the file's end.
pub(crate) fn check_table(header: &Header, length: u64) -> Result<(), LayoutError> {
    let mut expected = HEADER_BYTES;
    for (index, entry) in header.sections.iter().enumerate() {
        let (offset, size) = (entry.offset, entry.size);
        let end = offset
            .checked_add(SECTION_HEADER_BYTES)
            .and_then(|data| data.checked_add(size));
        match end {
            _ if offset < expected => {
                return Err(LayoutError::Overlap {
                    index,
                    offset,
                    expected,
                });
            }
            Some(end) if end <= length && offset == expected => expected = end,
            Some(end) if end <= length => {
                return Err(LayoutError::Gap {
                    index,
                    offset,
                    expected,
                });
            }
            _ => {
                return Err(LayoutError::BeyondEnd {
                    index,
                    offset,
                    size,
                    length,
                });
            }
        }
    }
    if expected == length {
        return Ok(());
    }
    Err(LayoutError::Trailing {
        end: expected,
        length,
    })
}

/// One kernel, one command line, ramdisks after the kernel, and what the version says of the other two.
pub(crate) fn check_kinds(version: u16, kinds: &[SectionKind]) -> Result<(), LayoutError> {
    for (index, &kind) in kinds.iter().enumerate() {
        let before = kinds.get(..index).unwrap_or_default();
        match kind {
            SectionKind::Ramdisk if !before.contains(&SectionKind::Kernel) => {
                return Err(LayoutError::RamdiskBeforeKernel { index });
            }
            SectionKind::Ramdisk => {}
            _ if before.contains(&kind) => return Err(LayoutError::Repeated { index, kind }),
            SectionKind::Signature if version < 3 => {
                return Err(LayoutError::NotInVersion { index, kind, version });
            }
            SectionKind::Metadata if version < 4 => {
                return Err(LayoutError::NotInVersion { index, kind, version });
            }
            _ => {}
        }
    }
    let needed = [SectionKind::Kernel, SectionKind::Cmdline, SectionKind::Ramdisk];
    let metadata = (version >= 4).then_some(SectionKind::Metadata);
    match needed
        .into_iter()
        .chain(metadata)
        .find(|kind| !kinds.contains(kind))
    {
        Some(kind) => Err(LayoutError::Missing { kind }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{Architecture, TableEntry};

    /// Sections of 10, 0 and 3 bytes; the file ends at 597.
    fn sample() -> Header {
        let entry = |(offset, size)| TableEntry { offset, size };
        Header {
            version: 4,
            architecture: Architecture::X86_64,
            default_mem: 0,
            default_cpus: 0,
            sections: [(548, 10), (570, 0), (582, 3)].map(entry).to_vec(),
            crc: 0,
        }
    }

    fn with(index: usize, offset: u64, size: u64) -> LayoutError {
        let mut header = sample();
        header.sections[index] = TableEntry { offset, size };
        check_table(&header, 597).unwrap_err()
    }

    #[test]
    fn only_one_place_for_each_section() {
        use LayoutError::{BeyondEnd, Gap, Overlap, Trailing};
        assert_eq!(check_table(&sample(), 597), Ok(()));
        assert_eq!(
            check_table(&sample(), 598),
            Err(Trailing {
                end: 597,
                length: 598
            })
        );
        assert!(matches!(
            check_table(&sample(), 596),
            Err(BeyondEnd { index: 2, .. })
        ));
        assert!(matches!(
            with(0, 0, 10),
            Overlap {
                index: 0,
                offset: 0,
                expected: 548
            }
        ));
        assert!(matches!(
            with(1, 569, 0),
            Overlap {
                index: 1,
                expected: 570,
                ..
            }
        ));
        assert!(matches!(
            with(1, 571, 0),
            Gap {
                index: 1,
                expected: 570,
                ..
            }
        ));
        assert!(matches!(
            with(0, 548, 11),
            Overlap {
                index: 1,
                expected: 571,
                ..
            }
        ));
        for size in [5, 1 << 63, u64::MAX - 582 - 12, u64::MAX] {
            assert!(matches!(with(2, 582, size), BeyondEnd { index: 2, .. }));
        }
        assert!(matches!(with(2, u64::MAX, 3), BeyondEnd { index: 2, .. }));
    }

    #[test]
    fn only_the_sections_of_an_image() {
        use LayoutError::{Missing, NotInVersion, RamdiskBeforeKernel, Repeated};
        use SectionKind::{Cmdline, Kernel, Metadata, Ramdisk, Signature};
        let check = |version, kinds: &[SectionKind]| check_kinds(version, kinds);
        assert_eq!(
            check(4, &[Kernel, Cmdline, Metadata, Ramdisk, Ramdisk, Signature]),
            Ok(())
        );
        assert_eq!(check(4, &[Metadata, Kernel, Ramdisk, Cmdline]), Ok(()));
        assert_eq!(check(3, &[Kernel, Cmdline, Ramdisk, Signature]), Ok(()));
        assert_eq!(check(2, &[Kernel, Cmdline, Ramdisk]), Ok(()));
        for kind in [Kernel, Cmdline, Metadata] {
            let all = [Kernel, Cmdline, Metadata, Ramdisk];
            assert_eq!(
                check(4, &[&all[..], &[kind]].concat()),
                Err(Repeated { index: 4, kind })
            );
        }
        assert_eq!(
            check(4, &[Kernel, Cmdline, Ramdisk]),
            Err(Missing { kind: Metadata })
        );
        assert_eq!(
            check(4, &[Kernel, Metadata, Ramdisk]),
            Err(Missing { kind: Cmdline })
        );
        assert_eq!(
            check(4, &[Kernel, Cmdline, Metadata]),
            Err(Missing { kind: Ramdisk })
        );
        assert_eq!(
            check(4, &[Cmdline, Metadata, Signature]),
            Err(Missing { kind: Kernel })
        );
        assert_eq!(
            check(4, &[Cmdline, Ramdisk, Kernel]),
            Err(RamdiskBeforeKernel { index: 1 })
        );
        for (version, kind) in [(2, Signature), (2, Metadata), (3, Metadata)] {
            let expected = NotInVersion {
                index: 1,
                kind,
                version,
            };
            assert_eq!(check(version, &[Kernel, kind]), Err(expected));
        }
    }
}
