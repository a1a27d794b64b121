//! Strict reading of a key policy that someone else wrote.
//!
//! What is not understood is refused, never skipped: an element that is ignored could be the one that denies.
//! Spelling is checked; whether the policy is any good is for [`crate::lint`].
//!
//! Spec: as [`crate::policy`].

use std::fmt;

use crate::action::{ActionError, ActionPattern};
use crate::condition::{ConditionError, ConditionKey, Conditions, Operator, Test};
use crate::json::{self, Json};
use crate::policy::{Effect, MAX_POLICY_BYTES, Match, Policy, Statement, Version};
use crate::principal::{Principal, PrincipalError};

pub use crate::json::JsonError;

use elements::Elements;

mod elements;

/// Where in a policy something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the document itself.
    Document,
    /// In the statement with this index, from 0.
    Statement(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document => f.write_str("the policy"),
            Self::Statement(index) => write!(f, "statement {index}"),
        }
    }
}

/// Why a text is not accepted as a key policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not JSON within the limits.
    #[error("the policy cannot be read")]
    Json(#[from] JsonError),
    /// An element that key policies do not have, or that is not understood here.
    #[error("{place} has the unknown element {name:?}")]
    UnknownElement {
        /// Where.
        place: Place,
        /// Its name.
        name: String,
    },
    /// An element that must be there; KMS accepts some statements without, but they have no effect.
    #[error("{place} has no {name}")]
    MissingElement {
        /// Where.
        place: Place,
        /// Its name.
        name: &'static str,
    },
    /// An element of the wrong JSON type, or an empty list.
    #[error("{name} of {place} is not {expected}")]
    WrongType {
        /// Where.
        place: Place,
        /// Its name.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// An element with a value that is not among the few it may have.
    #[error("{name} of {place} is {found:?}, expected {expected}")]
    WrongValue {
        /// Where.
        place: Place,
        /// Its name.
        name: &'static str,
        /// The value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Two elements that exclude each other.
    #[error("{place} has both {one} and {other}")]
    Both {
        /// Where.
        place: Place,
        /// The one.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// `NotPrincipal` in an Allow, which AWS does not support.
    #[error("{place} allows with NotPrincipal")]
    NotPrincipalAllow {
        /// Where.
        place: Place,
    },
    /// A principal.
    #[error("a principal of {place} is wrong")]
    Principal {
        /// Where.
        place: Place,
        /// Why.
        source: PrincipalError,
    },
    /// An action.
    #[error("an action of {place} is wrong")]
    Action {
        /// Where.
        place: Place,
        /// Why.
        source: ActionError,
    },
    /// A condition.
    #[error("a condition of {place} is wrong")]
    Condition {
        /// Where.
        place: Place,
        /// Why.
        source: ConditionError,
    },
}

impl Policy {
    /// Reads a key policy of at most [`MAX_POLICY_BYTES`].
    ///
    /// # Errors
    /// [`ParseError`], by its variants, for the first thing that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let place = Place::Document;
        let mut elements = Elements::of(place, json::read(bytes, MAX_POLICY_BYTES)?, "Policy")?;
        let version = match elements.text("Version")?.as_deref() {
            None | Some("2008-10-17") => Version::V2008,
            Some("2012-10-17") => Version::V2012,
            Some(found) => {
                let (found, expected) = (found.to_owned(), "2012-10-17 or 2008-10-17");
                return Err(ParseError::WrongValue {
                    place,
                    name: "Version",
                    found,
                    expected,
                });
            }
        };
        let id = elements.text("Id")?;
        let listed = match elements.must("Statement")? {
            Json::List(statements) => statements,
            one @ Json::Object(_) => vec![one],
            _ => return Err(elements.wrong("Statement", "a list of statements")),
        };
        elements.none_left()?;
        let statements = listed
            .into_iter()
            .enumerate()
            .map(|(index, json)| statement(index, json));
        Ok(Self {
            version,
            id,
            statements: statements.collect::<Result<_, _>>()?,
        })
    }
}

impl std::str::FromStr for Policy {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text.as_bytes())
    }
}

fn statement(index: usize, json: Json) -> Result<Statement, ParseError> {
    let place = Place::Statement(index);
    let mut elements = Elements::of(place, json, "Statement")?;
    let sid = elements.text("Sid")?;
    let effect = match elements.text("Effect")?.as_deref() {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        None => {
            return Err(ParseError::MissingElement {
                place,
                name: "Effect",
            });
        }
        Some(found) => {
            let (found, expected) = (found.to_owned(), "Allow or Deny");
            return Err(ParseError::WrongValue {
                place,
                name: "Effect",
                found,
                expected,
            });
        }
    };
    let principals = elements.either("Principal", "NotPrincipal", principals)?;
    if effect == Effect::Allow && matches!(principals, Match::Others(_)) {
        return Err(ParseError::NotPrincipalAllow { place });
    }
    let actions = elements.either("Action", "NotAction", |elements, name, json| {
        let read = |text: String| text.parse::<ActionPattern>();
        let texts = elements.texts(name, json)?;
        texts
            .into_iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|source| ParseError::Action { place, source })
    })?;
    let resource = elements.must("Resource")?;
    let resources = elements.texts("Resource", resource)?;
    if let Some(found) = resources.iter().find(|r| r.contains("${")) {
        let (found, expected) = (found.clone(), "a pattern without policy variables");
        return Err(ParseError::WrongValue {
            place,
            name: "Resource",
            found,
            expected,
        });
    }
    let conditions = match elements.take("Condition") {
        None => Conditions::new(),
        Some(json) => conditions(&elements, json)?,
    };
    elements.none_left()?;
    Ok(Statement {
        sid,
        effect,
        principals,
        actions,
        resources,
        conditions,
    })
}

fn principals(elements: &Elements, name: &'static str, json: Json) -> Result<Vec<Principal>, ParseError> {
    let expected = "\"*\" or an object with AWS or Service";
    let kinds = match json {
        Json::Text(text) if text == "*" => return Ok(vec![Principal::Anyone]),
        Json::Object(kinds) if !kinds.is_empty() => kinds,
        _ => return Err(elements.wrong(name, expected)),
    };
    let mut all = Vec::new();
    for (kind, json) in kinds {
        let read = match kind.as_str() {
            "AWS" => Principal::from_aws,
            "Service" => Principal::from_service,
            _ => {
                return Err(ParseError::UnknownElement {
                    place: elements.place,
                    name: kind,
                });
            }
        };
        for text in elements.texts(name, json)? {
            let principal = read(&text);
            all.push(principal.map_err(|source| ParseError::Principal {
                place: elements.place,
                source,
            })?);
        }
    }
    Ok(all)
}

fn conditions(elements: &Elements, json: Json) -> Result<Conditions, ParseError> {
    let Json::Object(block) = json else {
        return Err(elements.wrong("Condition", "an object"));
    };
    let mut conditions = Conditions::new();
    for (operator, keys) in block {
        let Json::Object(keys) = keys else {
            return Err(elements.wrong("Condition", "an object of objects"));
        };
        let (operator, keys) = operator_block(&operator, keys).map_err(|source| ParseError::Condition {
            place: elements.place,
            source,
        })?;
        conditions.insert(operator, keys);
    }
    Ok(conditions)
}

type OperatorBlock = (Operator, std::collections::BTreeMap<ConditionKey, Vec<String>>);

fn operator_block(operator: &str, keys: Vec<(String, Json)>) -> Result<OperatorBlock, ConditionError> {
    let operator: Operator = operator.parse()?;
    let mut block = std::collections::BTreeMap::new();
    if keys.is_empty() {
        return Err(ConditionError::Empty { operator });
    }
    for (key, values) in keys {
        let key: ConditionKey = key.parse()?;
        let values = match values {
            Json::List(values) => values,
            one => vec![one],
        };
        if values.is_empty() {
            return Err(ConditionError::Empty { operator });
        }
        let values = values
            .into_iter()
            .map(|v| value(operator, v))
            .collect::<Result<_, _>>()?;
        if block.contains_key(&key) {
            return Err(ConditionError::DuplicateKey { operator, key });
        }
        block.insert(key, values);
    }
    Ok((operator, block))
}

fn value(operator: Operator, json: Json) -> Result<String, ConditionError> {
    let found = match json {
        Json::Text(text) | Json::Number(text) => text,
        Json::Bool(truth) => truth.to_string(),
        Json::Null | Json::List(_) | Json::Object(_) => return Err(ConditionError::ValueType { operator }),
    };
    if found.contains("${") {
        return Err(ConditionError::Variable { operator, found });
    }
    let truth = found.eq_ignore_ascii_case("true") || found.eq_ignore_ascii_case("false");
    if matches!(operator.test, Test::Bool | Test::Null) && !truth {
        return Err(ConditionError::NotBool { operator, found });
    }
    Ok(found)
}
