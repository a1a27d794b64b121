//! The NAR hash of a folder: what Nix pins unpacked sources by.
//!
//! It is a second, independent name for an upstream release: other projects publish it, and it does not depend on how the release
//! was packed. Only names, contents, link targets and the owner's executable bit count.
//!
//! ```text
//! nar    = str("nix-archive-1") node
//! node   = "(" "type" ( "regular" ["executable" ""] "contents" BYTES
//!                     | "symlink" "target" TEXT
//!                     | "directory" { "entry" "(" "name" NAME "node" node ")" } ) ")"
//! str(s) = length of s: u64, little-endian | s | zeros up to a multiple of 8        (every word above is one)
//! ```
//! Entries are sorted by the bytes of their names. Source: E. Dolstra, "The Purely Functional Software Deployment Model", 2006, figure 5.2.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::digest::{Hasher, Sha256};

/// Deepest folder. Nobody's release comes near.
const MAX_DEPTH: usize = 256;

/// A SHA-256 of a NAR as Nix writes it: 44 characters of base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct NarHash(Sha256);

/// A text that is no [`NarHash`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no SHA-256 in base64: expected 44 characters, the last of them `=`")]
pub struct NotNarHash(String);

impl TryFrom<String> for NarHash {
    type Error = NotNarHash;

    fn try_from(text: String) -> Result<Self, NotNarHash> {
        let bytes = STANDARD.decode(&text).ok().and_then(|b| b.try_into().ok());
        match bytes {
            Some(bytes) => Ok(Self(Sha256::from_bytes(bytes))),
            None => Err(NotNarHash(text.chars().take(60).collect())),
        }
    }
}

impl core::fmt::Display for NarHash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&STANDARD.encode(self.0.as_bytes()))
    }
}

/// Why a folder has no NAR hash.
#[derive(Debug, thiserror::Error)]
#[error("cannot hash {}", path.display())]
pub struct NarError {
    /// What could not be read, or is neither file, folder nor link.
    pub path: PathBuf,
    /// The reason.
    #[source]
    pub source: io::Error,
}

/// The NAR hash of what is at `path`.
///
/// # Errors
/// [`NarError`].
pub fn hash(path: &Path) -> Result<NarHash, NarError> {
    let mut nar = Nar(Hasher::new());
    nar.text(b"nix-archive-1");
    nar.node(path, MAX_DEPTH)?;
    Ok(NarHash(nar.0.finish()))
}

struct Nar(Hasher);

fn failed(path: &Path) -> impl FnOnce(io::Error) -> NarError + use<> {
    let path = path.to_path_buf();
    |source| NarError { path, source }
}

impl Nar {
    fn text(&mut self, bytes: &[u8]) {
        let length = bytes.len() as u64;
        self.0.update(&length.to_le_bytes());
        self.0.update(bytes);
        self.pad(length);
    }

    fn pad(&mut self, length: u64) {
        let zeros: &[u8] = match length % 8 {
            0 => &[],
            1 => &[0; 7],
            2 => &[0; 6],
            3 => &[0; 5],
            4 => &[0; 4],
            5 => &[0; 3],
            6 => &[0; 2],
            _ => &[0; 1],
        };
        self.0.update(zeros);
    }

    fn texts(&mut self, texts: &[&[u8]]) {
        for text in texts {
            self.text(text);
        }
    }

    fn node(&mut self, path: &Path, depth: usize) -> Result<(), NarError> {
        let Some(depth) = depth.checked_sub(1) else {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "folders are nested too deeply");
            return Err(failed(path)(source));
        };
        let meta = fs::symlink_metadata(path).map_err(failed(path))?;
        self.texts(&[b"(", b"type"]);
        if meta.is_symlink() {
            let target = fs::read_link(path).map_err(failed(path))?;
            self.texts(&[b"symlink", b"target", target.as_os_str().as_bytes()]);
        } else if meta.is_dir() {
            self.folder(path, depth)?;
        } else if meta.is_file() {
            self.file(path, &meta).map_err(failed(path))?;
        } else {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not a file, folder or link");
            return Err(failed(path)(source));
        }
        self.text(b")");
        Ok(())
    }

    fn folder(&mut self, path: &Path, depth: usize) -> Result<(), NarError> {
        self.text(b"directory");
        #[expect(clippy::disallowed_methods, reason = "sorted below")]
        let entries = fs::read_dir(path).map_err(failed(path))?;
        let names = entries.map(|entry| entry.map(|e| e.file_name()));
        let mut names = names.collect::<Result<Vec<_>, _>>().map_err(failed(path))?;
        // As bytes, in any locale.
        names.sort();
        for name in names {
            self.texts(&[b"entry", b"(", b"name", name.as_bytes(), b"node"]);
            self.node(&path.join(&name), depth)?;
            self.text(b")");
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, meta: &Metadata) -> io::Result<()> {
        self.text(b"regular");
        if meta.permissions().mode() & 0o100 != 0 {
            self.texts(&[b"executable", b""]);
        }
        self.text(b"contents");
        let length = meta.len();
        self.0.update(&length.to_le_bytes());
        // One byte more than there should be, to see a file that grows.
        let mut content = File::open(path)?.take(length.saturating_add(1));
        let read = io::copy(&mut content, &mut self.0)?;
        if read != length {
            return Err(io::Error::other("it changed while it was read"));
        }
        self.pad(length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn of(path: &Path) -> String {
        hash(path).unwrap().to_string()
    }

    /// What Nix itself prints for an empty folder; `tests/nar.rs` has larger ones from another implementation.
    #[test]
    fn an_empty_folder_is_nixs() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(of(dir.path()), "pQpattmS9VmO3ZIQUFn66az8GSmB4IvYhTTCFn6SUmo=");
    }

    #[test]
    fn everything_that_counts_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("f"), dir.path().join("l"));
        fs::write(&file, "1234567").unwrap();
        symlink("f", &link).unwrap();
        let mut seen = vec![of(dir.path())];
        let mut change = |what: &dyn Fn()| {
            what();
            let now = of(dir.path());
            assert!(!seen.contains(&now));
            seen.push(now);
        };
        change(&|| fs::write(&file, "12345678").unwrap());
        change(&|| fs::write(&file, "123456789").unwrap());
        change(&|| fs::set_permissions(&file, fs::Permissions::from_mode(0o744)).unwrap());
        change(&|| fs::rename(&file, dir.path().join("g")).unwrap());
        change(&|| {
            fs::remove_file(&link).unwrap();
            symlink("g", &link).unwrap();
        });
        change(&|| fs::create_dir(dir.path().join("d")).unwrap());
        // Other bits, and times, do not.
        let before = of(dir.path());
        fs::set_permissions(dir.path().join("g"), fs::Permissions::from_mode(0o500)).unwrap();
        assert_eq!(of(dir.path()), before);
    }

    #[test]
    fn what_has_no_form_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let absent = hash(&dir.path().join("absent")).unwrap_err();
        assert!(absent.to_string().ends_with("absent"), "{absent}");
        let socket = dir.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(hash(dir.path()).unwrap_err().path, socket);
        drop(listener);
    }

    #[test]
    fn the_text_is_base64_of_32_bytes() {
        let good = "5TnI4rktHk5dhHdbMH9SmI2v30o8rBJrd9nJnHEWXgw=";
        assert_eq!(NarHash::try_from(good.to_owned()).unwrap().to_string(), good);
        for bad in [
            "",
            "5TnI",
            "sha256-5TnI4rktHk5dhHdbMH9SmI2v30o8rBJrd9nJnHEWXgw=",
            &good[..43],
        ] {
            assert!(NarHash::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
