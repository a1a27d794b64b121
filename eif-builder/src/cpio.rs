//! Canonical `newc` cpio archives: one tree has exactly one archive.
//!
//! Sorted paths, inode numbers counted from 1, one time stamp (0), one link each, owners as declared, device
//! numbers 0. Reading archives is another file's work.
//! Source: Linux `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use crate::tree::{Content, Kind, Node, Tree, TreePath};

const MAGIC: &[u8; 6] = b"070701";
const TRAILER: &str = "TRAILER!!!";
/// Types as `st_mode` has them.
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

/// Why a tree could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CpioError {
    /// The archive could not be written.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
    /// A file of the tree could not be read.
    #[error("cannot read {} for {path}", source_path.display())]
    Read {
        /// Its path in the tree.
        path: TreePath,
        /// Where its bytes should be.
        source_path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// A file changed while the tree was being written.
    #[error("{path} changed during the build: {} has {actual} bytes, expected {expected}", source_path.display())]
    Changed {
        /// Its path in the tree.
        path: TreePath,
        /// Where its bytes are.
        source_path: PathBuf,
        /// Size when the tree was made.
        expected: u64,
        /// Bytes that came now (one more than expected stands for "more").
        actual: u64,
    },
    /// A file is larger than the format's 32-bit size field.
    #[error("{path} has {size} bytes; cpio allows at most 4294967295")]
    TooLarge {
        /// Its path in the tree.
        path: TreePath,
        /// Its size.
        size: u64,
    },
}

/// Writes `tree` to `out` and gives the number of bytes written.
///
/// # Errors
/// [`CpioError`]; `out` then holds part of an archive.
pub fn write(tree: &Tree, out: &mut dyn Write) -> Result<u64, CpioError> {
    let mut archive = Archive {
        out,
        written: 0,
        inode: 0,
    };
    for (path, node, _) in tree.iter() {
        archive.node(path, node)?;
    }
    archive.inode = 0;
    archive.header(TRAILER, 0, 0, 0, 0)?;
    Ok(archive.written)
}

struct Archive<'a> {
    out: &'a mut dyn Write,
    written: u64,
    inode: u32,
}

impl Archive<'_> {
    fn node(&mut self, path: &TreePath, node: &Node) -> Result<(), CpioError> {
        self.inode = self.inode.saturating_add(1);
        let (kind, size) = match &node.kind {
            Kind::Dir => (S_IFDIR, 0),
            Kind::File(content) => (S_IFREG, content.size()),
            Kind::Link(target) => (S_IFLNK, target.len() as u64),
        };
        let size = u32::try_from(size).map_err(|_| CpioError::TooLarge {
            path: path.clone(),
            size,
        })?;
        self.header(
            path.relative(),
            kind | u32::from(node.mode),
            node.uid,
            node.gid,
            size,
        )?;
        match &node.kind {
            Kind::Dir => {}
            Kind::File(content) => self.content(path, content)?,
            Kind::Link(target) => self.put(target.as_bytes())?,
        }
        self.pad()
    }

    fn header(&mut self, name: &str, mode: u32, uid: u32, gid: u32, size: u32) -> Result<(), CpioError> {
        // `TreePath` bounds names far below 2^32.
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        let fields = [self.inode, mode, uid, gid, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.put(MAGIC)?;
        for field in fields {
            self.put(format!("{field:08X}").as_bytes())?;
        }
        self.put(name.as_bytes())?;
        self.put(&[0])?;
        self.pad()
    }

    fn content(&mut self, path: &TreePath, content: &Content) -> Result<(), CpioError> {
        let (source_path, expected) = match content {
            Content::Bytes(bytes) => return self.put(bytes),
            Content::File { path, size } => (path, *size),
        };
        let fail = |source| CpioError::Read {
            path: path.clone(),
            source_path: source_path.clone(),
            source,
        };
        let mut file = File::open(source_path)
            .map_err(fail)?
            .take(expected.saturating_add(1));
        let mut buffer = vec![0; 64 * 1024];
        let mut actual = 0;
        loop {
            let count = file.read(&mut buffer).map_err(fail)?;
            let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else {
                break;
            };
            actual += piece.len() as u64;
            if actual > expected {
                break;
            }
            self.put(piece)?;
        }
        if actual == expected {
            return Ok(());
        }
        Err(CpioError::Changed {
            path: path.clone(),
            source_path: source_path.clone(),
            expected,
            actual,
        })
    }

    fn pad(&mut self) -> Result<(), CpioError> {
        let gap: &[u8] = match self.written % 4 {
            0 => &[],
            1 => &[0; 3],
            2 => &[0; 2],
            _ => &[0; 1],
        };
        self.put(gap)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), CpioError> {
        self.out.write_all(bytes).map_err(CpioError::Write)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::{Command, Stdio};

    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn sample() -> Tree {
        let mut tree = Tree::new();
        tree.add(path("/init"), Node::file(b"#!init".to_vec(), 0o755), "test")
            .unwrap();
        tree.add(
            path("/etc/name"),
            Node::file(b"x".to_vec(), 0o640).owned_by(7, 8),
            "test",
        )
        .unwrap();
        tree.add(path("/etc/link"), Node::link("name"), "test").unwrap();
        tree
    }

    #[test]
    fn bytes_are_fixed() {
        let mut tree = Tree::new();
        tree.add(
            path("/a"),
            Node::file(b"hi".to_vec(), 0o644).owned_by(1, 2),
            "test",
        )
        .unwrap();
        let mut out = Vec::new();
        let count = write(&tree, &mut out).unwrap();
        let expected = concat!(
            "07070100000001000081A4000000010000000200000001000000000000000200000000000000000000000000000000",
            "0000000200000000a\0hi\0\0",
            "07070100000000000000000000000000000000000000010000000000000000000000000000000000000000000000000",
            "000000B00000000TRAILER!!!\0\0\0\0"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert_eq!(count, expected.len() as u64);
    }

    /// GNU cpio, which no one here wrote, reads back what was written.
    #[test]
    fn gnu_cpio_agrees() {
        let mut out = Vec::new();
        write(&sample(), &mut out).unwrap();
        let mut child = Command::new("cpio")
            .args(["--list", "--verbose", "--numeric-uid-gid", "--quiet"])
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("GNU cpio is needed: apt-get install cpio");
        child.stdin.take().unwrap().write_all(&out).unwrap();
        let listing = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let lines: Vec<Vec<&str>> = listing.lines().map(|l| l.split_whitespace().collect()).collect();
        let brief: Vec<_> = lines.iter().map(|l| (l[0], l[2], l[3], l[4], l[8])).collect();
        assert_eq!(
            brief,
            [
                ("drwxr-xr-x", "0", "0", "0", "etc"),
                ("lrwxrwxrwx", "0", "0", "4", "etc/link"),
                ("-rw-r-----", "7", "8", "1", "etc/name"),
                ("-rwxr-xr-x", "0", "0", "6", "init"),
            ]
        );
    }

    #[test]
    fn a_file_that_changes_during_the_build_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, b"12345").unwrap();
        for (size, actual) in [(4, 5), (6, 5)] {
            let mut tree = Tree::new();
            let content = Content::File {
                path: file.clone(),
                size,
            };
            tree.add(path("/f"), Node::file(content, 0o644), "test").unwrap();
            match write(&tree, &mut io::sink()) {
                Err(CpioError::Changed {
                    expected,
                    actual: found,
                    ..
                }) => {
                    assert_eq!((expected, found), (size, actual));
                }
                other => panic!("{other:?}"),
            }
        }
        fs::remove_file(&file).unwrap();
        let mut tree = Tree::new();
        tree.add(
            path("/f"),
            Node::file(Content::File { path: file, size: 1 }, 0o644),
            "test",
        )
        .unwrap();
        assert!(matches!(
            write(&tree, &mut io::sink()),
            Err(CpioError::Read { .. })
        ));
    }
}
