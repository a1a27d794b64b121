//! What TLS trusts and offers: certificates from a file, TLS 1.2 and 1.3 by aws-lc, HTTP/1.1.
//!
//! No roots are compiled in: the file is part of the image and therefore measured. There is no switch that skips a check.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Where the C tool's library and the distributions of its images keep the system's roots.
pub const SYSTEM_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Longest file of roots, bytes. Debian's is 220 KB.
const MAX_ROOTS_BYTES: u64 = 4 * 1024 * 1024;

/// Why there is no trust to start from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file cannot be read.
    #[error("cannot read certificates from {path}: {kind}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// The file has no certificate that can be used, or is no PEM text.
    #[error("{path} is not a PEM file of at most 4 MiB with CA certificates", path = .path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// None of the usual files exists.
    #[error("no file of CA certificates at the usual places; give one with --ca-file")]
    NoRoots,
    /// No certificate was given, or one that can be no root.
    #[error("no CA certificate was given, or one that cannot be used")]
    NoCertificates,
    /// rustls refused its own settings.
    #[error("cannot set up TLS")]
    Setup,
}

/// Trusts the certificates in the PEM file at `path`.
///
/// # Errors
/// [`TlsError`].
pub fn from_file(path: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let read = |error: io::Error| TlsError::Read {
        path: path.to_owned(),
        kind: error.kind(),
    };
    let none = || TlsError::NoCertificate {
        path: path.to_owned(),
    };
    let mut pem = Vec::new();
    File::open(path)
        .map_err(read)?
        .take(MAX_ROOTS_BYTES + 1)
        .read_to_end(&mut pem)
        .map_err(read)?;
    if pem.len() > usize::try_from(MAX_ROOTS_BYTES).unwrap_or(usize::MAX) {
        return Err(none());
    }
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let mut roots = RootCertStore::empty();
    // Bundles carry old certificates that rustls cannot use as roots: those add no trust.
    let (added, _) = roots.add_parsable_certificates(certificates.map_err(|_| none())?);
    if added == 0 {
        return Err(none());
    }
    with_roots(roots)
}

/// Trusts the first of [`SYSTEM_ROOTS`] that exists.
///
/// # Errors
/// [`TlsError`].
pub fn from_system() -> Result<Arc<ClientConfig>, TlsError> {
    let path = SYSTEM_ROOTS
        .iter()
        .map(Path::new)
        .find(|path| path.exists())
        .ok_or(TlsError::NoRoots)?;
    from_file(path)
}

/// Trusts these certificates (DER) and no others.
///
/// # Errors
/// [`TlsError::NoCertificates`] when there is none, or one that cannot be used; [`TlsError::Setup`].
pub fn from_certificates(
    certificates: impl IntoIterator<Item = Vec<u8>>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let added = roots.add(CertificateDer::from(certificate));
        added.map_err(|_| TlsError::NoCertificates)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoCertificates);
    }
    with_roots(roots)
}

fn with_roots(roots: RootCertStore) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| TlsError::Setup)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn of(text: &str) -> Result<(), TlsError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        from_file(file.path()).map(|_| ())
    }

    #[test]
    fn files() {
        let certificate = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()])
            .unwrap()
            .cert
            .pem();
        assert_eq!(of(&certificate), Ok(()));
        assert_eq!(of(&format!("# comment\n{certificate}{certificate}")), Ok(()));
        for bad in [
            "",
            "text",
            "-----BEGIN CERTIFICATE-----\n",
            &certificate[..certificate.len() / 2],
            &" ".repeat(5 << 20),
        ] {
            assert!(
                matches!(of(bad), Err(TlsError::NoCertificate { .. })),
                "{bad:.40}"
            );
        }
        let der = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()])
            .unwrap()
            .cert
            .der()
            .to_vec();
        from_certificates([der.clone(), der.clone()]).unwrap();
        for bad in [vec![], vec![vec![]], vec![der.clone(), der[..50].to_vec()]] {
            assert_eq!(from_certificates(bad).unwrap_err(), TlsError::NoCertificates);
        }
        let path = PathBuf::from("/nonexistent/roots.pem");
        assert_eq!(
            from_file(&path).unwrap_err(),
            TlsError::Read {
                path,
                kind: io::ErrorKind::NotFound
            }
        );
    }
}
