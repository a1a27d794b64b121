//! The journal's file: appended and synced before anything is answered, read back whole at the start, rewritten when long.
//!
//! A last record that was cut short was never answered for, and is dropped. Anything else that is not exactly as written is
//! an error that stops the signer: a floor could be missing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::record::{Checksum, RECORD_BYTES, Record, SEED};

/// Longest journal that is read: room for six million records.
const MAX_JOURNAL_BYTES: u64 = 1 << 30;

/// A journal is rewritten when it is longer than this and than four times its content.
const COMPACT_ABOVE_BYTES: u64 = 1 << 20;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file system refused.
    #[error("cannot {what} {path}", path = .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "{path} is in use by another process; two signers on one journal would overwrite each other's floors: stop the other one",
        path = .path.display()
    )]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// A record is not as it was written.
    #[error(
        "{path} is damaged at byte {offset}: floors may be missing, so nothing is signed. Remove the file only when nothing was signed with these keys for two epochs",
        path = .path.display()
    )]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// Where the first bad record begins.
        offset: u64,
    },
    /// The file is longer than any journal of this program.
    #[error("{path} is longer than {MAX_JOURNAL_BYTES} bytes, so it is not read and nothing is signed", path = .path.display())]
    TooLong {
        /// The journal.
        path: PathBuf,
    },
    /// A write failed and could not be taken back.
    #[error("an earlier write to {path} failed and could not be undone; restart the signer", path = .path.display())]
    Poisoned {
        /// The journal.
        path: PathBuf,
    },
}

/// An open journal, locked against every other process.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Holds the lock until it is closed.
    _lock: File,
    length: u64,
    checksum: Checksum,
    poisoned: bool,
    /// Not to be rewritten below this length, bytes.
    compact_above: u64,
}

impl Journal {
    /// Opens or makes the journal at `path` and gives every record to `replay`, oldest first.
    pub(super) fn open(path: &Path, mut replay: impl FnMut(Record)) -> Result<Self, JournalError> {
        let lock = lock(path)?;
        let mut file = options()
            .open(path)
            .map_err(|source| failed("open", path, source))?;
        let mut bytes = Vec::new();
        (&mut file)
            .take(MAX_JOURNAL_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| failed("read", path, source))?;
        if bytes.len() as u64 > MAX_JOURNAL_BYTES {
            // Half of it would be half of the floors.
            return Err(JournalError::TooLong {
                path: path.to_owned(),
            });
        }
        let (records, torn) = bytes.as_chunks::<RECORD_BYTES>();
        let mut checksum = SEED;
        let mut length = 0;
        for bytes in records {
            let Some((record, next)) = Record::decode(bytes, checksum) else {
                return Err(JournalError::Corrupt {
                    path: path.to_owned(),
                    offset: length,
                });
            };
            replay(record);
            checksum = next;
            length += RECORD_BYTES as u64;
        }
        let mut journal = Self {
            path: path.to_owned(),
            file,
            _lock: lock,
            length,
            checksum,
            poisoned: false,
            compact_above: COMPACT_ABOVE_BYTES,
        };
        if !torn.is_empty() {
            journal.take_back()?;
        }
        journal.sync_folder()?;
        Ok(journal)
    }

    /// Appends `record`; on return it is on the medium. On an error the journal is as before, or refuses from then on.
    pub(super) fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        if self.poisoned {
            return Err(JournalError::Poisoned {
                path: self.path.clone(),
            });
        }
        let (bytes, checksum) = record.encode(self.checksum);
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            self.take_back()?;
            return Err(failed("write", &self.path, source));
        }
        self.length += RECORD_BYTES as u64;
        self.checksum = checksum;
        Ok(())
    }

    /// Whether records can still be appended.
    pub(super) const fn is_usable(&self) -> bool {
        !self.poisoned
    }

    /// Whether the file is much longer than `live` records need.
    pub(super) fn wants_compaction(&self, live: usize) -> bool {
        let needed = (live as u64).saturating_mul(RECORD_BYTES as u64);
        self.length > self.compact_above && self.length > needed.saturating_mul(4)
    }

    /// Replaces the file by one with `records` alone. A crash at any point leaves the old or the new file, whole. Where it
    /// fails the old file stays in use, and it is tried again when that has grown by as much as before.
    pub(super) fn compact(&mut self, records: impl Iterator<Item = Record>) -> Result<(), JournalError> {
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let new = PathBuf::from(new);
        let replaced = self.replace(&new, records);
        self.compact_above = COMPACT_ABOVE_BYTES;
        if replaced.is_err() {
            self.compact_above = self.length.saturating_add(COMPACT_ABOVE_BYTES);
            // What is left of it takes room on the tmpfs. It may not be there; the next try overwrites it.
            let _gone = std::fs::remove_file(&new);
        }
        replaced
    }

    fn replace(&mut self, new: &Path, records: impl Iterator<Item = Record>) -> Result<(), JournalError> {
        let mut bytes = Vec::new();
        let mut checksum = SEED;
        for record in records {
            let (record, next) = record.encode(checksum);
            bytes.extend(record);
            checksum = next;
        }
        let mut file = options()
            .truncate(true)
            .open(new)
            .map_err(|source| failed("open", new, source))?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_data())
            .map_err(|source| failed("write", new, source))?;
        std::fs::rename(new, &self.path).map_err(|source| failed("replace", &self.path, source))?;
        // From here the old file has no name: what is written must go to the new one.
        self.file = file;
        self.length = bytes.len() as u64;
        self.checksum = checksum;
        self.sync_folder()
    }

    /// Cuts the file back to its last good record.
    fn take_back(&mut self) -> Result<(), JournalError> {
        let undone = self
            .file
            .set_len(self.length)
            .and_then(|()| self.file.seek(SeekFrom::Start(self.length)).map(|_| ()))
            .and_then(|()| self.file.sync_data());
        undone.map_err(|source| {
            self.poisoned = true;
            failed("cut back", &self.path, source)
        })
    }

    /// Makes the file's name durable.
    fn sync_folder(&self) -> Result<(), JournalError> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| failed("sync", folder, source))
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options
}

/// Takes the lock beside the journal. The journal itself cannot carry it: compaction replaces the file.
fn lock(path: &Path) -> Result<File, JournalError> {
    let mut name = path.to_owned().into_os_string();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = options()
        .open(&name)
        .map_err(|source| failed("open", &name, source))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::InUse { path: name }),
        Err(error) => Err(failed("lock", &name, error.into())),
    }
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> JournalError {
    JournalError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}
