//! A sink that writes into a folder, owned by whoever runs it.
//!
//! Every step goes from folder to folder by descriptor and never follows a link that the kernel would resolve
//! on its own: links are read and walked here, as if the folder were the root directory. So a link inside can
//! point anywhere inside (`/bin` to `usr/bin`), and one that would climb out is an error.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use super::{Entry, Kind, Sink, SinkError};
use crate::tree::TreePath;

/// Links followed on the way to one entry, as many as Linux follows.
const MAX_LINKS: usize = 40;
/// Folders that the archive does not name get this mode.
const PARENT_MODE: u32 = 0o755;

/// Writes entries below a folder. Nothing that exists is replaced; folders may be named again.
#[derive(Debug)]
pub struct DirSink {
    root: OwnedFd,
    shown: PathBuf,
    keep_set_id: bool,
    replace: bool,
    /// The folder of the last entry: archives are sorted, so the next is mostly in it too.
    last: Option<(String, OwnedFd)>,
}

impl DirSink {
    /// A sink for the existing folder `root`. Set-id and sticky bits are dropped.
    ///
    /// # Errors
    /// [`SinkError::Io`] when it cannot be opened.
    pub fn open(root: &Path) -> Result<Self, SinkError> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(root, flags, Mode::empty()).map_err(|e| SinkError::Io {
            action: "open",
            path: root.to_owned(),
            source: e.into(),
        })?;
        Ok(Self {
            root: fd,
            shown: root.to_owned(),
            keep_set_id: false,
            replace: false,
            last: None,
        })
    }

    /// Keeps the set-user-id, set-group-id and sticky bits.
    #[must_use]
    pub const fn keep_set_id(mut self) -> Self {
        self.keep_set_id = true;
        self
    }

    /// Lets a file or link take the place of an earlier file or link, as the kernel does with ramdisks.
    #[must_use]
    pub const fn replacing(mut self) -> Self {
        self.replace = true;
        self
    }

    /// Makes way for something new at `path`: removes a file or link, if such may be replaced.
    fn make_way(&self, parent: &OwnedFd, name: &str, path: &TreePath) -> Result<(), SinkError> {
        if !self.replace {
            return Ok(());
        }
        match file_type(parent, name) {
            Err(Errno::NOENT) => Ok(()),
            Ok(FileType::Directory) => Err(SinkError::Refused("it would replace a folder")),
            Ok(_) => rustix::fs::unlinkat(parent, name, AtFlags::empty()).map_err(self.io("replace", path)),
            Err(errno) => Err(self.io("look at", path)(errno)),
        }
    }

    /// Makes an empty file that only its owner can use, for a caller that has its content in pieces.
    ///
    /// # Errors
    /// [`SinkError`].
    pub fn create(&mut self, path: &TreePath) -> Result<File, SinkError> {
        let (parent, name) = self.parent(path)?;
        self.make_way(&parent, &name, path)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent, &*name, flags, Mode::RUSR | Mode::WUSR);
        Ok(File::from(fd.map_err(|e| exists(e, self.io("create", path)))?))
    }

    /// Gives a file that [`DirSink::create`] made its mode and time.
    ///
    /// # Errors
    /// [`SinkError::Io`].
    pub fn finish(&self, path: &TreePath, file: &File, mode: u32, mtime: u64) -> Result<(), SinkError> {
        rustix::fs::fchmod(file, self.mode(mode)).map_err(self.io("set the mode of", path))?;
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: i64::try_from(mtime).unwrap_or(0),
                tv_nsec: 0,
            },
        };
        rustix::fs::futimens(file, &times).map_err(self.io("set the time of", path))
    }

    fn io(&self, action: &'static str, path: &TreePath) -> impl FnOnce(Errno) -> SinkError + use<> {
        let path = self.shown.join(path.relative());
        move |errno| SinkError::Io {
            action,
            path,
            source: errno.into(),
        }
    }

    fn mode(&self, mode: u32) -> Mode {
        Mode::from_raw_mode(if self.keep_set_id {
            mode & 0o7777
        } else {
            mode & 0o777
        })
    }

    /// The folder that holds `path`, made if need be, and the name in it.
    fn parent(&mut self, path: &TreePath) -> Result<(OwnedFd, String), SinkError> {
        let (parent, name) = path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()));
        let known = self
            .last
            .as_ref()
            .filter(|(at, _)| at == parent)
            .map(|(_, fd)| fd);
        let fd = if let Some(fd) = known {
            fd.try_clone()
        } else {
            let fd = self.walk(parent, path)?;
            let copy = fd.try_clone();
            self.last = Some((parent.to_owned(), fd));
            copy
        };
        let fd = fd.map_err(|source| SinkError::Io {
            action: "keep open",
            path: self.shown.join(parent),
            source,
        })?;
        Ok((fd, name.to_owned()))
    }

    /// Opens the folder `dir` (absolute within the root), following links as if the root were `/`, and making
    /// what is missing.
    fn walk(&self, dir: &str, entry: &TreePath) -> Result<OwnedFd, SinkError> {
        let mut todo: Vec<String> = dir
            .split('/')
            .rev()
            .filter(|c| !c.is_empty())
            .map(str::to_owned)
            .collect();
        // The folders from the root down to where we are, so that `..` needs no help from the kernel.
        let mut stack: Vec<OwnedFd> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == ".." {
                stack
                    .pop()
                    .ok_or(SinkError::Refused("a link on its path leaves the root"))?;
                continue;
            }
            let here = stack.last().unwrap_or(&self.root);
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
            match rustix::fs::openat(here, &*part, flags, Mode::empty()) {
                Ok(fd) => stack.push(fd),
                Err(Errno::NOENT) => {
                    make_dir(here, &part, Mode::from_raw_mode(PARENT_MODE))
                        .map_err(self.io("make a folder for", entry))?;
                    todo.push(part);
                }
                // A symbolic link is reported as either, depending on the kernel.
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(SinkError::Refused("there are too many links on its path"));
                    }
                    let target = rustix::fs::readlinkat(here, &*part, Vec::new());
                    let target =
                        target.map_err(|_| SinkError::Refused("something on its path is not a folder"))?;
                    let target = target
                        .into_string()
                        .map_err(|_| SinkError::Refused("a link on its path is not UTF-8"))?;
                    if target.starts_with('/') {
                        stack.clear();
                    }
                    todo.extend(
                        target
                            .split('/')
                            .rev()
                            .filter(|c| !matches!(*c, "" | "."))
                            .map(str::to_owned),
                    );
                }
                Err(errno) => return Err(self.io("open the folder of", entry)(errno)),
            }
        }
        match stack.pop() {
            Some(fd) => Ok(fd),
            None => self.root.try_clone().map_err(|source| SinkError::Io {
                action: "keep open",
                path: self.shown.clone(),
                source,
            }),
        }
    }

    fn put_dir(&mut self, path: &TreePath, mode: Mode) -> Result<(), SinkError> {
        let (parent, name) = self.parent(path)?;
        // Whoever unpacks must be able to write in it, as root could.
        match make_dir(&parent, &name, mode | Mode::RWXU) {
            // The folder of an earlier archive, or a link to one: both keep what they are.
            Err(Errno::EXIST) => match file_type(&parent, &name).map_err(self.io("look at", path))? {
                FileType::Directory => Ok(()),
                FileType::Symlink => self.walk(path.as_str(), path).map(drop),
                _ => Err(SinkError::Refused(
                    "it is a folder here and something else in an earlier archive",
                )),
            },
            other => other.map_err(self.io("make the folder", path)),
        }
    }

    fn put_file(
        &mut self,
        path: &TreePath,
        size: u64,
        content: &mut dyn io::Read,
        mode: u32,
        mtime: u64,
    ) -> Result<(), SinkError> {
        let mut file = self.create(path)?;
        self.copy(path, size, content, &mut file)?;
        self.finish(path, &file, mode, mtime)
    }

    fn copy(
        &self,
        path: &TreePath,
        size: u64,
        content: &mut dyn io::Read,
        file: &mut File,
    ) -> Result<(), SinkError> {
        let mut piece = vec![0; usize::try_from(size.min(64 << 10)).unwrap_or(1)];
        let mut left = size;
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            let buffer = piece.get_mut(..room).unwrap_or_default();
            let count = content.read(buffer).map_err(SinkError::Content)?;
            if count == 0 {
                return Err(SinkError::Content(io::ErrorKind::UnexpectedEof.into()));
            }
            let read = piece.get(..count).unwrap_or_default();
            io::Write::write_all(file, read).map_err(|source| SinkError::Io {
                action: "write",
                path: self.shown.join(path.relative()),
                source,
            })?;
            left -= count as u64;
        }
        Ok(())
    }

    fn put_hard_link(&mut self, path: &TreePath, target: &TreePath) -> Result<(), SinkError> {
        let (from, from_name) = self.parent(target)?;
        let (to, to_name) = self.parent(path)?;
        if file_type(&from, &from_name).map_err(self.io("look at", target))? != FileType::RegularFile {
            return Err(SinkError::Refused("the target of the hard link is not a file"));
        }
        self.make_way(&to, &to_name, path)?;
        rustix::fs::linkat(&from, &*from_name, &to, &*to_name, AtFlags::empty())
            .map_err(|e| exists(e, self.io("link", path)))
    }
}

impl Sink for DirSink {
    fn put(&mut self, entry: Entry<'_>) -> Result<(), SinkError> {
        match entry.kind {
            Kind::Dir => self.put_dir(entry.path, self.mode(entry.mode)),
            Kind::File { size, content } => self.put_file(entry.path, size, content, entry.mode, entry.mtime),
            Kind::Symlink(target) => {
                let (parent, name) = self.parent(entry.path)?;
                self.make_way(&parent, &name, entry.path)?;
                rustix::fs::symlinkat(target, &parent, &*name)
                    .map_err(|e| exists(e, self.io("create the link", entry.path)))
            }
            Kind::HardLink(target) => self.put_hard_link(entry.path, target),
        }
    }
}

/// Makes a folder with exactly this mode, whatever the umask.
fn make_dir(parent: &OwnedFd, name: &str, mode: Mode) -> Result<(), Errno> {
    rustix::fs::mkdirat(parent, name, Mode::RWXU)?;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    rustix::fs::fchmod(fd.as_fd(), mode)
}

fn file_type(parent: &OwnedFd, name: &str) -> Result<FileType, Errno> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

fn exists(errno: Errno, io: impl FnOnce(Errno) -> SinkError) -> SinkError {
    match errno {
        Errno::EXIST => SinkError::Refused("an earlier entry has the same path"),
        other => io(other),
    }
}
