//! Strict JSON: a bounded tree in which no object has the same key twice.
//!
//! `serde_json::Value` keeps the last of two equal keys in silence, so two readers of one policy can
//! disagree; here it is an error. It knows nothing of policies.
//!
//! Spec: RFC 8259.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Deepest nesting that is read. A key policy needs 6.
const MAX_DEPTH: usize = 12;

/// A JSON value; objects keep the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// A number in the shortest text that gives the same value.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Why bytes are not acceptable JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// More bytes than the caller's limit.
    #[error("the text has {actual} bytes, the limit is {limit}")]
    TooLarge {
        /// Length of the text in bytes.
        actual: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Not JSON, not UTF-8, cut off, or followed by more than white space.
    #[error("not JSON at line {line} column {column}")]
    Syntax {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1; 0 at the end of a line.
        column: usize,
    },
    /// An object names one key twice.
    #[error("key {key:?} stands twice in one object")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// Nested deeper than any key policy.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit in levels.
        limit: usize,
    },
}

/// Reads one JSON value of at most `limit` bytes.
///
/// # Errors
/// [`JsonError`], by its variants.
pub(crate) fn read(bytes: &[u8], limit: usize) -> Result<Json, JsonError> {
    if bytes.len() > limit {
        return Err(JsonError::TooLarge {
            actual: bytes.len(),
            limit,
        });
    }
    let fault = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Node {
        depth: 0,
        fault: &fault,
    }
    .deserialize(&mut reader)
    .and_then(|value| reader.end().map(|()| value));
    value.map_err(|e| {
        fault.take().unwrap_or_else(|| JsonError::Syntax {
            line: e.line(),
            column: e.column(),
        })
    })
}

/// One value at a depth; faults that serde cannot carry as values are left in `fault`.
#[derive(Clone, Copy)]
struct Node<'a> {
    depth: usize,
    fault: &'a Cell<Option<JsonError>>,
}

impl Node<'_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            self.fault.set(Some(JsonError::TooDeep { limit: MAX_DEPTH }));
            return Err(E::custom("too deep"));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut seen = BTreeSet::new();
        let mut members = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                self.fault.set(Some(JsonError::DuplicateKey { key }));
                return Err(A::Error::custom("duplicate key"));
            }
            let value = map.next_value_seed(inner)?;
            members.push((key, value));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Json, JsonError> {
        super::read(text.as_bytes(), 1000)
    }

    #[test]
    fn reads_every_kind_in_order() {
        let text = |s: &str| Json::Text(s.to_owned());
        assert_eq!(
            read(r#" {"b":[null,true,1,-2,"x\u0041"],"a":{}} "#),
            Ok(Json::Object(vec![
                (
                    "b".to_owned(),
                    Json::List(vec![
                        Json::Null,
                        Json::Bool(true),
                        Json::Number("1".to_owned()),
                        Json::Number("-2".to_owned()),
                        text("xA"),
                    ])
                ),
                ("a".to_owned(), Json::Object(vec![])),
            ]))
        );
    }

    #[test]
    fn equal_keys_are_named_also_when_spelled_with_escapes() {
        let key = "a".to_owned();
        assert_eq!(
            read(r#"{"a":1,"b":2,"a":1}"#),
            Err(JsonError::DuplicateKey { key: key.clone() })
        );
        assert_eq!(
            read(r#"[{"a":1,"\u0061":1}]"#),
            Err(JsonError::DuplicateKey { key })
        );
    }

    #[test]
    fn limits_hold() {
        assert_eq!(
            super::read(b"[1]", 2),
            Err(JsonError::TooLarge { actual: 3, limit: 2 })
        );
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        read(&nested(MAX_DEPTH)).unwrap();
        assert_eq!(
            read(&nested(MAX_DEPTH + 1)),
            Err(JsonError::TooDeep { limit: MAX_DEPTH })
        );
        assert_eq!(
            read(&"[".repeat(900)),
            Err(JsonError::TooDeep { limit: MAX_DEPTH })
        );
    }

    #[test]
    fn anything_else_is_a_syntax_error() {
        for text in ["", "{", "{} x", "{}{}", "nul", "[1,]", "'a'", "\u{feff}{}", "NaN"] {
            assert!(matches!(read(text), Err(JsonError::Syntax { .. })), "{text:?}");
        }
        assert!(matches!(
            super::read(b"\"\xff\"", 10),
            Err(JsonError::Syntax { .. })
        ));
    }
}
