//! Whether a call is allowed: the facts of the request, and the key policy's decision on them.
//!
//! Condition keys that a request can have: `kms:RecipientAttestation:ImageSha384` and `…:PCRn`, `kms:EncryptionContext:NAME`,
//! `kms:EncryptionContextKeys`, `kms:EncryptionAlgorithm`, `kms:KeyOrigin`, `kms:KeySpec`, `kms:KeyUsage`, `kms:RequestAlias`,
//! `kms:DataKeyPairSpec`, `kms:BypassPolicyLockoutSafetyCheck`, `kms:PolicyName`, `kms:MultiRegion`, `aws:RequestedRegion`,
//! `aws:SecureTransport`, and what follows from the caller. A policy that names any other sees it absent, as on AWS where the
//! request has it not.
//!
//! Source: AWS KMS developer guide, "AWS KMS condition keys", "Condition keys for attested platforms".

use attest::PcrSet;
use kms_policy::evaluate::{Context, Decision, Fact, Request};

use super::blob::EncryptionContext;
use super::error::KmsError;
use super::key::{Key, KeyPolicy};
use super::principal::Principal;

/// What a request says about condition keys.
#[derive(Clone, Debug, Default)]
pub struct Facts(Context);

impl Facts {
    /// The facts of every request to a key.
    #[must_use]
    pub fn new(region: &str) -> Self {
        let mut facts = Self::default();
        facts.one("aws:RequestedRegion", region);
        facts.one("aws:SecureTransport", "true");
        facts.one("kms:KeyOrigin", "AWS_KMS");
        facts.one("kms:KeySpec", "SYMMETRIC_DEFAULT");
        facts.one("kms:KeyUsage", "ENCRYPT_DECRYPT");
        facts.one("kms:MultiRegion", "false");
        facts
    }

    /// A key with one value. A second value for the same key (spelled in another case) makes it one with several, so that
    /// a policy that compares it as one is not decided.
    pub fn one(&mut self, key: &str, value: &str) {
        // A name that no policy can spell makes no difference to a policy.
        let Ok(key) = key.parse() else { return };
        let fact = match self.0.remove(&key) {
            None => Fact::One(value.to_owned()),
            Some(Fact::One(other)) => Fact::Many(vec![other, value.to_owned()]),
            Some(Fact::Many(mut all)) => {
                all.push(value.to_owned());
                Fact::Many(all)
            }
        };
        self.0.insert(key, fact);
    }

    /// The pairs of an encryption context, and the list of their names.
    pub fn encryption_context(&mut self, context: &EncryptionContext) {
        for (name, value) in context {
            self.one(&format!("kms:EncryptionContext:{name}"), value);
        }
        if let (Ok(key), false) = ("kms:EncryptionContextKeys".parse(), context.is_empty()) {
            let names = context.keys().cloned().collect();
            self.0.insert(key, Fact::Many(names));
        }
    }

    /// The registers of a verified document. Values in lower-case hex.
    pub fn attestation(&mut self, pcrs: &PcrSet) {
        for (index, value) in pcrs.iter() {
            let value = value.to_string();
            if index == 0 {
                self.one("kms:RecipientAttestation:ImageSha384", &value);
            }
            self.one(&format!("kms:RecipientAttestation:PCR{index}"), &value);
        }
    }
}

/// Asks the policy of `key`.
///
/// # Errors
/// `AccessDeniedException`, with the words of AWS; also when the policy cannot be decided.
pub fn on_key(principal: &Principal, operation: &str, key: &Key, facts: &Facts) -> Result<String, KmsError> {
    under(&key.policy, principal, operation, &key.arn, facts)
}

/// As [`on_key`], under a policy that may not be in force yet.
///
/// # Errors
/// `AccessDeniedException`.
pub fn under(
    policy: &KeyPolicy,
    principal: &Principal,
    operation: &str,
    key_arn: &str,
    facts: &Facts,
) -> Result<String, KmsError> {
    let action = format!("kms:{operation}");
    let request = Request {
        caller: principal.caller(),
        action: &action,
        key_arn,
        context: &facts.0,
        iam_allows: principal.iam_allows(&action),
    };
    let who = format!(
        "User: {} is not authorized to perform: {action} on resource: {key_arn}",
        principal.arn()
    );
    match policy.policy().evaluate(&request) {
        Ok(Decision::Allow(statement)) => Ok(statement.sid.unwrap_or_else(|| statement.index.to_string())),
        Ok(Decision::Deny(_)) => Err(KmsError::denied(format!(
            "{who} with an explicit deny in a resource-based policy"
        ))),
        Ok(Decision::ImplicitDeny) => Err(KmsError::denied(format!(
            "{who} because no resource-based policy allows the {action} action"
        ))),
        Err(error) => Err(KmsError::denied(format!(
            "{who}: the simulator cannot decide this policy and so refuses: {error}"
        ))),
    }
}

/// Asks the caller's own IAM policies, for what has no key.
///
/// # Errors
/// `AccessDeniedException`.
pub fn by_iam(principal: &Principal, operation: &str) -> Result<String, KmsError> {
    let action = format!("kms:{operation}");
    if principal.iam_allows(&action) {
        return Ok("iam".to_owned());
    }
    Err(KmsError::denied(format!(
        "User: {} is not authorized to perform: {action} because no identity-based policy allows the {action} action",
        principal.arn()
    )))
}
