//! What is read from a certificate: its dates, its key, whether it is an authority's. Nothing here says that it is trusted.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use control::answer::ItemCode;
use control::provision::TlsCertificate;
use control::text::{DerText, Sha256Hex};
use x509_cert::certificate::Certificate;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::BasicConstraints;

use crate::payload::base64;

/// A certificate that was read.
#[derive(Debug)]
pub struct Read {
    not_before: Duration,
    not_after: Duration,
    authority: bool,
    key_info: Vec<u8>,
}

impl Read {
    /// Reads DER.
    ///
    /// # Errors
    /// [`ItemCode::Certificate`].
    pub fn of(der: &[u8]) -> Result<Self, ItemCode> {
        let bad = |_| ItemCode::Certificate;
        let certificate = Certificate::from_der(der).map_err(bad)?;
        let certificate = certificate.tbs_certificate();
        let constraints = certificate.get_extension::<BasicConstraints>().map_err(bad)?;
        let validity = certificate.validity();
        Ok(Self {
            not_before: validity.not_before.to_unix_duration(),
            not_after: validity.not_after.to_unix_duration(),
            authority: constraints.is_some_and(|(_, constraints)| constraints.ca),
            key_info: certificate.subject_public_key_info().to_der().map_err(bad)?,
        })
    }

    /// Whether it is valid at this time.
    ///
    /// # Errors
    /// [`ItemCode::CertificateDates`].
    pub fn valid_at(&self, now: SystemTime) -> Result<(), ItemCode> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if self.not_before <= now && now <= self.not_after {
            Ok(())
        } else {
            Err(ItemCode::CertificateDates)
        }
    }

    /// Whether it may sign others.
    #[must_use]
    pub const fn is_authority(&self) -> bool {
        self.authority
    }

    /// What the agent is told of it.
    ///
    /// # Errors
    /// [`ItemCode::Certificate`] when it is longer than the agent takes.
    pub fn describe(&self, der: &[u8]) -> Result<TlsCertificate, ItemCode> {
        Ok(TlsCertificate {
            certificate: text(der)?,
            sha256: sha256(der)?,
            public_key_sha256: sha256(&self.key_info)?,
            not_after_unix_s: i64::try_from(self.not_after.as_secs()).unwrap_or(i64::MAX),
        })
    }
}

/// DER as the messages have it.
///
/// # Errors
/// [`ItemCode::Certificate`] when it is too long.
pub fn text(der: &[u8]) -> Result<DerText, ItemCode> {
    DerText::try_from(base64(der).as_str().to_owned()).map_err(|_| ItemCode::Certificate)
}

/// SHA-256 as the messages have it.
///
/// # Errors
/// None that can be; a `Result` because the type checks its text.
pub fn sha256(bytes: &[u8]) -> Result<Sha256Hex, ItemCode> {
    let text = hex::encode(digest(&SHA256, bytes));
    Sha256Hex::try_from(text).map_err(|_| ItemCode::Certificate)
}
