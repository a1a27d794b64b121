//! The KMS itself: from one HTTP request to one answer. It knows no sockets and no TLS; see [`super::server`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kms_policy::arn::{AccountId, Partition};
use serde_json::Value;

use super::blob::{self, EncryptionContext};
use super::clock::{Clock, http_date};
use super::envelope::ContentForm;
use super::error::KmsError;
use super::fault::{Fault, Faults, Kind};
use super::key::{Key, KeyId, KeyPolicy, Material, State};
use super::operation::Operation;
use super::ops::{Call, run};
use super::principal::Principals;
use super::record::{Counts, Entry, Log};
use super::sigv4::{Scope, Signed, verify};
use super::store::{Store, StoreError};
use super::trust::{MAX_AGE, Trust};

/// How a KMS is set up.
#[derive(Debug)]
pub struct Settings {
    /// Region of its keys and of signatures.
    pub region: String,
    /// Account of its keys.
    pub account: AccountId,
    /// Who may call.
    pub principals: Principals,
    /// Whose attestation documents are believed.
    pub trust: Trust,
    /// Longest age of an attestation document.
    pub max_document_age: Duration,
    /// How `CiphertextForRecipient` is written.
    pub form: ContentForm,
    /// Tells the time.
    pub clock: Clock,
    /// Gets one entry a call.
    pub log: Log,
}

impl Settings {
    /// The usual limits, this machine's clock, no log.
    #[must_use]
    pub fn new(region: &str, account: AccountId, principals: Principals, trust: Trust) -> Self {
        Self {
            region: region.to_owned(),
            account,
            principals,
            trust,
            max_document_age: MAX_AGE,
            form: ContentForm::default(),
            clock: Clock::system(),
            log: Log::silent(),
        }
    }
}

/// Why a call of the library failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KmsSetupError {
    /// The key policy cannot be read.
    #[error("the key policy is malformed")]
    Policy(#[from] kms_policy::parse::ParseError),
    /// The folder of keys.
    #[error("the keys cannot be kept")]
    Store(#[from] StoreError),
    /// The cryptographic library.
    #[error("the cryptographic library failed")]
    Crypto,
    /// There is no such key.
    #[error("there is no key {0}")]
    NoKey(String),
}

impl From<aws_lc_rs::error::Unspecified> for KmsSetupError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Crypto
    }
}

/// How an answer reaches the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    /// Half of the body, then the connection ends.
    Half,
    /// The connection ends.
    Never,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) request_id: String,
    pub(crate) date: String,
    pub(crate) body: Vec<u8>,
    pub(crate) delay: Duration,
    pub(crate) delivery: Delivery,
}

/// A KMS of one account and region.
#[derive(Debug)]
pub struct Kms {
    pub(crate) settings: Settings,
    store: Mutex<Store>,
    faults: Mutex<Faults>,
    counts: Mutex<Counts>,
}

impl Kms {
    /// A KMS with the keys of `store`.
    #[must_use]
    pub fn new(settings: Settings, store: Store) -> Arc<Self> {
        Arc::new(Self {
            settings,
            store: Mutex::new(store),
            faults: Mutex::default(),
            counts: Mutex::default(),
        })
    }

    /// Makes a key under a policy and gives its ARN. Nobody is asked for permission.
    ///
    /// # Errors
    /// [`KmsSetupError`].
    pub fn add_key(&self, policy: &str) -> Result<String, KmsSetupError> {
        let policy = KeyPolicy::parse(policy)?;
        let key = self.create(policy, "")?;
        Ok(key.arn.clone())
    }

    /// Puts a policy in place of the key's. Nobody is asked for permission.
    ///
    /// # Errors
    /// [`KmsSetupError`].
    pub fn put_policy(&self, key_arn: &str, policy: &str) -> Result<(), KmsSetupError> {
        let policy = KeyPolicy::parse(policy)?;
        let id = self.key_named(key_arn)?.id;
        Ok(self.store().change(id, |key| key.policy = policy)?)
    }

    /// Encrypts under a key, as a caller who may. Nobody is asked for permission.
    ///
    /// # Errors
    /// [`KmsSetupError`].
    pub fn encrypt(
        &self,
        key_arn: &str,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Vec<u8>, KmsSetupError> {
        let key = self.key_named(key_arn)?;
        Ok(blob::seal(key.id, &key.material, plaintext, context)?)
    }

    /// Lets `alias/NAME` lead to a key.
    ///
    /// # Errors
    /// [`KmsSetupError`].
    pub fn set_alias(&self, alias: &str, key_arn: &str) -> Result<(), KmsSetupError> {
        let id = self.key_named(key_arn)?.id;
        Ok(self.store().set_alias(alias, Some(id))?)
    }

    /// ARN of the key that an alias leads to.
    #[must_use]
    pub fn alias(&self, alias: &str) -> Option<String> {
        self.store().alias(alias).map(|key| key.arn.clone())
    }

    /// ARNs of all keys.
    #[must_use]
    pub fn key_arns(&self) -> Vec<String> {
        self.store().keys().map(|key| key.arn.clone()).collect()
    }

    /// Lets calls go wrong.
    pub fn add_fault(&self, fault: Fault) {
        lock(&self.faults).add(fault);
    }

    /// Lets no call go wrong any more.
    pub fn clear_faults(&self) {
        lock(&self.faults).clear();
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        lock(&self.counts).clone()
    }

    /// How it was set up.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut lock(&self.counts));
    }

    /// `arn:PARTITION:kms:REGION:ACCOUNT:` and `resource`.
    pub(crate) fn arn(&self, resource: &str) -> String {
        let Settings { region, account, .. } = &self.settings;
        format!("arn:{}:kms:{region}:{account}:{resource}", partition(region))
    }

    pub(crate) fn create(&self, policy: KeyPolicy, description: &str) -> Result<Arc<Key>, KmsSetupError> {
        let id = KeyId::random()?;
        let key = Key {
            id,
            arn: self.arn(&format!("key/{id}")),
            material: Material::random()?,
            policy,
            description: description.to_owned(),
            created: self.settings.clock.now(),
            state: State::Enabled,
        };
        Ok(self.store().put(key)?)
    }

    fn key_named(&self, key_arn: &str) -> Result<Arc<Key>, KmsSetupError> {
        let none = || KmsSetupError::NoKey(key_arn.to_owned());
        let (start, id) = key_arn.rsplit_once('/').ok_or_else(none)?;
        let key = id.parse().ok().and_then(|id| self.store().key(id));
        key.filter(|key| key.arn.starts_with(start)).ok_or_else(none)
    }

    /// Answers one request. `path` is the request target.
    pub(crate) fn answer(&self, request: &Signed<'_>, path: &str) -> Reply {
        let now = self.settings.clock.now();
        let request_id = KeyId::random().map_or_else(|_| "none".to_owned(), |id| id.to_string());
        let mut entry = Entry::new(now, request_id.clone());
        let result = self.authenticated(request, path, &mut entry);
        if let Err(error) = &result {
            entry.error = Some(error.name);
        }
        self.count(|counts| counts.answered(entry.error.unwrap_or("ok")));
        self.settings.log.write(&entry);
        let (status, body) = match &result {
            Ok(body) => (200, body.to_string()),
            Err(error) => (error.status, error.body().to_string()),
        };
        let mut reply = Reply {
            status,
            content_type: "application/x-amz-json-1.1",
            request_id,
            date: http_date(now),
            body: body.into_bytes(),
            delay: Duration::ZERO,
            delivery: Delivery::Whole,
        };
        if let Some(fault) = entry.fault {
            spoil(&mut reply, fault);
        }
        reply
    }

    fn authenticated(&self, request: &Signed<'_>, path: &str, entry: &mut Entry) -> Result<Value, KmsError> {
        if request.header("authorization").is_some() {
            self.count(|counts| counts.credentials_seen += 1);
        }
        let target = request.header("x-amz-target").unwrap_or_default();
        entry.operation = Operation::of_target(target);
        let scope = Scope {
            region: &self.settings.region,
            service: "kms",
        };
        let principal = verify(request, &self.settings.principals, scope, entry.at)?;
        entry.principal = Some(principal.arn().to_owned());

        let json = request
            .header("content-type")
            .is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-amz-json-1.1"));
        let operation = match entry.operation {
            Some(operation) if request.method == "POST" && path == "/" && json => operation,
            _ => {
                return Err(KmsError {
                    status: 400,
                    name: "UnknownOperationException",
                    message: None,
                });
            }
        };
        self.count(|counts| counts.called(operation));
        entry.fault = lock(&self.faults).take(operation);
        match entry.fault {
            Some(Kind::Throttle) => {
                return Err(KmsError::refuse(
                    "ThrottlingException",
                    "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
                ));
            }
            Some(Kind::Internal) => return Err(KmsError::internal("a fault on request")),
            Some(Kind::Unavailable | Kind::Reset) => return Err(KmsError::internal("not shown")),
            _ => {}
        }
        run(
            &mut Call {
                kms: self,
                principal,
                entry,
            },
            operation,
            request.body,
        )
    }
}

/// Changes an answer as the fault says.
fn spoil(reply: &mut Reply, fault: Kind) {
    match fault {
        Kind::Slow(time) => reply.delay = time,
        Kind::Reset => reply.delivery = Delivery::Never,
        Kind::ShortRead => reply.delivery = Delivery::Half,
        Kind::Garbage => {
            reply.status = 200;
            reply.body = b"\x00\xff{{{ garbage".to_vec();
        }
        Kind::Unavailable => {
            reply.status = 503;
            reply.content_type = "text/html";
            reply.body = b"<html><body>503 Service Unavailable</body></html>".to_vec();
        }
        // These are in the answer already.
        Kind::Throttle | Kind::Internal | Kind::WrongKeyId | Kind::AnotherRecipient => {}
    }
}

/// The partition that a region belongs to.
fn partition(region: &str) -> &'static str {
    const PARTITIONS: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("eusc-", "aws-eusc"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
    ];
    PARTITIONS
        .iter()
        .find(|(prefix, _)| region.starts_with(prefix))
        .map_or("aws", |(_, partition)| partition)
}

/// As [`partition`], as the type that policies have.
pub(crate) fn typed_partition(region: &str) -> Option<Partition> {
    partition(region).parse().ok()
}

/// Nothing is ever half written, so a panic elsewhere does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_follow_the_region() {
        for (region, expected) in [
            ("us-east-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
        ] {
            assert_eq!(partition(region), expected);
            assert_eq!(typed_partition(region).unwrap().as_str(), expected);
        }
    }
}
