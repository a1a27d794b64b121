//! The JDBC URL of `--slashing-protection-db-url`: where the database is and how far its server is trusted.
//!
//! `jdbc:postgresql://host[:port]/database[?name=value[&...]]`, the same values percent-encoded. Of the driver's many
//! parameters those with a meaning here are read; any other is an error, because a security setting that is silently
//! ignored is worse than none.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use zeroize::Zeroizing;

/// A password; not shown, wiped when dropped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes the text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// How far the server is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Plain text (`disable`). Only for the loopback interface.
    Plain,
    /// TLS, and the certificate is valid for the host's name (`verify-full`).
    VerifyFull {
        /// PEM file of the authorities (`sslrootcert`); the web's roots without it.
        roots: Option<PathBuf>,
    },
}

/// A parsed URL.
#[derive(Clone, Debug)]
pub struct JdbcUrl {
    /// Name or address of the server.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Name of the database.
    pub database: String,
    /// `user`.
    pub user: Option<String>,
    /// `password`.
    pub password: Option<Password>,
    /// `sslmode` and `sslrootcert`.
    pub ssl: SslMode,
}

/// Why a URL cannot be used. The URL is not repeated: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JdbcUrlError {
    /// Not `jdbc:postgresql://host[:port]/database`.
    #[error("the URL is not of the form jdbc:postgresql://HOST[:PORT]/DATABASE[?NAME=VALUE&...]")]
    Form,
    /// A parameter that has no meaning here.
    #[error("parameter {name:?} of the URL is not supported; supported are {KNOWN}")]
    Parameter {
        /// Its name.
        name: String,
    },
    /// A value that is not one of the known.
    #[error("parameter {name} of the URL must be {expected}")]
    Value {
        /// Its name.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
    },
    /// Plain text over a network.
    #[error(
        "{host} is not this machine: give sslmode=verify-full and, for a CA of your own, sslrootcert=FILE"
    )]
    PlainRemote {
        /// The host.
        host: String,
    },
}

const KNOWN: &str =
    "user, password, ssl, sslmode, sslrootcert, ApplicationName, reWriteBatchedInserts, tcpKeepAlive";

impl FromStr for JdbcUrl {
    type Err = JdbcUrlError;

    fn from_str(text: &str) -> Result<Self, JdbcUrlError> {
        let rest = text
            .strip_prefix("jdbc:postgresql://")
            .ok_or(JdbcUrlError::Form)?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (server, database) = address.split_once('/').ok_or(JdbcUrlError::Form)?;
        let (host, port) = split_port(server).ok_or(JdbcUrlError::Form)?;
        let database = decode(database).ok_or(JdbcUrlError::Form)?;
        if host.is_empty() || database.is_empty() || database.contains('/') {
            return Err(JdbcUrlError::Form);
        }
        let mut parameters = Parameters::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).ok_or(JdbcUrlError::Form)?;
            let value = decode(value).ok_or(JdbcUrlError::Form)?;
            parameters.take(&name, value)?;
        }
        Ok(Self {
            ssl: parameters.ssl(host)?,
            host: host.to_owned(),
            port,
            database,
            user: parameters.user,
            password: parameters.password,
        })
    }
}

#[derive(Default)]
struct Parameters {
    user: Option<String>,
    password: Option<Password>,
    mode: Option<String>,
    ssl: Option<bool>,
    roots: Option<PathBuf>,
}

impl Parameters {
    fn take(&mut self, name: &str, value: String) -> Result<(), JdbcUrlError> {
        match name {
            "user" => self.user = Some(value),
            "password" => self.password = Some(Password::new(value)),
            "sslmode" => self.mode = Some(value),
            "sslrootcert" => self.roots = Some(PathBuf::from(value)),
            "ssl" => {
                self.ssl = Some(match value.as_str() {
                    "" | "true" => true,
                    "false" => false,
                    _ => {
                        return Err(JdbcUrlError::Value {
                            name: "ssl",
                            expected: "true or false",
                        });
                    }
                });
            }
            // Names and batching of the driver: without effect on what is stored or trusted.
            "ApplicationName" | "reWriteBatchedInserts" | "tcpKeepAlive" => {}
            _ => {
                return Err(JdbcUrlError::Parameter {
                    name: name.chars().take(64).collect(),
                });
            }
        }
        Ok(())
    }

    fn ssl(&self, host: &str) -> Result<SslMode, JdbcUrlError> {
        let plain = || {
            if is_loopback(host) {
                Ok(SslMode::Plain)
            } else {
                Err(JdbcUrlError::PlainRemote {
                    host: host.to_owned(),
                })
            }
        };
        match (self.mode.as_deref(), self.ssl) {
            (Some("verify-full"), Some(true) | None) | (None, Some(true)) => Ok(SslMode::VerifyFull {
                roots: self.roots.clone(),
            }),
            (Some("disable") | None, Some(false) | None) => plain(),
            // The driver's weaker modes would take any certificate, or fall back to plain text.
            _ => Err(JdbcUrlError::Value {
                name: "sslmode",
                expected: "verify-full, or disable for this machine itself",
            }),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1")
}

/// Host without brackets, and port or 5432.
fn split_port(server: &str) -> Option<(&str, u16)> {
    if let Some(rest) = server.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, number(port)?)),
            None if after.is_empty() => Some((host, 5432)),
            None => None,
        };
    }
    match server.split_once(':') {
        Some((host, port)) => Some((host, number(port)?)),
        None => Some((server, 5432)),
    }
    .filter(|(host, _)| {
        host.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    })
}

fn number(port: &str) -> Option<u16> {
    port.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| port.parse().ok())?
}

/// Percent-decoding to UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let (digits, after) = rest.split_first_chunk::<2>()?;
            let mut decoded = [0];
            hex::decode_to_slice(digits, &mut decoded).ok()?;
            bytes.extend(decoded);
            rest = after;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_and_how() {
        let url: JdbcUrl = "jdbc:postgresql://db.example.com:6432/web3signer?user=u%40x&password=p%26w%25&sslmode=verify-full&sslrootcert=/etc/ca.pem"
            .parse()
            .unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.database.as_str()),
            ("db.example.com", 6432, "web3signer")
        );
        assert_eq!(url.user.as_deref(), Some("u@x"));
        assert_eq!(url.password.as_ref().unwrap().as_str(), "p&w%");
        assert_eq!(
            url.ssl,
            SslMode::VerifyFull {
                roots: Some("/etc/ca.pem".into())
            }
        );
        assert!(!format!("{url:?}").contains("p&w"));

        let url: JdbcUrl = "jdbc:postgresql://localhost/web3signer".parse().unwrap();
        assert_eq!((url.port, url.ssl), (5432, SslMode::Plain));
        let url: JdbcUrl = "jdbc:postgresql://[::1]:7/d?sslmode=disable".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port), ("::1", 7));
        let url: JdbcUrl = "jdbc:postgresql://h/d?ssl=true".parse().unwrap();
        assert_eq!(url.ssl, SslMode::VerifyFull { roots: None });
    }

    #[test]
    fn what_is_weak_or_unknown_is_refused() {
        use JdbcUrlError as E;
        let plain = |host: &str| E::PlainRemote {
            host: host.to_owned(),
        };
        let mode = E::Value {
            name: "sslmode",
            expected: "verify-full, or disable for this machine itself",
        };
        let table = [
            ("", E::Form),
            ("postgresql://localhost/d", E::Form),
            ("jdbc:postgresql:d", E::Form),
            ("jdbc:postgresql://localhost", E::Form),
            ("jdbc:postgresql://localhost/", E::Form),
            ("jdbc:postgresql:///d", E::Form),
            ("jdbc:postgresql://a,b/d", E::Form),
            ("jdbc:postgresql://u@h/d", E::Form),
            ("jdbc:postgresql://localhost:/d", E::Form),
            ("jdbc:postgresql://localhost:65536/d", E::Form),
            ("jdbc:postgresql://localhost:+1/d", E::Form),
            ("jdbc:postgresql://localhost/%", E::Form),
            ("jdbc:postgresql://localhost/%zz", E::Form),
            ("jdbc:postgresql://localhost/%ff", E::Form),
            ("jdbc:postgresql://10.0.0.1/d", plain("10.0.0.1")),
            ("jdbc:postgresql://h/d?sslmode=disable", plain("h")),
            ("jdbc:postgresql://h/d?sslmode=require", mode.clone()),
            ("jdbc:postgresql://h/d?sslmode=prefer", mode.clone()),
            ("jdbc:postgresql://h/d?sslmode=verify-ca", mode.clone()),
            ("jdbc:postgresql://h/d?sslmode=verify-full&ssl=false", mode),
            (
                "jdbc:postgresql://h/d?sslfactory=org.postgresql.ssl.NonValidatingFactory",
                E::Parameter {
                    name: "sslfactory".to_owned(),
                },
            ),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<JdbcUrl>().unwrap_err(), expected, "{text}");
        }
    }
}
