//! KMS actions: the groups that matter for attestation, and the patterns of an `Action` element.
//!
//! Source: AWS KMS developer guide, "AWS KMS permissions" and "Cryptographic attestation support in AWS KMS".

use std::fmt;
use std::str::FromStr;

use crate::wildcard;

/// Actions on a key whose plaintext answer KMS encrypts to an attested enclave, and whose conditions can name PCRs.
///
/// `GenerateRandom` takes an attestation document too, but uses no key: no key policy is asked, so naming it in one
/// would only look like protection. It has to be restricted in the role's own IAM policy.
pub const ATTESTABLE: [&str; 4] = [
    "kms:Decrypt",
    "kms:DeriveSharedSecret",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
];

/// The attestable actions that a symmetric encryption key has, so those that an image is allowed.
/// `DeriveSharedSecret` exists for key agreement keys only; it is denied without attestation all the same.
pub const ATTESTED_USE: [&str; 3] = ["kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyPair"];

/// Actions that lead around attestation, whoever has them:
/// re-encryption takes no attestation document and moves a secret under another key, or a chosen plaintext under this
/// one; a grant gives rights that no PCR condition limits; a replica of the key has a policy of its own; imported
/// key material is known to whoever imported it.
pub const AROUND_ATTESTATION: [&str; 5] = [
    "kms:CreateGrant",
    "kms:ImportKeyMaterial",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:ReplicateKey",
];

/// Encrypts under the key. KMS asks for no attestation here, so whoever has it can write artefacts that decrypt.
pub const ENCRYPT: &str = "kms:Encrypt";

/// Changes the key policy: its holder can undo all the rest.
pub const PUT_KEY_POLICY: &str = "kms:PutKeyPolicy";

/// What an administrator needs to keep a key and its policy; nothing here uses the key or leads around attestation.
pub const ADMINISTRATION: [&str; 22] = [
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    PUT_KEY_POLICY,
    "kms:RevokeGrant",
    "kms:RotateKeyOnDemand",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
];

/// An entry of an `Action` or `NotAction` element: `*`, or `service:Name` in which `*` and `?` are wildcards.
///
/// Compared without regard to case, as IAM does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActionPattern(String);

/// Why a text is no action pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not an action: expected * or service:Name, of letters, digits, * and ?")]
pub struct ActionError {
    /// The text.
    pub found: String,
}

impl ActionPattern {
    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern covers `action`, a full name like `kms:Decrypt`.
    #[must_use]
    pub fn matches(&self, action: &str) -> bool {
        wildcard::matches_ignore_case(&self.0, action)
    }
}

impl FromStr for ActionPattern {
    type Err = ActionError;

    fn from_str(text: &str) -> Result<Self, ActionError> {
        let service = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let name =
            |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"*?".contains(&b));
        let good = text == "*" || text.split_once(':').is_some_and(|(s, n)| service(s) && name(n));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(ActionError {
                found: text.to_owned(),
            })
        }
    }
}

impl fmt::Display for ActionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Patterns for names that are constants of this module.
pub(crate) fn patterns<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<ActionPattern> {
    names
        .into_iter()
        .map(|name| ActionPattern(name.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_sorted_and_do_not_overlap() {
        let groups: [&[&str]; 4] = [&ATTESTABLE, &AROUND_ATTESTATION, &ADMINISTRATION, &[ENCRYPT]];
        for group in groups {
            assert!(group.is_sorted());
        }
        let mut all: Vec<_> = groups.concat();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(ATTESTED_USE.iter().all(|a| ATTESTABLE.contains(a)));
        for name in all {
            assert_eq!(name.parse::<ActionPattern>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn patterns_match_as_iam_does() {
        let matches = |pattern: &str, action| pattern.parse::<ActionPattern>().unwrap().matches(action);
        assert!(matches("*", "kms:Decrypt"));
        assert!(matches("kms:*", "kms:Decrypt"));
        assert!(matches("KMS:decrypt", "kms:Decrypt"));
        assert!(matches("kms:GenerateDataKey*", "kms:GenerateDataKeyPair"));
        assert!(!matches("kms:GenerateDataKey", "kms:GenerateDataKeyPair"));
        assert!(!matches("s3:*", "kms:Decrypt"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "Decrypt",
            "kms:",
            ":Decrypt",
            "kms:De crypt",
            "kms:a:b",
            "k*:Decrypt",
            "**",
        ] {
            assert_eq!(
                text.parse::<ActionPattern>(),
                Err(ActionError {
                    found: text.to_owned()
                })
            );
        }
    }
}
