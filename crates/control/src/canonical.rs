//! One text for one value: the form of JSON whose hash is measured or attested.
//!
//! ```text
//! object = "{" [ name ":" value *( "," name ":" value ) ] "}"     names in ascending order of their bytes, each once
//! list   = "[" [ value *( "," value ) ] "]"                       in the order that the value's type defines
//! text   = DQUOTE *( 0x20 to 0x7E but DQUOTE and backslash ) DQUOTE
//! number = "0" / nonzero digit *digit                             at most 2^53 - 1
//! value  = object / list / text / number / "true" / "false"
//! ```
//!
//! No white space, no escape, no fraction, no sign, no null. Within these bounds it is the form of RFC 8785 (JCS), so any
//! implementation of that makes the same bytes.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// Largest number: what every JSON implementation keeps exactly.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;

/// A value that has no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CanonicalError {
    /// A text with a character that would need an escape, or is not ASCII.
    #[error("a text has a character other than printable ASCII without quote and backslash")]
    Text,
    /// A number with sign or fraction, or above [`MAX_NUMBER`].
    #[error("a number is not a whole number from 0 to 9007199254740991")]
    Number,
    /// `null`.
    #[error("null has no place in a canonical value")]
    Null,
    /// Not JSON at all; a type with keys that are no text.
    #[error("the value is not JSON")]
    Json,
}

/// The canonical text of a value.
///
/// # Errors
/// [`CanonicalError`], by its variants.
pub fn canonical(value: &impl Serialize) -> Result<String, CanonicalError> {
    let value = serde_json::to_value(value).map_err(|_| CanonicalError::Json)?;
    let mut text = String::new();
    write(&value, &mut text)?;
    Ok(text)
}

fn write(value: &Value, out: &mut String) -> Result<(), CanonicalError> {
    match value {
        Value::Null => return Err(CanonicalError::Null),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => {
            let number = number.as_u64().filter(|n| *n <= MAX_NUMBER);
            out.push_str(&number.ok_or(CanonicalError::Number)?.to_string());
        }
        Value::String(text) => write_text(text, out)?,
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(value, out)?;
            }
            out.push(']');
        }
        Value::Object(fields) => {
            // The order of serde_json's own map depends on how it was compiled.
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            out.push('{');
            for (index, (name, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(name, out)?;
                out.push(':');
                write(value, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn write_text(text: &str, out: &mut String) -> Result<(), CanonicalError> {
    let plain = |b: u8| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\';
    if !text.bytes().all(plain) {
        return Err(CanonicalError::Text);
    }
    out.push('"');
    out.push_str(text);
    out.push('"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_form_is_exact() {
        let value =
            json!({ "b": [1, 0, true, { "z": "x y", "A": false }], "a": {}, "B": [], "aa": MAX_NUMBER });
        assert_eq!(
            canonical(&value).unwrap(),
            r#"{"B":[],"a":{},"aa":9007199254740991,"b":[1,0,true,{"A":false,"z":"x y"}]}"#
        );
    }

    #[test]
    fn what_has_two_forms_has_none() {
        for (value, error) in [
            (json!([null]), CanonicalError::Null),
            (json!(-1), CanonicalError::Number),
            (json!(1.0), CanonicalError::Number),
            (json!(MAX_NUMBER + 1), CanonicalError::Number),
            (json!("é"), CanonicalError::Text),
            (json!("a\"b"), CanonicalError::Text),
            (json!("a\\b"), CanonicalError::Text),
            (json!("a\nb"), CanonicalError::Text),
            (json!("\u{7f}"), CanonicalError::Text),
            (json!({ "é": 1 }), CanonicalError::Text),
        ] {
            assert_eq!(canonical(&value), Err(error), "{value}");
        }
    }
}
