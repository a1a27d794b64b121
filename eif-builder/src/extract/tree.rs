//! Unpacks what a ramdisk holds into a folder, entry by entry, as the kernel would into an empty root.
//!
//! Later entries replace earlier ones; the names of one file (same inode number, several links) become hard links, with
//! the content that any of them brings. A path that is not plain is refused; a link on a path is followed as if the folder
//! were the root. Source: Linux `init/initramfs.c` (`do_name`, `maybe_link`, `do_symlink`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use crate::cpio_read::{Entry, Head, HeadKind, Visitor};
use crate::digest::Hasher;
use crate::tree::TreePath;
use crate::unpack::dir::DirSink;
use crate::unpack::{self, Kind, Sink as _, SinkError};

/// Inode number and its file system.
type Identity = (u32, (u32, u32));

/// Unpacks and lists.
pub(super) struct Unpacker {
    sink: DirSink,
    pub(super) entries: Vec<Entry>,
    pub(super) listed_only: usize,
    /// Names of files that claim to have several.
    linked: BTreeMap<Identity, Vec<TreePath>>,
    open: Option<(TreePath, File)>,
    hash: Hasher,
}

impl Unpacker {
    /// Into the existing folder `root`.
    pub(super) fn new(root: &Path) -> Result<Self, SinkError> {
        Ok(Self {
            sink: DirSink::open(root)?.replacing(),
            entries: Vec::new(),
            listed_only: 0,
            linked: BTreeMap::new(),
            open: None,
            hash: Hasher::new(),
        })
    }

    fn put<'a>(&mut self, head: &Head, path: &'a TreePath, kind: Kind<'a>) -> Result<(), SinkError> {
        self.sink.put(unpack::Entry {
            path,
            kind,
            mode: head.mode.into(),
            mtime: head.mtime.into(),
        })
    }

    /// A file, or a further name of one that is there.
    fn file(&mut self, head: &Head, path: TreePath) -> Result<(), SinkError> {
        let identity = (head.ino, head.device);
        let first = match self.linked.get(&identity) {
            Some(names) if head.nlink > 1 => names.first().cloned(),
            _ => None,
        };
        match first {
            Some(first) if head.size == 0 => self.put(head, &path, Kind::HardLink(&first))?,
            // The last name brings the content of all.
            _ => self.open = Some((path.clone(), self.sink.create(&path)?)),
        }
        if head.nlink > 1 {
            self.linked.entry(identity).or_default().push(path);
        }
        Ok(())
    }

    fn close(&mut self, head: &Head) -> Result<(), SinkError> {
        let Some((path, file)) = self.open.take() else {
            return Ok(());
        };
        self.sink
            .finish(&path, &file, head.mode.into(), head.mtime.into())?;
        let earlier = match self.linked.get(&(head.ino, head.device)) {
            Some(names) if head.nlink > 1 => names.clone(),
            _ => Vec::new(),
        };
        for name in earlier.iter().filter(|name| **name != path) {
            self.put(head, name, Kind::HardLink(&path))?;
        }
        Ok(())
    }
}

impl Visitor for Unpacker {
    fn begin(&mut self, head: &Head) -> io::Result<()> {
        self.hash = Hasher::new();
        let Some(path) = plain(&head.name)? else {
            // The root itself is there already.
            return Ok(());
        };
        match &head.kind {
            HeadKind::File => self.file(head, path),
            HeadKind::Directory => self.put(head, &path, Kind::Dir),
            HeadKind::Symlink(target) => match str::from_utf8(target) {
                Ok(text) if !text.is_empty() && !text.contains('\0') => {
                    self.put(head, &path, Kind::Symlink(text))
                }
                _ => Err(SinkError::Refused(
                    "its target is empty, has a NUL or is not UTF-8",
                )),
            },
            _ => {
                self.listed_only += 1;
                Ok(())
            }
        }
        .map_err(io::Error::other)
    }

    fn content(&mut self, piece: &[u8]) -> io::Result<()> {
        self.hash.update(piece);
        match &mut self.open {
            Some((_, file)) => file.write_all(piece),
            None => Ok(()),
        }
    }

    fn end(&mut self, head: &Head) -> io::Result<()> {
        let sha256 = std::mem::take(&mut self.hash).finish();
        self.entries.push(Entry::new(head, sha256));
        self.close(head).map_err(io::Error::other)
    }
}

/// The path below the root, `None` for the root itself. The kernel takes `a`, `./a` and `/a` for the same.
fn plain(name: &[u8]) -> io::Result<Option<TreePath>> {
    let text = str::from_utf8(name).map_err(|_| io::Error::other("its path is not UTF-8"))?;
    let mut parts = text
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .peekable();
    if parts.peek().is_none() {
        return Ok(None);
    }
    let path = parts.fold(String::new(), |path, part| path + "/" + part);
    TreePath::new(&path).map(Some).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_root() {
        let path = |name: &str| plain(name.as_bytes()).map(|path| path.map(|path| path.as_str().to_owned()));
        for (name, expected) in [
            ("a", Some("/a")),
            ("./a/b", Some("/a/b")),
            ("//a/./b/", Some("/a/b")),
            (".", None),
            ("/", None),
            ("./.", None),
        ] {
            assert_eq!(path(name).unwrap().as_deref(), expected, "{name}");
        }
        for bad in ["..", "../a", "a/../../b", "/..", "a/.."] {
            let error = path(bad).unwrap_err().to_string();
            assert!(error.contains("`..`"), "{bad}: {error}");
        }
        plain(b"a\xff").unwrap_err();
    }
}
