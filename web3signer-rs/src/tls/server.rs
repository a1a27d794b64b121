//! The TLS side of the server as one value that is made from files, and made anew on a reload.
//!
//! A reload replaces the whole [`rustls::ServerConfig`]: its session tickets die with it, so that a client that was
//! taken off the list cannot resume a session instead of showing its certificate again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use zeroize::Zeroizing;

use super::clients::Verifier;
use super::identity::{self, IdentityError};
use super::known_clients::{self, KnownClients, KnownClientsError};
use crate::config::{Clients, Tls};

/// Why TLS cannot be set up. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read.
    #[error("{what} {} cannot be read: {source}", .path.display())]
    Read {
        /// Which file.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A password file that is not text, or whose first line is empty.
    #[error("the first line of the TLS password file {} is not a password", .0.display())]
    Password(PathBuf),
    /// The server's key store.
    #[error("TLS key store {}: {source}", .path.display())]
    Identity {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: IdentityError,
    },
    /// The list of clients.
    #[error("known clients file {}: {source}", .path.display())]
    KnownClients {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: KnownClientsError,
    },
    /// The CAs of clients.
    #[error("client CA file {}: {why}", .path.display())]
    Authorities {
        /// Its path.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// rustls does not accept what it was given.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// What accepts connections.
#[derive(Debug, Clone)]
pub struct TlsServer {
    /// For the handshake.
    pub config: Arc<ServerConfig>,
    /// The rules for clients; `None` where no certificate is asked for.
    pub verifier: Option<Arc<Verifier>>,
}

impl TlsServer {
    /// Reads the files. A known-clients file that is not there is created empty, as upstream does.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(tls: &Tls) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified = server_key(tls, &provider)?;
        let verifier = match &tls.clients {
            Clients::Any => None,
            Clients::Known { file, ca_file } => {
                let known = file
                    .as_deref()
                    .map(read_known_clients)
                    .transpose()?
                    .unwrap_or_default();
                let authorities = ca_file
                    .as_deref()
                    .map(|path| authorities(path, &provider))
                    .transpose()?;
                Some(Arc::new(Verifier::new(known, authorities, Arc::clone(&provider))))
            }
        };
        let config = server_config(provider, certified, verifier.clone())?;
        Ok(Self { config, verifier })
    }
}

fn server_config(
    provider: Arc<CryptoProvider>,
    certified: Arc<CertifiedKey>,
    verifier: Option<Arc<Verifier>>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(
        builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified))),
    ))
}

fn server_key(tls: &Tls, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
    let store = read("TLS key store", &tls.keystore)?;
    let file = Zeroizing::new(read("TLS password file", &tls.password_file)?);
    let password = identity::password(&file).ok_or_else(|| TlsError::Password(tls.password_file.clone()))?;
    identity::read(&store, &password, provider).map_err(|source| TlsError::Identity {
        path: tls.keystore.clone(),
        source,
    })
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    // The largest of these files is the list of clients; whatever is larger is not read to its end.
    let limit = known_clients::FILE_LIMIT + 1;
    let read = || {
        let mut bytes = Vec::new();
        let mut file = io::Read::take(fs::File::open(path)?, u64::try_from(limit).unwrap_or(u64::MAX));
        io::Read::read_to_end(&mut file, &mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| TlsError::Read {
        what,
        path: path.to_owned(),
        source,
    })
}

fn read_known_clients(path: &Path) -> Result<KnownClients, TlsError> {
    let what = "known clients file";
    let bytes = match read(what, path) {
        Err(TlsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            fs::write(path, b"").map_err(|source| TlsError::Read {
                what,
                path: path.to_owned(),
                source,
            })?;
            Vec::new()
        }
        other => other?,
    };
    KnownClients::parse(&bytes).map_err(|source| TlsError::KnownClients {
        path: path.to_owned(),
        source,
    })
}

fn authorities(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let wrong = |why: String| TlsError::Authorities {
        path: path.to_owned(),
        why,
    };
    let pem = read("client CA file", path)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| wrong(format!("not PEM: {e:?}")))?;
        roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("no certificate in it".to_owned()));
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = verifier.build().map_err(|e| wrong(e.to_string()))?;
    Ok(verifier)
}
