//! Section kinds and the 12 bytes in front of each section's data. `SPEC.md`, section 3.

use core::fmt;

use crate::reader::{Reader, Short};

/// Bytes in front of each section's data.
pub const SECTION_HEADER_BYTES: u64 = 12;

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SectionKind {
    /// A bzImage (`x86_64`) or an uncompressed Image (aarch64).
    Kernel,
    /// The kernel's command line, without NUL.
    Cmdline,
    /// A cpio archive, compressed or not.
    Ramdisk,
    /// Signed PCR0, see [`crate::Signature`].
    Signature,
    /// JSON about the build. Not measured.
    Metadata,
}

impl SectionKind {
    const fn code(self) -> u16 {
        match self {
            Self::Kernel => 1,
            Self::Cmdline => 2,
            Self::Ramdisk => 3,
            Self::Signature => 4,
            Self::Metadata => 5,
        }
    }

    const fn from_code(code: u16) -> Option<Self> {
        match code {
            1 => Some(Self::Kernel),
            2 => Some(Self::Cmdline),
            3 => Some(Self::Ramdisk),
            4 => Some(Self::Signature),
            5 => Some(Self::Metadata),
            _ => None,
        }
    }

    /// Its name in reports: `kernel`, `cmdline`, `ramdisk`, `signature` or `metadata`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Cmdline => "cmdline",
            Self::Ramdisk => "ramdisk",
            Self::Signature => "signature",
            Self::Metadata => "metadata",
        }
    }
}

impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why 12 bytes are not a section header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SectionError {
    /// Fewer than 12 bytes.
    #[error("section header is cut off")]
    Truncated(#[source] Short),
    /// A type that is not defined.
    #[error("section type is {actual}, expected 1 (kernel) to 5 (metadata)")]
    Kind {
        /// The type found.
        actual: u16,
    },
    /// No section flag is defined.
    #[error("section flags are {actual:#06x}, expected 0")]
    Flags {
        /// The flags found.
        actual: u16,
    },
}

/// The header of a section: u16 type, u16 flags (0), u64 data size, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionHeader {
    /// What the section holds.
    pub kind: SectionKind,
    /// Size of its data in bytes, this header not counted.
    pub size: u64,
}

impl SectionHeader {
    /// The 12 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let fields = self.kind.code().to_be_bytes().into_iter().chain([0, 0]);
        let fields = fields.chain(self.size.to_be_bytes());
        for (to, from) in bytes.iter_mut().zip(fields) {
            *to = from;
        }
        bytes
    }

    /// Reads the first 12 bytes of `bytes`.
    ///
    /// # Errors
    /// [`SectionError`], the first rule that is broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, SectionError> {
        let mut reader = Reader::new(bytes);
        let code = reader.u16().map_err(SectionError::Truncated)?;
        let flags = reader.u16().map_err(SectionError::Truncated)?;
        let size = reader.u64().map_err(SectionError::Truncated)?;
        let kind = SectionKind::from_code(code).ok_or(SectionError::Kind { actual: code })?;
        if flags != 0 {
            return Err(SectionError::Flags { actual: flags });
        }
        Ok(Self { kind, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_fixed_and_read_back() {
        let header = SectionHeader {
            kind: SectionKind::Ramdisk,
            size: 0x0102_0304_0506_0708,
        };
        let bytes = header.encode();
        assert_eq!(bytes, [0, 3, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(SectionHeader::parse(&bytes), Ok(header));
        for length in 0..bytes.len() {
            assert!(matches!(
                SectionHeader::parse(&bytes[..length]),
                Err(SectionError::Truncated(_))
            ));
        }
    }

    #[test]
    fn only_the_five_types_and_no_flags() {
        for code in 0..=u16::MAX {
            let mut bytes = [0; 12];
            bytes[..2].copy_from_slice(&code.to_be_bytes());
            match SectionHeader::parse(&bytes) {
                Ok(header) => assert_eq!((header.kind.code(), code < 6), (code, true)),
                Err(error) => assert_eq!(error, SectionError::Kind { actual: code }),
            }
        }
        assert_eq!(
            SectionHeader::parse(&[0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Err(SectionError::Flags { actual: 256 })
        );
    }
}
