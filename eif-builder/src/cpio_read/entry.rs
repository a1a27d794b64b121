//! Entries for reports: what a listing shows of each, and text that no terminal obeys.

use std::io;

use serde::{Serialize, Serializer};

use super::{Head, HeadKind, Visitor};
use crate::digest::{Hasher, Sha256};

/// What an entry makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum EntryKind {
    /// A regular file, or a further name of one (then it usually has no bytes of its own).
    File {
        /// Of its content.
        sha256: Sha256,
    },
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: String,
    },
    /// A character device.
    CharDevice {
        /// Device number.
        major: u32,
        /// Device number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Device number.
        major: u32,
        /// Device number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// Type bits that mean nothing; the kernel passes it over.
    Unknown,
}

/// An entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// As in the archive; bytes that are not printable text appear as `\xNN`, a backslash as `\\`.
    pub path: String,
    /// What it makes.
    #[serde(flatten)]
    pub kind: EntryKind,
    /// Permission bits, `<= 0o7777`.
    #[serde(serialize_with = "octal")]
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
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn octal<S: Serializer>(mode: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{mode:04o}"))
}

/// Lists what it sees, with a hash of each file.
#[derive(Debug, Default)]
pub(crate) struct Lister {
    pub(crate) entries: Vec<Entry>,
    content: Hasher,
}

impl Visitor for Lister {
    fn begin(&mut self, _head: &Head) -> io::Result<()> {
        self.content = Hasher::new();
        Ok(())
    }

    fn content(&mut self, piece: &[u8]) -> io::Result<()> {
        self.content.update(piece);
        Ok(())
    }

    fn end(&mut self, head: &Head) -> io::Result<()> {
        let sha256 = std::mem::take(&mut self.content).finish();
        self.entries.push(Entry::new(head, sha256));
        Ok(())
    }
}

impl Entry {
    /// An entry for reports; `sha256` is of its content and only used for a regular file.
    #[must_use]
    pub fn new(head: &Head, sha256: Sha256) -> Self {
        let kind = match &head.kind {
            HeadKind::File => EntryKind::File { sha256 },
            HeadKind::Directory => EntryKind::Directory,
            HeadKind::Symlink(target) => EntryKind::Symlink {
                target: printable(target),
            },
            &HeadKind::CharDevice(major, minor) => EntryKind::CharDevice { major, minor },
            &HeadKind::BlockDevice(major, minor) => EntryKind::BlockDevice { major, minor },
            HeadKind::Fifo => EntryKind::Fifo,
            HeadKind::Socket => EntryKind::Socket,
            HeadKind::Unknown => EntryKind::Unknown,
        };
        Self {
            path: printable(&head.name),
            kind,
            mode: head.mode,
            uid: head.uid,
            gid: head.gid,
            size: head.size,
            mtime: head.mtime,
            nlink: head.nlink,
        }
    }
}

/// Text that can be shown on a terminal and read back without doubt.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                _ if character.is_control() => {
                    let mut buffer = [0; 4];
                    text.extend(escaped(character.encode_utf8(&mut buffer).as_bytes()));
                }
                _ => text.push(character),
            }
        }
        text.extend(escaped(chunk.invalid()));
    }
    text
}

fn escaped(bytes: &[u8]) -> impl Iterator<Item = String> + '_ {
    bytes.iter().map(|byte| format!("\\x{byte:02x}"))
}
