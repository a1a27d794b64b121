//! What a control message asks for. Strict: an unknown operation or field, a field twice or of the wrong type is refused.
//!
//! ```text
//! {"operation":"status"}
//! {"operation":"attest","nonce":"<hex, 1 to 64 bytes>"}
//! ```

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

/// Longest nonce in bytes. 32 are enough for freshness; 64 leave room for a SHA-512.
pub const MAX_NONCE_BYTES: usize = 64;

/// Characters of a foreign text that an error repeats.
const MAX_QUOTED: usize = 64;

/// What the parent asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// What the enclave is and how its boot went.
    Status,
    /// An attestation document over a nonce; never with a public key.
    Attest {
        /// 1 to [`MAX_NONCE_BYTES`] bytes.
        nonce: Vec<u8>,
    },
}

/// Why a message is refused. The text starts with a fixed word, for programs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Not UTF-8.
    #[error("not-utf8: byte {at} is not UTF-8")]
    NotUtf8 {
        /// Position of the byte, from 0.
        at: usize,
    },
    /// Not one JSON object.
    #[error("not-json: the message is not JSON at line {line} column {column}")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// More than white space after the object.
    #[error("trailing-bytes: there is more after the message")]
    Trailing,
    /// The connection was closed for writing in the middle of a message.
    #[error("cut-off: the message has no end")]
    CutOff,
    /// The message did not arrive in time.
    #[error("timeout: the message did not arrive in time")]
    Late,
    /// A field twice.
    #[error("duplicate-field: {name:?} stands twice")]
    Duplicate {
        /// Its name.
        name: String,
    },
    /// A field that must be there.
    #[error("missing-field: {name:?} is missing")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A field that the operation does not have.
    #[error("unknown-field: {operation} has no {name:?}")]
    UnknownField {
        /// The operation.
        operation: &'static str,
        /// Name of the field.
        name: String,
    },
    /// A field that is not text.
    #[error("wrong-type: {name:?} is not text")]
    NotText {
        /// Its name.
        name: &'static str,
    },
    /// No such operation.
    #[error("unknown-operation: {found:?}")]
    UnknownOperation {
        /// Its name.
        found: String,
    },
    /// A nonce that is not hexadecimal.
    #[error("bad-nonce: not an even number of hexadecimal digits")]
    NonceNotHex,
    /// A nonce that is too short or too long.
    #[error("bad-nonce: {actual} bytes, expected 1 to {MAX_NONCE_BYTES}")]
    NonceLength {
        /// Its length in bytes.
        actual: usize,
    },
}

impl Request {
    /// Reads one message.
    ///
    /// # Errors
    /// [`MessageError`], by its variants, for the first thing that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let text = std::str::from_utf8(bytes).map_err(|e| MessageError::NotUtf8 { at: e.valid_up_to() })?;
        let mut fields = Fields::read(text)?;
        let operation = fields.text("operation")?;
        match operation.as_str() {
            "status" => fields.none_left("status").map(|()| Self::Status),
            "attest" => {
                let nonce = fields.text("nonce")?;
                fields.none_left("attest")?;
                Ok(Self::Attest {
                    nonce: read_nonce(&nonce)?,
                })
            }
            found => Err(MessageError::UnknownOperation { found: quoted(found) }),
        }
    }
}

fn read_nonce(text: &str) -> Result<Vec<u8>, MessageError> {
    let nonce = hex::decode(text).map_err(|_| MessageError::NonceNotHex)?;
    if (1..=MAX_NONCE_BYTES).contains(&nonce.len()) {
        Ok(nonce)
    } else {
        Err(MessageError::NonceLength { actual: nonce.len() })
    }
}

fn quoted(text: &str) -> String {
    text.chars().take(MAX_QUOTED).collect()
}

/// The fields that are not read yet.
struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn read(text: &str) -> Result<Self, MessageError> {
        let twice = Cell::new(None);
        let mut reader = serde_json::Deserializer::from_str(text);
        let fields = Object { twice: &twice }.deserialize(&mut reader);
        fields
            .and_then(|fields| reader.end().map(|()| Self(fields)))
            .map_err(|e| match twice.take() {
                Some(name) => MessageError::Duplicate { name: quoted(&name) },
                None => MessageError::NotJson {
                    line: e.line(),
                    column: e.column(),
                },
            })
    }

    fn text(&mut self, name: &'static str) -> Result<String, MessageError> {
        match self.0.remove(name) {
            None => Err(MessageError::Missing { name }),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(MessageError::NotText { name }),
        }
    }

    fn none_left(self, operation: &'static str) -> Result<(), MessageError> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(MessageError::UnknownField {
                operation,
                name: quoted(&name),
            }),
        }
    }
}

/// Reads an object and leaves the name of a field that stands twice in `twice`.
///
/// A field whose value is an object is refused by every operation, so equal keys inside it need no look.
struct Object<'a> {
    twice: &'a Cell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = BTreeMap<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = BTreeMap<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if fields.contains_key(&name) {
                self.twice.set(Some(name));
                return Err(A::Error::custom("duplicate field"));
            }
            fields.insert(name, value);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Request, MessageError> {
        Request::parse(text.as_bytes())
    }

    #[test]
    fn each_operation_is_read() {
        assert_eq!(parse(r#" {"operation":"status"} "#), Ok(Request::Status));
        let nonce = vec![0, 0xff];
        assert_eq!(
            parse(r#"{"nonce":"00fF","operation":"attest"}"#),
            Ok(Request::Attest { nonce })
        );
    }

    #[test]
    fn a_public_key_is_never_accepted() {
        for value in ["null", "\"\"", "\"00\"", "{}"] {
            let text = format!(r#"{{"operation":"attest","nonce":"00","public_key":{value}}}"#);
            let name = "public_key".to_owned();
            assert_eq!(
                parse(&text),
                Err(MessageError::UnknownField {
                    operation: "attest",
                    name
                })
            );
        }
    }

    #[test]
    fn each_wrong_message_is_named() {
        let unknown = |operation, name: &str| MessageError::UnknownField {
            operation,
            name: name.to_owned(),
        };
        let name = "operation";
        for (text, error) in [
            ("{}", MessageError::Missing { name }),
            (r#"{"operation":1}"#, MessageError::NotText { name }),
            (r#"{"operation":{"a":1,"a":1}}"#, MessageError::NotText { name }),
            (r#"{"Operation":"status"}"#, MessageError::Missing { name }),
            (
                r#"{"operation":"init"}"#,
                MessageError::UnknownOperation {
                    found: "init".to_owned(),
                },
            ),
            (
                r#"{"operation":"status","nonce":"00"}"#,
                unknown("status", "nonce"),
            ),
            (
                r#"{"operation":"attest","nonce":"00","user_data":"00"}"#,
                unknown("attest", "user_data"),
            ),
            (
                r#"{"operation":"attest"}"#,
                MessageError::Missing { name: "nonce" },
            ),
            (
                r#"{"operation":"attest","nonce":null}"#,
                MessageError::NotText { name: "nonce" },
            ),
            (r#"{"operation":"attest","nonce":"0"}"#, MessageError::NonceNotHex),
            (
                r#"{"operation":"attest","nonce":"0x"}"#,
                MessageError::NonceNotHex,
            ),
            (
                r#"{"operation":"attest","nonce":""}"#,
                MessageError::NonceLength { actual: 0 },
            ),
            (
                r#"{"operation":"status","operation":"status"}"#,
                MessageError::Duplicate {
                    name: name.to_owned(),
                },
            ),
            ("[]", MessageError::NotJson { line: 1, column: 0 }),
            ("{}{}", MessageError::NotJson { line: 1, column: 3 }),
            (
                "{\"operation\":\"sta\ntus\"}",
                MessageError::NotJson { line: 2, column: 0 },
            ),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        assert_eq!(
            Request::parse(b"{\"\xff\"}"),
            Err(MessageError::NotUtf8 { at: 2 })
        );
        let nonce = |bytes: usize| {
            parse(&format!(
                r#"{{"operation":"attest","nonce":"{}"}}"#,
                "00".repeat(bytes)
            ))
        };
        assert_eq!(nonce(64), Ok(Request::Attest { nonce: vec![0; 64] }));
        assert_eq!(nonce(65), Err(MessageError::NonceLength { actual: 65 }));
    }

    #[test]
    fn errors_repeat_little_of_what_was_sent() {
        let long = "é".repeat(1000);
        let error = parse(&format!(r#"{{"operation":"{long}"}}"#)).unwrap_err();
        assert_eq!(
            error,
            MessageError::UnknownOperation {
                found: "é".repeat(64)
            }
        );
    }

    #[test]
    fn cut_and_flipped_messages_are_refused_or_mean_something_else() {
        let good = br#"{"operation":"attest","nonce":"00ff"}"#;
        let meaning = Request::parse(good).unwrap();
        for len in 0..good.len() {
            Request::parse(&good[..len]).unwrap_err();
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.to_vec();
                bytes[at] ^= 1 << bit;
                // A digit's case is the one change without a meaning.
                let case = bit == 5 && good[at].is_ascii_alphabetic();
                assert!(
                    case || Request::parse(&bytes).as_ref() != Ok(&meaning),
                    "byte {at} bit {bit}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_lead_to_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Request::parse(&bytes).is_err());
        }
    }
}
