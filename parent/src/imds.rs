//! The role's credentials from the instance metadata service, version 2.
//!
//! ```text
//! PUT /latest/api/token                                 X-aws-ec2-metadata-token-ttl-seconds: N  ->  token
//! GET /latest/meta-data/iam/security-credentials/       X-aws-ec2-metadata-token: token          ->  role, first line
//! GET /latest/meta-data/iam/security-credentials/ROLE   same                                     ->  JSON
//! ```
//! The token never leaves this module. Source: Amazon EC2 user guide, "Use the Instance Metadata Service" and "Retrieve
//! security credentials from instance metadata".

use std::io;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use aws_smithy_types::date_time::{DateTime, Format};
use control::request::Credential;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

/// Where it is on every instance.
pub const DEFAULT_ENDPOINT: &str = "http://169.254.169.254";

/// Credentials are fetched anew this long before they expire. AWS has new ones ready by then.
pub const REFRESH_BEFORE: Duration = Duration::from_mins(5);

/// How long the token is asked to live, seconds. One run of requests needs it.
const TOKEN_TTL_S: &str = "60";
/// Longest body that is read, bytes.
const MAX_BODY_BYTES: usize = 16 * 1024;
/// Time for one request. The service is on the host.
const PATIENCE: Duration = Duration::from_secs(5);

/// Credentials and how long they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Temporary {
    /// The credentials.
    pub credential: Credential,
    /// When they expire.
    pub expires: SystemTime,
}

impl Temporary {
    /// When they should be replaced.
    #[must_use]
    pub fn refresh_at(&self) -> SystemTime {
        self.expires
            .checked_sub(REFRESH_BEFORE)
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// Why there are no credentials. Nothing of a credential is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImdsError {
    /// The endpoint of the configuration is none.
    #[error("the endpoint {0:?} is not of the form http://IP or http://IP:PORT")]
    Endpoint(String),
    /// It cannot be reached.
    #[error("the instance metadata service at {endpoint} does not answer {step}")]
    Connection {
        /// Where.
        endpoint: String,
        /// What was asked.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It refused.
    #[error("the instance metadata service answered {step} with status {status}; {hint}")]
    Status {
        /// What was asked.
        step: &'static str,
        /// The status of HTTP.
        status: u16,
        /// What that means.
        hint: &'static str,
    },
    /// Its answer is not what it should be.
    #[error("the answer to {step} is not {expected}")]
    Form {
        /// What was asked.
        step: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// A client of the service.
#[derive(Clone, Debug)]
pub struct Imds {
    address: IpAddr,
    port: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawCredentials {
    code: String,
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: String,
}

impl Imds {
    /// A client of this endpoint, see [`DEFAULT_ENDPOINT`]. Names are not looked up: a name server must not choose who
    /// gives credentials.
    ///
    /// # Errors
    /// [`ImdsError::Endpoint`].
    pub fn new(endpoint: &str) -> Result<Self, ImdsError> {
        let wrong = || ImdsError::Endpoint(endpoint.chars().take(64).collect());
        let rest = endpoint.strip_prefix("http://").ok_or_else(wrong)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Ok(address) = rest.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(Self { address, port: 80 });
        }
        let address: std::net::SocketAddr = rest.parse().map_err(|_| wrong())?;
        Ok(Self {
            address: address.ip(),
            port: address.port(),
        })
    }

    /// The role's credentials.
    ///
    /// # Errors
    /// [`ImdsError`], by its variants.
    pub async fn credentials(&self) -> Result<Temporary, ImdsError> {
        const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
        let token = self
            .request(
                "the token",
                Method::PUT,
                "/latest/api/token",
                ("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_TTL_S),
            )
            .await?;
        let token = visible("the token", &token)?;
        let header = ("x-aws-ec2-metadata-token", token.as_str());
        let step = "the role";
        let role = self.request(step, Method::GET, ROLES, header).await?;
        let role = visible(step, role.split(|b| *b == b'\n').next().unwrap_or_default())?;
        // A role's name: IAM user guide, "IAM and AWS STS quotas".
        if !role
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b))
        {
            return Err(ImdsError::Form {
                step,
                expected: "the name of a role",
            });
        }
        let step = "the credentials";
        let json = self
            .request(step, Method::GET, &format!("{ROLES}{}", *role), header)
            .await?;
        read(step, &json)
    }

    async fn request(
        &self,
        step: &'static str,
        method: Method,
        path: &str,
        header: (&'static str, &str),
    ) -> Result<Zeroizing<Vec<u8>>, ImdsError> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer within 5 s");
        let answered = tokio::time::timeout(PATIENCE, self.exchange(method, path, header))
            .await
            .map_err(late);
        let (status, body) =
            answered
                .and_then(|answered| answered)
                .map_err(|source| ImdsError::Connection {
                    endpoint: format!("{}:{}", self.address, self.port),
                    step,
                    source,
                })?;
        let hint = match status {
            StatusCode::OK => return Ok(body),
            StatusCode::NOT_FOUND => "the instance has no role: attach an instance profile",
            StatusCode::UNAUTHORIZED => "the token was not accepted",
            StatusCode::FORBIDDEN => "the metadata service is switched off for this instance",
            _ => "see the Amazon EC2 user guide",
        };
        Err(ImdsError::Status {
            step,
            status: status.as_u16(),
            hint,
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        header: (&str, &str),
    ) -> io::Result<(StatusCode, Zeroizing<Vec<u8>>)> {
        let stream = TcpStream::connect((self.address, self.port)).await?;
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(MAX_BODY_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let driver = tokio::spawn(connection);
        let host = match self.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", host)
            .header(header.0, header.1);
        let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BODY_BYTES)
            .collect()
            .await
            .map_err(io::Error::other)?;
        driver.abort();
        Ok((status, Zeroizing::new(body.to_bytes().to_vec())))
    }
}

/// A non-empty text of visible ASCII, white space around it dropped.
fn visible(step: &'static str, bytes: &[u8]) -> Result<Zeroizing<String>, ImdsError> {
    let bytes = bytes.trim_ascii();
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_graphic) {
        return Err(ImdsError::Form {
            step,
            expected: "visible text",
        });
    }
    Ok(Zeroizing::new(String::from_utf8_lossy(bytes).into_owned()))
}

fn read(step: &'static str, json: &[u8]) -> Result<Temporary, ImdsError> {
    let form = |expected| ImdsError::Form { step, expected };
    let raw: RawCredentials = serde_json::from_slice(json)
        .map_err(|_| form("JSON of Code, AccessKeyId, SecretAccessKey, Token, Expiration"))?;
    if raw.code != "Success" {
        return Err(form("of Code Success"));
    }
    let expires = DateTime::from_str(&raw.expiration, Format::DateTime)
        .map_err(|_| form("with an ISO 8601 Expiration"))?;
    let expires = SystemTime::try_from(expires).map_err(|_| form("with an Expiration after 1970"))?;
    let credential = Credential::new(raw.access_key_id, raw.secret_access_key, raw.token)
        .map_err(|_| form("of visible parts"))?;
    Ok(Temporary { credential, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_addresses() {
        let at = |text: &str| {
            Imds::new(text)
                .map(|imds| (imds.address.to_string(), imds.port))
                .ok()
        };
        let v4 = |port| Some(("169.254.169.254".to_owned(), port));
        assert_eq!(at(DEFAULT_ENDPOINT), v4(80));
        assert_eq!(at("http://169.254.169.254:81/"), v4(81));
        assert_eq!(
            at("http://[fd00:ec2::254]"),
            Some(("fd00:ec2::254".to_owned(), 80))
        );
        assert_eq!(at("http://[::1]:8080"), Some(("::1".to_owned(), 8080)));
        for bad in [
            "",
            "169.254.169.254",
            "https://169.254.169.254",
            "http://localhost",
            "http://evil@1.1.1.1",
            "http://1.1.1.1/x",
        ] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    const GOOD: &str = r#"{"Code":"Success","LastUpdated":"2026-11-25T09:00:00Z","Type":"AWS-HMAC","AccessKeyId":"AKIA","SecretAccessKey":"wJalr","Token":"FwoG","Expiration":"2026-11-25T15:00:00Z"}"#;

    #[test]
    fn credentials_are_read_and_never_shown() {
        let read_text = |text: &str| read("the credentials", text.as_bytes());
        let good = read_text(GOOD).unwrap();
        let unix = good
            .expires
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        assert_eq!((unix, good.credential.access_key_id()), (1_795_618_800, "AKIA"));
        assert_eq!(good.refresh_at() + Duration::from_mins(5), good.expires);
        assert!(!format!("{good:?}").contains("wJalr"));
        for (from, to) in [
            ("Success", "Failed"),
            ("wJalr", ""),
            ("2026-11-25T15", "soon"),
            ("\"Token\"", "\"X\""),
            ("wJalr", "a b"),
        ] {
            let error = read_text(&GOOD.replace(from, to)).unwrap_err().to_string();
            assert!(!error.contains("AKIA") && !error.contains("wJalr"), "{error}");
        }
        for length in 0..GOOD.len() {
            read_text(&GOOD[..length]).unwrap_err();
        }
    }
}
