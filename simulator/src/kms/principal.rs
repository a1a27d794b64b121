//! Who may call: access keys with the IAM identity behind each.
//!
//! The file is TOML, one table a caller:
//!
//! ```toml
//! [[principal]]
//! name = "enclave"                                       # profile in the file of credentials; absent: the access key
//! access_key_id = "ASIAEXAMPLEENCLAVE01"
//! secret_access_key = "any text"
//! session_token = "any text"                             # temporary credentials; absent for a user
//! role = "arn:aws:iam::111122223333:role/enclave"        # or: user = "arn:aws:iam::111122223333:user/admin"
//! session = "i-0123456789abcdef0"                        # with role
//! expires = "2030-01-01T00:00:00Z"                       # may be absent
//! iam = ["kms:GenerateRandom"]                           # what the caller's own IAM policies allow; absent: nothing
//! ```

use std::collections::BTreeMap;

use attest::UnixMs;
use kms_policy::action::ActionPattern;
use kms_policy::arn::{NameError, PrincipalArn};
use kms_policy::evaluate::Caller;
use serde::Deserialize;

use super::secret::Secret;

/// Why a set of principals is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrincipalError {
    /// Not TOML, or not of this form.
    #[error("the file of principals is malformed")]
    File(#[from] toml::de::Error),
    /// A principal is neither a user nor a session of a role, or both.
    #[error("principal {access_key_id} needs either `user`, or `role` and `session`")]
    Identity {
        /// Its access key.
        access_key_id: String,
    },
    /// A name of IAM is malformed.
    #[error("principal {access_key_id} has a malformed name")]
    Name {
        /// Its access key.
        access_key_id: String,
        /// What is wrong.
        source: NameError,
    },
    /// `expires` is no instant.
    #[error("principal {access_key_id}: `expires` is {found:?}, expected a time like 2030-01-01T00:00:00Z")]
    Expires {
        /// Its access key.
        access_key_id: String,
        /// The text.
        found: String,
    },
    /// An entry of `iam` is no action pattern.
    #[error("principal {access_key_id}: an entry of `iam` is malformed")]
    Action {
        /// Its access key.
        access_key_id: String,
        /// What is wrong.
        source: kms_policy::action::ActionError,
    },
    /// An access key or the name beside it is empty or has odd characters, or the key is there twice.
    #[error(
        "access key {access_key_id:?}, or the name beside it, is empty or malformed, or the key is there twice"
    )]
    AccessKey {
        /// The text.
        access_key_id: String,
    },
    /// The secret key is empty.
    #[error("principal {access_key_id} has an empty secret key")]
    EmptySecret {
        /// Its access key.
        access_key_id: String,
    },
}

/// An access key and who is behind it.
#[derive(Clone, Debug)]
pub struct Principal {
    name: String,
    access_key_id: String,
    secret: Secret,
    session_token: Option<Secret>,
    caller: Caller,
    arn: String,
    expires: Option<UnixMs>,
    iam: Vec<ActionPattern>,
}

impl Principal {
    /// A session of a role with temporary credentials, as an instance has them. It has no rights of its own: see
    /// [`Self::iam`].
    ///
    /// # Errors
    /// [`PrincipalError`] when a name is malformed or a text is empty.
    pub fn role_session(
        access_key_id: &str,
        secret_access_key: &str,
        session_token: &str,
        role: &str,
        session: &str,
    ) -> Result<Self, PrincipalError> {
        let raw = Raw {
            name: None,
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            session_token: Some(session_token.to_owned()),
            role: Some(role.to_owned()),
            session: Some(session.to_owned()),
            user: None,
            expires: None,
            iam: Vec::new(),
        };
        Self::from_raw(raw)
    }

    /// An IAM user with long-term credentials.
    ///
    /// # Errors
    /// As [`Self::role_session`].
    pub fn user(access_key_id: &str, secret_access_key: &str, user: &str) -> Result<Self, PrincipalError> {
        let raw = Raw {
            name: None,
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            session_token: None,
            role: None,
            session: None,
            user: Some(user.to_owned()),
            expires: None,
            iam: Vec::new(),
        };
        Self::from_raw(raw)
    }

    /// With IAM policies of its own that allow these actions on every resource: `["kms:*"]` for an administrator.
    ///
    /// # Errors
    /// [`PrincipalError::Action`].
    pub fn iam(mut self, actions: &[&str]) -> Result<Self, PrincipalError> {
        self.iam = patterns(&self.access_key_id, actions)?;
        Ok(self)
    }

    /// With credentials that end at this time.
    #[must_use]
    pub fn expires(mut self, at: UnixMs) -> Self {
        self.expires = Some(at);
        self
    }

    /// Its name here; it means nothing to KMS.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The access key id.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The ARN that KMS names in its errors; of a role session that of the session.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Who a policy is asked about.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether its own IAM policies allow `action`, a full name such as `kms:Decrypt`.
    #[must_use]
    pub fn iam_allows(&self, action: &str) -> bool {
        self.iam.iter().any(|pattern| pattern.matches(action))
    }

    /// Whether its credentials have ended at `now`.
    #[must_use]
    pub fn is_expired(&self, now: UnixMs) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    pub(crate) fn secret(&self) -> &str {
        self.secret.expose()
    }

    pub(crate) fn session_token(&self) -> Option<&str> {
        self.session_token.as_ref().map(Secret::expose)
    }

    fn from_raw(raw: Raw) -> Result<Self, PrincipalError> {
        let access_key_id = raw.access_key_id;
        let word = |text: &str, others: &[u8]| {
            let form = |b: u8| b.is_ascii_alphanumeric() || others.contains(&b);
            (1..=128).contains(&text.len()) && text.bytes().all(form)
        };
        if !word(&access_key_id, b"_") || !raw.name.as_deref().is_none_or(|name| word(name, b"_-")) {
            return Err(PrincipalError::AccessKey { access_key_id });
        }
        if raw.secret_access_key.is_empty() {
            return Err(PrincipalError::EmptySecret { access_key_id });
        }
        let name = |source| PrincipalError::Name {
            access_key_id: access_key_id.clone(),
            source,
        };
        let parsed = |text: &str| text.parse::<PrincipalArn>();
        let (caller, arn) = match (raw.user, raw.role, raw.session) {
            (Some(user), None, None) => {
                let arn = parsed(&user).map_err(name)?;
                (Caller::user(arn).map_err(name)?, user)
            }
            (None, Some(role), Some(session)) => {
                let role = role.parse().map_err(name)?;
                let arn = kms_policy::arn::RoleArn::session(&role, &session).map_err(name)?;
                (
                    Caller::role_session(&role, &session).map_err(name)?,
                    arn.to_string(),
                )
            }
            _ => return Err(PrincipalError::Identity { access_key_id }),
        };
        let expires = match raw.expires {
            None => None,
            Some(found) => match found.parse() {
                Ok(at) => Some(at),
                Err(_) => return Err(PrincipalError::Expires { access_key_id, found }),
            },
        };
        let iam: Vec<&str> = raw.iam.iter().map(String::as_str).collect();
        Ok(Self {
            iam: patterns(&access_key_id, &iam)?,
            name: raw.name.unwrap_or_else(|| access_key_id.clone()),
            secret: Secret::new(raw.secret_access_key),
            session_token: raw.session_token.map(Secret::new),
            access_key_id,
            caller,
            arn,
            expires,
        })
    }
}

fn patterns(access_key_id: &str, actions: &[&str]) -> Result<Vec<ActionPattern>, PrincipalError> {
    let parsed = actions.iter().map(|action| {
        action.parse().map_err(|source| PrincipalError::Action {
            access_key_id: access_key_id.to_owned(),
            source,
        })
    });
    parsed.collect()
}

/// All callers, by access key.
#[derive(Clone, Debug, Default)]
pub struct Principals(BTreeMap<String, Principal>);

impl Principals {
    /// The set of these.
    ///
    /// # Errors
    /// [`PrincipalError::AccessKey`] when an access key is there twice.
    pub fn new(principals: impl IntoIterator<Item = Principal>) -> Result<Self, PrincipalError> {
        let mut all = BTreeMap::new();
        for principal in principals {
            let access_key_id = principal.access_key_id.clone();
            if all.insert(access_key_id.clone(), principal).is_some() {
                return Err(PrincipalError::AccessKey { access_key_id });
            }
        }
        Ok(Self(all))
    }

    /// Reads the TOML form.
    ///
    /// # Errors
    /// [`PrincipalError`].
    pub fn from_toml(text: &str) -> Result<Self, PrincipalError> {
        let file: File = toml::from_str(text)?;
        let parsed: Result<Vec<_>, _> = file.principal.into_iter().map(Principal::from_raw).collect();
        Self::new(parsed?)
    }

    /// The principal of an access key.
    #[must_use]
    pub fn get(&self, access_key_id: &str) -> Option<&Principal> {
        self.0.get(access_key_id)
    }

    /// All of them, by access key.
    pub fn iter(&self) -> impl Iterator<Item = &Principal> {
        self.0.values()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    principal: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: Option<String>,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    role: Option<String>,
    session: Option<String>,
    user: Option<String>,
    expires: Option<String>,
    #[serde(default)]
    iam: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [[principal]]
        access_key_id = "ASIAENCLAVE"
        secret_access_key = "PLANTED-SECRET"
        session_token = "PLANTED-TOKEN"
        role = "arn:aws:iam::111122223333:role/path/enclave"
        session = "i-1"
        expires = "2030-01-01T00:00:00Z"
        [[principal]]
        access_key_id = "AKIAADMIN"
        secret_access_key = "s"
        user = "arn:aws:iam::111122223333:user/admin"
        iam = ["kms:*"]
    "#;

    #[test]
    fn the_file_is_read() {
        let all = Principals::from_toml(GOOD).unwrap();
        let enclave = all.get("ASIAENCLAVE").unwrap();
        assert_eq!(
            enclave.arn(),
            "arn:aws:sts::111122223333:assumed-role/enclave/i-1"
        );
        assert!(!enclave.iam_allows("kms:Decrypt"));
        let end = UnixMs::new(1_893_456_000_000);
        assert!(enclave.is_expired(end) && !enclave.is_expired(UnixMs::new(end.as_millis() - 1)));
        let admin = all.get("AKIAADMIN").unwrap();
        assert!(admin.iam_allows("kms:Decrypt") && !admin.iam_allows("s3:GetObject"));
        assert_eq!((admin.session_token(), all.iter().count()), (None, 2));
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", Principals::from_toml(GOOD).unwrap());
        assert!(!shown.contains("PLANTED"), "{shown}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |from: &str, to: &str| {
            assert!(GOOD.contains(from));
            Principals::from_toml(&GOOD.replace(from, to))
                .unwrap_err()
                .to_string()
        };
        for (from, to, word) in [
            ("iam =", "imm =", "malformed"),
            (
                "user = \"arn:aws:iam::111122223333:user/admin\"",
                "",
                "needs either",
            ),
            ("session = \"i-1\"", "session = \"\"", "malformed name"),
            ("role/path/enclave", "user/enclave", "malformed name"),
            ("2030-01-01T00:00:00Z", "soon", "expected a time"),
            ("kms:*", "kms", "iam"),
            ("AKIAADMIN", "ASIAENCLAVE", "twice"),
            ("AKIAADMIN", "AKIA/ADMIN", "malformed"),
            ("\"s\"", "\"\"", "empty secret"),
        ] {
            let text = refused(from, to);
            assert!(text.contains(word), "{to}: {text}");
        }
    }
}
