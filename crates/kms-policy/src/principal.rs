//! The `Principal` and `NotPrincipal` elements: who a statement speaks of.
//!
//! Federated users and canonical users have no use with a key of this project; they are refused, not ignored.
//!
//! Spec: IAM user guide, "AWS JSON policy elements: Principal".

use std::fmt;

use crate::arn::{AccountId, NameError, PrincipalArn, PrincipalKind};

/// One entry of a `Principal` element.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Principal {
    /// `*`: everyone, in every account.
    Anyone,
    /// An account, written as 12 digits. The same as its root ARN.
    Account(AccountId),
    /// An account root, user, role or role session.
    Arn(PrincipalArn),
    /// What AWS shows in place of a role or user that was deleted: `AROA…` or `AIDA…`.
    UniqueId(String),
    /// An AWS service, such as `dynamodb.amazonaws.com`.
    Service(String),
}

/// Why a text is no entry of a `Principal` element.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrincipalError {
    /// An ARN that names no principal.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Not a service's host name.
    #[error("{found:?} is not the name of an AWS service")]
    Service {
        /// The text.
        found: String,
    },
}

impl Principal {
    /// Reads an entry of the `AWS` list.
    ///
    /// # Errors
    /// [`PrincipalError::Name`] when it is neither `*`, an account id, a unique id nor a principal's ARN.
    pub fn from_aws(text: &str) -> Result<Self, PrincipalError> {
        let unique = |prefix: &str| {
            text.starts_with(prefix)
                && (16..=128).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        };
        if text == "*" {
            Ok(Self::Anyone)
        } else if unique("AROA") || unique("AIDA") {
            Ok(Self::UniqueId(text.to_owned()))
        } else if let Ok(account) = text.parse() {
            Ok(Self::Account(account))
        } else {
            Ok(Self::Arn(text.parse()?))
        }
    }

    /// Reads an entry of the `Service` list.
    ///
    /// # Errors
    /// [`PrincipalError::Service`] when it is not a lower-case host name.
    pub fn from_service(text: &str) -> Result<Self, PrincipalError> {
        let label = |l: &str| {
            !l.is_empty()
                && l.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if text.len() <= 253 && text.contains('.') && text.split('.').all(label) {
            Ok(Self::Service(text.to_owned()))
        } else {
            Err(PrincipalError::Service {
                found: text.to_owned(),
            })
        }
    }

    /// The account, when the entry names a whole account.
    #[must_use]
    pub fn whole_account(&self) -> Option<&AccountId> {
        match self {
            Self::Account(account) => Some(account),
            Self::Arn(arn) if arn.kind() == PrincipalKind::Root => Some(arn.account()),
            _ => None,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("*"),
            Self::Account(account) => account.fmt(f),
            Self::Arn(arn) => arn.fmt(f),
            Self::UniqueId(text) | Self::Service(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_each_kind_are_read_and_written() {
        for text in [
            "*",
            "111122223333",
            "arn:aws:iam::111122223333:root",
            "arn:aws:iam::111122223333:role/a",
            "AROADBQP57FF2AEXAMPLE",
        ] {
            assert_eq!(Principal::from_aws(text).unwrap().to_string(), text);
        }
        let service = Principal::from_service("dynamodb.amazonaws.com").unwrap();
        assert_eq!(service, Principal::Service("dynamodb.amazonaws.com".to_owned()));
        let accounts = ["111122223333", "arn:aws:iam::111122223333:root"];
        for text in accounts {
            assert_eq!(
                Principal::from_aws(text)
                    .unwrap()
                    .whole_account()
                    .unwrap()
                    .as_str(),
                "111122223333"
            );
        }
        assert_eq!(
            Principal::from_aws("arn:aws:iam::111122223333:role/a")
                .unwrap()
                .whole_account(),
            None
        );
    }

    #[test]
    fn partial_wildcards_are_refused() {
        for text in [
            "arn:aws:iam::111122223333:role/*",
            "arn:aws:iam::*:root",
            "**",
            "AROA*",
            "aroadbqp57ff2aexample",
        ] {
            assert!(
                matches!(Principal::from_aws(text), Err(PrincipalError::Name(_))),
                "{text}"
            );
        }
        for text in ["*", "dynamodb", "DynamoDB.amazonaws.com", ".com", "a..b"] {
            let found = text.to_owned();
            assert_eq!(
                Principal::from_service(text),
                Err(PrincipalError::Service { found })
            );
        }
    }
}
