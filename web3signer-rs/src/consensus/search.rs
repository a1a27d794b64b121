//! Finds a member by name at any depth of a JSON value.
//!
//! Web3Signer reads the members of `beacon_block` so: an object's own member wins over one deeper down, and among the
//! deeper ones the first in the order of the text. The search keeps no tree: it is one pass over the text, and its depth
//! is bounded by `serde_json`'s limit of 128 (deeper is an error).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The text of the member `name` of `json`, or of something inside it.
///
/// # Errors
/// The text nests too deeply, a number in it is out of range, or one object names the member twice: which of the two
/// was meant is a guess that this program does not make.
pub(super) fn find<'a>(json: &'a RawValue, name: &str) -> Result<Option<&'a RawValue>, serde_json::Error> {
    Find { name }.deserialize(&mut serde_json::Deserializer::from_str(json.get()))
}

#[derive(Clone, Copy)]
struct Find<'n> {
    name: &'n str,
}

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut own, mut deeper) = (None, None);
        while let Some(found) = map.next_key_seed(Is(self.name))? {
            if found {
                if own.replace(map.next_value()?).is_some() {
                    return Err(A::Error::custom(format_args!("duplicate field `{}`", self.name)));
                }
            } else if own.is_none() && deeper.is_none() {
                deeper = map.next_value_seed(self)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(own.or(deeper))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while found.is_none() {
            let Some(item) = seq.next_element_seed(self)? else {
                return Ok(None);
            };
            found = item;
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Reads a member's name as the answer to "is it this one?", without keeping it.
struct Is<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        Ok(text == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        find(raw, "x").unwrap().map(|value| value.get().to_owned())
    }

    #[test]
    fn own_members_win_then_the_first_deeper_one() {
        for (json, expected) in [
            (r#"{"x": 1}"#, Some("1")),
            (r#"{"a": {"x": 2}, "x": 1}"#, Some("1")),
            (r#"{"a": {"b": {"x": 2}}, "c": {"x": 3}}"#, Some("2")),
            (r#"{"a": [1, "x", {"x": [3]}, {"x": 4}]}"#, Some("[3]")),
            (r#"{"\u0078": null}"#, Some("null")),
            (r#"{"a": {"x": 1, "y": {"x": 2}}}"#, Some("1")),
            (r#"{"y": "x"}"#, None),
            (r"[true, null, -1, 1.5]", None),
            (r#""x""#, None),
        ] {
            assert_eq!(found(json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn two_of_one_name_in_one_object_and_bottomless_nesting_are_errors() {
        let raw: &RawValue = serde_json::from_str(r#"{"a": 0, "x": 1, "x": 2}"#).unwrap();
        assert!(
            find(raw, "x")
                .unwrap_err()
                .to_string()
                .contains("duplicate field `x`")
        );
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let raw: &RawValue = serde_json::from_str(&deep).unwrap();
        assert!(
            find(raw, "x")
                .unwrap_err()
                .to_string()
                .contains("recursion limit")
        );
    }
}
