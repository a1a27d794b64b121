//! What an image asks for, and how large it is. Its bytes are QEMU's and `crates/eif`'s business.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use eif::{Architecture, EifError, EifFile, Header};
use thiserror::Error;

/// Memory of a machine whose image asks for none, in MiB.
const MEMORY_MIB: u32 = 512;

/// Processors of a machine whose image asks for none.
const CPUS: u32 = 2;

/// Why an image can not be booted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// It can not be opened.
    #[error("cannot open the image {path}")]
    Open {
        /// The path.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// It is no sound EIF.
    #[error("{path} is not a sound enclave image")]
    Eif {
        /// The path.
        path: PathBuf,
        /// Which rule it breaks.
        source: EifError,
    },
    /// It is for another processor.
    #[error("{path} is for aarch64, the emulator is for x86_64")]
    Architecture {
        /// The path.
        path: PathBuf,
    },
}

/// What an image asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// Processors.
    pub cpus: u32,
    /// Size of the file, in bytes.
    pub bytes: u64,
}

impl Wanted {
    /// Reads the image's header and section headers.
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn of(path: &Path) -> Result<Self, ImageError> {
        let open = |source| ImageError::Open {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(open)?;
        let image = EifFile::open(file).map_err(|source| ImageError::Eif {
            path: path.to_owned(),
            source,
        })?;
        if image.header().architecture != Architecture::X86_64 {
            return Err(ImageError::Architecture {
                path: path.to_owned(),
            });
        }
        Ok(Self::from_header(image.header(), image.length()))
    }

    fn from_header(header: &Header, bytes: u64) -> Self {
        let or = |value: u64, default| match u32::try_from(value) {
            Ok(0) => default,
            other => other.unwrap_or(u32::MAX),
        };
        Self {
            memory_mib: or(header.default_mem.div_ceil(1 << 20), MEMORY_MIB),
            cpus: or(header.default_cpus, CPUS),
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroes_mean_defaults() {
        let mut header = Header {
            version: 4,
            architecture: Architecture::X86_64,
            default_mem: 0,
            default_cpus: 0,
            sections: Vec::new(),
            crc: 0,
        };
        assert_eq!(
            Wanted::from_header(&header, 9),
            Wanted {
                memory_mib: 512,
                cpus: 2,
                bytes: 9
            }
        );
        (header.default_mem, header.default_cpus) = ((700 << 20) + 1, 3);
        assert_eq!(
            Wanted::from_header(&header, 9),
            Wanted {
                memory_mib: 701,
                cpus: 3,
                bytes: 9
            }
        );
    }

    #[test]
    fn what_is_no_image_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Wanted::of(file.path()).unwrap_err();
        assert!(matches!(error, ImageError::Eif { .. }) && error.to_string().contains("not a sound"));
        let error = Wanted::of(Path::new("/nowhere/x.eif")).unwrap_err();
        assert!(matches!(error, ImageError::Open { .. }));
    }
}
