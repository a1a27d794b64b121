//! A key policy as data, and its one JSON form.
//!
//! The JSON has two spaces of indent, elements in the order in which AWS documents them, operators and condition keys
//! sorted, a list of one written as its only entry, and a newline at the end: equal policies have equal bytes.
//!
//! Spec: IAM user guide, "IAM JSON policy element reference"; AWS KMS developer guide, "Elements in a key policy".

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::action::ActionPattern;
use crate::condition::Conditions;
use crate::principal::Principal;

/// Longest key policy that KMS stores, in bytes.
///
/// Source: AWS KMS developer guide, "Resource quotas": key policy document size 32 KB.
pub const MAX_POLICY_BYTES: usize = 32 * 1024;

/// A key policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Version of the policy language.
    pub version: Version,
    /// A name, without effect.
    pub id: Option<String>,
    /// The statements; their order has no effect.
    pub statements: Vec<Statement>,
}

/// Version of the policy language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Version {
    /// Before policy variables; also what a policy without version has.
    #[serde(rename = "2008-10-17")]
    V2008,
    /// The current one.
    #[serde(rename = "2012-10-17")]
    V2012,
}

/// What a statement does with the requests that it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Effect {
    /// Allows them, unless any statement denies.
    Allow,
    /// Denies them, whatever else says.
    Deny,
}

/// One statement: it covers a request when principal, action, resource and all conditions do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// A name, without effect.
    pub sid: Option<String>,
    /// What it does.
    pub effect: Effect,
    /// Who.
    pub principals: Match<Principal>,
    /// Which operations.
    pub actions: Match<ActionPattern>,
    /// Which keys: `*` is the key that has the policy, anything else a pattern for its ARN.
    pub resources: Vec<String>,
    /// Under which conditions; none means always.
    pub conditions: Conditions,
}

/// A list that covers what it names, or (`NotPrincipal`, `NotAction`) what it does not name. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match<T> {
    /// Covers what is named.
    Named(Vec<T>),
    /// Covers everything else.
    Others(Vec<T>),
}

impl<T> Match<T> {
    /// The entries, whichever way they are meant.
    #[must_use]
    pub fn entries(&self) -> &[T] {
        match self {
            Self::Named(entries) | Self::Others(entries) => entries,
        }
    }
}

impl Statement {
    /// Whether the statement covers the action, a full name such as `kms:Decrypt`.
    #[must_use]
    pub fn covers_action(&self, action: &str) -> bool {
        match &self.actions {
            Match::Named(patterns) => patterns.iter().any(|p| p.matches(action)),
            Match::Others(patterns) => !patterns.iter().any(|p| p.matches(action)),
        }
    }
}

impl Policy {
    /// The one JSON form, ending in a newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("Version", &self.version)?;
        if let Some(id) = &self.id {
            map.serialize_entry("Id", id)?;
        }
        map.serialize_entry("Statement", &self.statements)?;
        map.end()
    }
}

impl Serialize for Statement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(sid) = &self.sid {
            map.serialize_entry("Sid", sid)?;
        }
        map.serialize_entry("Effect", &self.effect)?;
        match &self.principals {
            Match::Named(entries) => map.serialize_entry("Principal", &PrincipalForm(entries))?,
            Match::Others(entries) => map.serialize_entry("NotPrincipal", &PrincipalForm(entries))?,
        }
        match &self.actions {
            Match::Named(entries) => map.serialize_entry("Action", &OneOrMany(&texts(entries)))?,
            Match::Others(entries) => map.serialize_entry("NotAction", &OneOrMany(&texts(entries)))?,
        }
        map.serialize_entry("Resource", &OneOrMany(&self.resources))?;
        if !self.conditions.is_empty() {
            map.serialize_entry("Condition", &ConditionForm(&self.conditions))?;
        }
        map.end()
    }
}

fn texts<T: ToString>(entries: &[T]) -> Vec<String> {
    entries.iter().map(ToString::to_string).collect()
}

/// A list of one is written as its only entry.
struct OneOrMany<'a>(&'a [String]);

impl Serialize for OneOrMany<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [one] => serializer.serialize_str(one),
            many => many.serialize(serializer),
        }
    }
}

/// `"*"` alone, else lists by kind.
struct PrincipalForm<'a>(&'a [Principal]);

impl Serialize for PrincipalForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let [Principal::Anyone] = self.0 {
            return serializer.serialize_str("*");
        }
        let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for principal in self.0 {
            let kind = if matches!(principal, Principal::Service(_)) {
                "Service"
            } else {
                "AWS"
            };
            kinds.entry(kind).or_default().push(principal.to_string());
        }
        serializer.collect_map(kinds.iter().map(|(kind, entries)| (kind, OneOrMany(entries))))
    }
}

struct ConditionForm<'a>(&'a Conditions);

impl Serialize for ConditionForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let block = self.0.iter().map(|(operator, keys)| {
            let keys: BTreeMap<&str, OneOrMany<'_>> = keys
                .iter()
                .map(|(key, values)| (key.as_str(), OneOrMany(values)))
                .collect();
            (operator.to_string(), keys)
        });
        serializer.collect_map(block)
    }
}
