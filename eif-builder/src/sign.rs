//! Signatures of images: whose key may make one, and putting it into an image.
//!
//! An image is signed or there is none: a wrong key, an expired certificate or a KMS that does not answer is an error that
//! leaves the output as it was. What was signed is read back and checked before it takes its place.
//!
//! - [`certificate`]: the certificate of a signing key
//! - [`key`]: what a key can do; [`pem`]: one in a file; [`kms`]: one that never leaves KMS

pub mod certificate;
pub mod key;
pub mod kms;
pub mod pem;

use std::fs::File;
use std::path::Path;

use attest::UnixMs;
use eif::{
    EifError, EifFile, Measured, Measurements, Pcr, PcrSignature, ResignError, Signature, SignatureAlgorithm,
    SignatureError, SignedPcr,
};

use self::certificate::{CertificateError, SigningCertificate};
use self::key::{KeyError, SigningKey};
use crate::cursor::Cursor;
use crate::file::{OpenError, failed, open_regular};
use crate::partial::{Partial, PartialError};

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The certificate cannot be used.
    #[error("the signing certificate cannot be used")]
    Certificate(#[from] CertificateError),
    /// A key on another curve than P-384.
    #[error("the signing certificate's key signs with {}, expected ES384: images are signed with P-384 here", actual.name())]
    Curve {
        /// What it signs with.
        actual: SignatureAlgorithm,
    },
    /// The key could not be used.
    #[error("the signing key {key} cannot be used")]
    Key {
        /// Its path or ARN.
        key: String,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// The key and the certificate belong to others.
    #[error("the signing key {key} is not that of the certificate {subject}")]
    OtherKey {
        /// Path or ARN of the key.
        key: String,
        /// Whose the certificate is.
        subject: String,
    },
    /// A signature that the certificate's key did not make; whatever made it cannot be trusted.
    #[error("the signature that {key} made does not verify under its own certificate; nothing was written")]
    DoesNotVerify {
        /// Path or ARN of the key.
        key: String,
    },
    /// The signature does not fit into an image.
    #[error("the signature does not fit into an image")]
    Section(#[from] SignatureError),
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The image is none that can be relied on.
    #[error("this is not an image that can be signed")]
    Image(#[from] EifError),
    /// The image is damaged.
    #[error(
        "the CRC-32 in the image's header is {stored:08x}, of its bytes {computed:08x}; a damaged image is not signed"
    )]
    Crc {
        /// In the header.
        stored: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// The image has no place for a signature, or the new one could not be written.
    #[error("cannot put the signature into the image")]
    Resign(#[from] ResignError),
    /// What was written is not what was signed.
    #[error("the image changed while it was signed; nothing was written")]
    Changed,
    /// The file beside the output could not be made or renamed.
    #[error(transparent)]
    Output(#[from] PartialError),
}

/// A key with its certificate, which belong together and are valid. The check is in [`Signer::new`] alone.
#[derive(Debug)]
pub struct Signer {
    certificate: SigningCertificate,
    key: Box<dyn SigningKey>,
}

/// An image as it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Its registers, PCR8 among them.
    pub measurements: Measurements,
    /// Its size in bytes.
    pub size: u64,
}

impl Signer {
    /// Checks that `certificate_pem` is valid at `at` and is the certificate of `key`.
    ///
    /// # Errors
    /// [`SignError`] `Certificate`, `Curve`, `Key` or `OtherKey`.
    pub fn new(certificate_pem: &[u8], key: Box<dyn SigningKey>, at: UnixMs) -> Result<Self, SignError> {
        let certificate = SigningCertificate::from_pem(certificate_pem)?;
        if certificate.algorithm != SignatureAlgorithm::Es384 {
            return Err(SignError::Curve {
                actual: certificate.algorithm,
            });
        }
        certificate.check_dates(at)?;
        let point = key.public_point().map_err(|source| SignError::Key {
            key: key.name(),
            source,
        })?;
        if point != certificate.point {
            return Err(SignError::OtherKey {
                key: key.name(),
                subject: certificate.subject,
            });
        }
        Ok(Self { certificate, key })
    }

    /// The certificate.
    #[must_use]
    pub const fn certificate(&self) -> &SigningCertificate {
        &self.certificate
    }

    /// A signature section that says that register 0 is `pcr0`. It verifies, or there is none.
    ///
    /// # Errors
    /// [`SignError`] `Key`, `DoesNotVerify` or `Section`.
    pub fn sign(&self, pcr0: &Pcr) -> Result<Signature, SignError> {
        let algorithm = self.certificate.algorithm;
        let signature = self.key.sign(&SignedPcr::message(algorithm, pcr0));
        let signature = signature.map_err(|source| SignError::Key {
            key: self.key.name(),
            source,
        })?;
        let signed = SignedPcr {
            algorithm,
            index: 0,
            value: *pcr0,
            signature,
        };
        if !self.certificate.made(&signed) {
            return Err(SignError::DoesNotVerify { key: self.key.name() });
        }
        let signature = PcrSignature {
            certificate_pem: self.certificate.pem.clone(),
            cose: signed.encode(),
        };
        Ok(Signature::new(vec![signature])?)
    }
}

/// Signs the image at `path` into `output`, which may be the same path. A signature that is there is replaced; no byte
/// changes but those of the header and of the signature section.
///
/// # Errors
/// [`SignError`]; `output` is then what it was before, and no other file is left.
pub fn sign_image(path: &Path, output: &Path, signer: &Signer) -> Result<Signed, SignError> {
    let file = open_regular(path)?;
    let (partial, done) = signed_copy(&file, output, signer)?;
    partial.rename_to(output)?;
    Ok(done)
}

/// Signs `image` into a file beside `output`, checked and ready to be renamed.
///
/// # Errors
/// [`SignError`]; no file is left then.
pub(crate) fn signed_copy(
    image: &File,
    output: &Path,
    signer: &Signer,
) -> Result<(Partial, Signed), SignError> {
    let mut source = EifFile::open(Cursor::new(image))?;
    let before = sound(&mut source)?;
    let signature = signer.sign(&before.measurements.pcr0)?;
    let mut partial = Partial::beside(output)?;
    source.write_signed(&signature, &mut partial.file)?;
    // Read back: the image may have been replaced between the two readings, and a disk may lie.
    let mut written = EifFile::open(Cursor::new(&partial.file))?;
    let after = sound(&mut written)?;
    let expected = Measurements {
        pcr8: Some(signature.pcr8()),
        ..before.measurements
    };
    if after.measurements != expected || written.signature() != Some(&signature) {
        return Err(SignError::Changed);
    }
    let done = Signed {
        measurements: after.measurements,
        size: written.length(),
    };
    partial
        .file
        .sync_all()
        .map_err(failed("write", output))
        .map_err(PartialError::from)?;
    Ok((partial, done))
}

/// The image's measurements, if its CRC is right.
fn sound(image: &mut EifFile<Cursor<'_>>) -> Result<Measured, SignError> {
    let measured = image.measure()?;
    let (stored, computed) = (image.header().crc, measured.crc);
    if stored != computed {
        return Err(SignError::Crc { stored, computed });
    }
    Ok(measured)
}
