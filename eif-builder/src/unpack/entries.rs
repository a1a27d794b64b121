//! The entries of a tar stream, checked one by one.
//!
//! The `tar` crate reads the 512-byte headers; long names and extended headers are read here, within bounds,
//! because their lengths are the stream's own claims. Source: POSIX.1-2017, `pax`, "ustar Interchange Format"
//! and "pax Header Block"; GNU tar manual, "Basic Tar Format" (types `L` and `K`).

use std::collections::BTreeSet;
use std::io::Read;

use tar::{Archive, EntryType};

use super::{Entry, Kind, Limits, Reason, Sink};
use crate::tree::TreePath;

/// The largest long name, in bytes: a path of 4096 and its final NUL.
const MAX_NAME_BYTES: u64 = 4097;
/// The largest extended header, in bytes.
const MAX_EXTENDED_BYTES: u64 = 64 << 10;

/// Extended keys that say nothing a sink would use; all others but `path` and `linkpath` are refused, among them
/// `size` and `GNU.sparse.*`, which would change how the stream is read.
const IGNORED_KEYS: [&str; 8] = [
    "mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "comment",
];

/// What extended headers said about the next entry.
#[derive(Default)]
struct Pending {
    path: Option<String>,
    link: Option<String>,
}

/// Hands every entry of `stream` to `sink`, without the first `strip` components of each path.
///
/// # Errors
/// [`Reason`].
pub(super) fn unpack(
    stream: impl Read,
    strip: usize,
    limits: Limits,
    sink: &mut dyn Sink,
) -> Result<(), Reason> {
    let mut archive = Archive::new(stream);
    let mut pending = Pending::default();
    let mut files = BTreeSet::new();
    let mut left = limits.entries;
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        left = left.checked_sub(1).ok_or(Reason::TooMany(limits.entries))?;
        let header = entry.header().clone();
        match header.entry_type() {
            EntryType::GNULongName => pending.path = Some(long_name(&mut entry)?),
            EntryType::GNULongLink => pending.link = Some(long_name(&mut entry)?),
            EntryType::XHeader => extended(&mut entry, &mut pending)?,
            EntryType::XGlobalHeader => extended(&mut entry, &mut Pending::default())?,
            kind => {
                let said = core::mem::take(&mut pending);
                let one = One {
                    header: &header,
                    kind,
                    shown: said.path.map_or_else(|| text(&header.path_bytes()), Ok)?,
                    link: said.link,
                    strip,
                };
                one.put(&mut entry, &mut files, sink)?;
            }
        }
    }
    if pending.path.is_some() || pending.link.is_some() {
        return Err(header_error(
            &pending.path.unwrap_or_default(),
            "the archive ends after an extended header",
        ));
    }
    only_zeros_follow(archive.into_inner())
}

/// An entry with what is known about it.
struct One<'a> {
    header: &'a tar::Header,
    kind: EntryType,
    /// Its path as it stands in the archive.
    shown: String,
    link: Option<String>,
    strip: usize,
}

impl One<'_> {
    fn put(
        self,
        content: &mut dyn Read,
        files: &mut BTreeSet<TreePath>,
        sink: &mut dyn Sink,
    ) -> Result<(), Reason> {
        let shown = self.shown.as_str();
        let malformed = |what| header_error(shown, what);
        let size = self
            .header
            .entry_size()
            .map_err(|_| malformed("its size is malformed"))?;
        let mode = self
            .header
            .mode()
            .map_err(|_| malformed("its mode is malformed"))?;
        let mtime = self
            .header
            .mtime()
            .map_err(|_| malformed("its time is malformed"))?;
        let is_dir = self.kind == EntryType::Directory;
        // The root itself, or a folder above what is left after stripping.
        let Some(path) = tree_path(shown, self.strip)? else {
            return if is_dir {
                Ok(())
            } else {
                Err(malformed("it is not a folder, but its path names the root"))
            };
        };
        if shown.ends_with('/') && !is_dir {
            return Err(malformed("it is not a folder, but its path ends with `/`"));
        }
        if size != 0 && self.kind != EntryType::Regular {
            return Err(malformed("it has content, but is not a file"));
        }
        let link = match self.link {
            Some(link) => link,
            None => text(&self.header.link_name_bytes().unwrap_or_default())?,
        };
        let target;
        let kind = match self.kind {
            EntryType::Regular => {
                files.insert(path.clone());
                Kind::File { size, content }
            }
            EntryType::Directory => Kind::Dir,
            EntryType::Symlink if link.is_empty() || link.contains('\0') || link.len() >= 4096 => {
                return Err(malformed("its target is empty, too long or holds a NUL"));
            }
            EntryType::Symlink => Kind::Symlink(&link),
            EntryType::Link => {
                target = tree_path(&link, self.strip)?
                    .filter(|t| files.contains(t))
                    .ok_or_else(|| Reason::HardLink {
                        path: shorten(shown),
                        target: shorten(&link),
                    })?;
                files.insert(path.clone());
                Kind::HardLink(&target)
            }
            other => {
                return Err(Reason::Type {
                    path: shorten(shown),
                    kind: char::from(other.as_byte()),
                });
            }
        };
        let entry = Entry {
            path: &path,
            kind,
            mode: mode & 0o7777,
            mtime,
        };
        sink.put(entry).map_err(|source| Reason::Sink {
            path: shorten(shown),
            source,
        })
    }
}

/// `./usr/bin/` to `/usr/bin`; `None` for the root. Absolute paths and `..` are errors.
fn tree_path(shown: &str, strip: usize) -> Result<Option<TreePath>, Reason> {
    let mut relative = shown.strip_suffix('/').unwrap_or(shown);
    relative = if relative == "." {
        ""
    } else {
        relative.strip_prefix("./").unwrap_or(relative)
    };
    let refuse = |source| Reason::Path {
        path: shorten(shown),
        source,
    };
    if relative.is_empty() && !shown.is_empty() && !shown.starts_with('/') {
        return Ok(None);
    }
    // Checked as a whole first: what is stripped must be plain too.
    let whole = TreePath::new(&format!("/{relative}")).map_err(refuse)?;
    let mut parts = whole.relative().splitn(strip + 1, '/').skip(strip);
    let Some(rest) = parts.next() else {
        return Ok(None);
    };
    TreePath::new(&format!("/{rest}")).map(Some).map_err(refuse)
}

fn long_name(entry: &mut dyn Read) -> Result<String, Reason> {
    let bytes = bounded(entry, MAX_NAME_BYTES)?;
    // GNU tar ends the name with a NUL, others do not.
    text(bytes.strip_suffix(b"\0").unwrap_or(&bytes))
}

/// Records `LENGTH KEY=VALUE\n`, LENGTH counting the whole record.
fn extended(entry: &mut dyn Read, pending: &mut Pending) -> Result<(), Reason> {
    let bytes = bounded(entry, MAX_EXTENDED_BYTES)?;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (key, value, after) =
            record(rest).ok_or_else(|| header_error("", "an extended header is malformed"))?;
        rest = after;
        match key {
            "path" => pending.path = Some(text(value)?),
            "linkpath" => pending.link = Some(text(value)?),
            ignored if IGNORED_KEYS.contains(&ignored) => {}
            other => {
                return Err(Reason::Extended {
                    path: shorten(pending.path.as_deref().unwrap_or_default()),
                    key: shorten(other),
                });
            }
        }
    }
    Ok(())
}

fn record(bytes: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let blank = bytes.iter().position(|b| *b == b' ')?;
    let (length, _) = bytes.split_at_checked(blank)?;
    let length: usize = str::from_utf8(length).ok()?.parse().ok()?;
    let (record, after) = bytes.split_at_checked(length)?;
    let body = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|b| *b == b'=')?;
    let (key, value) = body.split_at_checked(equals)?;
    Some((str::from_utf8(key).ok()?, value.strip_prefix(b"=")?, after))
}

fn bounded(entry: &mut dyn Read, limit: u64) -> Result<Vec<u8>, Reason> {
    let mut bytes = Vec::new();
    entry.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(header_error("", "a long name or extended header is too long"));
    }
    Ok(bytes)
}

fn only_zeros_follow(mut stream: impl Read) -> Result<(), Reason> {
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        if piece.iter().take(count).any(|b| *b != 0) {
            return Err(Reason::Trailing);
        }
    }
}

fn text(bytes: &[u8]) -> Result<String, Reason> {
    match str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(header_error(
            &String::from_utf8_lossy(bytes),
            "a name is not UTF-8",
        )),
    }
}

fn header_error(shown: &str, what: &'static str) -> Reason {
    Reason::Header {
        path: shorten(shown),
        what,
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}
