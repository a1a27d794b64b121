//! AWS credentials and the places they come from. They are wiped on drop and never shown.
//!
//! Inside an enclave the parent hands them over: they are not secret from the parent, but they are from logs and from
//! other processes. Contract: the JSON of `IMDSv2` (`/latest/meta-data/iam/security-credentials/ROLE`).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::RawFd;
use std::path::Path;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Longest JSON that is read, bytes. Session tokens are at most a few KiB.
pub const MAX_JSON_BYTES: usize = 16 * 1024;

/// Why there are no credentials. No value of a credential is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The source could not be read.
    #[error("cannot read credentials: {0}")]
    Read(io::ErrorKind),
    /// More than [`MAX_JSON_BYTES`].
    #[error("credentials longer than 16384 bytes")]
    TooLong,
    /// Not JSON of the expected shape.
    #[error("credentials are not JSON of the instance metadata form: line {line}, column {column}")]
    Json {
        /// From 1; 0 when unknown.
        line: usize,
        /// As above.
        column: usize,
    },
    /// The `Code` of the metadata service says failure.
    #[error("credentials have a Code other than Success")]
    Code,
    /// A part is absent.
    #[error("no {0} among the credentials")]
    Missing(&'static str),
    /// A part is empty, too long, or has characters that no credential has.
    #[error("{0} is empty, longer than 8192 bytes, or not visible ASCII text")]
    Form(&'static str),
}

/// Access key id, secret access key and, for temporary credentials, the session token.
#[derive(Debug)]
pub struct Credentials {
    access_key_id: Secret<String>,
    secret_access_key: Secret<String>,
    session_token: Option<Secret<String>>,
}

impl Credentials {
    /// Checks the form of each part. An empty token counts as none.
    ///
    /// # Errors
    /// [`CredentialsError::Form`].
    pub fn new(
        access_key_id: Secret<String>,
        secret_access_key: Secret<String>,
        session_token: Option<Secret<String>>,
    ) -> Result<Self, CredentialsError> {
        let check = |what, value: &Secret<String>| {
            let good = (1..=8192).contains(&value.expose().len())
                && value.expose().bytes().all(|byte| byte.is_ascii_graphic());
            if good {
                Ok(())
            } else {
                Err(CredentialsError::Form(what))
            }
        };
        check("access key id", &access_key_id)?;
        check("secret access key", &secret_access_key)?;
        let session_token = session_token.filter(|token| !token.expose().is_empty());
        if let Some(token) = &session_token {
            check("session token", token)?;
        }
        Ok(Self {
            access_key_id,
            secret_access_key,
            session_token,
        })
    }

    /// From the JSON of the instance metadata service. Keys that are not needed are ignored.
    ///
    /// # Errors
    /// [`CredentialsError`] but `Read`.
    pub fn from_json(json: &[u8]) -> Result<Self, CredentialsError> {
        if json.len() > MAX_JSON_BYTES {
            return Err(CredentialsError::TooLong);
        }
        let raw: RawCredentials = serde_json::from_slice(json).map_err(|error| CredentialsError::Json {
            line: error.line(),
            column: error.column(),
        })?;
        let part = |value: Option<String>| value.map(Secret::new);
        let (id, key, token) = (
            part(raw.access_key_id),
            part(raw.secret_access_key),
            part(raw.token),
        );
        if raw.code.is_some_and(|code| code != "Success") {
            return Err(CredentialsError::Code);
        }
        Self::new(
            id.ok_or(CredentialsError::Missing("AccessKeyId"))?,
            key.ok_or(CredentialsError::Missing("SecretAccessKey"))?,
            token,
        )
    }

    /// From a reader that gives such JSON and then ends.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn from_reader(reader: impl Read) -> Result<Self, CredentialsError> {
        // Room for everything at once: growing would leave copies behind.
        let mut json = Zeroizing::new(Vec::with_capacity(MAX_JSON_BYTES + 64));
        let limit = u64::try_from(MAX_JSON_BYTES).unwrap_or(u64::MAX) + 1;
        reader
            .take(limit)
            .read_to_end(&mut json)
            .map_err(|error| CredentialsError::Read(error.kind()))?;
        Self::from_json(&json)
    }

    /// From a file with such JSON.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn from_file(path: &Path) -> Result<Self, CredentialsError> {
        Self::from_reader(File::open(path).map_err(|error| CredentialsError::Read(error.kind()))?)
    }

    /// From an inherited descriptor with such JSON, read until its end. The descriptor itself stays open.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn from_descriptor(number: RawFd) -> Result<Self, CredentialsError> {
        // Duplicated through a pidfd of our own process: the one way to take over a number without `unsafe`.
        let own =
            rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty());
        let file = own.and_then(|own| {
            rustix::process::pidfd_getfd(own, number, rustix::process::PidfdGetfdFlags::empty())
        });
        Self::from_reader(File::from(
            file.map_err(|error| CredentialsError::Read(io::Error::from(error).kind()))?,
        ))
    }

    /// From `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` (may be absent) as `variable` gives them.
    ///
    /// # Errors
    /// [`CredentialsError::Missing`], [`CredentialsError::Form`].
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, CredentialsError> {
        let part = |name: &'static str| {
            variable(name)
                .map(Secret::new)
                .ok_or(CredentialsError::Missing(name))
        };
        Self::new(
            part("AWS_ACCESS_KEY_ID")?,
            part("AWS_SECRET_ACCESS_KEY")?,
            part("AWS_SESSION_TOKEN").ok(),
        )
    }

    /// The access key id.
    pub(crate) fn access_key_id(&self) -> &str {
        self.access_key_id.expose()
    }

    /// The secret access key.
    pub(crate) fn secret_access_key(&self) -> &str {
        self.secret_access_key.expose()
    }

    /// The session token of temporary credentials.
    pub(crate) fn session_token(&self) -> Option<&str> {
        self.session_token.as_ref().map(|token| token.expose().as_str())
    }
}

/// Claims of a JSON text. Deliberately without `Debug`.
#[derive(Deserialize)]
struct RawCredentials {
    #[serde(rename = "Code")]
    code: Option<String>,
    #[serde(rename = "AccessKeyId")]
    access_key_id: Option<String>,
    #[serde(rename = "SecretAccessKey")]
    secret_access_key: Option<String>,
    #[serde(rename = "Token")]
    token: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    use super::*;

    const IMDS: &str = r#"{"Code":"Success","LastUpdated":"2026-01-01T00:00:00Z","Type":"AWS-HMAC",
        "AccessKeyId":"ASIA1","SecretAccessKey":"planted/Secret+","Token":"planted==","Expiration":"2026-01-01T06:00:00Z"}"#;

    fn parts(credentials: &Credentials) -> (&str, &str, Option<&str>) {
        (
            credentials.access_key_id(),
            credentials.secret_access_key(),
            credentials.session_token(),
        )
    }

    #[test]
    fn every_source() {
        let all = ("ASIA1", "planted/Secret+", Some("planted=="));
        assert_eq!(parts(&Credentials::from_json(IMDS.as_bytes()).unwrap()), all);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(IMDS.as_bytes()).unwrap();
        assert_eq!(parts(&Credentials::from_file(file.path()).unwrap()), all);
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(IMDS.as_bytes()).unwrap();
        drop(writer);
        assert_eq!(
            parts(&Credentials::from_descriptor(reader.as_raw_fd()).unwrap()),
            all
        );
        let variable = |name: &str| Some(format!("value-of-{name}"));
        let credentials = Credentials::from_variables(variable).unwrap();
        assert_eq!(credentials.session_token(), Some("value-of-AWS_SESSION_TOKEN"));
        assert!(!format!("{credentials:?}").contains("value-of"));
    }

    #[test]
    fn refusals() {
        let json = |text: &str| Credentials::from_json(text.as_bytes()).unwrap_err();
        assert_eq!(json("{"), CredentialsError::Json { line: 1, column: 1 });
        assert_eq!(
            json(r#"{"Code":"Failed","AccessKeyId":"a","SecretAccessKey":"b"}"#),
            CredentialsError::Code
        );
        assert_eq!(
            json(r#"{"SecretAccessKey":"b"}"#),
            CredentialsError::Missing("AccessKeyId")
        );
        assert_eq!(
            json(r#"{"AccessKeyId":"a"}"#),
            CredentialsError::Missing("SecretAccessKey")
        );
        assert_eq!(
            json(r#"{"AccessKeyId":"a\nb","SecretAccessKey":"b"}"#),
            CredentialsError::Form("access key id")
        );
        assert_eq!(
            json(r#"{"AccessKeyId":"a","SecretAccessKey":""}"#),
            CredentialsError::Form("secret access key")
        );
        assert_eq!(json(&" ".repeat(MAX_JSON_BYTES + 1)), CredentialsError::TooLong);
        assert_eq!(
            Credentials::from_reader(io::repeat(b' ')).unwrap_err(),
            CredentialsError::TooLong
        );
        assert!(matches!(
            Credentials::from_descriptor(9999),
            Err(CredentialsError::Read(_))
        ));
        let none = Credentials::from_variables(|_| None).unwrap_err();
        assert_eq!(none, CredentialsError::Missing("AWS_ACCESS_KEY_ID"));
        for length in 0..IMDS.len() {
            assert!(
                matches!(json(&IMDS[..length]), CredentialsError::Json { .. }),
                "{length}"
            );
        }
    }

    #[test]
    fn an_empty_token_is_none() {
        let text = r#"{"AccessKeyId":"a","SecretAccessKey":"b","Token":""}"#;
        assert_eq!(
            parts(&Credentials::from_json(text.as_bytes()).unwrap()),
            ("a", "b", None)
        );
    }
}
