//! Contents of a few files of the app root, kept while ramdisks are walked.
//!
//! As in the kernel, the last entry of a path counts, and one that is no file takes the file away. Links are not followed.

use std::collections::BTreeMap;
use std::io;

use crate::cpio_read::{Head, HeadKind, Visitor, components};
use crate::ramdisk::APP_ROOT;

/// Bytes that are kept of one file: one more than any reader takes, so that it refuses what is longer.
const MAX_BYTES: usize = services::codec::MAX_TABLE_BYTES + 1;

/// Keeps the files of these paths, which are seen from the app root.
#[derive(Debug)]
pub(crate) struct Picker {
    wanted: &'static [&'static str],
    found: BTreeMap<&'static str, Vec<u8>>,
    current: Option<&'static str>,
}

impl Picker {
    pub(crate) const fn new(wanted: &'static [&'static str]) -> Self {
        Self {
            wanted,
            found: BTreeMap::new(),
            current: None,
        }
    }

    /// What was found, by its path.
    pub(crate) fn found(self) -> BTreeMap<&'static str, Vec<u8>> {
        self.found
    }
}

impl Visitor for Picker {
    fn begin(&mut self, head: &Head) -> io::Result<()> {
        self.current = None;
        let path = components(&head.name);
        let mut root = components(APP_ROOT.as_bytes());
        if !path.starts_with(&root) {
            return Ok(());
        }
        let count = root.len();
        let wanted = self.wanted.iter().find(|wanted| {
            root.truncate(count);
            root.extend(components(wanted.as_bytes()));
            root == path
        });
        let Some(wanted) = wanted else {
            return Ok(());
        };
        self.found.remove(wanted);
        if head.kind == HeadKind::File {
            self.found.insert(wanted, Vec::new());
            self.current = Some(wanted);
        }
        Ok(())
    }

    fn content(&mut self, piece: &[u8]) -> io::Result<()> {
        if let Some(bytes) = self.current.and_then(|current| self.found.get_mut(current)) {
            let room = MAX_BYTES.saturating_sub(bytes.len());
            bytes.extend(piece.iter().take(room));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(name: &str, kind: HeadKind) -> Head {
        Head {
            at: 0,
            name: name.as_bytes().to_vec(),
            kind,
            mode: 0o444,
            uid: 0,
            gid: 0,
            size: 1,
            mtime: 0,
            nlink: 1,
            ino: 0,
            device: (0, 0),
        }
    }

    fn picked(entries: &[(&str, HeadKind, &[u8])]) -> BTreeMap<&'static str, Vec<u8>> {
        let mut picker = Picker::new(&["/etc/a", "/etc/b"]);
        for (name, kind, content) in entries {
            picker.begin(&head(name, kind.clone())).unwrap();
            picker.content(content).unwrap();
        }
        picker.found()
    }

    #[test]
    fn the_last_of_a_path_counts_however_it_is_spelled() {
        let found = picked(&[
            ("rootfs/etc/a", HeadKind::File, b"one"),
            ("etc/a", HeadKind::File, b"outside"),
            ("rootfs/etc/abc", HeadKind::File, b"another"),
            ("./rootfs//etc/a", HeadKind::File, b"two"),
            ("/rootfs/etc/b", HeadKind::File, b"b"),
        ]);
        assert_eq!(
            found,
            BTreeMap::from([("/etc/a", b"two".to_vec()), ("/etc/b", b"b".to_vec())])
        );
    }

    #[test]
    fn what_is_no_file_takes_it_away_and_long_files_are_cut() {
        let long = vec![0; MAX_BYTES + 1];
        let found = picked(&[
            ("rootfs/etc/a", HeadKind::File, b"one"),
            ("rootfs/etc/a", HeadKind::Symlink(b"b".to_vec()), b""),
            ("rootfs/etc/b", HeadKind::File, &long),
        ]);
        assert_eq!(found.len(), 1);
        assert_eq!(found.get("/etc/b").unwrap().len(), MAX_BYTES);
    }
}
