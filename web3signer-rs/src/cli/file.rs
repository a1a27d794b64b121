//! The configuration file: a YAML mapping into texts, one for each key. Which keys exist is not decided here.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Nothing in it, not even a mapping.
    #[error("Empty yaml configuration file: {0}")]
    Empty(String),
    /// Not YAML, or too deep, or too large.
    #[error("Unable to read yaml configuration. Invalid yaml file [{file}]: {why}")]
    Invalid {
        /// The file.
        file: String,
        /// What the parser says; it shows no values.
        why: String,
    },
    /// A value that is neither text, number, truth value, list nor mapping of those.
    #[error(
        "Unexpected yaml content: the value of '{0}' is not a text, a number, a truth value or a list or mapping of these"
    )]
    Content(String),
}

/// A value as YAML has it.
enum Value {
    Null,
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    /// Lists are joined with commas, mappings as `k=v` with bars. A list in a list is nothing an option could mean.
    fn into_text(self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(text),
            Self::List(values) => scalars(values).map(|texts| texts.join(",")),
            Self::Map(pairs) => {
                let (keys, values): (Vec<String>, Vec<Self>) = pairs.into_iter().unzip();
                let texts = scalars(values)?;
                let pairs: Vec<String> = keys
                    .into_iter()
                    .zip(texts)
                    .map(|(key, text)| format!("{key}={text}"))
                    .collect();
                Some(pairs.join("|"))
            }
        }
    }
}

fn scalars(values: Vec<Value>) -> Option<Vec<String>> {
    values
        .into_iter()
        .map(|value| match value {
            Value::Text(text) => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        })
        .collect()
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text, a number, a truth value, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = access.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = access.next_entry()? {
            pairs.push(pair);
        }
        Ok(Value::Map(pairs))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

/// Reads a configuration file's bytes. `name` is for messages. Keys with an empty value are left out.
///
/// # Errors
/// Empty, not a YAML mapping, a key twice, or a value that no option can have.
pub fn read(name: &str, bytes: &[u8]) -> Result<BTreeMap<String, String>, FileError> {
    let invalid = |why: String| FileError::Invalid {
        file: name.to_owned(),
        why,
    };
    let text = std::str::from_utf8(bytes).map_err(|e| invalid(e.to_string()))?;
    if text.trim().is_empty() {
        return Err(FileError::Empty(name.to_owned()));
    }
    // The parser's own message would quote lines of the file, and a password may be in them.
    let root: Value = serde_saphyr::from_str(text).map_err(|e| invalid(place(&e)))?;
    let pairs = match root {
        Value::Null => return Err(FileError::Empty(name.to_owned())),
        Value::Map(pairs) if pairs.is_empty() => return Err(FileError::Empty(name.to_owned())),
        Value::Map(pairs) => pairs,
        Value::Text(_) | Value::List(_) => {
            return Err(invalid("it is not a mapping of keys to values".to_owned()));
        }
    };
    let mut found = BTreeMap::new();
    for (key, value) in pairs {
        if matches!(value, Value::Null) {
            continue;
        }
        let text = value.into_text().ok_or_else(|| FileError::Content(key.clone()))?;
        if found.insert(key.clone(), text).is_some() {
            return Err(invalid(format!("the key '{key}' is there twice")));
        }
    }
    Ok(found)
}

fn place(error: &serde_saphyr::Error) -> String {
    match error.location() {
        Some(at) => format!("not valid YAML at line {}, column {}", at.line(), at.column()),
        None => "not valid YAML".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> BTreeMap<String, String> {
        read("f", text.as_bytes()).unwrap()
    }

    #[test]
    fn every_kind_of_value_becomes_text() {
        let found = of("a: 9200\nb: [x, \"y\", 3]\nc: {k: v, l: 2}\nd: false\ne:\nf: \"0\"\ng: -1\n");
        let expected = [
            ("a", "9200"),
            ("b", "x,y,3"),
            ("c", "k=v|l=2"),
            ("d", "false"),
            ("f", "0"),
            ("g", "-1"),
        ];
        let expected: BTreeMap<String, String> = expected
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_mapping_is_refused() {
        for text in ["", "  \n", "# only a comment\n", "{}"] {
            assert!(
                matches!(read("f", text.as_bytes()), Err(FileError::Empty(_))),
                "{text:?}"
            );
        }
        for text in [
            "- a\n- b\n",
            "word",
            "a: [",
            "a: 1\na: 2\n",
            "a: &x [*x]",
            "\u{0}",
        ] {
            assert!(
                matches!(read("f", text.as_bytes()), Err(FileError::Invalid { .. })),
                "{text:?}"
            );
        }
        assert!(matches!(read("f", b"a: [[1]]"), Err(FileError::Content(key)) if key == "a"));
        read("f", b"\xff\xfe").unwrap_err();
    }

    #[test]
    fn an_error_shows_no_value() {
        let error = read("f", b"eth2.slashing-protection-db-password: \"hunter2\nx: [").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn deep_nesting_and_aliases_are_bounded() {
        let deep = format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000));
        read("f", deep.as_bytes()).unwrap_err();
        let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..12 {
            let before = n - 1;
            let list = vec![format!("*a{before}"); 9].join(",");
            laughs.extend([&format!("a{n}: &a{n} ["), list.as_str(), "]\n"]);
        }
        read("f", laughs.as_bytes()).unwrap_err();
    }
}
