//! Names of KMS keys, and whether the key that KMS used is the one that was asked for.

use crate::request::RequestError;

/// A key as a caller names it: id, key ARN, alias (`alias/…`) or alias ARN. 1 to 2048 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyId(String);

impl KeyId {
    /// Checks length and characters; KMS judges the rest.
    ///
    /// # Errors
    /// [`RequestError::KeyId`].
    pub fn new(name: &str) -> Result<Self, RequestError> {
        let good = (1..=2048).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        if good {
            Ok(Self(name.to_owned()))
        } else {
            Err(RequestError::KeyId)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `arn`, the key ARN in an answer of KMS, can be the key that this name means.
    ///
    /// A key ARN or key id pins exactly one key. An alias does not: whoever may change it chooses the key, so only the
    /// account and the region of an alias ARN are compared, and nothing of a bare alias.
    #[must_use]
    pub fn allows(&self, arn: &str) -> bool {
        let Some((scope, key)) =
            split(arn).and_then(|(scope, name)| Some((scope, name.strip_prefix("key/")?)))
        else {
            return false;
        };
        match split(&self.0) {
            Some((own_scope, name)) => {
                own_scope == scope
                    && name
                        .strip_prefix("key/")
                        .map_or_else(|| name.starts_with("alias/"), |own| own == key)
            }
            None => self.0.starts_with("alias/") || self.0 == key,
        }
    }
}

/// `arn:PARTITION:kms:REGION:ACCOUNT` and what follows the next colon.
fn split(arn: &str) -> Option<(&str, &str)> {
    let (at, _) = arn.match_indices(':').nth(4)?;
    let (scope, name) = arn.split_at_checked(at)?;
    let name = name.strip_prefix(':')?;
    (scope.starts_with("arn:") && scope.split(':').nth(2) == Some("kms") && !name.is_empty())
        .then_some((scope, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    #[test]
    fn pins() {
        for (name, allowed) in [
            (ARN, true),
            ("1234abcd-12ab-34cd-56ef-1234567890ab", true),
            ("alias/mine", true),
            ("arn:aws:kms:us-east-1:111122223333:alias/mine", true),
            ("arn:aws:kms:us-east-1:999922223333:alias/mine", false),
            (
                "arn:aws:kms:us-east-1:999922223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
                false,
            ),
            (
                "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
                false,
            ),
            (
                "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ac",
                false,
            ),
            ("arn:aws:kms:us-east-1:111122223333:other/1", false),
            ("1234abcd-12ab-34cd-56ef-1234567890ac", false),
            ("1234567890ab", false),
        ] {
            assert_eq!(KeyId::new(name).unwrap().allows(ARN), allowed, "{name}");
        }
    }

    #[test]
    fn answers_that_are_no_key() {
        let alias = KeyId::new("alias/mine").unwrap();
        for answer in [
            "",
            "alias/mine",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:s3:us-east-1:1:key/1",
            "arn:aws:kms:us-east-1:1:",
            "arn:aws:kms:us-east-1:1:alias/mine",
        ] {
            assert!(!alias.allows(answer), "{answer}");
        }
        for name in ["", "a b", "a\nb", "é", &"a".repeat(2049)] {
            assert_eq!(KeyId::new(name), Err(RequestError::KeyId));
        }
    }
}
