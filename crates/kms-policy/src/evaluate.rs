//! What KMS decides about a request under a key policy.
//!
//! It evaluates the key policy alone, as KMS does for a caller whose other policies say nothing against it: an explicit
//! Deny wins, else an Allow, else the request is refused. Grants, service control policies and permission
//! boundaries are not modelled. What the caller's own IAM policies say matters in two places only, an Allow for a whole
//! account and a caller of another account; it is an input, [`Request::iam_allows`].
//!
//! Spec: IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements: Condition operators"; AWS KMS developer
//! guide, "Default key policy" (what the account principal means).

use std::collections::BTreeMap;

use crate::arn::{AccountId, NameError, PrincipalArn, PrincipalKind, RoleArn};
use crate::condition::{ConditionKey, Operator, Quantifier, Test};
use crate::policy::{Effect, Match, Policy, Statement};
use crate::principal::Principal;
use crate::wildcard;

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    who: Who,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    /// The identities that a policy can name, from the account down.
    Account {
        account: AccountId,
        arns: Vec<PrincipalArn>,
    },
    Service(String),
}

impl Caller {
    /// A session of a role, which is what an instance or a person with temporary credentials is.
    ///
    /// # Errors
    /// [`NameError`] when the session name is malformed.
    pub fn role_session(role: &RoleArn, session: &str) -> Result<Self, NameError> {
        let arns = vec![role.principal().clone(), role.session(session)?];
        Ok(Self {
            who: Who::Account {
                account: role.principal().account().clone(),
                arns,
            },
        })
    }

    /// An IAM user, or the root user of an account.
    ///
    /// # Errors
    /// [`NameError::Principal`] for a role or a role session: take [`Caller::role_session`].
    pub fn user(arn: PrincipalArn) -> Result<Self, NameError> {
        match arn.kind() {
            PrincipalKind::User | PrincipalKind::Root => Ok(Self {
                who: Who::Account {
                    account: arn.account().clone(),
                    arns: vec![arn],
                },
            }),
            PrincipalKind::Role | PrincipalKind::Session => Err(NameError::Principal {
                found: arn.as_str().to_owned(),
            }),
        }
    }

    /// An AWS service acting for itself, by its host name.
    #[must_use]
    pub fn service(name: &str) -> Self {
        Self {
            who: Who::Service(name.to_owned()),
        }
    }

    fn account(&self) -> Option<&AccountId> {
        match &self.who {
            Who::Account { account, .. } => Some(account),
            Who::Service(_) => None,
        }
    }

    fn is_root(&self) -> bool {
        matches!(&self.who, Who::Account { arns, .. } if arns.iter().any(|a| a.kind() == PrincipalKind::Root))
    }

    /// Whether the entry names the caller itself, a whole account aside.
    fn is_named_by(&self, entry: &Principal) -> bool {
        match (&self.who, entry) {
            (_, Principal::Anyone) => true,
            (Who::Account { arns, .. }, Principal::Arn(arn)) => arns.contains(arn),
            (Who::Service(name), Principal::Service(named)) => name == named,
            _ => false,
        }
    }

    fn is_in_account_of(&self, entry: &Principal) -> bool {
        entry
            .whole_account()
            .is_some_and(|account| self.account() == Some(account))
    }
}

/// What a request says about one condition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A key with one value.
    One(String),
    /// A key that may have several values; empty is the same as absent.
    Many(Vec<String>),
}

/// The request context: condition keys and what the request says about them.
pub type Context = BTreeMap<ConditionKey, Fact>;

/// A request to KMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// The full name of the operation, `kms:Decrypt`.
    pub action: &'a str,
    /// The ARN of the key: `arn:PARTITION:kms:REGION:ACCOUNT:key/ID`.
    pub key_arn: &'a str,
    /// Condition keys of the request. `aws:PrincipalArn`, `aws:PrincipalAccount` and `kms:CallerAccount` follow from the
    /// caller and must not be given.
    pub context: &'a Context,
    /// Whether the caller's own IAM policies allow the action on the key.
    pub iam_allows: bool,
}

/// The decision, with the first statement that makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed by this statement, denied by none.
    Allow(StatementRef),
    /// Denied by this statement.
    Deny(StatementRef),
    /// No statement allows it.
    ImplicitDeny,
}

impl Decision {
    /// Whether the request goes through.
    #[must_use]
    pub fn is_allow(&self) -> bool {
        matches!(self, Self::Allow(_))
    }
}

/// A statement of the policy that was evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementRef {
    /// Its index, from 0.
    pub index: usize,
    /// Its name, if it has one.
    pub sid: Option<String>,
}

/// Why no decision is made. A caller must refuse the request then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The action is not the full name of one KMS operation.
    #[error("{action:?} is not the name of a KMS operation")]
    Action {
        /// The text.
        action: String,
    },
    /// The key ARN is malformed.
    #[error("{key_arn:?} is not the ARN of a KMS key")]
    KeyArn {
        /// The text.
        key_arn: String,
    },
    /// The context has a key that follows from the caller.
    #[error("condition key {key} follows from the caller and cannot be given")]
    ReservedKey {
        /// The key.
        key: ConditionKey,
    },
    /// A statement compares a key that may have several values by an operator for one.
    #[error("statement {index} compares {key}, which may have several values, without a set operator")]
    SeveralValues {
        /// Index of the statement, from 0.
        index: usize,
        /// The key.
        key: ConditionKey,
    },
    /// A statement names a deleted principal; whom it covers is not known here.
    #[error("statement {index} names the deleted principal {id}")]
    UniqueId {
        /// Index of the statement, from 0.
        index: usize,
        /// The unique id.
        id: String,
    },
}

impl Policy {
    /// What KMS decides about `request` under this key policy.
    ///
    /// # Errors
    /// [`EvaluateError`] when the request is malformed, or a statement cannot be understood: no decision is safe then.
    pub fn evaluate(&self, request: &Request<'_>) -> Result<Decision, EvaluateError> {
        let name = request.action.strip_prefix("kms:").unwrap_or_default();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(EvaluateError::Action {
                action: request.action.to_owned(),
            });
        }
        let same_account = request.caller.account() == Some(&key_account(request.key_arn)?);
        let context = full_context(request)?;

        let (mut allow, mut deny) = (None, None);
        for (index, statement) in self.statements.iter().enumerate() {
            // Conditions are looked at in any case: a statement that cannot be understood must not go unnoticed.
            let holds = conditions_hold(index, statement, &context)?;
            let covered = covers_principal(index, statement, request)?
                && statement.covers_action(request.action)
                && statement
                    .resources
                    .iter()
                    .any(|r| wildcard::matches(r, request.key_arn));
            if !(holds && covered) {
                continue;
            }
            let found = match statement.effect {
                Effect::Allow
                    if !same_account && !request.iam_allows && request.caller.account().is_some() =>
                {
                    continue;
                }
                Effect::Allow => &mut allow,
                Effect::Deny => &mut deny,
            };
            found.get_or_insert_with(|| StatementRef {
                index,
                sid: statement.sid.clone(),
            });
        }
        Ok(match (deny, allow) {
            (Some(statement), _) => Decision::Deny(statement),
            (None, Some(statement)) => Decision::Allow(statement),
            (None, None) => Decision::ImplicitDeny,
        })
    }
}

fn key_account(key_arn: &str) -> Result<AccountId, EvaluateError> {
    let wrong = || EvaluateError::KeyArn {
        key_arn: key_arn.to_owned(),
    };
    let parts: Vec<&str> = key_arn.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "kms", region, account, key] if !region.is_empty() && key.starts_with("key/") => {
            account.parse().map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}

/// The context of the request with what follows from the caller.
fn full_context(request: &Request<'_>) -> Result<Context, EvaluateError> {
    let mut derived: Vec<(&str, String)> = Vec::new();
    if let Who::Account { account, arns } = &request.caller.who {
        derived.push(("aws:PrincipalAccount", account.to_string()));
        derived.push(("kms:CallerAccount", account.to_string()));
        // For a session this is the role: the first of the two identities.
        derived.extend(arns.first().map(|arn| ("aws:PrincipalArn", arn.to_string())));
    }
    let mut context = request.context.clone();
    for name in ["aws:PrincipalAccount", "kms:CallerAccount", "aws:PrincipalArn"] {
        let Ok(key) = name.parse::<ConditionKey>() else {
            continue;
        };
        if context.contains_key(&key) {
            return Err(EvaluateError::ReservedKey { key });
        }
        if let Some((_, value)) = derived.iter().find(|(known, _)| *known == name) {
            context.insert(key, Fact::One(value.clone()));
        }
    }
    Ok(context)
}

fn covers_principal(
    index: usize,
    statement: &Statement,
    request: &Request<'_>,
) -> Result<bool, EvaluateError> {
    let entries = statement.principals.entries();
    if let Some(Principal::UniqueId(id)) = entries.iter().find(|e| matches!(e, Principal::UniqueId(_))) {
        return Err(EvaluateError::UniqueId {
            index,
            id: id.clone(),
        });
    }
    let caller = request.caller;
    Ok(match (&statement.principals, statement.effect) {
        // An account in an Allow passes the decision on to the account's IAM policies; its root user needs none.
        (Match::Named(entries), Effect::Allow) => entries.iter().any(|e| {
            caller.is_named_by(e) || (caller.is_in_account_of(e) && (caller.is_root() || request.iam_allows))
        }),
        (Match::Named(entries), Effect::Deny) => entries
            .iter()
            .any(|e| caller.is_named_by(e) || caller.is_in_account_of(e)),
        (Match::Others(entries), _) => !is_exempt(caller, entries),
    })
}

/// Whether `NotPrincipal` leaves the caller out: every identity of it has to be listed, account, role and session.
fn is_exempt(caller: &Caller, entries: &[Principal]) -> bool {
    match &caller.who {
        Who::Service(_) => entries.iter().any(|e| caller.is_named_by(e)),
        Who::Account { arns, .. } => {
            let listed = |arn: &PrincipalArn| {
                entries
                    .iter()
                    .any(|e| matches!(e, Principal::Arn(named) if named == arn) || *e == Principal::Anyone)
            };
            let account = entries
                .iter()
                .any(|e| caller.is_in_account_of(e) || *e == Principal::Anyone);
            account
                && arns
                    .iter()
                    .all(|arn| arn.kind() == PrincipalKind::Root || listed(arn))
        }
    }
}

fn conditions_hold(index: usize, statement: &Statement, context: &Context) -> Result<bool, EvaluateError> {
    let mut all = true;
    for (operator, keys) in &statement.conditions {
        for (key, wanted) in keys {
            let given: &[String] = match context.get(key) {
                None => &[],
                Some(Fact::One(value)) => std::slice::from_ref(value),
                Some(Fact::Many(_)) if operator.quantifier.is_none() && operator.test != Test::Null => {
                    return Err(EvaluateError::SeveralValues {
                        index,
                        key: key.clone(),
                    });
                }
                Some(Fact::Many(values)) => values,
            };
            all &= holds(*operator, wanted, given);
        }
    }
    Ok(all)
}

/// Whether one key passes. `given` is empty exactly when the key is absent.
fn holds(operator: Operator, wanted: &[String], given: &[String]) -> bool {
    if operator.test == Test::Null {
        return wanted
            .iter()
            .any(|w| w.eq_ignore_ascii_case("true") == given.is_empty());
    }
    if given.is_empty() {
        return operator.passes_absent_key();
    }
    let passes =
        |value: &String| wanted.iter().any(|w| fits(operator.test, w, value)) != operator.test.is_negated();
    match operator.quantifier {
        Some(Quantifier::ForAnyValue) => given.iter().any(passes),
        Some(Quantifier::ForAllValues) | None => given.iter().all(passes),
    }
}

/// Whether one value of the request fits one value of the policy, the negation left out.
fn fits(test: Test, wanted: &str, value: &str) -> bool {
    match test {
        Test::StringEquals | Test::StringNotEquals => wanted == value,
        Test::StringEqualsIgnoreCase | Test::StringNotEqualsIgnoreCase | Test::Bool => {
            wanted.eq_ignore_ascii_case(value)
        }
        Test::StringLike | Test::StringNotLike => wildcard::matches(wanted, value),
        Test::ArnEquals | Test::ArnLike | Test::ArnNotEquals | Test::ArnNotLike => arn_fits(wanted, value),
        Test::Null => false,
    }
}

/// ARNs are compared component by component, so that a star does not reach over a colon.
fn arn_fits(wanted: &str, value: &str) -> bool {
    let (wanted, value): (Vec<_>, Vec<_>) = (wanted.splitn(6, ':').collect(), value.splitn(6, ':').collect());
    wanted.len() == 6 && value.len() == 6 && wanted.iter().zip(&value).all(|(w, v)| wildcard::matches(w, v))
}
