//! Which password opens which keystore.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystore::Password;

use crate::secret::{self, SecretError};

/// Where passwords come from.
#[derive(Clone, Debug)]
pub enum Passwords {
    /// One for all.
    One(Arc<Password>),
    /// `NAME.txt` in this folder for `NAME.json`.
    Folder(PathBuf),
    /// `NAME.txt` beside `NAME.json`.
    Beside,
}

impl Passwords {
    /// Reads or asks for what is needed for `keystores`, and looks whether every password file is there.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn find(
        file: Option<&Path>,
        folder: Option<&Path>,
        fd: Option<u32>,
        keystores: &[&Path],
    ) -> Result<Self, SecretError> {
        if let Some(fd) = fd {
            return Ok(Self::One(Arc::new(secret::password_file(&secret::descriptor(
                fd,
            ))?)));
        }
        if let Some(file) = file {
            return Ok(Self::One(Arc::new(secret::password_file(file)?)));
        }
        if let Some(folder) = folder {
            return Ok(Self::Folder(folder.to_owned()));
        }
        let beside = keystores
            .iter()
            .filter(|path| path.with_extension("txt").is_file())
            .count();
        if beside > 0 || keystores.is_empty() {
            return Ok(Self::Beside);
        }
        Ok(Self::One(Arc::new(secret::ask("all keystores")?)))
    }

    /// The password for one keystore.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn of(&self, keystore: &Path) -> Result<Arc<Password>, SecretError> {
        let file = match self {
            Self::One(password) => return Ok(Arc::clone(password)),
            Self::Folder(folder) => {
                folder.join(keystore.with_extension("txt").file_name().unwrap_or_default())
            }
            Self::Beside => keystore.with_extension("txt"),
        };
        secret::password_file(&file).map(Arc::new)
    }
}
