//! Names that a key policy is made of: partitions, accounts, IAM principals, EC2 instances.
//!
//! Only their spelling is checked; whether they exist is known to AWS alone.
//!
//! Spec: IAM user guide, "IAM identifiers"; AWS general reference, "Amazon Resource Names".

use std::fmt;
use std::str::FromStr;

/// Longest ARN that is read, in bytes: IAM's own limit for a role with a path.
const MAX_ARN_BYTES: usize = 2048;

/// Why a text is not a name of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Not 12 digits.
    #[error("account id {found:?} is not 12 digits")]
    Account {
        /// The text.
        found: String,
    },
    /// Not `aws` or `aws-` and lower-case words.
    #[error("partition {found:?} is not of the form aws, aws-cn, aws-us-gov")]
    Partition {
        /// The text.
        found: String,
    },
    /// Not an ARN of an IAM user, role, account root or role session.
    #[error("{found:?} is not an ARN of an IAM user, role, account root or role session")]
    Principal {
        /// The text.
        found: String,
    },
    /// A principal, but not a role.
    #[error("{found:?} is not the ARN of an IAM role")]
    NotRole {
        /// The text.
        found: String,
    },
    /// Not `i-` and 8 or 17 lower-case hex digits.
    #[error("instance id {found:?} is not i- and 8 or 17 lower-case hex digits")]
    Instance {
        /// The text.
        found: String,
    },
}

macro_rules! text_type {
    ($name:ident) => {
        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// An AWS account id: 12 digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountId(String);
text_type!(AccountId);

impl FromStr for AccountId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Account {
                found: text.to_owned(),
            })
        }
    }
}

/// A set of regions with accounts of its own: `aws`, `aws-cn`, `aws-us-gov` and so on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition(String);
text_type!(Partition);

impl FromStr for Partition {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut words = text.split('-');
        let good = text.len() <= 32
            && words.next() == Some("aws")
            && words.all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Partition {
                found: text.to_owned(),
            })
        }
    }
}

/// An EC2 instance id: `i-` and 17 hex digits, or 8 for instances from before 2016.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstanceId(String);
text_type!(InstanceId);

impl FromStr for InstanceId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        match text.strip_prefix("i-") {
            Some(digits) if matches!(digits.len(), 8 | 17) && digits.bytes().all(hex) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(NameError::Instance {
                found: text.to_owned(),
            }),
        }
    }
}

/// What an IAM principal's ARN names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PrincipalKind {
    /// `arn:P:iam::A:root`: the account; in an Allow it hands the decision to the account's IAM policies.
    Root,
    /// `arn:P:iam::A:user/…`.
    User,
    /// `arn:P:iam::A:role/…`.
    Role,
    /// `arn:P:sts::A:assumed-role/NAME/SESSION`.
    Session,
}

/// The ARN of an IAM user, role, account root or role session, without wildcards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrincipalArn {
    text: String,
    partition: Partition,
    account: AccountId,
    kind: PrincipalKind,
}

impl PrincipalArn {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The partition that the ARN names.
    #[must_use]
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// The account that the ARN names.
    #[must_use]
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// What the ARN names.
    #[must_use]
    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// The account root of a partition and account.
    #[must_use]
    pub fn root(partition: Partition, account: AccountId) -> Self {
        let text = format!("arn:{partition}:iam::{account}:root");
        Self {
            text,
            partition,
            account,
            kind: PrincipalKind::Root,
        }
    }
}

impl fmt::Display for PrincipalArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for PrincipalArn {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError::Principal {
            found: text.chars().take(MAX_ARN_BYTES).collect(),
        };
        if text.len() > MAX_ARN_BYTES {
            return Err(wrong());
        }
        let parts: Vec<&str> = text.split(':').collect();
        let ["arn", partition, service, "", account, resource] = parts.as_slice() else {
            return Err(wrong());
        };
        let kind = match (*service, *resource) {
            ("iam", "root") => PrincipalKind::Root,
            ("iam", r) if r.strip_prefix("role/").is_some_and(is_path_and_name) => PrincipalKind::Role,
            ("iam", r) if r.strip_prefix("user/").is_some_and(is_path_and_name) => PrincipalKind::User,
            ("sts", r) if r.strip_prefix("assumed-role/").is_some_and(is_session) => PrincipalKind::Session,
            _ => return Err(wrong()),
        };
        Ok(Self {
            text: text.to_owned(),
            partition: partition.parse()?,
            account: account.parse()?,
            kind,
        })
    }
}

/// The ARN of an IAM role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoleArn(PrincipalArn);

impl RoleArn {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The ARN as a principal of any kind.
    #[must_use]
    pub fn principal(&self) -> &PrincipalArn {
        &self.0
    }

    /// The ARN of a session of this role, as KMS sees the caller: the path is dropped, the session name added.
    ///
    /// # Errors
    /// [`NameError::Principal`] when `session` is not 2 to 64 characters of letters, digits and `_+=,.@-`.
    pub fn session(&self, session: &str) -> Result<PrincipalArn, NameError> {
        let name = self.as_str().rsplit('/').next().unwrap_or_default();
        let (partition, account) = (self.0.partition(), self.0.account());
        format!("arn:{partition}:sts::{account}:assumed-role/{name}/{session}").parse()
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RoleArn {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let arn: PrincipalArn = text.parse()?;
        if arn.kind() == PrincipalKind::Role {
            Ok(Self(arn))
        } else {
            Err(NameError::NotRole {
                found: text.to_owned(),
            })
        }
    }
}

fn is_name(text: &str, longest: usize) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    (1..=longest).contains(&text.len()) && text.bytes().all(good)
}

fn is_path_and_name(text: &str) -> bool {
    let mut parts = text.rsplit('/');
    parts.next().is_some_and(|name| is_name(name, 64)) && parts.all(|folder| is_name(folder, 512))
}

fn is_session(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(role, session)| is_name(role, 64) && is_name(session, 64) && session.len() >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_of_each_kind_are_read() {
        for (text, kind) in [
            ("arn:aws:iam::111122223333:root", PrincipalKind::Root),
            (
                "arn:aws-us-gov:iam::111122223333:role/Signer",
                PrincipalKind::Role,
            ),
            (
                "arn:aws:iam::111122223333:role/eth/mainnet/Signer_1+=,.@-",
                PrincipalKind::Role,
            ),
            ("arn:aws-cn:iam::111122223333:user/alice", PrincipalKind::User),
            (
                "arn:aws:sts::111122223333:assumed-role/Signer/i-0abc",
                PrincipalKind::Session,
            ),
        ] {
            let arn: PrincipalArn = text.parse().unwrap();
            assert_eq!(
                (arn.as_str(), arn.kind(), arn.account().as_str()),
                (text, kind, "111122223333")
            );
        }
    }

    #[test]
    fn other_texts_are_no_principals() {
        for text in [
            "",
            "arn",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:role//x",
            "arn:aws:iam::111122223333:role/*",
            "arn:aws:iam::111122223333:role/a?",
            "arn:aws:iam::111122223333:role/a b",
            "arn:aws:iam::111122223333:group/a",
            "arn:aws:iam::111122223333:root/a",
            "arn:aws:iam:eu-west-1:111122223333:role/a",
            "arn:aws:iam::111122223333:instance-profile/a",
            "arn:aws:sts::111122223333:assumed-role/a",
            "arn:aws:sts::111122223333:assumed-role/a/b/c",
            "arn:aws:iam::111122223333:role/a:b",
            "arn:aws:iam::111122223333:role/a\n",
        ] {
            let found = text.to_owned();
            assert_eq!(text.parse::<PrincipalArn>(), Err(NameError::Principal { found }));
        }
        let account = |t: &str| NameError::Account { found: t.to_owned() };
        assert_eq!(
            "arn:aws:iam::ACCOUNT_ID:role/a".parse::<RoleArn>(),
            Err(account("ACCOUNT_ID"))
        );
        assert_eq!(
            "arn:aws:iam::11112222333:role/a".parse::<RoleArn>(),
            Err(account("11112222333"))
        );
        let found = "azure".to_owned();
        assert_eq!(
            "arn:azure:iam::111122223333:root".parse::<RoleArn>(),
            Err(NameError::Partition { found })
        );
        let found = "arn:aws:iam::111122223333:root".to_owned();
        assert_eq!(found.parse::<RoleArn>(), Err(NameError::NotRole { found }));
    }

    #[test]
    fn sessions_lose_the_path() {
        let role: RoleArn = "arn:aws:iam::111122223333:role/eth/Signer".parse().unwrap();
        let session = role.session("i-0123").unwrap();
        assert_eq!(
            session.as_str(),
            "arn:aws:sts::111122223333:assumed-role/Signer/i-0123"
        );
        assert!(matches!(role.session("a/b"), Err(NameError::Principal { .. })));
    }

    #[test]
    fn instance_ids_have_two_lengths() {
        assert_eq!(
            "i-0e4fe5de7ee5abe78".parse::<InstanceId>().unwrap().as_str(),
            "i-0e4fe5de7ee5abe78"
        );
        assert_eq!("i-0123abcd".parse::<InstanceId>().unwrap().as_str(), "i-0123abcd");
        for text in [
            "",
            "i-",
            "0e4fe5de7ee5abe78",
            "i-0E4FE5DE7EE5ABE78",
            "i-0e4fe5de7ee5abe7",
            "i-0123abcg",
        ] {
            assert_eq!(
                text.parse::<InstanceId>(),
                Err(NameError::Instance {
                    found: text.to_owned()
                })
            );
        }
    }
}
