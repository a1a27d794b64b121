//! Reading `newc` cpio archives that anyone may have written: every entry goes to a [`Visitor`], and one lists them.
//!
//! It streams, so memory is the visitor's alone, and a [`Budget`] bounds entries and bytes. It writes no file. Rules as in
//! the kernel's unpacker (`init/initramfs.c`), but what that skips silently is an error.
//! Source: Linux `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::io::{self, BufRead};

mod entry;

pub use entry::{Entry, EntryKind};
pub(crate) use entry::{Lister, printable};

/// Longest path or link target, `PATH_MAX` of the kernel.
const MAX_NAME_BYTES: u32 = 4096;
/// Bytes of names that one of the budget's entries pays for. Ordinary names are shorter.
const NAME_BYTES_PER_ENTRY: usize = 256;
const HEADER_BYTES: usize = 110;
const FIELDS: usize = 13;
const TRAILER: &[u8] = b"TRAILER!!!";
/// `new ASCII` without and with a checksum of each file; the checksum is not checked, nor does the kernel.
const MAGICS: [&[u8]; 2] = [b"070701", b"070702"];

/// What may still be read and kept, over all ramdisks of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Unpacked bytes.
    pub bytes: u64,
    /// Entries.
    pub entries: usize,
}

impl Default for Budget {
    /// 4 GiB and 250,000 entries: several times a large container image, and at most some 100 MiB of listing.
    fn default() -> Self {
        Self {
            bytes: 4 << 30,
            entries: 250_000,
        }
    }
}

/// Why an archive cannot be listed to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CpioReadError {
    /// The bytes could not be read or decompressed.
    #[error("cannot read the archive at byte {at}")]
    Read {
        /// Offset in the unpacked stream.
        at: u64,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The stream ends inside an entry or before the archive's trailer.
    #[error("the archive is cut off at byte {at}")]
    Truncated {
        /// Offset in the unpacked stream.
        at: u64,
    },
    /// An entry does not start with `070701` or `070702`.
    #[error("no cpio entry at byte {at}: it starts with {actual:02x?}, expected \"070701\" or \"070702\"")]
    Magic {
        /// Offset in the unpacked stream.
        at: u64,
        /// The bytes found.
        actual: [u8; 6],
    },
    /// An archive does not start at a multiple of four.
    #[error("an archive starts at byte {at}, which is not a multiple of 4")]
    Misaligned {
        /// Offset in the unpacked stream.
        at: u64,
    },
    /// A header field is not eight hex digits.
    #[error("the cpio entry at byte {at} has a field that is not hexadecimal")]
    NotHex {
        /// Offset in the unpacked stream.
        at: u64,
    },
    /// A name or link target that no file can have.
    #[error("the cpio entry at byte {at} has a bad name or link target: {reason}")]
    Name {
        /// Offset in the unpacked stream.
        at: u64,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The budget is used up.
    #[error("there is more than the {what} that are listed at most")]
    OverBudget {
        /// `unpacked bytes` or `entries`.
        what: &'static str,
    },
    /// Whoever takes the entries cannot take this one.
    #[error("the cpio entry at byte {at} ({path}) cannot be taken")]
    Visitor {
        /// Offset in the unpacked stream.
        at: u64,
        /// Its path, printable.
        path: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

/// What the header of an entry makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// A regular file, or a further name of one.
    File,
    /// A folder.
    Directory,
    /// A symbolic link with this target, not empty of meaning but unchecked.
    Symlink(Vec<u8>),
    /// A character device: major, minor.
    CharDevice(u32, u32),
    /// A block device: major, minor.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// Type bits that mean nothing; the kernel passes it over.
    Unknown,
}

/// An entry without its content, as it stands in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Offset of the entry in the unpacked stream.
    pub at: u64,
    /// Its path: no NUL, not empty, at most 4095 bytes; otherwise unchecked.
    pub name: Vec<u8>,
    /// What it makes.
    pub kind: HeadKind,
    /// Permission bits, `<= 0o7777`.
    pub mode: u16,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Bytes of content.
    pub size: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Number of names that it claims to have.
    pub nlink: u32,
    /// Number that all names of one file share.
    pub ino: u32,
    /// File system that the number counts in: major, minor.
    pub device: (u32, u32),
}

impl Head {
    /// What it takes of [`Budget::entries`]: an entry with names so long that it takes the room of several counts as many.
    fn cost(&self) -> usize {
        let target = match &self.kind {
            HeadKind::Symlink(target) => target.len(),
            _ => 0,
        };
        1 + (self.name.len() + target) / NAME_BYTES_PER_ENTRY
    }
}

/// Takes the entries of archives as they come. An error ends the reading.
pub trait Visitor {
    /// An entry begins.
    ///
    /// # Errors
    /// Whatever makes it impossible to go on.
    fn begin(&mut self, head: &Head) -> io::Result<()>;

    /// Some of the content of the regular file that began last. Its pieces make [`Head::size`] bytes together.
    ///
    /// # Errors
    /// Whatever makes it impossible to go on.
    fn content(&mut self, _piece: &[u8]) -> io::Result<()> {
        Ok(())
    }

    /// The entry that began last is whole.
    ///
    /// # Errors
    /// Whatever makes it impossible to go on.
    fn end(&mut self, _head: &Head) -> io::Result<()> {
        Ok(())
    }
}

/// Both are told everything, the first before the second.
impl<A: Visitor, B: Visitor> Visitor for (A, B) {
    fn begin(&mut self, head: &Head) -> io::Result<()> {
        self.0.begin(head)?;
        self.1.begin(head)
    }

    fn content(&mut self, piece: &[u8]) -> io::Result<()> {
        self.0.content(piece)?;
        self.1.content(piece)
    }

    fn end(&mut self, head: &Head) -> io::Result<()> {
        self.0.end(head)?;
        self.1.end(head)
    }
}

/// The parts of a path, without `.` and empty ones; `..` is kept, it is no path that a link leads to.
pub(crate) fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&byte| byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .map(<[u8]>::to_vec)
        .collect()
}

/// A stream of archives, read forward and counted.
#[derive(Debug)]
pub(crate) struct Tape<'a, R> {
    source: R,
    at: u64,
    budget: &'a mut Budget,
    /// Entries that were visited.
    visited: usize,
}

impl<'a, R: BufRead> Tape<'a, R> {
    /// `at`: the offset of the source's first byte, which alignment is counted from.
    pub(crate) const fn new(source: R, at: u64, budget: &'a mut Budget) -> Self {
        Self {
            source,
            at,
            budget,
            visited: 0,
        }
    }

    pub(crate) const fn at(&self) -> u64 {
        self.at
    }

    pub(crate) const fn visited(&self) -> usize {
        self.visited
    }

    /// Shows archive after archive, with any number of zero bytes between, to `visitor`.
    ///
    /// Stops at the end (`false`) or at a byte that starts no archive (`true`).
    pub(crate) fn archives(&mut self, visitor: &mut dyn Visitor) -> Result<bool, CpioReadError> {
        loop {
            match self.peek()? {
                None => return Ok(false),
                Some(0) => self.skip_zeros()?,
                Some(b'0') => self.archive(visitor)?,
                Some(_) => return Ok(true),
            }
        }
    }

    fn archive(&mut self, visitor: &mut dyn Visitor) -> Result<(), CpioReadError> {
        if !self.at.is_multiple_of(4) {
            return Err(CpioReadError::Misaligned { at: self.at });
        }
        while let Some(head) = self.head()? {
            self.budget.entries = self
                .budget
                .entries
                .checked_sub(head.cost())
                .ok_or(CpioReadError::OverBudget { what: "entries" })?;
            let refused = |source| CpioReadError::Visitor {
                at: head.at,
                path: printable(&head.name),
                source,
            };
            visitor.begin(&head).map_err(refused)?;
            match head.kind {
                // Its content is the target, read already.
                HeadKind::Symlink(_) => {}
                HeadKind::File => self.content(&head, visitor)?,
                _ => self.skip(head.size.into(), |_| {})?,
            }
            self.align()?;
            visitor.end(&head).map_err(refused)?;
            self.visited += 1;
        }
        Ok(())
    }

    fn content(&mut self, head: &Head, visitor: &mut dyn Visitor) -> Result<(), CpioReadError> {
        let mut outcome = Ok(());
        self.skip(head.size.into(), |piece| {
            if outcome.is_ok() {
                outcome = visitor.content(piece);
            }
        })?;
        outcome.map_err(|source| CpioReadError::Visitor {
            at: head.at,
            path: printable(&head.name),
            source,
        })
    }

    /// The next entry up to its content (a link's target belongs to the head), or `None` after the trailer.
    fn head(&mut self) -> Result<Option<Head>, CpioReadError> {
        let at = self.at;
        let mut header = [0; HEADER_BYTES];
        self.fill(&mut header)?;
        let [
            ino,
            mode,
            uid,
            gid,
            nlink,
            mtime,
            size,
            device_major,
            device_minor,
            major,
            minor,
            name_size,
            _,
        ] = fields(&header, at)?;
        let name = self.name(at, name_size)?;
        self.align()?;
        if name == TRAILER {
            self.skip(size.into(), |_| {})?;
            self.align()?;
            return Ok(None);
        }
        let kind = match mode & 0o170_000 {
            0o100_000 => HeadKind::File,
            0o120_000 => {
                let mut target = text_buffer(at, size)?;
                self.fill(&mut target)?;
                HeadKind::Symlink(target)
            }
            0o040_000 => HeadKind::Directory,
            0o020_000 => HeadKind::CharDevice(major, minor),
            0o060_000 => HeadKind::BlockDevice(major, minor),
            0o010_000 => HeadKind::Fifo,
            0o140_000 => HeadKind::Socket,
            _ => HeadKind::Unknown,
        };
        Ok(Some(Head {
            at,
            name,
            kind,
            mode: u16::try_from(mode & 0o7777).unwrap_or_default(),
            uid,
            gid,
            size,
            mtime,
            nlink,
            ino,
            device: (device_major, device_minor),
        }))
    }

    /// The name, without the NUL that ends it.
    fn name(&mut self, at: u64, size: u32) -> Result<Vec<u8>, CpioReadError> {
        let mut name = text_buffer(at, size)?;
        self.fill(&mut name)?;
        let reason = match name.pop() {
            Some(0) if name.contains(&0) => "it has a NUL inside",
            Some(0) if name.is_empty() => "it is empty",
            Some(0) => return Ok(name),
            _ => "it does not end in NUL",
        };
        Err(CpioReadError::Name { at, reason })
    }

    /// Entries and contents start at multiples of four; what fills up need not be zero.
    fn align(&mut self) -> Result<(), CpioReadError> {
        self.skip(self.at.next_multiple_of(4) - self.at, |_| {})
    }

    fn peek(&mut self) -> Result<Option<u8>, CpioReadError> {
        Ok(self.buffer()?.first().copied())
    }

    fn skip_zeros(&mut self) -> Result<(), CpioReadError> {
        let count = self.buffer()?.iter().take_while(|&&byte| byte == 0).count();
        self.advance(count)
    }

    fn fill(&mut self, mut room: &mut [u8]) -> Result<(), CpioReadError> {
        self.skip(room.len() as u64, |piece| {
            let (now, later) = std::mem::take(&mut room).split_at_mut(piece.len());
            now.copy_from_slice(piece);
            room = later;
        })
    }

    /// Passes the next `count` bytes to `sink`.
    fn skip(&mut self, count: u64, mut sink: impl FnMut(&[u8])) -> Result<(), CpioReadError> {
        let mut left = count;
        while left > 0 {
            let buffer = self.buffer()?;
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let Some(piece) = buffer.get(..wanted).filter(|piece| !piece.is_empty()) else {
                return Err(CpioReadError::Truncated { at: self.at });
            };
            sink(piece);
            self.advance(wanted)?;
            left -= wanted as u64;
        }
        Ok(())
    }

    fn buffer(&mut self) -> Result<&[u8], CpioReadError> {
        let at = self.at;
        // Asked twice, because a borrow cannot be given out from inside a loop.
        while let Err(source) = self.source.fill_buf() {
            if source.kind() != io::ErrorKind::Interrupted {
                return Err(CpioReadError::Read { at, source });
            }
        }
        self.source
            .fill_buf()
            .map_err(|source| CpioReadError::Read { at, source })
    }

    fn advance(&mut self, count: usize) -> Result<(), CpioReadError> {
        self.source.consume(count);
        self.at += count as u64;
        let over = CpioReadError::OverBudget {
            what: "unpacked bytes",
        };
        self.budget.bytes = self.budget.bytes.checked_sub(count as u64).ok_or(over)?;
        Ok(())
    }
}

fn fields(header: &[u8; HEADER_BYTES], at: u64) -> Result<[u32; FIELDS], CpioReadError> {
    let (magic, digits) = header
        .split_first_chunk::<6>()
        .ok_or(CpioReadError::Truncated { at })?;
    if !MAGICS.contains(&&magic[..]) {
        return Err(CpioReadError::Magic { at, actual: *magic });
    }
    let mut fields = [0; FIELDS];
    for (field, digits) in fields.iter_mut().zip(digits.chunks_exact(8)) {
        let mut bytes = [0; 4];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| CpioReadError::NotHex { at })?;
        *field = u32::from_be_bytes(bytes);
    }
    Ok(fields)
}

/// Room for a name or target, whose size is checked first.
fn text_buffer(at: u64, size: u32) -> Result<Vec<u8>, CpioReadError> {
    if size > MAX_NAME_BYTES {
        let reason = "it is longer than 4096 bytes";
        return Err(CpioReadError::Name { at, reason });
    }
    Ok(vec![0; usize::try_from(size).unwrap_or_default()])
}

#[cfg(test)]
mod tests;
