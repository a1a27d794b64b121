//! The `Condition` element: operators, keys and values as data. What they mean for a request is in [`crate::evaluate`].
//!
//! Operators that no policy of this project needs (numbers, dates, IP addresses, binary) are refused, as are policy
//! variables (`${…}`): a condition that is read but not understood must never be taken for one that holds.
//!
//! Spec: IAM user guide, "IAM JSON policy elements: Condition operators", "Set operators for multivalued context keys".

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

pub use key::{Attested, ConditionKey};

mod key;

/// What is compared, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Test {
    /// Any component of an ARN may be a pattern; the same as [`Test::ArnLike`].
    ArnEquals,
    /// As [`Test::ArnEquals`].
    ArnLike,
    /// Negation of [`Test::ArnEquals`].
    ArnNotEquals,
    /// Negation of [`Test::ArnLike`].
    ArnNotLike,
    /// `true` or `false`.
    Bool,
    /// `true`: the key is absent; `false`: it is present.
    Null,
    /// Equal text.
    StringEquals,
    /// Equal text but for the case of ASCII letters.
    StringEqualsIgnoreCase,
    /// A pattern with `*` and `?`.
    StringLike,
    /// Negation of [`Test::StringEquals`].
    StringNotEquals,
    /// Negation of [`Test::StringEqualsIgnoreCase`].
    StringNotEqualsIgnoreCase,
    /// Negation of [`Test::StringLike`].
    StringNotLike,
}

impl Test {
    const ALL: [(&'static str, Self); 12] = [
        ("ArnEquals", Self::ArnEquals),
        ("ArnLike", Self::ArnLike),
        ("ArnNotEquals", Self::ArnNotEquals),
        ("ArnNotLike", Self::ArnNotLike),
        ("Bool", Self::Bool),
        ("Null", Self::Null),
        ("StringEquals", Self::StringEquals),
        ("StringEqualsIgnoreCase", Self::StringEqualsIgnoreCase),
        ("StringLike", Self::StringLike),
        ("StringNotEquals", Self::StringNotEquals),
        ("StringNotEqualsIgnoreCase", Self::StringNotEqualsIgnoreCase),
        ("StringNotLike", Self::StringNotLike),
    ];

    /// Whether the test holds when no value of the policy fits, so also for an absent key.
    #[must_use]
    pub fn is_negated(self) -> bool {
        matches!(
            self,
            Self::ArnNotEquals
                | Self::ArnNotLike
                | Self::StringNotEquals
                | Self::StringNotEqualsIgnoreCase
                | Self::StringNotLike
        )
    }
}

/// How a key with several values is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantifier {
    /// `ForAllValues:`: every value of the request passes; also holds when there is none.
    ForAllValues,
    /// `ForAnyValue:`: at least one value of the request passes.
    ForAnyValue,
}

/// A condition operator: `[ForAllValues:|ForAnyValue:]Test[IfExists]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operator {
    /// What is compared.
    pub test: Test,
    /// How several values are treated.
    pub quantifier: Option<Quantifier>,
    /// Whether an absent key passes.
    pub if_exists: bool,
}

impl Operator {
    /// The operator of all conditions on measurements.
    pub const EQUALS: Self = Self::plain(Test::StringEqualsIgnoreCase);

    /// Its negation, for Deny: holds for an absent key too.
    pub const NOT_EQUALS: Self = Self::plain(Test::StringNotEqualsIgnoreCase);

    /// A test without quantifier and without `IfExists`.
    #[must_use]
    pub const fn plain(test: Test) -> Self {
        Self {
            test,
            quantifier: None,
            if_exists: false,
        }
    }

    /// Whether a request without the key passes. In an Allow this lets un-attested requests in.
    #[must_use]
    pub fn passes_absent_key(self) -> bool {
        match self.quantifier {
            Some(Quantifier::ForAllValues) => true,
            Some(Quantifier::ForAnyValue) => false,
            None => self.if_exists || self.test.is_negated(),
        }
    }
}

/// Why a `Condition` element is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConditionError {
    /// An operator that is unknown, or known to IAM but not evaluated here.
    #[error("operator {found:?} is not one that is understood here")]
    Operator {
        /// The text.
        found: String,
    },
    /// A key that is not `prefix:name`.
    #[error("{found:?} is not a condition key")]
    Key {
        /// The text.
        found: String,
    },
    /// One key twice under one operator, in different case.
    #[error("key {key} stands twice under {operator}")]
    DuplicateKey {
        /// The operator.
        operator: Operator,
        /// The key.
        key: ConditionKey,
    },
    /// An operator without keys, or a key without values.
    #[error("{operator} has nothing to compare with")]
    Empty {
        /// The operator.
        operator: Operator,
    },
    /// A value that is not text, number or truth value.
    #[error("a value under {operator} is neither text, number nor truth value")]
    ValueType {
        /// The operator.
        operator: Operator,
    },
    /// A value other than `true` and `false` under `Bool` or `Null`.
    #[error("{operator} compares with {found:?}, expected true or false")]
    NotBool {
        /// The operator.
        operator: Operator,
        /// The value.
        found: String,
    },
    /// A value with a policy variable.
    #[error("value {found:?} under {operator} has a policy variable, which is not evaluated here")]
    Variable {
        /// The operator.
        operator: Operator,
        /// The value.
        found: String,
    },
}

impl FromStr for Operator {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let wrong = || ConditionError::Operator {
            found: text.to_owned(),
        };
        let (quantifier, rest) = match text.split_once(':') {
            Some(("ForAllValues", rest)) => (Some(Quantifier::ForAllValues), rest),
            Some(("ForAnyValue", rest)) => (Some(Quantifier::ForAnyValue), rest),
            Some(_) => return Err(wrong()),
            None => (None, text),
        };
        let (name, if_exists) = match rest.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (rest, false),
        };
        let (_, kind) = *Test::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(wrong)?;
        // IAM gives neither of these a meaning; ForAnyValue with IfExists is read differently by different tools.
        let odd = (kind == Test::Null && (if_exists || quantifier.is_some()))
            || (quantifier == Some(Quantifier::ForAnyValue) && if_exists);
        if odd {
            Err(wrong())
        } else {
            Ok(Self {
                test: kind,
                quantifier,
                if_exists,
            })
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quantifier = match self.quantifier {
            Some(Quantifier::ForAllValues) => "ForAllValues:",
            Some(Quantifier::ForAnyValue) => "ForAnyValue:",
            None => "",
        };
        let name = Test::ALL
            .iter()
            .find(|(_, test)| *test == self.test)
            .map_or("", |(name, _)| name);
        write!(
            f,
            "{quantifier}{name}{}",
            if self.if_exists { "IfExists" } else { "" }
        )
    }
}

/// The conditions of a statement: all operators and all keys must hold, for each key any of its values.
pub type Conditions = BTreeMap<Operator, BTreeMap<ConditionKey, Vec<String>>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_round_trip() {
        for text in [
            "StringEquals",
            "StringNotEqualsIgnoreCase",
            "StringLikeIfExists",
            "ForAllValues:StringEquals",
            "ForAllValues:StringNotLikeIfExists",
            "ForAnyValue:ArnLike",
            "Null",
            "BoolIfExists",
        ] {
            assert_eq!(text.parse::<Operator>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "",
            "IfExists",
            "stringequals",
            "NumericEquals",
            "IpAddress",
            "NullIfExists",
            "ForAllValues:Null",
            "ForAnyValue:StringEqualsIfExists",
            "ForSomeValues:StringEquals",
            "ForAllValues:ForAnyValue:Bool",
            "StringEqualsIfExistsIfExists",
        ] {
            assert_eq!(
                text.parse::<Operator>(),
                Err(ConditionError::Operator {
                    found: text.to_owned()
                })
            );
        }
    }

    #[test]
    fn absent_keys_pass_exactly_the_dangerous_operators() {
        let passes = |text: &str| text.parse::<Operator>().unwrap().passes_absent_key();
        for text in [
            "StringNotEquals",
            "StringEqualsIfExists",
            "ForAllValues:StringEquals",
            "ArnNotLike",
        ] {
            assert!(passes(text), "{text}");
        }
        for text in [
            "StringEquals",
            "ForAnyValue:StringEquals",
            "ForAnyValue:StringNotEquals",
            "Null",
            "Bool",
        ] {
            assert!(!passes(text), "{text}");
        }
    }
}
