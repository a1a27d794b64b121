//! `GenerateDataKeyPair`, with and without plaintext.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _,
};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Call, add_attestation, base64, broken, dry_run, usable};
use crate::kms::blob;
use crate::kms::error::KmsError;
use crate::kms::operation::Operation;
use crate::kms::ops::input::Crypto;

/// A kind of key pair.
#[derive(Clone, Copy)]
enum Spec {
    Rsa(KeySize),
    Ec(&'static EcdsaSigningAlgorithm),
}

impl Spec {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RSA_2048" => Self::Rsa(KeySize::Rsa2048),
            "RSA_3072" => Self::Rsa(KeySize::Rsa3072),
            "RSA_4096" => Self::Rsa(KeySize::Rsa4096),
            "ECC_NIST_P256" => Self::Ec(&ECDSA_P256_SHA256_ASN1_SIGNING),
            "ECC_NIST_P384" => Self::Ec(&ECDSA_P384_SHA384_ASN1_SIGNING),
            "ECC_NIST_P521" => Self::Ec(&ECDSA_P521_SHA512_ASN1_SIGNING),
            "ECC_SECG_P256K1" => Self::Ec(&ECDSA_P256K1_SHA256_ASN1_SIGNING),
            _ => return None,
        })
    }

    /// The private key as PKCS#8 and the public key as `SubjectPublicKeyInfo`, both DER.
    fn generate(self) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), aws_lc_rs::error::Unspecified> {
        Ok(match self {
            Self::Rsa(size) => {
                let pair = RsaKeyPair::generate(size)?;
                let public = pair.public_key().as_der()?.as_ref().to_vec();
                (Zeroizing::new(pair.as_der()?.as_ref().to_vec()), public)
            }
            Self::Ec(algorithm) => {
                let pair = EcdsaKeyPair::generate(algorithm)?;
                let public = pair.public_key().as_der()?.as_ref().to_vec();
                (Zeroizing::new(pair.to_pkcs8v1()?.as_ref().to_vec()), public)
            }
        })
    }
}

pub(super) fn data_key_pair(
    call: &mut Call<'_>,
    operation: Operation,
    body: &[u8],
) -> Result<Value, KmsError> {
    let mut input = Crypto::parse(body)?;
    let context = input.context();
    let name = input
        .key_pair_spec
        .take()
        .ok_or_else(|| KmsError::missing("keyPairSpec"))?;
    let spec = Spec::named(&name).ok_or_else(|| {
        KmsError::constraint(
            "keyPairSpec",
            "satisfy enum value set: [RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, \
             ECC_SECG_P256K1]",
        )
    })?;
    let shown = operation == Operation::GenerateDataKeyPair;
    let attested = if shown {
        call.attested(input.recipient.take())?
    } else {
        None
    };
    let named = call.find(input.key_id.as_deref())?;
    let mut facts = call.facts(&named);
    facts.one("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT");
    facts.one("kms:DataKeyPairSpec", &name);
    facts.encryption_context(&context);
    add_attestation(&mut facts, attested.as_ref());
    call.allow(operation, &named.key, &facts)?;
    usable(&named.key)?;
    dry_run(input.dry_run)?;
    let (private, public) = spec.generate().map_err(broken)?;
    let sealed = blob::seal(named.key.id, &named.key.material, &private, &context).map_err(broken)?;
    let mut answer = Map::new();
    answer.insert("KeyPairSpec".to_owned(), name.into());
    answer.insert("PrivateKeyCiphertextBlob".to_owned(), base64(&sealed));
    answer.insert("PublicKey".to_owned(), base64(&public));
    call.name_key(&mut answer, &named.key);
    if shown {
        call.release(&mut answer, "PrivateKeyPlaintext", &private, attested.as_ref())?;
    }
    Ok(answer.into())
}
