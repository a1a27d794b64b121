//! Independent readers of one open file: each has its own place in it, and all see the same file, whatever its path names
//! by now.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;

/// A place in a file that others may be reading too.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    file: &'a File,
    at: u64,
}

impl<'a> Cursor<'a> {
    /// A reader at the file's beginning.
    #[must_use]
    pub const fn new(file: &'a File) -> Self {
        Self { file, at: 0 }
    }
}

impl Read for Cursor<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(room, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn two_readers_do_not_disturb_each_other() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let (mut one, mut two) = (Cursor::new(&file), Cursor::new(&file));
        one.seek(SeekFrom::Start(8)).unwrap();
        let mut text = String::new();
        two.by_ref().take(3).read_to_string(&mut text).unwrap();
        assert_eq!(text, "012");
        text.clear();
        one.read_to_string(&mut text).unwrap();
        assert_eq!(text, "89");
        assert_eq!(two.stream_position().unwrap(), 3);
        assert_eq!(two.seek(SeekFrom::End(-1)).unwrap(), 9);
        two.seek(SeekFrom::Current(-10)).unwrap_err();
        assert_eq!(two.stream_position().unwrap(), 9);
    }
}
