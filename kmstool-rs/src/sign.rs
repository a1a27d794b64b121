//! AWS Signature Version 4 of one HTTP request: a thin layer over `aws-sigv4` that fixes its settings.
//!
//! Held to AWS's published vectors in `tests/sign.rs`.

use std::time::SystemTime;

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as sign_request};
use aws_sigv4::sign::v4::SigningParams;
use http::header::{HeaderName, HeaderValue};

use crate::credentials::Credentials;

/// `aws-sigv4` refused the request: not a URI, or a header that is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot sign the request")]
pub struct SignError;

/// What a signature covers. Header names in lower case; `host` must be among them.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Scheme, host, path and query.
    pub uri: &'a str,
    /// Headers to sign.
    pub headers: &'a [(&'a str, &'a str)],
    /// The whole body; its SHA-256 is signed.
    pub body: &'a [u8],
}

/// The headers to add: `x-amz-date`, `authorization` and, with a session token, `x-amz-security-token`.
///
/// # Errors
/// [`SignError`].
pub fn sign(
    request: &Unsigned<'_>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: SystemTime,
) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
    let identity = aws_credential_types::Credentials::new(
        credentials.access_key_id(),
        credentials.secret_access_key(),
        credentials.session_token().map(str::to_owned),
        None,
        "kmstool",
    )
    .into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| SignError)?
        .into();
    let body = SignableBody::Bytes(request.body);
    let signable = SignableRequest::new(request.method, request.uri, request.headers.iter().copied(), body)
        .map_err(|_| SignError)?;
    let (instructions, _) = sign_request(signable, &params)
        .map_err(|_| SignError)?
        .into_parts();
    let header = |(name, value): (&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| SignError)?;
        let mut value = HeaderValue::from_str(value).map_err(|_| SignError)?;
        value.set_sensitive(true);
        Ok((name, value))
    };
    instructions.headers().map(header).collect()
}
