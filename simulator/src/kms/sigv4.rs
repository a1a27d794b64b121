//! Verifies AWS Signature Version 4 of requests to `POST /`, and refuses in AWS's own words.
//!
//! Only what KMS takes: header signatures with `AWS4-HMAC-SHA256` over the whole body, path `/`, no query. Held to AWS's
//! published vectors in `tests/kms`. Stricter than AWS in one point: `x-amz-target` must be signed, as all clients do.
//!
//! Spec: AWS IAM user guide, "AWS Signature Version 4 for API requests", "Troubleshoot signed requests".

use std::time::Duration;

use attest::UnixMs;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64ct::{Base64, Encoding as _};

use super::clock::{earlier, later, parse_stamp, stamp};
use super::error::KmsError;
use super::principal::{Principal, Principals};

/// How far the stamp of a request may be from the clock.
pub const TOLERANCE: Duration = Duration::from_mins(5);

/// A request as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Names in lower case, values without the line end, in the order of arrival.
    pub headers: &'a [(String, String)],
    /// The whole body.
    pub body: &'a [u8],
}

impl Signed<'_> {
    /// Value of the first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What a signature is made for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// `us-east-1`
    pub region: &'a str,
    /// `kms`
    pub service: &'a str,
}

/// Finds who signed the request.
///
/// # Errors
/// The error of AWS for what is missing, unknown, expired, skewed or wrong, in this order.
pub fn verify<'p>(
    request: &Signed<'_>,
    principals: &'p Principals,
    scope: Scope<'_>,
    now: UnixMs,
) -> Result<&'p Principal, KmsError> {
    let authorization = request.header("authorization").ok_or_else(|| {
        KmsError::refuse(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        )
    })?;
    let stamped = request.header("x-amz-date").or_else(|| request.header("date"));
    let parsed = Authorization::parse(authorization, stamped)?;
    let at = parse_stamp(parsed.stamp).ok_or_else(|| {
        let text = "Date must be in ISO-8601 'basic format'. Got '".to_owned();
        incomplete(&format!(
            "{text}{}'. See http://en.wikipedia.org/wiki/ISO_8601",
            parsed.stamp
        ))
    })?;
    check_signed_headers(request, &parsed)?;

    let unknown = || {
        KmsError::refuse(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        )
    };
    let principal = principals.get(parsed.access_key_id).ok_or_else(unknown)?;
    let token = request.header("x-amz-security-token");
    let same_token = match (principal.session_token(), token) {
        (None, None) => true,
        (Some(known), Some(given)) => verify_slices_are_equal(known.as_bytes(), given.as_bytes()).is_ok(),
        _ => false,
    };
    if !same_token {
        return Err(unknown());
    }
    if principal.is_expired(now) {
        return Err(KmsError::refuse(
            "ExpiredTokenException",
            "The security token included in the request is expired",
        ));
    }
    check_clock(at, now)?;
    parsed.check_scope(scope)?;
    let expected = signature(request, &parsed, principal.secret());
    let given = hex::decode(parsed.signature).unwrap_or_default();
    verify_slices_are_equal(expected.as_ref(), &given).map_err(|_| {
        invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        )
    })?;
    Ok(principal)
}

fn incomplete(message: &str) -> KmsError {
    KmsError::refuse("IncompleteSignatureException", message)
}

fn invalid(message: &str) -> KmsError {
    KmsError::refuse("InvalidSignatureException", message)
}

/// The parts of an `Authorization` header, and the stamp.
struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    terminator: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
    stamp: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str, stamped: Option<&'a str>) -> Result<Self, KmsError> {
        let (algorithm, rest) = header.trim().split_once(' ').unwrap_or((header, ""));
        if algorithm != "AWS4-HMAC-SHA256" {
            return Err(incomplete(
                "Unsupported AWS 'algorithm': only AWS4-HMAC-SHA256 is accepted.",
            ));
        }
        let part = |name: &str| {
            rest.split(',')
                .filter_map(|part| part.trim().split_once('='))
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value)
                .filter(|value| !value.is_empty())
        };
        let names = ["Credential", "Signature", "SignedHeaders"];
        if let ([Some(credential), Some(signature), Some(signed)], Some(stamp)) = (names.map(part), stamped) {
            let scope: Vec<&str> = credential.split('/').collect();
            let &[access_key_id, date, region, service, terminator] = scope.as_slice() else {
                let text = "Credential must have exactly 5 slash-delimited elements, e.g. \
                            keyid/date/region/service/term, got";
                return Err(incomplete(&format!("{text} '{credential}'")));
            };
            return Ok(Self {
                access_key_id,
                date,
                region,
                service,
                terminator,
                signed_headers: signed.split(';').collect(),
                signature,
                stamp,
            });
        }
        let absent = names.iter().filter(|name| part(name).is_none());
        let mut text: String = absent
            .flat_map(|name| ["Authorization header requires '", name, "' parameter. "])
            .collect();
        if stamped.is_none() {
            text += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
        }
        // The header itself could carry a signature that is still good.
        let hash = Base64::encode_string(digest(&SHA256, header.as_bytes()).as_ref());
        Err(incomplete(&format!(
            "{text}(Hashed with SHA-256 and encoded with Base64) Authorization={hash}"
        )))
    }

    fn check_scope(&self, scope: Scope<'_>) -> Result<(), KmsError> {
        let day = self.stamp.get(..8).unwrap_or_default();
        if self.date != day {
            return Err(invalid(&format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != \
                 '{day}', from '{}'.",
                self.date, self.stamp
            )));
        }
        if self.region != scope.region {
            return Err(invalid(&format!(
                "Credential should be scoped to a valid region, not '{}'. ",
                self.region
            )));
        }
        if self.service != scope.service {
            return Err(invalid(&format!(
                "Credential should be scoped to correct service: '{}'. ",
                scope.service
            )));
        }
        if self.terminator != "aws4_request" {
            return Err(invalid(&format!(
                "Credential should be scoped with a valid terminator: 'aws4_request', not '{}'. ",
                self.terminator
            )));
        }
        Ok(())
    }
}

/// A header that decides what a request means must be under the signature.
fn check_signed_headers(request: &Signed<'_>, parsed: &Authorization<'_>) -> Result<(), KmsError> {
    let signed = |name: &str| parsed.signed_headers.contains(&name);
    if !signed("host") {
        return Err(invalid(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ));
    }
    for name in ["x-amz-target", "x-amz-date"] {
        if request.header(name).is_some() && !signed(name) {
            return Err(invalid(&format!(
                "'{name}' must be a 'SignedHeader' in the AWS Authorization."
            )));
        }
    }
    Ok(())
}

fn check_clock(at: UnixMs, now: UnixMs) -> Result<(), KmsError> {
    // AWS shows and compares whole seconds.
    let now = UnixMs::new(now.as_millis() / 1000 * 1000);
    let minutes = TOLERANCE.as_secs() / 60;
    let (oldest, newest) = (earlier(now, TOLERANCE), later(now, TOLERANCE));
    if at < oldest {
        return Err(invalid(&format!(
            "Signature expired: {} is now earlier than {} ({} - {minutes} min.)",
            stamp(at),
            stamp(oldest),
            stamp(now)
        )));
    }
    if at > newest {
        return Err(invalid(&format!(
            "Signature not yet current: {} is still later than {} ({} + {minutes} min.)",
            stamp(at),
            stamp(newest),
            stamp(now)
        )));
    }
    Ok(())
}

fn signature(request: &Signed<'_>, parsed: &Authorization<'_>, secret: &str) -> hmac::Tag {
    let mut canonical = format!("{}\n/\n\n", request.method);
    for name in &parsed.signed_headers {
        let values: Vec<String> = request
            .headers
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| collapsed(value))
            .collect();
        canonical.extend([name, ":", &values.join(","), "\n"]);
    }
    let payload = hex::encode(digest(&SHA256, request.body));
    canonical.extend(["\n", &parsed.signed_headers.join(";"), "\n", &payload]);

    let Authorization {
        date,
        region,
        service,
        terminator,
        stamp,
        ..
    } = parsed;
    let hash = hex::encode(digest(&SHA256, canonical.as_bytes()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{date}/{region}/{service}/{terminator}\n{hash}");
    let first = zeroize::Zeroizing::new(format!("AWS4{secret}"));
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes());
    for part in [date, region, service, terminator] {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    hmac::sign(&key, to_sign.as_bytes())
}

/// Without spaces around it, and with one where there were several.
fn collapsed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}
