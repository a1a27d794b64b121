//! Secrets that come in: from a file, an open descriptor, or a person at a terminal. Never from arguments or environment.
//!
//! Everything is bounded, wiped when dropped, and not repeated in errors.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use keystore::{Password, PasswordError};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Longest secret that is read, bytes: a PKCS#12 file with a long chain.
pub const MAX_SECRET_BYTES: usize = 1 << 20;

/// Longest line that a person types, bytes.
const MAX_LINE_BYTES: usize = 1024;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Larger than anything of its kind.
    #[error("{path} has more than {limit} bytes", path = .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// The password cannot be used.
    #[error("the password of {of} is wrong in itself")]
    Password {
        /// What it is for.
        of: String,
        /// Why.
        #[source]
        source: PasswordError,
    },
    /// Nobody can be asked.
    #[error("a password for {of} is needed, and there is no terminal to ask at; give it in a file")]
    NoTerminal {
        /// What it is for.
        of: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Reads a file of at most `limit` bytes, in one buffer that does not grow.
///
/// # Errors
/// [`SecretError::Read`], [`SecretError::TooLong`].
pub fn read_file(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let failed = |source| SecretError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    // A pipe has no length; a file may have a false one. Either way the buffer is as long as it can get.
    let stated = usize::try_from(file.metadata().map_err(failed)?.len()).unwrap_or(limit);
    let room = if stated == 0 { limit } else { stated.min(limit) } + 1;
    let mut bytes = Zeroizing::new(vec![0; room]);
    let mut filled = 0;
    loop {
        let rest = bytes.get_mut(filled..).unwrap_or_default();
        if rest.is_empty() {
            return Err(SecretError::TooLong {
                path: path.to_owned(),
                limit: room - 1,
            });
        }
        match file.read(rest) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The path by which an open descriptor is read.
#[must_use]
pub fn descriptor(fd: u32) -> PathBuf {
    PathBuf::from(format!("/dev/fd/{fd}"))
}

/// A password from a file: all of it, without control codes such as the last line's end (EIP-2335).
///
/// # Errors
/// [`SecretError`].
pub fn password_file(path: &Path) -> Result<Password, SecretError> {
    let bytes = read_file(path, keystore::MAX_PASSWORD_LEN)?;
    Password::from_utf8(&bytes).map_err(|source| SecretError::Password {
        of: path.display().to_string(),
        source,
    })
}

/// Asks the person at the terminal, without showing what is typed.
///
/// # Errors
/// [`SecretError::NoTerminal`], [`SecretError::Password`].
pub fn ask(of: &str) -> Result<Password, SecretError> {
    let line = ask_line(of)?;
    Password::from_utf8(&line).map_err(|source| SecretError::Password {
        of: of.to_owned(),
        source,
    })
}

/// As [`ask`], for a password that no EIP rules: the bytes as they were typed, without the line's end.
///
/// # Errors
/// [`SecretError::NoTerminal`].
pub fn ask_line(of: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    typed(of).map_err(|source| SecretError::NoTerminal {
        of: of.to_owned(),
        source,
    })
}

/// Shows typed text again, however the reading ends.
struct Hidden<'a>(&'a File, rustix::termios::Termios);

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // Nothing else can be done about a terminal that is gone.
        tcsetattr(self.0, OptionalActions::Flush, &self.1).ok();
    }
}

fn typed(of: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ICANON);
    write!(terminal, "Password for {of}: ")?;
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE_BYTES));
    {
        let reading = &terminal;
        let _shown_again = Hidden(reading, before);
        tcsetattr(reading, OptionalActions::Flush, &silent)?;
        let mut byte = Zeroizing::new([0; 1]);
        let mut source = reading;
        while line.len() < MAX_LINE_BYTES && source.read(byte.as_mut_slice())? == 1 && *byte != [b'\n'] {
            line.extend_from_slice(byte.as_slice());
        }
    }
    writeln!(terminal)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_bounded_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "planted pass\n").unwrap();
        let password = password_file(&path).unwrap();
        assert_eq!(password.expose(), b"planted pass");
        std::fs::write(&path, vec![b'p'; keystore::MAX_PASSWORD_LEN + 1]).unwrap();
        let error = password_file(&path).unwrap_err();
        assert!(
            matches!(error, SecretError::TooLong { limit: 4096, .. }),
            "{error}"
        );
        std::fs::write(&path, "\n").unwrap();
        let error = password_file(&path).unwrap_err();
        assert!(matches!(error, SecretError::Password { .. }), "{error}");
        std::fs::write(&path, b"planted\xff").unwrap();
        let error = password_file(&path).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("planted"));
        let error = read_file(&folder.path().join("absent"), 1).unwrap_err();
        assert!(matches!(error, SecretError::Read { .. }), "{error}");
    }

    #[test]
    fn a_pipe_is_read_to_its_end() {
        let (read, mut write) = io::pipe().unwrap();
        write.write_all(b"from a pipe\n").unwrap();
        drop(write);
        let fd = u32::try_from(std::os::fd::AsRawFd::as_raw_fd(&read)).unwrap();
        assert_eq!(password_file(&descriptor(fd)).unwrap().expose(), b"from a pipe");
    }
}
