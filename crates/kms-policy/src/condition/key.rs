//! Condition keys: their spelling, their order, and what they say about attestation.
//!
//! Spec: IAM user guide, "IAM JSON policy elements: Condition"; AWS KMS developer guide, "Condition keys for attested
//! platforms".

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::ConditionError;

/// A condition key such as `kms:RecipientAttestation:PCR0`: kept as written, compared without regard to case.
#[derive(Clone, Debug)]
pub struct ConditionKey(String);

/// What a condition key says about attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attested {
    /// A register of a Nitro Enclave, 0 to 31. `ImageSha384` is register 0.
    Pcr(u8),
    /// A key of the attestation family that no Nitro Enclave request ever has.
    Unknown,
    /// Nothing.
    No,
}

impl ConditionKey {
    /// The key for register `index` of an enclave, `index` in 0..=31.
    #[must_use]
    pub fn pcr(index: u8) -> Self {
        Self(format!("kms:RecipientAttestation:PCR{index}"))
    }

    /// `aws:PrincipalArn`: the ARN of the caller; for a role session that of the role.
    #[must_use]
    pub fn principal_arn() -> Self {
        Self("aws:PrincipalArn".to_owned())
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the key says about attestation.
    #[must_use]
    pub fn attested(&self) -> Attested {
        let lower = self.0.to_ascii_lowercase();
        let Some(name) = lower.strip_prefix("kms:recipientattestation:") else {
            return Attested::No;
        };
        if name == "imagesha384" {
            return Attested::Pcr(0);
        }
        match name
            .strip_prefix("pcr")
            .map(|digits| (digits, digits.parse::<u8>()))
        {
            Some((digits, Ok(index))) if index < 32 && digits == index.to_string() => Attested::Pcr(index),
            _ => Attested::Unknown,
        }
    }

    fn folded(&self) -> impl Iterator<Item = char> + '_ {
        self.0.chars().map(|c| c.to_ascii_lowercase())
    }
}

impl FromStr for ConditionKey {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let good = text.len() <= 512
            && text.split_once(':').is_some_and(|(prefix, name)| {
                !name.is_empty()
                    && !prefix.is_empty()
                    && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            })
            && !text.contains("${")
            && !text.chars().any(char::is_control);
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(ConditionError::Key {
                found: text.to_owned(),
            })
        }
    }
}

impl fmt::Display for ConditionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for ConditionKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ConditionKey {}

impl PartialOrd for ConditionKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ConditionKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_compare_without_case_and_know_their_register() {
        let key = |text: &str| text.parse::<ConditionKey>().unwrap();
        assert_eq!(key("KMS:recipientattestation:pcr0"), ConditionKey::pcr(0));
        assert_ne!(ConditionKey::pcr(1), ConditionKey::pcr(16));
        for (text, attested) in [
            ("kms:RecipientAttestation:ImageSha384", Attested::Pcr(0)),
            ("kms:recipientattestation:PCR31", Attested::Pcr(31)),
            ("kms:RecipientAttestation:PCR32", Attested::Unknown),
            ("kms:RecipientAttestation:PCR01", Attested::Unknown),
            ("kms:RecipientAttestation:PCR+1", Attested::Unknown),
            ("kms:RecipientAttestation:NitroTPMPCR0", Attested::Unknown),
            ("kms:RecipientAttestation:", Attested::Unknown),
            ("kms:ViaService", Attested::No),
        ] {
            if let Ok(key) = text.parse::<ConditionKey>() {
                assert_eq!(key.attested(), attested, "{text}");
            } else {
                panic!("{text} is refused");
            }
        }
        for text in ["", "kms", ":a", "kms:", "a b:c", "aws:${x}"] {
            assert_eq!(
                text.parse::<ConditionKey>(),
                Err(ConditionError::Key {
                    found: text.to_owned()
                })
            );
        }
    }
}
