//! The `ar` container of a `.deb`: finds the control archive and the data archive.
//!
//! ```text
//! "!<arch>\n"
//! 60-byte header + "2.0\n"              debian-binary
//! 60-byte header + control.tar.{xz,..}  metadata and maintainer scripts
//! 60-byte header + data.tar.{xz,..}     the files
//! ```
//!
//! Source: `deb(5)`. Members whose names begin with `_` are for private use and skipped.

use std::io::{self, Read};

use super::Reason;
use crate::compression::Compression;

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER_BYTES: usize = 60;

/// Walks the members of `package` and hands the data archive to `unpack`, which need not read all of it.
///
/// # Errors
/// [`Reason::Container`], [`Reason::Read`], or whatever `unpack` fails with.
pub(super) fn data_archive(
    mut package: impl Read,
    unpack: impl FnOnce(Compression, &mut dyn Read) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let (control, _) = control(&mut package)?;
    control.body(&mut package).finish()?;
    let data = expect(&mut package)?;
    let packed = compression(&data.name, "data")
        .ok_or(Reason::Container("it has no `data.tar` where it should be"))?;
    let mut body = data.body(&mut package);
    unpack(packed, &mut body)?;
    body.finish()?;
    match next(&mut package)? {
        None => Ok(()),
        Some(_) => Err(Reason::Container("something follows `data.tar`")),
    }
}

/// Hands the control archive of `package` to `unpack`. What follows it is not read.
///
/// # Errors
/// As of [`data_archive`].
pub(super) fn control_archive(
    mut package: impl Read,
    unpack: impl FnOnce(Compression, &mut dyn Read) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let (header, packed) = control(&mut package)?;
    unpack(packed, &mut header.body(&mut package))
}

/// Reads up to the content of the control archive.
fn control(package: &mut dyn Read) -> Result<(Header, Compression), Reason> {
    let mut magic = [0; MAGIC.len()];
    package.read_exact(&mut magic).map_err(short)?;
    if &magic != MAGIC {
        return Err(Reason::Container("it does not begin as an ar archive"));
    }
    let version = expect(package)?;
    if version.name != "debian-binary" || version.size > 64 {
        return Err(Reason::Container("its first member is not `debian-binary`"));
    }
    let mut text = [0; 2];
    let mut member = version.body(package);
    member.read_exact(&mut text).map_err(short)?;
    if &text != b"2." {
        return Err(Reason::Container("its format version is not 2"));
    }
    member.finish()?;
    let control = expect(package)?;
    match compression(&control.name, "control") {
        Some(packed) => Ok((control, packed)),
        None => Err(Reason::Container("`control.tar` does not follow `debian-binary`")),
    }
}

struct Header {
    name: String,
    size: u64,
}

/// A member's bytes: fails, rather than ends, when the file ends first.
struct Body<'a> {
    inner: &'a mut dyn Read,
    left: u64,
    padded: bool,
}

impl Header {
    fn body<'a>(&self, inner: &'a mut dyn Read) -> Body<'a> {
        Body {
            inner,
            left: self.size,
            padded: self.size % 2 == 1,
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..room).filter(|b| !b.is_empty()) else {
            return Ok(0);
        };
        let count = self.inner.read(buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

impl Body<'_> {
    /// Skips what is left, and the byte that keeps headers on even offsets.
    fn finish(mut self) -> Result<(), Reason> {
        io::copy(&mut self, &mut io::sink())?;
        if self.padded {
            let mut pad = [0; 1];
            self.inner.read_exact(&mut pad).map_err(short)?;
        }
        Ok(())
    }
}

/// The next member that is not for private use.
fn expect(package: &mut dyn Read) -> Result<Header, Reason> {
    next(package)?.ok_or(Reason::Container("it ends before `data.tar`"))
}

fn next(package: &mut dyn Read) -> Result<Option<Header>, Reason> {
    loop {
        let mut header = [0; HEADER_BYTES];
        let (first, rest) = header.split_at_mut(1);
        // The end is only where a header could begin.
        if package.read(first)? == 0 {
            return Ok(None);
        }
        package.read_exact(rest).map_err(short)?;
        let header = parse(&header).ok_or(Reason::Container("it has a malformed member header"))?;
        if !header.name.starts_with('_') {
            return Ok(Some(header));
        }
        header.body(package).finish()?;
    }
}

/// ```text
/// 0      16     28  34  40    48      58
/// name   time   uid gid mode  size    0x60 0x0a     all text, padded with blanks
/// ```
fn parse(header: &[u8; HEADER_BYTES]) -> Option<Header> {
    let text = |from, to| str::from_utf8(header.get(from..to)?).ok();
    if header.get(58..) != Some(b"`\n") {
        return None;
    }
    let size = text(48, 58)?.trim_end_matches(' ');
    if size.is_empty() || !size.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(Header {
        name: text(0, 16)?.trim_end_matches([' ', '/']).to_owned(),
        size: size.parse().ok()?,
    })
}

fn compression(name: &str, stem: &str) -> Option<Compression> {
    match name.strip_prefix(stem)?.strip_prefix(".tar")? {
        "" => Some(Compression::None),
        ".gz" => Some(Compression::Gzip),
        ".xz" => Some(Compression::Xz),
        ".zst" => Some(Compression::Zstd),
        _ => None,
    }
}

fn short(error: io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Reason::Container("it ends too early"),
        _ => Reason::Read(error),
    }
}
