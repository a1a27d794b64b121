//! The credential of the table: a JSON file that provisioning wrote, and nothing else.
//!
//! ```json
//! {
//!   "access_key_id": "AKIA...",
//!   "secret_access_key": "...",
//!   "session_token": "... (optional)",
//!   "expiration": "2026-01-02T03:04:05Z (optional)"
//! }
//! ```
//!
//! The environment, profiles and the instance's metadata are never asked: what they hold belongs to the untrusted parent.
//! The file is looked at before every request and read again when it was replaced, so a refreshed credential needs no
//! restart. Replace it by renaming another file over it.

use std::borrow::Cow;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde::Deserialize;
use zeroize::Zeroizing;

/// Longest file, bytes. Session tokens have about 1 KB.
const MAX_BYTES: u64 = 16 * 1024;

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialFileError {
    /// The file cannot be read.
    #[error("cannot read the credential of the table from {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is something else. Its content is not repeated here.
    #[error(
        "{path} is not a JSON object of at most 16 KiB with access_key_id, secret_access_key and, optionally, session_token and expiration",
        path = .path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow)]
    access_key_id: Cow<'a, str>,
    #[serde(borrow)]
    secret_access_key: Cow<'a, str>,
    #[serde(borrow, default)]
    session_token: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    expiration: Option<Cow<'a, str>>,
}

/// Gives the SDK what is in the file now.
#[derive(Debug)]
pub(super) struct CredentialFile {
    path: PathBuf,
    last: Mutex<Option<(Stamp, Credentials)>>,
}

/// Changes whenever the file is replaced or written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl CredentialFile {
    /// Reads the file once, so that a bad one is found at the start.
    pub(super) fn open(path: &Path) -> Result<Self, CredentialFileError> {
        let file = Self {
            path: path.to_owned(),
            last: Mutex::new(None),
        };
        file.current()?;
        Ok(file)
    }

    fn current(&self) -> Result<Credentials, CredentialFileError> {
        let failed = |source| CredentialFileError::Read {
            path: self.path.clone(),
            source,
        };
        let file = File::open(&self.path).map_err(failed)?;
        let stamp = Stamp::from(&file.metadata().map_err(failed)?);
        // A panic elsewhere leaves no half-made value here: it is only replaced whole.
        let mut last = self
            .last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((known, credentials)) = &*last
            && *known == stamp
        {
            return Ok(credentials.clone());
        }
        let mut text = Zeroizing::new(Vec::with_capacity(4096));
        file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(failed)?;
        let credentials = parse(&text).ok_or_else(|| CredentialFileError::Format {
            path: self.path.clone(),
        })?;
        *last = Some((stamp, credentials.clone()));
        Ok(credentials)
    }
}

impl From<&Metadata> for Stamp {
    fn from(of: &Metadata) -> Self {
        Self {
            device: of.dev(),
            inode: of.ino(),
            length: of.len(),
            modified: (of.mtime(), of.mtime_nsec()),
        }
    }
}

impl ProvideCredentials for CredentialFile {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(self.current().map_err(CredentialsError::provider_error))
    }
}

fn parse(text: &[u8]) -> Option<Credentials> {
    if text.len() as u64 > MAX_BYTES {
        return None;
    }
    let raw: Raw<'_> = serde_json::from_slice(text).ok()?;
    // What would break a header is no credential.
    let fine = |value: &str| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
    let token = raw.session_token.as_deref();
    if !fine(&raw.access_key_id) || !fine(&raw.secret_access_key) || !token.is_none_or(fine) {
        return None;
    }
    let mut credentials = Credentials::builder()
        .access_key_id(raw.access_key_id.as_ref())
        .secret_access_key(raw.secret_access_key.as_ref())
        .provider_name("file");
    credentials.set_session_token(token.map(str::to_owned));
    if let Some(text) = raw.expiration {
        let time = DateTime::from_str(&text, Format::DateTimeWithOffset).ok()?;
        credentials.set_expiry(Some(SystemTime::try_from(time).ok()?));
    }
    Some(credentials.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"access_key_id":"AKIAEXAMPLE","secret_access_key":"s3cr3t/+","session_token":"t0ken==","expiration":"2026-01-02T03:04:05Z"}"#;

    #[test]
    fn the_file_is_read_again_when_it_was_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credential.json");
        std::fs::write(&path, GOOD).unwrap();
        let file = CredentialFile::open(&path).unwrap();
        let first = file.current().unwrap();
        assert_eq!(first.access_key_id(), "AKIAEXAMPLE");
        assert_eq!(first.secret_access_key(), "s3cr3t/+");
        assert_eq!(first.session_token(), Some("t0ken=="));
        assert!(first.expiry().is_some());

        let other = folder.path().join("new");
        std::fs::write(&other, GOOD.replace("AKIAEXAMPLE", "AKIASECOND0")).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(file.current().unwrap().access_key_id(), "AKIASECOND0");

        std::fs::remove_file(&path).unwrap();
        assert!(matches!(file.current(), Err(CredentialFileError::Read { .. })));
    }

    #[test]
    fn what_is_no_credential_is_refused_and_not_repeated() {
        let table = [
            ("\"AKIAEXAMPLE\"", "\"\""),
            ("\"AKIAEXAMPLE\"", "7"),
            ("s3cr3t", "s3 cr3t"),
            ("s3cr3t", "s3cr3t\\n"),
            ("access_key_id", "AccessKeyId"),
            ("session_token", "token"),
            ("2026-01-02T", "yesterday"),
            ("{", "["),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credential.json");
        for (from, to) in table {
            std::fs::write(&path, GOOD.replacen(from, to, 1)).unwrap();
            let error = CredentialFile::open(&path).unwrap_err();
            assert!(
                matches!(error, CredentialFileError::Format { .. }),
                "{from} -> {to}"
            );
            assert!(!format!("{error} {error:?}").contains("s3cr3t"));
        }
        for length in 0..GOOD.len() {
            assert!(parse(&GOOD.as_bytes()[..length]).is_none(), "{length}");
        }
        let long = GOOD.replace("t0ken", &"t".repeat(17_000));
        assert!(parse(long.as_bytes()).is_none());
    }

    #[test]
    fn the_secret_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credential.json");
        std::fs::write(&path, GOOD).unwrap();
        let file = CredentialFile::open(&path).unwrap();
        let shown = format!("{file:?}");
        assert!(!shown.contains("s3cr3t") && !shown.contains("t0ken"), "{shown}");
    }
}
