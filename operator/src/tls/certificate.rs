//! What a certificate says: names, dates, key, whether it is an authority's. No chain is verified here; whoever connects
//! does that.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use certificate::CommonName;
use serde::Serialize;
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};

/// Why a certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Not a certificate.
    #[error("it is no X.509 certificate: {0}")]
    Malformed(String),
    /// Version 1, which `openssl x509 -req` makes without an extension file.
    #[error(
        "it is X.509 version 1, which TLS libraries refuse; make it with extensions (openssl req -x509, or openssl x509 -req -extfile)"
    )]
    VersionOne,
    /// Out of date.
    #[error("it is valid from {from} to {to} (seconds since 1970), now is {now}")]
    Dates {
        /// First second.
        from: u64,
        /// Last second.
        to: u64,
        /// The present.
        now: u64,
    },
    /// For another host.
    #[error("it is for {found:?}, not for {host:?}")]
    Host {
        /// Its names.
        found: Vec<String>,
        /// The host.
        host: String,
    },
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leaf {
    /// First common name of its subject, where it has one that is text.
    pub common_name: Option<String>,
    /// Alternative names: DNS names and IP addresses.
    pub names: Vec<String>,
    /// First second of its validity, since 1970-01-01 UTC.
    pub not_before_unix_s: u64,
    /// Last second of its validity.
    pub not_after_unix_s: u64,
    /// Whether it may sign other certificates.
    pub authority: bool,
    /// The key's bits, as the certificate has them.
    #[serde(skip)]
    pub public_key: Vec<u8>,
}

impl Leaf {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`], [`CertificateError::VersionOne`].
    pub fn read(der: &[u8]) -> Result<Self, CertificateError> {
        let malformed = |e: x509_cert::der::Error| CertificateError::Malformed(e.to_string());
        let certificate = Certificate::from_der(der).map_err(malformed)?;
        let certificate = certificate.tbs_certificate();
        if certificate.version() == Version::V1 {
            return Err(CertificateError::VersionOne);
        }
        let names = certificate.get_extension::<SubjectAltName>().map_err(malformed)?;
        let constraints = certificate
            .get_extension::<BasicConstraints>()
            .map_err(malformed)?;
        let key = certificate.subject_public_key_info();
        let validity = certificate.validity();
        Ok(Self {
            common_name: CommonName::of(certificate.subject()).text(),
            names: names
                .map(|(_, names)| names.0.iter().filter_map(name).collect())
                .unwrap_or_default(),
            not_before_unix_s: validity.not_before.to_unix_duration().as_secs(),
            not_after_unix_s: validity.not_after.to_unix_duration().as_secs(),
            authority: constraints.is_some_and(|(_, constraints)| constraints.ca),
            public_key: key.subject_public_key.raw_bytes().to_vec(),
        })
    }

    /// Refuses what is not valid at `now`.
    ///
    /// # Errors
    /// [`CertificateError::Dates`].
    pub fn check_dates(&self, now: u64) -> Result<(), CertificateError> {
        if (self.not_before_unix_s..=self.not_after_unix_s).contains(&now) {
            return Ok(());
        }
        Err(CertificateError::Dates {
            from: self.not_before_unix_s,
            to: self.not_after_unix_s,
            now,
        })
    }

    /// Refuses another host's certificate. A wildcard stands for one label.
    ///
    /// # Errors
    /// [`CertificateError::Host`].
    pub fn check_host(&self, host: &str) -> Result<(), CertificateError> {
        let all = || self.names.iter().chain(&self.common_name);
        let fits = |name: &String| {
            let wild = name
                .strip_prefix("*.")
                .zip(host.split_once('.'))
                .map(|(zone, (_, rest))| (zone, rest));
            name.eq_ignore_ascii_case(host)
                || wild.is_some_and(|(zone, rest)| zone.eq_ignore_ascii_case(rest))
        };
        if all().any(fits) {
            return Ok(());
        }
        Err(CertificateError::Host {
            found: all().cloned().collect(),
            host: host.to_owned(),
        })
    }
}

/// SHA-256 of a certificate in DER: 64 hex digits.
#[must_use]
pub fn fingerprint(der: &[u8]) -> String {
    hex::encode(digest(&SHA256, der))
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
            &[a, b, c, d] => Some(IpAddr::from([a, b, c, d]).to_string()),
            bytes => <[u8; 16]>::try_from(bytes)
                .ok()
                .map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    }
}
