//! The certificates of the KMS: a test CA of its own, or a certificate that is given.
//!
//! In a folder the CA is kept (`ca.pem`, and its key in `ca.key`, for the owner only), so that what trusts it today trusts it
//! after a restart too. The server's own certificate is made anew at each start and never written.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::store::{StoreError, io_error, replace};

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// A file.
    #[error("the CA cannot be kept")]
    File(#[from] StoreError),
    /// A certificate or key cannot be made or read.
    #[error("cannot make or read a certificate of the CA")]
    Make(#[from] rcgen::Error),
    /// A given file has no certificate or no private key.
    #[error("the given TLS certificate or key is no PEM of one")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// TLS does not take the certificate.
    #[error("the TLS certificate and its key cannot be used")]
    Tls(#[from] rustls::Error),
    /// The CA of a folder is half there.
    #[error("{0} has one of ca.pem and ca.key, not both; move it away to get a new CA")]
    Half(String),
}

/// A certificate authority for tests.
#[derive(Debug)]
pub struct Ca {
    pem: String,
    key: KeyPair,
}

impl Ca {
    /// A new one, in memory.
    ///
    /// # Errors
    /// [`PkiError`].
    pub fn new() -> Result<Self, PkiError> {
        let key = KeyPair::generate()?;
        let pem = params()?.self_signed(&key)?.pem();
        Ok(Self { pem, key })
    }

    /// The one of `folder`, made there if it is absent.
    ///
    /// # Errors
    /// [`PkiError`].
    pub fn in_folder(folder: &Path) -> Result<Self, PkiError> {
        let (cert, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        match (cert.exists(), key.exists()) {
            (true, true) => {
                let pem = std::fs::read_to_string(&cert).map_err(io_error(&cert))?;
                let text = zeroize::Zeroizing::new(std::fs::read_to_string(&key).map_err(io_error(&key))?);
                Ok(Self {
                    pem,
                    key: KeyPair::from_pem(&text)?,
                })
            }
            (false, false) => {
                std::fs::create_dir_all(folder).map_err(io_error(folder))?;
                let ca = Self::new()?;
                replace(&key, zeroize::Zeroizing::new(ca.key.serialize_pem()).as_bytes())?;
                replace(&cert, ca.pem.as_bytes())?;
                Ok(ca)
            }
            _ => Err(PkiError::Half(folder.display().to_string())),
        }
    }

    /// The CA's certificate.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server certificate for these DNS names and IP addresses.
    ///
    /// # Errors
    /// [`PkiError`].
    pub fn identity(&self, names: &[String]) -> Result<Identity, PkiError> {
        let mut leaf = CertificateParams::new(names)?;
        leaf.distinguished_name = name("simulator kms");
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let leaf = leaf.signed_by(&key, &Issuer::new(params()?, &self.key))?;
        let chain = vec![leaf.der().clone()];
        Identity::new(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }
}

fn params() -> Result<CertificateParams, rcgen::Error> {
    let mut ca = CertificateParams::new(Vec::<String>::new())?;
    ca.distinguished_name = name("simulator kms TEST CA, trust it in tests only");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(ca)
}

fn name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

/// What the server shows to clients.
#[derive(Clone, Debug)]
pub struct Identity(pub(crate) Arc<ServerConfig>);

impl Identity {
    /// A certificate chain and its key, in PEM.
    ///
    /// # Errors
    /// [`PkiError::Pem`], [`PkiError::Tls`].
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, PkiError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        Self::new(chain?, PrivateKeyDer::from_pem_slice(key.as_bytes())?)
    }

    /// What a server of another protocol needs to show the same.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0)
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, PkiError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

/// The names of KMS in a region, and those of this machine.
///
/// Source of the domains: aws-nitro-enclaves-sdk-c, `source/kms.c`.
#[must_use]
pub fn names(region: &str) -> Vec<String> {
    const DOMAINS: [(&str, &str); 6] = [
        ("cn-", "amazonaws.com.cn"),
        ("eusc-", "amazonaws.eu"),
        ("us-iso-", "c2s.ic.gov"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("us-isof-", "csp.hci.ic.gov"),
    ];
    let domain = DOMAINS
        .iter()
        .find(|(prefix, _)| region.starts_with(prefix))
        .map_or("amazonaws.com", |(_, domain)| domain);
    vec![
        format!("kms.{region}.{domain}"),
        format!("kms-fips.{region}.{domain}"),
        format!("*.kms.{region}.vpce.{domain}"),
        format!("*.kms-fips.{region}.vpce.{domain}"),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_keeps_its_ca() {
        let folder = tempfile::tempdir().unwrap();
        let first = Ca::in_folder(folder.path()).unwrap();
        let second = Ca::in_folder(folder.path()).unwrap();
        assert_eq!(
            (first.pem(), first.key.serialize_der()),
            (second.pem(), second.key.serialize_der())
        );
        let key = folder.path().join("ca.key");
        assert_eq!(
            std::fs::metadata(&key).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::remove_file(&key).unwrap();
        assert!(matches!(Ca::in_folder(folder.path()), Err(PkiError::Half(_))));
    }

    #[test]
    fn given_files_must_be_pem() {
        let ca = Ca::new().unwrap();
        let identity = Identity::from_pem(ca.pem(), &ca.key.serialize_pem());
        assert_eq!(identity.unwrap().0.alpn_protocols, [b"http/1.1"]);
        assert!(matches!(
            Identity::from_pem(ca.pem(), "no"),
            Err(PkiError::Pem(_))
        ));
        let other = KeyPair::generate().unwrap().serialize_pem();
        assert!(matches!(
            Identity::from_pem(ca.pem(), &other),
            Err(PkiError::Tls(_))
        ));
    }

    #[test]
    fn names_follow_the_region() {
        assert_eq!(names("us-east-1")[0], "kms.us-east-1.amazonaws.com");
        assert_eq!(names("cn-north-1")[1], "kms-fips.cn-north-1.amazonaws.com.cn");
    }
}
