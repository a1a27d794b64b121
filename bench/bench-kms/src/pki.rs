//! A made-up Nitro PKI of the real shape: root, three authorities and a leaf, all P-384.
//!
//! Made anew for each run, kept in a folder for the processes that play enclaves. It proves nothing to anybody else.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384,
};

/// Names of the authorities below the root, with how many authorities each allows below itself, as on AWS.
const AUTHORITIES: [(&str, u8); 3] = [("region", 2), ("zone", 1), ("instance", 0)];

/// Certificates as DER, root first and leaf last, and the leaf's key.
pub(crate) struct Pki {
    /// Root and authorities.
    pub(crate) bundle: Vec<Vec<u8>>,
    /// The leaf.
    pub(crate) leaf: Vec<u8>,
    key_pkcs8: Vec<u8>,
    key: EcdsaKeyPair,
}

impl Pki {
    /// Makes one that is valid now.
    pub(crate) fn make() -> Result<Self> {
        let key = || KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384);
        let root_key = key()?;
        let root = authority("bench.nitro-enclaves", BasicConstraints::Unconstrained);
        let mut bundle = vec![root.self_signed(&root_key)?.der().to_vec()];
        let mut issuer = Issuer::new(root, root_key);
        for (name, below) in AUTHORITIES {
            let (params, own) = (authority(name, BasicConstraints::Constrained(below)), key()?);
            bundle.push(params.signed_by(&own, &issuer)?.der().to_vec());
            issuer = Issuer::new(params, own);
        }
        let mut params = named("enclave");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let own = key()?;
        let leaf = params.signed_by(&own, &issuer)?.der().to_vec();
        Self::new(bundle, leaf, own.serialize_der())
    }

    fn new(bundle: Vec<Vec<u8>>, leaf: Vec<u8>, key_pkcs8: Vec<u8>) -> Result<Self> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &key_pkcs8)
            .context("the leaf's key is none")?;
        Ok(Self {
            bundle,
            leaf,
            key_pkcs8,
            key,
        })
    }

    /// Writes it for [`Self::read`].
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        for (number, der) in self.bundle.iter().enumerate() {
            fs::write(folder.join(format!("bundle{number}.der")), der)?;
        }
        fs::write(folder.join("leaf.der"), &self.leaf)?;
        fs::write(folder.join("leaf_key.der"), &self.key_pkcs8)?;
        Ok(())
    }

    /// Reads what [`Self::write`] wrote.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let file = |name: &str| fs::read(folder.join(name)).with_context(|| format!("no {name}"));
        let bundle = (0..=AUTHORITIES.len()).map(|number| file(&format!("bundle{number}.der")));
        Self::new(
            bundle.collect::<Result<_>>()?,
            file("leaf.der")?,
            file("leaf_key.der")?,
        )
    }

    /// The leaf's ES384 signature: r and s, 48 bytes each.
    pub(crate) fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let signature = self
            .key
            .sign(&SystemRandom::new(), bytes)
            .context("cannot sign")?;
        Ok(signature.as_ref().to_vec())
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str, constraints: BasicConstraints) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
    ];
    params
}
