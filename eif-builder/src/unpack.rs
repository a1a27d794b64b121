//! Unpacking of Debian packages and tarballs, entry by entry, into a [`Sink`].
//!
//! Only what a root file system needs is understood: folders, files, symbolic and hard links. Everything
//! else, and every path that is not plain, is an error that names the archive and the entry. Maintainer
//! scripts are never run. Owners are dropped: whoever builds a tree from this declares them.
//!
//! - [`ar`]: the container of a `.deb`
//! - [`control`]: what a `.deb` says about itself
//! - [`entries`]: tar entries, checked
//! - [`dir`]: a sink that writes into a folder

pub mod ar;
pub mod control;
pub mod dir;
pub mod entries;

use std::io::{self, Read};
use std::path::PathBuf;

use crate::compression::{Compression, Limited};
use crate::tree::{BadPath, TreePath};

/// Bounds on what one archive may unpack to. They are far above everything in use: the kernel's source has
/// 1.6 GB and 90,000 entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the unpacked tar stream, headers included.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 6 << 30,
            entries: 1_000_000,
        }
    }
}

/// One checked entry of an archive.
pub struct Entry<'a> {
    /// Where it goes.
    pub path: &'a TreePath,
    /// What it is.
    pub kind: Kind<'a>,
    /// Permission bits, set-id and sticky bits included: `mode <= 0o7777`.
    pub mode: u32,
    /// Time of last change, in seconds since 1970.
    pub mtime: u64,
}

/// What an entry is.
pub enum Kind<'a> {
    /// A folder.
    Dir,
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// Exactly `size` bytes, or an error. What a sink does not read is skipped.
        content: &'a mut dyn Read,
    },
    /// A symbolic link with this target: not empty, without NUL, otherwise unchecked.
    Symlink(&'a str),
    /// Another name of a regular file that stood earlier in the same archive.
    HardLink(&'a TreePath),
}

/// Takes the entries of an archive, in its order.
pub trait Sink {
    /// Takes one entry.
    ///
    /// # Errors
    /// [`SinkError`] ends the unpacking.
    fn put(&mut self, entry: Entry<'_>) -> Result<(), SinkError>;
}

/// Why a sink cannot take an entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The entry does not fit what is there already.
    #[error("{0}")]
    Refused(&'static str),
    /// The archive ended or broke off within the content of the entry.
    #[error("its content cannot be read")]
    Content(#[source] io::Error),
}

/// Why an archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[error("{archive}: {reason}")]
pub struct UnpackError {
    /// Name of the package or tarball.
    pub archive: String,
    /// What is wrong.
    #[source]
    pub reason: Reason,
}

/// What is wrong with an archive. Paths are shown as they stand in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Reading or decompressing failed.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The container of the package is malformed.
    #[error("is not a Debian package: {0}")]
    Container(&'static str),
    /// A path that is not plain.
    #[error("entry {path:?}: {source}")]
    Path {
        /// As it stands in the archive, shortened.
        path: String,
        /// Which rule it breaks.
        source: BadPath,
    },
    /// A header that is malformed.
    #[error("entry {path:?}: {what}")]
    Header {
        /// As it stands in the archive, shortened.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A device node, fifo or anything else that is not unpacked.
    #[error("entry {path:?}: entries of type {kind:?} are not allowed")]
    Type {
        /// As it stands in the archive, shortened.
        path: String,
        /// The type, as the tar format writes it.
        kind: char,
    },
    /// A hard link to something that is no file of this archive.
    #[error("entry {path:?}: hard link to {target:?}, which is not an earlier file of the same archive")]
    HardLink {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// An extended header with something that changes the entry in a way not understood.
    #[error("entry {path:?}: extended header `{key}` is not understood")]
    Extended {
        /// The path so far known, shortened.
        path: String,
        /// The keyword.
        key: String,
    },
    /// More entries than allowed.
    #[error("has more than {0} entries")]
    TooMany(u64),
    /// Something follows the end of the archive.
    #[error("something follows the end of the archive")]
    Trailing,
    /// The sink cannot take an entry.
    #[error("entry {path:?}: {source}")]
    Sink {
        /// The entry.
        path: String,
        /// The sink's reason.
        #[source]
        source: SinkError,
    },
}

/// Unpacks the data archive of a Debian package. `name` is used in errors.
///
/// # Errors
/// [`UnpackError`]; what was put into the sink before it stays there.
pub fn deb(name: &str, package: impl Read, limits: Limits, sink: &mut dyn Sink) -> Result<(), UnpackError> {
    let unpacked = ar::data_archive(package, |compression, data| {
        let stream = Limited::new(compression.reader(data)?, limits.bytes);
        entries::unpack(stream, 0, limits, sink)
    });
    unpacked.map_err(|reason| UnpackError {
        archive: name.to_owned(),
        reason,
    })
}

/// Unpacks a tarball, without the first `strip` components of each path.
///
/// # Errors
/// [`UnpackError`]; what was put into the sink before it stays there.
pub fn tarball(
    name: &str,
    packed: impl Read,
    compression: Compression,
    strip: usize,
    limits: Limits,
    sink: &mut dyn Sink,
) -> Result<(), UnpackError> {
    let stream = compression.reader(packed).map_err(Reason::Read);
    let unpacked = stream.and_then(|s| entries::unpack(Limited::new(s, limits.bytes), strip, limits, sink));
    unpacked.map_err(|reason| UnpackError {
        archive: name.to_owned(),
        reason,
    })
}

impl core::fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?} {:o} {}", self.kind, self.mode, self.path)
    }
}

impl core::fmt::Debug for Kind<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Dir => f.write_str("Dir"),
            Self::File { size, .. } => write!(f, "File({size})"),
            Self::Symlink(target) => write!(f, "Symlink({target:?})"),
            Self::HardLink(target) => write!(f, "HardLink({target})"),
        }
    }
}
