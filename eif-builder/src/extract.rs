//! The `extract` command: an image taken apart into a new folder, sections as they are and ramdisks unpacked.
//!
//! ```text
//! DIR/image.json           header, registers, CRC
//! DIR/kernel DIR/cmdline DIR/metadata.json DIR/signature.cbor DIR/certificate.pem
//! DIR/ramdisk0.cpio.zst    the section's bytes, named after how it begins
//! DIR/ramdisk0.list.json   every entry with owner, mode, time, device numbers and hash
//! DIR/ramdisk0/            what it unpacks to
//! ```
//! Nobody's rights are needed, so owners, devices and set-id bits are in the listing alone. Whatever would leave the
//! folder is refused, and the folder is whole or not there. Nothing here is verified.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use eif::{EifError, EifFile, SectionKind, Signature};
use serde_json::json;

use crate::cpio_read::Budget;
use crate::cursor::Cursor;
use crate::file::{self, FileError, OpenError, failed, open_regular};
use crate::initramfs::{Compression, RamdiskError, Segment, walk};
use crate::partial::{self, PartialError};
use crate::unpack::SinkError;

mod tree;

use tree::Unpacker;

/// Why nothing was extracted. There is no new folder then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// There is something already.
    #[error("{} is there already; name a new folder", .0.display())]
    Exists(PathBuf),
    /// The image cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// No place beside the folder.
    #[error(transparent)]
    Place(#[from] PartialError),
    /// The file is no image that can be relied on.
    #[error("{} is not a valid image", path.display())]
    Image {
        /// Its path.
        path: PathBuf,
        /// Which rule it breaks.
        #[source]
        source: EifError,
    },
    /// A ramdisk was refused.
    #[error("ramdisk {index} cannot be unpacked; --sections-only leaves it packed")]
    Ramdisk {
        /// Which.
        index: usize,
        /// Why.
        #[source]
        source: RamdiskError,
    },
    /// The folder for a ramdisk could not be used.
    #[error("ramdisk {index} cannot be unpacked")]
    Sink {
        /// Which.
        index: usize,
        /// Why.
        #[source]
        source: SinkError,
    },
}

impl ExtractError {
    /// Whether the image is at fault, rather than the machine.
    #[must_use]
    pub const fn is_the_images(&self) -> bool {
        match self {
            Self::Image { source, .. } => !matches!(source, EifError::Read(_)),
            Self::Ramdisk { .. } => true,
            _ => false,
        }
    }
}

/// What was extracted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Sections.
    pub sections: usize,
    /// Entries of all ramdisks.
    pub entries: usize,
    /// Entries that are in the listings only: devices, pipes, sockets, unknown types.
    pub listed_only: usize,
}

/// How much is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Writes the sections and unpacks no ramdisk.
    pub sections_only: bool,
    /// Bounds over all ramdisks.
    pub budget: Budget,
}

/// Takes the image at `path` apart into `dir`, which must not be there.
///
/// # Errors
/// [`ExtractError`]; `dir` is then not there, nor is anything else.
pub fn extract(path: &Path, dir: &Path, options: Options) -> Result<Extracted, ExtractError> {
    if fs::symlink_metadata(dir).is_ok() {
        return Err(ExtractError::Exists(dir.to_owned()));
    }
    let file = open_regular(path)?;
    let invalid = |source| ExtractError::Image {
        path: path.to_owned(),
        source,
    };
    let mut image = EifFile::open(Cursor::new(&file)).map_err(invalid)?;
    let folder = Folder::beside(dir)?;
    let extracted = fill(&mut image, &folder.path, options).map_err(|error| match error {
        Failure::Image(source) => invalid(source),
        Failure::Extract(error) => error,
    })?;
    folder.rename_to(dir)?;
    Ok(extracted)
}

/// An error before the image's path is known to it.
enum Failure {
    Image(EifError),
    Extract(ExtractError),
}

impl From<EifError> for Failure {
    fn from(error: EifError) -> Self {
        Self::Image(error)
    }
}

impl<E: Into<ExtractError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Extract(error.into())
    }
}

fn fill(image: &mut EifFile<Cursor<'_>>, dir: &Path, options: Options) -> Result<Extracted, Failure> {
    let measured = image.measure()?;
    let header = image.header().clone();
    let facts = json!({
        "version": header.version,
        "architecture": header.architecture.name(),
        "default_mem": header.default_mem,
        "default_cpus": header.default_cpus,
        "crc": {"stored": format!("{:08x}", header.crc), "computed": format!("{:08x}", measured.crc)},
        "Measurements": measured.measurements.to_json(),
    });
    file::write(&dir.join("image.json"), format!("{facts:#}\n").as_bytes())?;
    if let Some(first) = image
        .signature()
        .map(Signature::signatures)
        .and_then(<[_]>::first)
    {
        file::write(&dir.join("certificate.pem"), &first.certificate_pem)?;
    }
    let mut extracted = Extracted::default();
    let mut budget = options.budget;
    let mut ramdisks = 0;
    for index in 0..image.sections().len() {
        let Some(kind) = image.sections().get(index).map(|section| section.kind) else {
            continue;
        };
        let name = match kind {
            SectionKind::Kernel => "kernel".to_owned(),
            SectionKind::Cmdline => "cmdline".to_owned(),
            SectionKind::Metadata => "metadata.json".to_owned(),
            SectionKind::Signature => "signature.cbor".to_owned(),
            SectionKind::Ramdisk => format!("ramdisk{ramdisks}.cpio{}", suffix(image, index)?),
        };
        save(image, index, &dir.join(name))?;
        extracted.sections += 1;
        if kind == SectionKind::Ramdisk {
            if !options.sections_only {
                unpack(image, index, ramdisks, dir, &mut budget, &mut extracted)?;
            }
            ramdisks += 1;
        }
    }
    Ok(extracted)
}

/// What a packed archive's name ends in.
fn suffix(image: &mut EifFile<Cursor<'_>>, index: usize) -> Result<&'static str, Failure> {
    let mut head = [0; 2];
    let read = io::Read::read_exact(&mut image.section_reader(index)?, &mut head);
    Ok(match read.ok().and_then(|()| Compression::from_magic(head)) {
        Some(Compression::Gzip) => ".gz",
        Some(Compression::Zstd) => ".zst",
        Some(Compression::Xz) => ".xz",
        Some(Compression::Bzip2) => ".bz2",
        Some(Compression::Lzma) => ".lzma",
        Some(Compression::Lzo) => ".lzo",
        Some(Compression::Lz4) => ".lz4",
        Some(Compression::None) | None => "",
    })
}

fn save(image: &mut EifFile<Cursor<'_>>, index: usize, path: &Path) -> Result<(), Failure> {
    let mut section = image.section_reader(index)?;
    let mut file = File::create_new(path).map_err(failed("create", path))?;
    io::copy(&mut section, &mut file).map_err(failed("write", path))?;
    Ok(())
}

fn unpack(
    image: &mut EifFile<Cursor<'_>>,
    section: usize,
    index: usize,
    dir: &Path,
    budget: &mut Budget,
    extracted: &mut Extracted,
) -> Result<(), Failure> {
    let root = dir.join(format!("ramdisk{index}"));
    fs::create_dir(&root).map_err(failed("create", &root))?;
    let sink = |source| ExtractError::Sink { index, source };
    let mut unpacker = Unpacker::new(&root).map_err(sink)?;
    let walk = walk(&mut image.section_reader(section)?, budget, &mut unpacker);
    if let Some(source) = walk.problem {
        return Err(ExtractError::Ramdisk { index, source }.into());
    }
    extracted.entries += unpacker.entries.len();
    extracted.listed_only += unpacker.listed_only;
    let mut entries = unpacker.entries.into_iter();
    let segments = walk.runs.into_iter().map(|run| Segment {
        offset: run.offset,
        compression: run.compression,
        unpacked: run.unpacked,
        entries: entries.by_ref().take(run.entries).collect(),
    });
    let path = dir.join(format!("ramdisk{index}.list.json"));
    let listing = serde_json::to_vec_pretty(&segments.collect::<Vec<_>>())
        .map_err(io::Error::from)
        .map_err(failed("write", &path))?;
    Ok(file::write(&path, &listing)?)
}

/// The folder beside the output; removed unless it was renamed.
struct Folder {
    path: PathBuf,
    renamed: bool,
}

impl Folder {
    fn beside(dir: &Path) -> Result<Self, ExtractError> {
        let path = partial::beside(dir)?;
        fs::create_dir(&path).map_err(failed("create", &path))?;
        Ok(Self { path, renamed: false })
    }

    fn rename_to(mut self, dir: &Path) -> Result<(), ExtractError> {
        fs::rename(&self.path, dir).map_err(failed("create", dir))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.renamed {
            // The error that led here is the one to report.
            drop(fs::remove_dir_all(&self.path));
        }
    }
}
