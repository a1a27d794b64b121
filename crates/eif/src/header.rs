//! The file header with its section table: 548 bytes, big-endian. `SPEC.md`, section 2.
//!
//! It checks what the header says of itself; whether the sections are where it says is [`crate::LayoutError`]'s.

use crate::reader::{Reader, Short};

/// Size of the header in bytes.
pub const HEADER_BYTES: u64 = 548;
/// Entries in the section table, used or not.
pub const MAX_SECTIONS: usize = 32;
/// The version that is written.
pub const VERSION: u16 = 4;
/// Bytes of the header that the CRC covers: all but the CRC itself.
pub(crate) const HEADER_BYTES_IN_CRC: usize = 544;

const MAGIC: [u8; 4] = *b".eif";
const OLDEST_VERSION: u16 = 2;
/// Fewest sections that an image can have: kernel, command line and one ramdisk.
const MIN_SECTIONS: u16 = 3;
const FLAG_AARCH64: u16 = 1;

/// The machine that an image is for. Bit 0 of the header's flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// 64-bit x86, bit clear.
    X86_64,
    /// 64-bit Arm, bit set.
    Aarch64,
}

impl Architecture {
    /// `x86_64` or `aarch64`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

/// Where a section is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableEntry {
    /// Offset of the section's 12-byte header in the file.
    pub offset: u64,
    /// Size of the section's data in bytes, its header not counted.
    pub size: u64,
}

/// The file header. Invariant of a parsed one: `3 <= sections.len() <= 32` and `2 <= version <= 4`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Format version: 2, 3 (signature allowed) or 4 (metadata mandatory).
    pub version: u16,
    /// The machine that it is for.
    pub architecture: Architecture,
    /// Memory in bytes that the image asks for when the operator names none.
    pub default_mem: u64,
    /// Processors that it asks for.
    pub default_cpus: u64,
    /// The used entries of the section table, at most [`MAX_SECTIONS`].
    pub sections: Vec<TableEntry>,
    /// CRC-32 of everything else in the file, as stored.
    pub crc: u32,
}

/// Why bytes are not an EIF header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Fewer than 548 bytes.
    #[error("header is cut off")]
    Truncated(#[source] Short),
    /// The file does not start with `.eif`.
    #[error("not an enclave image: the first bytes are {actual:02x?}, expected \".eif\"")]
    Magic {
        /// The bytes found.
        actual: [u8; 4],
    },
    /// A version that has no sound reading.
    #[error("format version is {actual}, expected 2, 3 or 4")]
    Version {
        /// The version found.
        actual: u16,
    },
    /// A flag that is not defined.
    #[error("header flags are {actual:#06x}; only bit 0 (aarch64) is defined")]
    Flags {
        /// The flags found.
        actual: u16,
    },
    /// The number of sections is impossible.
    #[error("header counts {actual} sections, expected 3 to 32")]
    SectionCount {
        /// The count found.
        actual: u16,
    },
    /// A field that must be zero is not.
    #[error("header field at offset {at:#x} must be zero, it is {actual:#x}")]
    NotZero {
        /// Offset in the file.
        at: usize,
        /// The value found.
        actual: u64,
    },
}

impl Header {
    /// The 548 bytes. Sections beyond [`MAX_SECTIONS`] have no place in it and are left out.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let flags = match self.architecture {
            Architecture::X86_64 => 0,
            Architecture::Aarch64 => FLAG_AARCH64,
        };
        let used = self.sections.len().min(MAX_SECTIONS);
        let mut bytes = Vec::with_capacity(548);
        bytes.extend(MAGIC);
        bytes.extend(self.version.to_be_bytes());
        bytes.extend(flags.to_be_bytes());
        bytes.extend(self.default_mem.to_be_bytes());
        bytes.extend(self.default_cpus.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(u16::try_from(used).unwrap_or_default().to_be_bytes());
        let table = || {
            let padding = std::iter::repeat(TableEntry::default());
            self.sections.iter().copied().chain(padding).take(MAX_SECTIONS)
        };
        bytes.extend(table().flat_map(|entry| entry.offset.to_be_bytes()));
        bytes.extend(table().flat_map(|entry| entry.size.to_be_bytes()));
        bytes.extend([0; 4]);
        bytes.extend(self.crc.to_be_bytes());
        bytes
    }

    /// Reads the first 548 bytes of `bytes`.
    ///
    /// # Errors
    /// [`HeaderError`], the first rule that is broken in the order of the file.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let mut reader = Reader::new(bytes);
        Self::read(&mut reader)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, HeaderError> {
        use HeaderError::Truncated;
        let magic = reader.array().map_err(Truncated)?;
        if magic != MAGIC {
            return Err(HeaderError::Magic { actual: magic });
        }
        let version = reader.u16().map_err(Truncated)?;
        if !(OLDEST_VERSION..=VERSION).contains(&version) {
            return Err(HeaderError::Version { actual: version });
        }
        let architecture = match reader.u16().map_err(Truncated)? {
            0 => Architecture::X86_64,
            FLAG_AARCH64 => Architecture::Aarch64,
            actual => return Err(HeaderError::Flags { actual }),
        };
        let default_mem = reader.u64().map_err(Truncated)?;
        let default_cpus = reader.u64().map_err(Truncated)?;
        let at = reader.at();
        must_be_zero(at, reader.u16().map_err(Truncated)?.into())?;
        let count = reader.u16().map_err(Truncated)?;
        if !(MIN_SECTIONS..=32).contains(&count) {
            return Err(HeaderError::SectionCount { actual: count });
        }
        let used = usize::from(count);
        let offsets = column(reader, used)?;
        let sizes = column(reader, used)?;
        let at = reader.at();
        must_be_zero(at, reader.u32().map_err(Truncated)?.into())?;
        let crc = reader.u32().map_err(Truncated)?;
        let entry = |(offset, size)| TableEntry { offset, size };
        Ok(Self {
            version,
            architecture,
            default_mem,
            default_cpus,
            sections: offsets.into_iter().zip(sizes).map(entry).collect(),
            crc,
        })
    }
}

/// One column of the table: `used` values, then zeros up to 32.
fn column(reader: &mut Reader<'_>, used: usize) -> Result<Vec<u64>, HeaderError> {
    let mut values = Vec::with_capacity(used);
    for index in 0..MAX_SECTIONS {
        let at = reader.at();
        let value = reader.u64().map_err(HeaderError::Truncated)?;
        if index < used {
            values.push(value);
        } else {
            must_be_zero(at, value)?;
        }
    }
    Ok(values)
}

const fn must_be_zero(at: usize, actual: u64) -> Result<(), HeaderError> {
    match actual {
        0 => Ok(()),
        _ => Err(HeaderError::NotZero { at, actual }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        Header {
            version: 4,
            architecture: Architecture::Aarch64,
            default_mem: 1 << 30,
            default_cpus: 2,
            sections: (1..=4)
                .map(|i| TableEntry {
                    offset: 548 * i,
                    size: i,
                })
                .collect(),
            crc: 0xdead_beef,
        }
    }

    #[test]
    fn reads_back_and_is_548_bytes() {
        let bytes = sample().encode();
        assert_eq!(bytes.len() as u64, HEADER_BYTES);
        assert_eq!(Header::parse(&bytes), Ok(sample()));
        for length in 0..bytes.len() {
            assert!(matches!(
                Header::parse(&bytes[..length]),
                Err(HeaderError::Truncated(_))
            ));
        }
    }

    #[test]
    fn fields_are_where_the_format_puts_them() {
        let bytes = sample().encode();
        assert_eq!(bytes[..8], *b".eif\0\x04\0\x01");
        assert_eq!(bytes[0x18..0x1c], [0, 0, 0, 4]);
        assert_eq!(bytes[0x1c..0x24], 548_u64.to_be_bytes());
        assert_eq!(bytes[0x11c..0x124], 1_u64.to_be_bytes());
        assert_eq!(bytes[0x220..], 0xdead_beef_u32.to_be_bytes());
    }

    #[test]
    fn each_rule_has_its_error() {
        let parse = |at: usize, value: u8| {
            let mut bytes = sample().encode();
            bytes[at] = value;
            Header::parse(&bytes).unwrap_err()
        };
        assert_eq!(parse(0, b'x'), HeaderError::Magic { actual: *b"xeif" });
        for actual in [0, 1, 5, 255] {
            assert_eq!(
                parse(5, actual),
                HeaderError::Version {
                    actual: actual.into()
                }
            );
        }
        assert_eq!(parse(7, 3), HeaderError::Flags { actual: 3 });
        assert_eq!(parse(0x19, 1), HeaderError::NotZero { at: 0x18, actual: 1 });
        for actual in [0, 2, 33, 255] {
            assert_eq!(
                parse(0x1b, actual),
                HeaderError::SectionCount {
                    actual: actual.into()
                }
            );
        }
        // The fifth entry is not used.
        assert_eq!(
            parse(0x1c + 39, 7),
            HeaderError::NotZero {
                at: 0x1c + 32,
                actual: 7
            }
        );
        assert_eq!(
            parse(0x11c + 39, 7),
            HeaderError::NotZero {
                at: 0x11c + 32,
                actual: 7
            }
        );
        assert_eq!(parse(0x21f, 1), HeaderError::NotZero { at: 0x21c, actual: 1 });
    }
}
