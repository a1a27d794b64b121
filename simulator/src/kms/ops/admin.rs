//! Keys, aliases and policies: everything that is not cryptography.

use std::time::Duration;

use attest::UnixMs;
use kms_policy::arn::PrincipalArn;
use serde_json::{Value, json};

use super::{Call, pending_deletion};
use crate::kms::authorize;
use crate::kms::clock::later;
use crate::kms::error::{KmsError, with_causes};
use crate::kms::key::{Key, KeyPolicy, State};
use crate::kms::operation::Operation;
use crate::kms::ops::input::parse;
use crate::kms::service::{Kms, KmsSetupError, typed_partition};

/// Longest policy, in bytes (AWS KMS quotas: 32 KB).
const MAX_POLICY: usize = 32 * 1024;

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    key_id: Option<String>,
    policy: Option<String>,
    policy_name: Option<String>,
    bypass_policy_lockout_safety_check: Option<bool>,
    description: Option<String>,
    key_spec: Option<String>,
    customer_master_key_spec: Option<String>,
    key_usage: Option<String>,
    origin: Option<String>,
    multi_region: Option<bool>,
    pending_window_in_days: Option<u64>,
    alias_name: Option<String>,
    target_key_id: Option<String>,
}

pub(super) fn create_key(call: &mut Call<'_>, body: &[u8]) -> Result<Value, KmsError> {
    let input: Input = parse(body)?;
    let only = [
        ("keySpec", &input.key_spec, "SYMMETRIC_DEFAULT"),
        (
            "customerMasterKeySpec",
            &input.customer_master_key_spec,
            "SYMMETRIC_DEFAULT",
        ),
        ("keyUsage", &input.key_usage, "ENCRYPT_DECRYPT"),
        ("origin", &input.origin, "AWS_KMS"),
    ];
    for (field, given, known) in only {
        if given.as_deref().is_some_and(|given| given != known) {
            return Err(unsupported(&format!("{field} other than {known}")));
        }
    }
    if input.multi_region == Some(true) {
        return Err(unsupported("multi-Region keys"));
    }
    let description = input.description.unwrap_or_default();
    if description.len() > 8192 {
        return Err(KmsError::constraint(
            "description",
            "have length less than or equal to 8192",
        ));
    }
    call.allow_by_iam(Operation::CreateKey)?;
    let policy = match input.policy {
        None => default_policy(call.kms)?,
        Some(text) => {
            let policy = read_policy(&text)?;
            // The key has no name yet; a policy can only name it by a pattern.
            let arn = call.kms.arn("key/*");
            check_lockout(call, &policy, &arn, input.bypass_policy_lockout_safety_check)?;
            policy
        }
    };
    let key = call.kms.create(policy, &description)?;
    call.entry.key = Some(key.arn.clone());
    Ok(json!({ "KeyMetadata": metadata(call.kms, &key) }))
}

fn unsupported(what: &str) -> KmsError {
    KmsError::refuse(
        "UnsupportedOperationException",
        format!("the simulator has no {what}"),
    )
}

/// What a key gets without a policy of its own: the account decides by IAM policies.
fn default_policy(kms: &Kms) -> Result<KeyPolicy, KmsError> {
    let broken = || KmsError::internal("the region has no partition");
    let partition = typed_partition(&kms.settings.region).ok_or_else(broken)?;
    let root = PrincipalArn::root(partition, kms.settings.account.clone());
    let text = json!({
        "Version": "2012-10-17",
        "Id": "key-default-1",
        "Statement": [{
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": { "AWS": root.as_str() },
            "Action": "kms:*",
            "Resource": "*",
        }],
    });
    KeyPolicy::parse(&text.to_string()).map_err(|error| KmsError::internal(error.to_string()))
}

fn malformed(message: impl Into<String>) -> KmsError {
    KmsError::refuse("MalformedPolicyDocumentException", message)
}

fn read_policy(text: &str) -> Result<KeyPolicy, KmsError> {
    if !(1..=MAX_POLICY).contains(&text.len()) {
        return Err(KmsError::refuse(
            "LimitExceededException",
            format!("a policy has 1 to {MAX_POLICY} bytes"),
        ));
    }
    KeyPolicy::parse(text).map_err(|error| malformed(with_causes(&error)))
}

/// A policy must leave its author able to change it, unless the author says otherwise.
fn check_lockout(
    call: &Call<'_>,
    policy: &KeyPolicy,
    key_arn: &str,
    bypass: Option<bool>,
) -> Result<(), KmsError> {
    if bypass == Some(true) {
        return Ok(());
    }
    let facts = authorize::Facts::new(&call.kms.settings.region);
    authorize::under(policy, call.principal, "PutKeyPolicy", key_arn, &facts)
        .map(drop)
        .map_err(|_| {
            malformed("The new key policy will not allow you to update the key policy in the future.")
        })
}

pub(super) fn put_key_policy(call: &mut Call<'_>, body: &[u8]) -> Result<Value, KmsError> {
    let input: Input = parse(body)?;
    check_policy_name(input.policy_name.as_deref())?;
    let text = input.policy.ok_or_else(|| KmsError::missing("policy"))?;
    let named = call.find(input.key_id.as_deref())?;
    let mut facts = call.facts(&named);
    let bypass = input.bypass_policy_lockout_safety_check;
    facts.one(
        "kms:BypassPolicyLockoutSafetyCheck",
        if bypass == Some(true) { "true" } else { "false" },
    );
    facts.one("kms:PolicyName", "default");
    call.allow(Operation::PutKeyPolicy, &named.key, &facts)?;
    not_pending(&named.key)?;
    let policy = read_policy(&text)?;
    check_lockout(call, &policy, &named.key.arn, bypass)?;
    change(call, &named.key, |key| key.policy = policy)?;
    Ok(json!({}))
}

pub(super) fn get_key_policy(call: &mut Call<'_>, body: &[u8]) -> Result<Value, KmsError> {
    let input: Input = parse(body)?;
    check_policy_name(input.policy_name.as_deref())?;
    let named = call.find(input.key_id.as_deref())?;
    let mut facts = call.facts(&named);
    facts.one("kms:PolicyName", "default");
    call.allow(Operation::GetKeyPolicy, &named.key, &facts)?;
    Ok(json!({ "Policy": named.key.policy.text(), "PolicyName": "default" }))
}

fn check_policy_name(name: Option<&str>) -> Result<(), KmsError> {
    match name {
        None | Some("default") => Ok(()),
        Some(_) => Err(KmsError::not_found("No such policy exists")),
    }
}

pub(super) fn describe_key(call: &mut Call<'_>, body: &[u8]) -> Result<Value, KmsError> {
    let input: Input = parse(body)?;
    let named = call.find(input.key_id.as_deref())?;
    let facts = call.facts(&named);
    call.allow(Operation::DescribeKey, &named.key, &facts)?;
    Ok(json!({ "KeyMetadata": metadata(call.kms, &named.key) }))
}

/// `EnableKey`, `DisableKey`, `ScheduleKeyDeletion`, `CancelKeyDeletion`.
pub(super) fn set_state(call: &mut Call<'_>, operation: Operation, body: &[u8]) -> Result<Value, KmsError> {
    let input: Input = parse(body)?;
    let days = input.pending_window_in_days.unwrap_or(30);
    if !(7..=30).contains(&days) {
        return Err(KmsError::constraint(
            "pendingWindowInDays",
            "have value between 7 and 30",
        ));
    }
    let named = call.find(input.key_id.as_deref())?;
    let facts = call.facts(&named);
    call.allow(operation, &named.key, &facts)?;
    let arn = named.key.arn.clone();
    let (state, answer) = match operation {
        Operation::CancelKeyDeletion => {
            if !matches!(named.key.state, State::PendingDeletion(_)) {
                let text = format!("{arn} is not pending deletion.");
                return Err(KmsError::refuse("KMSInvalidStateException", text));
            }
            (State::Disabled, json!({ "KeyId": arn }))
        }
        Operation::ScheduleKeyDeletion => {
            not_pending(&named.key)?;
            let at = later(call.entry.at, Duration::from_hours(24 * days));
            let answer = json!({
                "KeyId": arn,
                "DeletionDate": seconds(at),
                "KeyState": "PendingDeletion",
                "PendingWindowInDays": days,
            });
            (State::PendingDeletion(at), answer)
        }
        Operation::EnableKey => {
            not_pending(&named.key)?;
            (State::Enabled, json!({}))
        }
        _ => {
            not_pending(&named.key)?;
            (State::Disabled, json!({}))
        }
    };
    change(call, &named.key, |key| key.state = state)?;
    Ok(answer)
}

/// AWS asks the policies of the caller for the alias, and the key's for the key.
pub(super) fn create_alias(call: &mut Call<'_>, body: &[u8]) -> Result<Value, KmsError> {
    let input: Input = parse(body)?;
    let alias = alias_name(input.alias_name)?;
    let named = call.find(input.target_key_id.as_deref())?;
    authorize::by_iam(call.principal, "CreateAlias")?;
    let facts = call.facts(&named);
    call.allow(Operation::CreateAlias, &named.key, &facts)?;
    let mut store = call.kms.store();
    if store.alias(&alias).is_some() {
        let text = format!("An alias with the name {} already exists", call.kms.arn(&alias));
        return Err(KmsError::refuse("AlreadyExistsException", text));
    }
    store
        .set_alias(&alias, Some(named.key.id))
        .map_err(KmsSetupError::from)?;
    Ok(json!({}))
}

pub(super) fn delete_alias(call: &mut Call<'_>, body: &[u8]) -> Result<Value, KmsError> {
    let input: Input = parse(body)?;
    let alias = alias_name(input.alias_name)?;
    let named = call.find(Some(&alias))?;
    authorize::by_iam(call.principal, "DeleteAlias")?;
    let facts = call.facts(&named);
    call.allow(Operation::DeleteAlias, &named.key, &facts)?;
    call.kms
        .store()
        .set_alias(&alias, None)
        .map_err(KmsSetupError::from)?;
    Ok(json!({}))
}

fn alias_name(name: Option<String>) -> Result<String, KmsError> {
    let name = name.ok_or_else(|| KmsError::missing("aliasName"))?;
    let tail = name.strip_prefix("alias/").unwrap_or_default();
    let good = (1..=250).contains(&tail.len())
        && tail
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/_-".contains(&b));
    if !good {
        return Err(KmsError::validation(
            "Alias must start with the prefix \"alias/\" and have letters, digits and /_- after it.",
        ));
    }
    if tail.starts_with("aws/") {
        return Err(KmsError::refuse(
            "NotAuthorizedException",
            "aliases under alias/aws/ belong to AWS",
        ));
    }
    Ok(name)
}

fn not_pending(key: &Key) -> Result<(), KmsError> {
    match key.state {
        State::PendingDeletion(_) => Err(pending_deletion(key)),
        State::Enabled | State::Disabled => Ok(()),
    }
}

fn change(call: &Call<'_>, key: &Key, change: impl FnOnce(&mut Key)) -> Result<(), KmsError> {
    call.kms
        .store()
        .change(key.id, change)
        .map_err(KmsSetupError::from)?;
    Ok(())
}

/// A time as AWS writes it in JSON 1.1: seconds since 1970 with a fraction.
fn seconds(at: UnixMs) -> Value {
    let ms = at.as_millis();
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

fn metadata(kms: &Kms, key: &Key) -> Value {
    let mut value = json!({
        "AWSAccountId": kms.settings.account.as_str(),
        "Arn": key.arn,
        "CreationDate": seconds(key.created),
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "Description": key.description,
        "Enabled": key.state == State::Enabled,
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "KeyId": key.id.to_string(),
        "KeyManager": "CUSTOMER",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "KeyState": key.state.name(),
        "KeyUsage": "ENCRYPT_DECRYPT",
        "MultiRegion": false,
        "Origin": "AWS_KMS",
    });
    if let (Some(map), State::PendingDeletion(at)) = (value.as_object_mut(), key.state) {
        map.insert("DeletionDate".to_owned(), seconds(at));
    }
    value
}
