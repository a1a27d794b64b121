//! Reading a ramdisk: cpio archives one after another, each plain or in a compressed segment.
//!
//! As in the kernel, a compressed segment holds archives and nothing else, so compressed data inside compressed data is
//! a problem to report, not something to look into. Whatever goes wrong, what was listed before it is kept.
//! Source: Linux `init/initramfs.c` (`unpack_to_rootfs`), `lib/decompress.c`.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::Stream;
use serde::Serialize;

use crate::cpio_read::{Budget, CpioReadError, Entry, Lister, Tape, Visitor};

/// Most memory that a segment may ask for. `xz -9` asks for 65 MiB.
const XZ_MEMORY_BYTES: u64 = 128 << 20;
/// Largest zstd window as a power of two: the kernel's own limit. It is reserved, and used as data comes.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How a segment is compressed, told by its first two bytes as the kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// xz.
    Xz,
    /// bzip2; known, not listed.
    Bzip2,
    /// The old `.lzma` form; known, not listed.
    Lzma,
    /// lzop; known, not listed.
    Lzo,
    /// The old lz4 frame; known, not listed.
    Lz4,
}

impl Compression {
    pub(crate) const fn from_magic(magic: [u8; 2]) -> Option<Self> {
        match magic {
            [0x1f, 0x8b] => Some(Self::Gzip),
            [0x28, 0xb5] => Some(Self::Zstd),
            [0xfd, 0x37] => Some(Self::Xz),
            [b'B', b'Z'] => Some(Self::Bzip2),
            [0x5d, 0x00] => Some(Self::Lzma),
            [0x89, 0x4c] => Some(Self::Lzo),
            [0x02, 0x21] => Some(Self::Lz4),
            _ => None,
        }
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "not compressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Lzma => "lzma",
            Self::Lzo => "lzo",
            Self::Lz4 => "lz4",
        }
    }
}

/// Why a ramdisk could not be listed to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RamdiskError {
    /// The ramdisk itself could not be read.
    #[error("cannot read the ramdisk at byte {at}")]
    Read {
        /// Offset in the ramdisk.
        at: u64,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// Neither an archive nor a compression that the kernel knows.
    #[error("byte {at} of the ramdisk starts neither a cpio archive nor a known compression: {actual:02x?}")]
    Unknown {
        /// Offset in the ramdisk.
        at: u64,
        /// The first bytes found, up to two.
        actual: Vec<u8>,
    },
    /// A compression that is known and not listed.
    #[error("the segment at byte {at} is compressed with {}, which is not listed", compression.name())]
    NotListed {
        /// Offset in the ramdisk.
        at: u64,
        /// Which.
        compression: Compression,
    },
    /// A compressed segment holds something after or instead of archives.
    #[error("the {} segment at byte {at} holds other than cpio archives at its byte {inside}", compression.name())]
    Junk {
        /// Offset in the ramdisk.
        at: u64,
        /// How it is compressed.
        compression: Compression,
        /// Offset in the unpacked segment.
        inside: u64,
    },
    /// An archive is not valid, or the budget is used up.
    #[error("the segment at byte {at} ({}) cannot be listed", compression.name())]
    Segment {
        /// Offset in the ramdisk.
        at: u64,
        /// How it is compressed.
        compression: Compression,
        /// Why.
        #[source]
        source: CpioReadError,
    },
}

/// A run of archives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// Offset in the ramdisk.
    pub offset: u64,
    /// How it is compressed.
    pub compression: Compression,
    /// Bytes after unpacking, as far as it was listed.
    pub unpacked: u64,
    /// What is in it, in its order.
    pub entries: Vec<Entry>,
}

/// What is in a ramdisk.
#[derive(Debug, Default)]
pub struct Listing {
    /// As far as they could be listed.
    pub segments: Vec<Segment>,
    /// Why it ends early.
    pub problem: Option<RamdiskError>,
}

/// A run of archives, without its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Offset in the ramdisk.
    pub offset: u64,
    /// How it is compressed.
    pub compression: Compression,
    /// Bytes after unpacking, as far as it was read.
    pub unpacked: u64,
    /// How many entries were shown to the visitor.
    pub entries: usize,
}

/// How a ramdisk was read.
#[derive(Debug, Default)]
pub struct Walk {
    /// As far as they could be read.
    pub runs: Vec<Run>,
    /// Why it ends early.
    pub problem: Option<RamdiskError>,
}

/// Lists a ramdisk. What it takes of `budget` stays taken, so one budget can bound a whole image.
pub fn list(source: &mut dyn Read, budget: &mut Budget) -> Listing {
    let mut lister = Lister::default();
    let walk = walk(source, budget, &mut lister);
    let mut entries = lister.entries.into_iter();
    let segments = walk.runs.into_iter().map(|run| Segment {
        offset: run.offset,
        compression: run.compression,
        unpacked: run.unpacked,
        entries: entries.by_ref().take(run.entries).collect(),
    });
    Listing {
        segments: segments.collect(),
        problem: walk.problem,
    }
}

/// Shows every entry of a ramdisk to `visitor`. What it takes of `budget` stays taken.
pub fn walk(source: &mut dyn Read, budget: &mut Budget, visitor: &mut dyn Visitor) -> Walk {
    let mut walk = Walk::default();
    let mut source = Counted {
        source: BufReader::with_capacity(64 * 1024, source),
        at: 0,
        ahead: Vec::new(),
    };
    while walk.problem.is_none() {
        match segment(&mut source, budget, visitor, &mut walk.runs) {
            Ok(true) => {}
            Ok(false) => break,
            Err(problem) => walk.problem = Some(problem),
        }
    }
    walk
}

/// Reads the next segment; `false` at the end of the ramdisk.
fn segment(
    source: &mut Counted<impl BufRead>,
    budget: &mut Budget,
    visitor: &mut dyn Visitor,
    runs: &mut Vec<Run>,
) -> Result<bool, RamdiskError> {
    let at = source.at;
    let first = source
        .peek()
        .map_err(|source| RamdiskError::Read { at, source })?;
    let compression = match first {
        [] => return Ok(false),
        [0 | b'0', ..] => Compression::None,
        &[one, two, ..] => Compression::from_magic([one, two]).ok_or_else(|| RamdiskError::Unknown {
            at,
            actual: vec![one, two],
        })?,
        &[one] => {
            return Err(RamdiskError::Unknown {
                at,
                actual: vec![one],
            });
        }
    };
    let unreadable = |source| RamdiskError::Segment {
        at,
        compression,
        source: CpioReadError::Read { at: 0, source },
    };
    let mut run = Run {
        offset: at,
        compression,
        unpacked: 0,
        entries: 0,
    };
    let outcome = match compression {
        Compression::None => archives(&mut *source, at, budget, visitor, &mut run),
        Compression::Gzip => unpacked(GzDecoder::new(source), budget, visitor, &mut run),
        Compression::Xz => {
            let stream =
                Stream::new_stream_decoder(XZ_MEMORY_BYTES, 0).map_err(|error| unreadable(error.into()))?;
            unpacked(XzDecoder::new_stream(source, stream), budget, visitor, &mut run)
        }
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)
                .map_err(unreadable)?
                .single_frame();
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(unreadable)?;
            unpacked(decoder, budget, visitor, &mut run)
        }
        Compression::Bzip2 | Compression::Lzma | Compression::Lzo | Compression::Lz4 => {
            return Err(RamdiskError::NotListed { at, compression });
        }
    };
    let inside = run.unpacked;
    // Zeros between segments are not worth a line.
    if compression != Compression::None || run.entries > 0 || outcome.is_err() {
        runs.push(run);
    }
    match outcome {
        Ok(more) if more && compression != Compression::None => Err(RamdiskError::Junk {
            at,
            compression,
            inside,
        }),
        Ok(_) => Ok(true),
        Err(source) => Err(RamdiskError::Segment {
            at,
            compression,
            source,
        }),
    }
}

fn unpacked(
    decoder: impl Read,
    budget: &mut Budget,
    visitor: &mut dyn Visitor,
    run: &mut Run,
) -> Result<bool, CpioReadError> {
    archives(
        BufReader::with_capacity(64 * 1024, decoder),
        0,
        budget,
        visitor,
        run,
    )
}

fn archives(
    source: impl BufRead,
    at: u64,
    budget: &mut Budget,
    visitor: &mut dyn Visitor,
    run: &mut Run,
) -> Result<bool, CpioReadError> {
    let mut tape = Tape::new(source, at, budget);
    let outcome = tape.archives(visitor);
    run.unpacked = tape.at() - at;
    run.entries = tape.visited();
    outcome
}

/// Counts what is consumed, by whichever decoder, and can look two bytes ahead.
struct Counted<R> {
    source: R,
    at: u64,
    /// Read from the source already, at most two bytes.
    ahead: Vec<u8>,
}

impl<R: BufRead> Counted<R> {
    /// The next two bytes, fewer at the end.
    fn peek(&mut self) -> io::Result<&[u8]> {
        let missing = 2_u64.saturating_sub(self.ahead.len() as u64);
        self.source.by_ref().take(missing).read_to_end(&mut self.ahead)?;
        Ok(&self.ahead)
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(room)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.ahead.is_empty() {
            return self.source.fill_buf();
        }
        Ok(&self.ahead)
    }

    fn consume(&mut self, count: usize) {
        if self.ahead.is_empty() {
            self.source.consume(count);
        } else {
            self.ahead.drain(..count.min(self.ahead.len()));
        }
        self.at += count as u64;
    }
}

#[cfg(test)]
mod tests;
