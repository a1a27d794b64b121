//! The `attest` command: judges an attestation document for an auditor and explains every check.
//!
//! The checks are those of the crate [`::attest`]; here text from the command line becomes its types and its verdict
//! becomes a [`Report`]. It parses no command line, reads no clock and opens no file.

use core::time::Duration;
use std::io::{self, Read};

use ::attest::{
    MAX_DOCUMENT_LEN, Moment, NotAnInstant, Pcr, PcrError, Policy, RootError, TrustRoot, UnixMs,
    UnverifiedDoc, UnverifiedError,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kms_policy::measurements::{self, MeasurementsError};

mod report;

pub use report::{Check, ClaimsView, Report};

/// Exit code when a document is refused or malformed.
pub const EXIT_REFUSED: u8 = 3;
/// Exit code when an argument is wrong ([`UsageError`]).
pub const EXIT_USAGE: u8 = 2;

/// The word for `--at` that stands for the document's own timestamp.
const AT_DOCUMENT: &str = "document";

/// What `attest verify` is asked, as text and bytes from the command line and the files it names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyParameters {
    /// Content of the `--root` file, PEM or DER; the AWS Nitro root when absent.
    pub root: Option<Vec<u8>>,
    /// Content of the `--pcrs` file: measurements as `nitro-cli` and `build` print them.
    pub pcrs: Option<Vec<u8>>,
    /// `--nonce`: the nonce that was sent, in hex.
    pub nonce: Option<String>,
    /// `--at`: an instant like `2026-01-31T23:59:59Z`, milliseconds since 1970 as documents have them, or `document` for the
    /// document's own timestamp; now when absent.
    pub at: Option<String>,
    /// `--max-age`: a number with s, m, h or d behind it, like `5m`.
    pub max_age: Option<String>,
    /// `--danger-admit-debug`: accept enclaves in debug mode.
    pub danger_admit_debug: bool,
}

/// Why the question makes no sense. The document was not looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// `--root` is not a root certificate.
    #[error("--root is wrong")]
    Root(#[source] RootError),
    /// `--pcrs` is not a file of measurements.
    #[error("--pcrs is wrong")]
    Pcrs(#[source] MeasurementsError),
    /// A PCR of `--pcrs` cannot be demanded.
    #[error("--pcrs names a PCR that does not exist")]
    PcrIndex(#[source] PcrError),
    /// `--pcrs` are those of debug mode, which match every image.
    #[error(
        "--pcrs has an all-zero PCR{index}: every image in debug mode has it; use the measurements of the build"
    )]
    ZeroPcr {
        /// Which.
        index: u8,
    },
    /// `--nonce` is not hex.
    #[error("--nonce {text:?} is not an even number of hex digits")]
    Nonce {
        /// What was given.
        text: String,
    },
    /// `--at` is not an instant.
    #[error("--at {text:?} is neither `{AT_DOCUMENT}` nor an instant")]
    At {
        /// What was given.
        text: String,
        /// Why.
        source: NotAnInstant,
    },
    /// `--max-age` is not a duration.
    #[error("--max-age {text:?} is not a number with s, m, h or d behind it, like 5m")]
    MaxAge {
        /// What was given.
        text: String,
    },
    /// `--max-age` beside `--at document`.
    #[error("--max-age needs a clock: with --at {AT_DOCUMENT} every document has age 0")]
    AgeWithoutClock,
}

/// Reads a document from a file or standard input: its bytes, or the same as base64 text with any white space.
///
/// No more is read than the longest document has as text; what is longer is cut and then refused by its length. Every
/// document begins with a byte that is not ASCII, so text and bytes cannot be mistaken for each other; text that is not
/// base64 is returned as it is, to be refused.
///
/// # Errors
/// Whatever reading fails with.
pub fn read_document(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    // Base64 takes 4/3 of the bytes; the rest leaves room for line ends.
    let limit = u64::try_from(2 * MAX_DOCUMENT_LEN).unwrap_or(u64::MAX);
    let mut read = Vec::new();
    reader.take(limit).read_to_end(&mut read)?;
    if read.is_ascii() {
        let text: Vec<u8> = read
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        return Ok(BASE64_STANDARD.decode(text).unwrap_or(read));
    }
    Ok(read)
}

/// Judges `document`; `now` is the caller's clock, used unless `--at` says otherwise.
///
/// # Errors
/// [`UsageError`] when a parameter is wrong. A refused document is no error but a [`Report`] that says so.
pub fn verify(document: &[u8], parameters: &VerifyParameters, now: UnixMs) -> Result<Report, UsageError> {
    let root = parameters
        .root
        .as_deref()
        .map_or_else(|| Ok(TrustRoot::aws()), trust_root)?;
    let moment = moment(parameters.at.as_deref(), now)?;
    let policy = demanded(parameters, moment)?;
    let result = ::attest::verify(document, &root, moment, &policy);
    Ok(Report::new(
        document,
        &root,
        moment,
        parameters,
        &policy,
        result.as_ref(),
    ))
}

/// What `document` says, without any proof.
///
/// # Errors
/// [`UnverifiedError`] when it is not even a document.
pub fn show(document: &[u8]) -> Result<ClaimsView, UnverifiedError> {
    Ok(ClaimsView::new(
        UnverifiedDoc::parse(document)?.unverified_claims(),
    ))
}

fn trust_root(bytes: &[u8]) -> Result<TrustRoot, UsageError> {
    match core::str::from_utf8(bytes) {
        Ok(text) => TrustRoot::from_pem(text),
        Err(_) => TrustRoot::from_der(bytes),
    }
    .map_err(UsageError::Root)
}

fn moment(at: Option<&str>, now: UnixMs) -> Result<Moment, UsageError> {
    match at {
        None => Ok(Moment::Now(now)),
        Some(AT_DOCUMENT) => Ok(Moment::OfDocument),
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            let ms = text.parse().map_err(|_| UsageError::At {
                text: text.to_owned(),
                source: NotAnInstant,
            })?;
            Ok(Moment::Now(UnixMs::new(ms)))
        }
        Some(text) => {
            let at = text.parse().map_err(|source| UsageError::At {
                text: text.to_owned(),
                source,
            })?;
            Ok(Moment::Now(at))
        }
    }
}

fn demanded(parameters: &VerifyParameters, moment: Moment) -> Result<Policy, UsageError> {
    let mut policy = Policy::new();
    if parameters.danger_admit_debug {
        policy = policy.allow_debug();
    }
    if let Some(json) = &parameters.pcrs {
        let image = measurements::read("--pcrs", json).map_err(UsageError::Pcrs)?;
        let pcrs = [
            (0, Some(image.pcr0)),
            (1, Some(image.pcr1)),
            (2, Some(image.pcr2)),
            (8, image.pcr8),
        ];
        for (index, pcr) in pcrs {
            let Some(pcr) = pcr else { continue };
            if pcr.is_zero() && !parameters.danger_admit_debug {
                return Err(UsageError::ZeroPcr { index });
            }
            policy = policy
                .expect_pcr(index, Pcr::from_bytes(*pcr.as_bytes()))
                .map_err(UsageError::PcrIndex)?;
        }
    }
    if let Some(text) = &parameters.nonce {
        let nonce = hex::decode(text).map_err(|_| UsageError::Nonce { text: text.clone() })?;
        policy = policy.expect_nonce(&nonce);
    }
    if let Some(text) = &parameters.max_age {
        if moment == Moment::OfDocument {
            return Err(UsageError::AgeWithoutClock);
        }
        let max_age = duration(text).ok_or_else(|| UsageError::MaxAge { text: text.clone() })?;
        policy = policy.max_age(max_age);
    }
    Ok(policy)
}

/// A number with s, m, h or d behind it.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds_per_unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    // `u64::parse` would also take a plus sign.
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(seconds_per_unit)
        .map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, seconds) in [
            ("0s", 0),
            ("90s", 90),
            ("5m", 300),
            ("3h", 10_800),
            ("2d", 172_800),
        ] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in [
            "",
            "5",
            "m",
            "+5m",
            "-5m",
            "5.5m",
            "5 m",
            "5M",
            "5ms",
            "é",
            "99999999999999999999d",
            "1e3s",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn documents_are_read_as_bytes_or_base64() {
        let read = |mut bytes: &[u8]| read_document(&mut bytes).unwrap();
        let document = [0x84, 0x43, 0xa1, 0xff];
        assert_eq!(read(&document), document);
        assert_eq!(read(b"hEOh/w=="), document);
        assert_eq!(read(b" hEO\r\nh/w==\n"), document);
        for other in [&b"hEOh/w"[..], b"no base64!", b"hEOh_w==", b""] {
            assert_eq!(read(other), other);
        }
    }

    #[test]
    fn no_more_is_read_than_a_document_can_have() {
        let read = read_document(&mut io::repeat(0x84)).unwrap();
        assert_eq!(read.len(), 2 * MAX_DOCUMENT_LEN);
        let read = read_document(&mut io::repeat(b'A')).unwrap();
        assert!(
            read.len() > MAX_DOCUMENT_LEN,
            "an endless text would pass as a whole document"
        );
    }
}
