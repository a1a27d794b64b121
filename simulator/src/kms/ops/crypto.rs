//! `Encrypt` and `Decrypt`.

use serde_json::{Map, Value};

use super::{Call, Named, add_attestation, base64, broken, dry_run, usable};
use crate::kms::blob;
use crate::kms::error::KmsError;
use crate::kms::operation::Operation;
use crate::kms::ops::input::{Crypto, length};

const ALGORITHM: &str = "SYMMETRIC_DEFAULT";

pub(super) fn encrypt(call: &mut Call<'_>, body: &[u8]) -> Result<Value, KmsError> {
    let mut input = Crypto::parse(body)?;
    let context = input.context();
    let plaintext = input.plaintext.ok_or_else(|| KmsError::missing("plaintext"))?;
    length("plaintext", &plaintext.0, 1, 4096)?;
    let named = call.find(input.key_id.as_deref())?;
    let mut facts = call.facts(&named);
    facts.one("kms:EncryptionAlgorithm", ALGORITHM);
    facts.encryption_context(&context);
    call.allow(Operation::Encrypt, &named.key, &facts)?;
    usable(&named.key)?;
    dry_run(input.dry_run)?;
    let sealed = blob::seal(named.key.id, &named.key.material, &plaintext.0, &context).map_err(broken)?;
    let mut answer = Map::new();
    answer.insert("CiphertextBlob".to_owned(), base64(&sealed));
    answer.insert("EncryptionAlgorithm".to_owned(), ALGORITHM.into());
    call.name_key(&mut answer, &named.key);
    Ok(answer.into())
}

pub(super) fn decrypt(call: &mut Call<'_>, body: &[u8]) -> Result<Value, KmsError> {
    let mut input = Crypto::parse(body)?;
    let context = input.context();
    let sealed = input
        .ciphertext_blob
        .take()
        .ok_or_else(|| KmsError::missing("ciphertextBlob"))?;
    length("ciphertextBlob", &sealed.0, 1, 6144)?;
    let attested = call.attested(input.recipient.take())?;

    let said = blob::key_id(&sealed.0).ok_or_else(KmsError::invalid_ciphertext)?;
    let named = if input.key_id.is_some() {
        call.find(input.key_id.as_deref())?
    } else {
        let key = call.kms.store().key(said).ok_or_else(|| {
            KmsError::denied(
                "The ciphertext refers to a customer master key that does not exist, does not exist in this region, \
                 or you are not allowed to access.",
            )
        })?;
        call.entry.key = Some(key.arn.clone());
        Named { key, alias: None }
    };
    let mut facts = call.facts(&named);
    facts.one("kms:EncryptionAlgorithm", ALGORITHM);
    facts.encryption_context(&context);
    add_attestation(&mut facts, attested.as_ref());
    call.allow(Operation::Decrypt, &named.key, &facts)?;
    if named.key.id != said {
        return Err(KmsError::refuse(
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        ));
    }
    usable(&named.key)?;
    let plaintext =
        blob::open(&sealed.0, &named.key.material, &context).ok_or_else(KmsError::invalid_ciphertext)?;
    dry_run(input.dry_run)?;
    let mut answer = Map::new();
    answer.insert("EncryptionAlgorithm".to_owned(), ALGORITHM.into());
    call.name_key(&mut answer, &named.key);
    call.release(&mut answer, "Plaintext", &plaintext, attested.as_ref())?;
    Ok(answer.into())
}
