//! `CiphertextForRecipient`: CMS `EnvelopedData` in the BER that AWS KMS sends.
//!
//! An encoder of its own, held to genuine answers of KMS in `tests/kms`: the client's decoder was written by other hands
//! from the same samples, so each checks the other. All outer levels have indefinite lengths; the inner ones are DER.
//!
//! Spec: RFC 5652 section 6 (`EnvelopedData`), RFC 4055 section 4.1 (RSAES-OAEP), X.690 section 8.

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use zeroize::Zeroizing;

use super::ber::{INTEGER, NULL, OCTET_STRING, OID, SEQUENCE, SET, definite, indefinite};

/// 1.2.840.113549.1.7.3
const ENVELOPED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3];
/// 1.2.840.113549.1.7.1
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
/// 1.2.840.113549.1.1.7
const RSAES_OAEP: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 7];
/// 1.2.840.113549.1.1.8
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8];
/// 2.16.840.1.101.3.4.2.1
const SHA_256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
/// 2.16.840.1.101.3.4.1.42
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 0x2a];

/// How the encrypted content is written. KMS sends both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentForm {
    /// `A0 80`, one OCTET STRING, end of contents.
    #[default]
    Constructed,
    /// `80` and a definite length.
    Primitive,
}

/// Why a public key cannot be encrypted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the public key is not an RSA key of 2048 to 8192 bits in the form SubjectPublicKeyInfo")]
pub struct NotRecipient;

/// An RSA key to encrypt answers to.
#[derive(Debug)]
pub struct Recipient {
    key: OaepPublicEncryptingKey,
    /// SHA-256 of the key's `SubjectPublicKeyInfo`.
    id: [u8; 32],
}

impl Recipient {
    /// The key in `spki`, DER.
    ///
    /// # Errors
    /// [`NotRecipient`].
    pub fn from_spki(spki: &[u8]) -> Result<Self, NotRecipient> {
        let key = PublicEncryptingKey::from_der(spki).map_err(|_| NotRecipient)?;
        let mut id = [0; 32];
        for (to, from) in id.iter_mut().zip(digest(&SHA256, spki).as_ref()) {
            *to = *from;
        }
        Ok(Self {
            key: OaepPublicEncryptingKey::new(key).map_err(|_| NotRecipient)?,
            id,
        })
    }

    /// `plaintext` for the holder of the private key.
    ///
    /// # Errors
    /// [`Unspecified`] when the cryptographic library fails.
    pub fn seal(&self, plaintext: &[u8], form: ContentForm) -> Result<Vec<u8>, Unspecified> {
        let mut content_key = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(content_key.as_mut())?;
        let cipher =
            PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, content_key.as_ref())?)?;
        let mut content = plaintext.to_vec();
        let DecryptionContext::Iv128(iv) = cipher.encrypt(&mut content)? else {
            return Err(Unspecified);
        };
        let mut wrapped = vec![0; self.key.ciphertext_size()];
        let wrapped = self
            .key
            .encrypt(&OAEP_SHA256_MGF1SHA256, content_key.as_ref(), &mut wrapped, None)?;
        Ok(encode(&self.id, wrapped, iv.as_ref(), &content, form))
    }
}

fn encode(id: &[u8; 32], wrapped: &[u8], iv: &[u8; 16], content: &[u8], form: ContentForm) -> Vec<u8> {
    let oid = |value: &[u8]| definite(OID, &[value]);
    let version = definite(INTEGER, &[&[2]]);

    let sha256 = definite(SEQUENCE, &[&oid(SHA_256), &definite(NULL, &[])]);
    let mgf1 = definite(SEQUENCE, &[&oid(MGF1), &sha256]);
    let oaep = definite(
        SEQUENCE,
        &[&definite(0xa0, &[&sha256]), &definite(0xa1, &[&mgf1])],
    );
    let recipient = definite(
        SEQUENCE,
        &[
            &version,
            &definite(0x80, &[id]),
            &definite(SEQUENCE, &[&oid(RSAES_OAEP), &oaep]),
            &definite(OCTET_STRING, &[wrapped]),
        ],
    );

    let cipher = definite(SEQUENCE, &[&oid(AES_256_CBC), &definite(OCTET_STRING, &[iv])]);
    let content = match form {
        ContentForm::Constructed => indefinite(0xa0, &[&definite(OCTET_STRING, &[content])]),
        ContentForm::Primitive => definite(0x80, &[content]),
    };
    let content = indefinite(SEQUENCE, &[&oid(DATA), &cipher, &content]);
    let data = indefinite(SEQUENCE, &[&version, &definite(SET, &[&recipient]), &content]);
    indefinite(SEQUENCE, &[&oid(ENVELOPED_DATA), &indefinite(0xa0, &[&data])])
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::signature::KeyPair as _;

    use super::*;

    /// Genuine answers of KMS: with their variable parts put into our encoder, it writes the same bytes.
    #[test]
    fn layout_is_that_of_kms() {
        let samples: [(&str, &[u8], ContentForm); 4] = [
            (
                "enclaver",
                include_bytes!("../../../kmstool-rs/tests/data/cms/genuine/enclaver.ber"),
                ContentForm::Constructed,
            ),
            (
                "edgebit",
                include_bytes!("../../../kmstool-rs/tests/data/cms/genuine/edgebit_sdkgo.ber"),
                ContentForm::Constructed,
            ),
            (
                "sdk-c",
                include_bytes!("../../../kmstool-rs/tests/data/cms/genuine/sdkc_constructed.ber"),
                ContentForm::Constructed,
            ),
            (
                "sdk-c, primitive",
                include_bytes!("../../../kmstool-rs/tests/data/cms/genuine/sdkc_primitive.ber"),
                ContentForm::Primitive,
            ),
        ];
        for (name, genuine, form) in samples {
            let after = |mark: &[u8], length: usize| {
                let at = genuine.windows(mark.len()).position(|w| w == mark).unwrap() + mark.len();
                genuine[at..at + length].to_vec()
            };
            let id: [u8; 32] = after(&[0x80, 0x20], 32).try_into().unwrap();
            let wrapped = after(&[0x04, 0x82, 1, 0], 256);
            let iv_mark = [AES_256_CBC, &[0x04, 0x10]].concat();
            let iv: [u8; 16] = after(&iv_mark, 16).try_into().unwrap();
            let start =
                genuine.windows(iv_mark.len()).position(|w| w == iv_mark).unwrap() + iv_mark.len() + 16;
            let rest = &genuine[start..];
            let content = match form {
                ContentForm::Constructed => &rest[4..4 + usize::from(rest[3])],
                ContentForm::Primitive => &rest[2..2 + usize::from(rest[1])],
            };
            assert_eq!(
                hex::encode(encode(&id, &wrapped, &iv, content, form)),
                hex::encode(genuine),
                "{name}"
            );
        }
    }

    #[test]
    fn other_keys_are_refused() {
        let p256 = aws_lc_rs::signature::EcdsaKeyPair::generate(
            &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        )
        .unwrap();
        let spki = p256.public_key().as_der().unwrap();
        assert_eq!(Recipient::from_spki(spki.as_ref()).err(), Some(NotRecipient));
        assert_eq!(Recipient::from_spki(&[]).err(), Some(NotRecipient));
    }
}
