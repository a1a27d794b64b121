//! What each operation does. One file a family; here the table, and what they share.

use std::sync::Arc;

use attest::PcrSet;
use aws_lc_rs::digest::{SHA256, digest};
use base64ct::{Base64, Encoding as _};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::authorize::{self, Facts};
use super::envelope::Recipient;
use super::error::KmsError;
use super::fault::Kind;
use super::key::{Key, KeyId, State};
use super::operation::Operation;
use super::principal::Principal;
use super::record::Entry;
use super::service::{Kms, KmsSetupError};
use super::trust::Attested;

mod admin;
mod crypto;
mod generate;
mod input;
mod pair;

/// One call whose signature held.
pub(crate) struct Call<'a> {
    pub(crate) kms: &'a Kms,
    pub(crate) principal: &'a Principal,
    pub(crate) entry: &'a mut Entry,
}

/// Does what is asked for.
pub(crate) fn run(call: &mut Call<'_>, operation: Operation, body: &[u8]) -> Result<Value, KmsError> {
    match operation {
        Operation::CancelKeyDeletion => admin::set_state(call, operation, body),
        Operation::CreateAlias => admin::create_alias(call, body),
        Operation::CreateKey => admin::create_key(call, body),
        Operation::Decrypt => crypto::decrypt(call, body),
        Operation::DeleteAlias => admin::delete_alias(call, body),
        Operation::DescribeKey => admin::describe_key(call, body),
        Operation::DisableKey | Operation::EnableKey | Operation::ScheduleKeyDeletion => {
            admin::set_state(call, operation, body)
        }
        Operation::Encrypt => crypto::encrypt(call, body),
        Operation::GenerateDataKey | Operation::GenerateDataKeyWithoutPlaintext => {
            generate::data_key(call, operation, body)
        }
        Operation::GenerateDataKeyPair | Operation::GenerateDataKeyPairWithoutPlaintext => {
            pair::data_key_pair(call, operation, body)
        }
        Operation::GenerateRandom => generate::random(call, body),
        Operation::GetKeyPolicy => admin::get_key_policy(call, body),
        Operation::PutKeyPolicy => admin::put_key_policy(call, body),
    }
}

/// A key, and the alias that it was named by.
struct Named {
    key: Arc<Key>,
    alias: Option<String>,
}

impl Call<'_> {
    /// The key that a `KeyId` names: by id, ARN, alias or ARN of an alias.
    fn find(&mut self, key_id: Option<&str>) -> Result<Named, KmsError> {
        let text = key_id.ok_or_else(|| KmsError::missing("keyId"))?;
        if !(1..=2048).contains(&text.len()) {
            return Err(KmsError::constraint("keyId", "have length between 1 and 2048"));
        }
        let local = match text.strip_prefix("arn:") {
            None => text,
            Some(_) => text
                .strip_prefix(&self.kms.arn(""))
                .ok_or_else(|| KmsError::not_found(format!("Invalid arn {text}")))?,
        };
        let is_arn = local.len() != text.len();
        if local.starts_with("alias/") {
            let arn = self.kms.arn(local);
            let key = self.kms.store().alias(local);
            let key = key.ok_or_else(|| KmsError::not_found(format!("Alias {arn} is not found.")))?;
            self.entry.key = Some(key.arn.clone());
            return Ok(Named {
                key,
                alias: Some(local.to_owned()),
            });
        }
        let id = match (local.strip_prefix("key/"), is_arn) {
            (Some(id), true) => Some(id),
            (None, false) => Some(local),
            _ => None,
        };
        let id: Option<KeyId> = id.and_then(|id| id.parse().ok());
        let id = id.ok_or_else(|| KmsError::not_found(format!("Invalid keyId '{text}'")))?;
        let key = self.kms.store().key(id).ok_or_else(|| {
            let arn = self.kms.arn(&format!("key/{id}"));
            KmsError::not_found(format!("Key '{arn}' does not exist"))
        })?;
        self.entry.key = Some(key.arn.clone());
        Ok(Named { key, alias: None })
    }

    /// The facts of a request to this key.
    fn facts(&self, named: &Named) -> Facts {
        let mut facts = Facts::new(&self.kms.settings.region);
        if let Some(alias) = &named.alias {
            facts.one("kms:RequestAlias", alias);
        }
        facts
    }

    /// Asks the key's policy.
    fn allow(&mut self, operation: Operation, key: &Key, facts: &Facts) -> Result<(), KmsError> {
        let statement = authorize::on_key(self.principal, operation.name(), key, facts)?;
        self.entry.allowed_by = Some(statement);
        Ok(())
    }

    /// Asks the caller's own policies.
    fn allow_by_iam(&mut self, operation: Operation) -> Result<(), KmsError> {
        self.entry.allowed_by = Some(authorize::by_iam(self.principal, operation.name())?);
        Ok(())
    }

    /// The enclave that a request names as its recipient, its document verified.
    fn attested(&mut self, recipient: Option<input::Recipient>) -> Result<Option<Attested>, KmsError> {
        let Some(recipient) = recipient else {
            return Ok(None);
        };
        match recipient.key_encryption_algorithm.as_deref() {
            Some("RSAES_OAEP_SHA_256") => {}
            None => return Err(KmsError::missing("recipient.keyEncryptionAlgorithm")),
            Some(_) => {
                return Err(KmsError::constraint(
                    "recipient.keyEncryptionAlgorithm",
                    "satisfy enum value set: [RSAES_OAEP_SHA_256]",
                ));
            }
        }
        let field = "recipient.attestationDocument";
        let document = recipient
            .attestation_document
            .ok_or_else(|| KmsError::missing(field))?;
        input::length(field, &document.0, 1, 262_144)?;
        let hash = digest(&SHA256, &document.0);
        self.kms.count(|counts| counts.document(hash.as_ref()));
        let settings = &self.kms.settings;
        let attested = settings
            .trust
            .examine(&document.0, self.entry.at, settings.max_document_age)
            .map_err(|error| KmsError::validation(error.to_string()))?;
        self.entry.pcr0 = attested.pcrs.get(0).map(ToString::to_string);
        Ok(Some(attested))
    }

    /// Puts a plaintext into an answer: for the attested enclave only, or in clear under `field`.
    fn release(
        &self,
        answer: &mut Map<String, Value>,
        field: &str,
        plaintext: &[u8],
        attested: Option<&Attested>,
    ) -> Result<(), KmsError> {
        let Some(attested) = attested else {
            answer.insert(field.to_owned(), base64(plaintext));
            return Ok(());
        };
        let form = self.kms.settings.form;
        let sealed = if self.entry.fault == Some(Kind::AnotherRecipient) {
            another_recipient()?.seal(plaintext, form)
        } else {
            attested.recipient.seal(plaintext, form)
        };
        let sealed = sealed.map_err(broken)?;
        answer.insert("CiphertextForRecipient".to_owned(), base64(&sealed));
        Ok(())
    }

    /// Puts the key's ARN into an answer.
    fn name_key(&self, answer: &mut Map<String, Value>, key: &Key) {
        let arn = if self.entry.fault == Some(Kind::WrongKeyId) {
            self.kms.arn("key/00000000-0000-4000-8000-000000000000")
        } else {
            key.arn.clone()
        };
        answer.insert("KeyId".to_owned(), arn.into());
    }
}

/// Adds the registers of the enclave, if there is one.
fn add_attestation(facts: &mut Facts, attested: Option<&Attested>) {
    if let Some(pcrs) = attested.map(|attested: &Attested| -> &PcrSet { &attested.pcrs }) {
        facts.attestation(pcrs);
    }
}

/// Whether the key can be used for cryptography.
fn usable(key: &Key) -> Result<(), KmsError> {
    match key.state {
        State::Enabled => Ok(()),
        State::Disabled => Err(KmsError::refuse(
            "DisabledException",
            format!("{} is disabled.", key.arn),
        )),
        State::PendingDeletion(_) => Err(pending_deletion(key)),
    }
}

fn pending_deletion(key: &Key) -> KmsError {
    KmsError::refuse(
        "KMSInvalidStateException",
        format!("{} is pending deletion.", key.arn),
    )
}

/// A dry run ends here, when everything else would have gone well.
fn dry_run(wanted: Option<bool>) -> Result<(), KmsError> {
    if wanted == Some(true) {
        return Err(KmsError {
            status: 412,
            name: "DryRunOperationException",
            message: Some("The request would have succeeded, but the DryRun option is set.".to_owned()),
        });
    }
    Ok(())
}

fn base64(bytes: &[u8]) -> Value {
    Base64::encode_string(bytes).into()
}

/// So many random bytes.
fn random(length: usize) -> Result<Zeroizing<Vec<u8>>, KmsError> {
    let mut bytes = Zeroizing::new(vec![0; length]);
    aws_lc_rs::rand::fill(&mut bytes).map_err(broken)?;
    Ok(bytes)
}

fn another_recipient() -> Result<Recipient, KmsError> {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
    let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(broken)?;
    let spki = key.public_key().as_der().map_err(broken)?;
    Recipient::from_spki(spki.as_ref()).map_err(|error| KmsError::internal(error.to_string()))
}

fn broken(_: aws_lc_rs::error::Unspecified) -> KmsError {
    KmsError::internal("the cryptographic library failed")
}

impl From<KmsSetupError> for KmsError {
    fn from(error: KmsSetupError) -> Self {
        Self::internal(error.to_string())
    }
}
