//! Files, directories and the console.

use std::ffi::CString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

use rustix::fs::{Mode, OFlags};

use crate::system::{Errno, Result};

/// "File too large".
const TOO_LARGE: Errno = Errno(27);
/// "Invalid argument".
const INVALID: Errno = Errno(22);

pub(super) fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| INVALID)
}

pub(super) fn make_dir(path: &str) -> Result<()> {
    match DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        result => Ok(result?),
    }
}

/// The console never becomes a controlling terminal, so no key sends a signal.
pub(super) fn open_console() -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
    let console = rustix::fs::open("/dev/console", flags, Mode::empty())?;
    rustix::stdio::dup2_stdout(&console)?;
    rustix::stdio::dup2_stderr(&console)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    Ok(rustix::stdio::dup2_stdin(&null)?)
}

pub(super) fn write_setting(path: &str, value: &str) -> Result<()> {
    Ok(OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(value.as_bytes())?)
}

pub(super) fn read(path: &str, max: usize) -> Result<Vec<u8>> {
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        Err(TOO_LARGE)
    } else {
        Ok(bytes)
    }
}

pub(super) fn replace(path: &str, content: &str) -> Result<()> {
    let new = format!("{path}.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&new)?;
    file.write_all(content.as_bytes())?;
    Ok(std::fs::rename(&new, path)?)
}

pub(super) fn append(path: &str, content: &str) -> Result<()> {
    Ok(OpenOptions::new()
        .append(true)
        .open(path)?
        .write_all(content.as_bytes())?)
}

/// Writes a line in one call if the terminal takes it, so that lines of other writers do not get into it.
pub(super) fn say(to: BorrowedFd<'_>, line: &str) {
    let line = format!("{line}\n");
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            // No console, no words: there is nothing better to do with them.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_appended_to_and_read_up_to_a_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let path = path.to_str().unwrap();
        assert_eq!(append(path, "x"), Err(Errno::NOT_FOUND));
        assert_eq!(read(path, 9), Err(Errno::NOT_FOUND));
        replace(path, "old and long").unwrap();
        replace(path, "new").unwrap();
        append(path, "er").unwrap();
        assert_eq!(read(path, 5), Ok(b"newer".to_vec()));
        assert_eq!(read(path, 4), Err(TOO_LARGE));
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777 & !0o044, 0o600);
        assert_eq!(
            std::fs::metadata(format!("{path}.new")).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }

    #[test]
    fn an_endless_file_is_not_read_for_ever() {
        assert_eq!(read("/dev/zero", 1000), Err(TOO_LARGE));
    }

    #[test]
    fn a_directory_may_exist_but_its_parent_must() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        make_dir(path.to_str().unwrap()).unwrap();
        make_dir(path.to_str().unwrap()).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o700,
            0o700
        );
        assert_eq!(
            make_dir(path.join("b/c").to_str().unwrap()),
            Err(Errno::NOT_FOUND)
        );
    }

    #[test]
    fn a_setting_is_never_created() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("absent");
        assert_eq!(write_setting(path.to_str().unwrap(), "1"), Err(Errno::NOT_FOUND));
        assert!(!path.exists());
    }
}
