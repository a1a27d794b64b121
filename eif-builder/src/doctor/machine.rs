//! What `doctor` asks of a machine. It only looks.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A machine that can be looked at.
pub trait Machine {
    /// Runs a program to its end: `None` when it cannot be started, else its standard output, or what it wrote to standard error
    /// when it failed.
    fn run(&self, program: &Path, args: &[&str]) -> Option<Result<String, String>>;
    /// The text of a file.
    fn read(&self, path: &Path) -> Option<String>;
    /// Whether something is there.
    fn exists(&self, path: &Path) -> bool;
    /// Whether this user may write there, or open it for writing.
    fn writable(&self, path: &Path) -> bool;
    /// Bytes that this user may still write below a folder.
    fn free_bytes(&self, path: &Path) -> Option<u64>;
    /// Whether anything has a name of this pattern.
    fn matches(&self, pattern: &str) -> bool;
}

/// The machine that this runs on.
#[derive(Clone, Copy, Debug)]
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn run(&self, program: &Path, args: &[&str]) -> Option<Result<String, String>> {
        let output = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        })
    }

    fn read(&self, path: &Path) -> Option<String> {
        fs::read_to_string(path).ok()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn writable(&self, path: &Path) -> bool {
        rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
    }

    fn free_bytes(&self, path: &Path) -> Option<u64> {
        let found = rustix::fs::statvfs(path).ok()?;
        found.f_bavail.checked_mul(found.f_frsize)
    }

    fn matches(&self, pattern: &str) -> bool {
        glob::glob(pattern).is_ok_and(|mut paths| paths.any(|path| path.is_ok()))
    }
}
