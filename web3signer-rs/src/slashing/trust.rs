//! Which certificate authorities a store's server is checked against.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Longest file of roots, bytes. Debian's is 220 KB.
const MAX_ROOTS_BYTES: u64 = 4 * 1024 * 1024;

/// Why there is no trust to start from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The file cannot be read.
    #[error("cannot read certificates from {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file has no certificate that can be used, or is no PEM text.
    #[error("{path} is not a PEM file of at most 4 MiB with CA certificates", path = .path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// rustls refused its own settings.
    #[error("cannot set up TLS")]
    Setup(#[from] rustls::Error),
}

/// Certificates of authorities, each usable as a root.
#[derive(Clone, Debug)]
pub(super) struct Roots(Vec<CertificateDer<'static>>);

impl Roots {
    /// From a PEM file, or the web's own (Mozilla's list, compiled in) without one.
    pub(super) fn load(file: Option<&Path>) -> Result<Self, TrustError> {
        let Some(path) = file else {
            return Ok(Self(webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec()));
        };
        let read = |source| TrustError::Read {
            path: path.to_owned(),
            source,
        };
        let none = || TrustError::NoCertificate {
            path: path.to_owned(),
        };
        let mut pem = Vec::new();
        File::open(path)
            .map_err(read)?
            .take(MAX_ROOTS_BYTES + 1)
            .read_to_end(&mut pem)
            .map_err(read)?;
        if pem.len() as u64 > MAX_ROOTS_BYTES {
            return Err(none());
        }
        let mut found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|_| none())?;
        // Bundles carry old certificates that rustls cannot use as roots: those add no trust.
        found.retain(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
        if found.is_empty() {
            return Err(none());
        }
        Ok(Self(found))
    }

    /// TLS 1.2 and 1.3 by aws-lc, no client certificate.
    pub(super) fn client_config(&self) -> Result<Arc<ClientConfig>, TrustError> {
        let mut store = RootCertStore::empty();
        for certificate in &self.0 {
            store.add(certificate.clone())?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    /// As PEM text, for libraries that take nothing else.
    pub(super) fn to_pem(&self) -> String {
        self.0.iter().map(|der| certificate::pem(der)).collect()
    }
}
