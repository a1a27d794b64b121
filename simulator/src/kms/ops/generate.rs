//! `GenerateDataKey`, with and without plaintext, and `GenerateRandom`.

use serde_json::{Map, Value};

use super::{Call, add_attestation, base64, broken, dry_run, random as random_bytes, usable};
use crate::kms::blob;
use crate::kms::error::KmsError;
use crate::kms::operation::Operation;
use crate::kms::ops::input::Crypto;

pub(super) fn data_key(call: &mut Call<'_>, operation: Operation, body: &[u8]) -> Result<Value, KmsError> {
    let mut input = Crypto::parse(body)?;
    let context = input.context();
    let size = match (input.key_spec.as_deref(), input.number_of_bytes) {
        (Some("AES_256"), None) => 32,
        (Some("AES_128"), None) => 16,
        (None, Some(number)) => count(number)?,
        (Some(_), None) => {
            return Err(KmsError::constraint(
                "keySpec",
                "satisfy enum value set: [AES_128, AES_256]",
            ));
        }
        (None, None) | (Some(_), Some(_)) => {
            return Err(KmsError::validation(
                "Please specify either number of bytes or key spec.",
            ));
        }
    };
    let shown = operation == Operation::GenerateDataKey;
    let attested = if shown {
        call.attested(input.recipient.take())?
    } else {
        None
    };
    let named = call.find(input.key_id.as_deref())?;
    let mut facts = call.facts(&named);
    facts.one("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT");
    facts.encryption_context(&context);
    add_attestation(&mut facts, attested.as_ref());
    call.allow(operation, &named.key, &facts)?;
    usable(&named.key)?;
    dry_run(input.dry_run)?;
    let plaintext = random_bytes(size)?;
    let sealed = blob::seal(named.key.id, &named.key.material, &plaintext, &context).map_err(broken)?;
    let mut answer = Map::new();
    answer.insert("CiphertextBlob".to_owned(), base64(&sealed));
    call.name_key(&mut answer, &named.key);
    if shown {
        call.release(&mut answer, "Plaintext", &plaintext, attested.as_ref())?;
    }
    Ok(answer.into())
}

/// No key, so no key policy: only the caller's own policies are asked, and no PCR can be demanded.
pub(super) fn random(call: &mut Call<'_>, body: &[u8]) -> Result<Value, KmsError> {
    let mut input = Crypto::parse(body)?;
    let number = input
        .number_of_bytes
        .ok_or_else(|| KmsError::missing("numberOfBytes"))?;
    let size = count(number)?;
    if input.custom_key_store_id.is_some() {
        return Err(KmsError::refuse(
            "CustomKeyStoreNotFoundException",
            "the simulator has no custom key stores",
        ));
    }
    let attested = call.attested(input.recipient.take())?;
    call.allow_by_iam(Operation::GenerateRandom)?;
    let plaintext = random_bytes(size)?;
    let mut answer = Map::new();
    call.release(&mut answer, "Plaintext", &plaintext, attested.as_ref())?;
    Ok(answer.into())
}

fn count(number: i64) -> Result<usize, KmsError> {
    usize::try_from(number)
        .ok()
        .filter(|number| (1..=1024).contains(number))
        .ok_or_else(|| KmsError::constraint("numberOfBytes", "have value between 1 and 1024"))
}
