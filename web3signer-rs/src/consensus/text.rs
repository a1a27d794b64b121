//! Numbers and hexadecimal as sign requests write them, read without a copy.
//!
//! - A number is an unsigned 64-bit integer in decimal, as a JSON number or a JSON string.
//! - Hexadecimal is a JSON string of whole bytes, in either case, with or without `0x`. A value of fixed size must have
//!   exactly that size: a short one is not padded, because a padded root is a root that nobody meant.
//!
//! Error texts give lengths and positions, never the text that was sent.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// An unsigned 64-bit number in decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(pub(super) u64);

/// Exactly `N` bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes<const N: usize>(pub(super) [u8; N]);

/// Any number of bytes: the SSZ form of a bit field, whose length only the container can judge.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct HexBytes(pub(super) Vec<u8>);

/// Bytes that should be a root. Another length is not a fault of the text: it is a root that cannot match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GivenRoot(pub(super) Option<[u8; 32]>);

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(&self.0))
    }
}

/// The digits of a hexadecimal text: without the prefix, an even number of them.
fn digits<E: Error>(text: &str) -> Result<&str, E> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.len().is_multiple_of(2) {
        Ok(digits)
    } else {
        Err(E::custom(format_args!(
            "hexadecimal of whole bytes expected, got {} digits",
            digits.len()
        )))
    }
}

fn bad_digit<E: Error>(_: hex::FromHexError) -> E {
    E::custom("hexadecimal expected, found a character that is not a hexadecimal digit")
}

fn fixed<const N: usize, E: Error>(text: &str) -> Result<[u8; N], E> {
    let digits = digits(text)?;
    if digits.len() != 2 * N {
        return Err(E::custom(format_args!(
            "{N} bytes of hexadecimal expected, got {}",
            digits.len() / 2
        )));
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(bad_digit)?;
    Ok(bytes)
}

/// Reads a decimal text: one or more ASCII digits and nothing else, at most 2^64 - 1.
///
/// `str::parse` would also take a leading `+`.
pub(super) fn decimal(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Decimal;
        impl Visitor<'_> for Decimal {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an unsigned 64-bit decimal number, as number or text")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                decimal(text)
                    .map(Number)
                    .ok_or_else(|| E::invalid_value(Unexpected::Other("other text"), &self))
            }
        }
        deserializer.deserialize_any(Decimal)
    }
}

/// Deserializes a JSON string through a function of its text.
struct Text<T, E>(&'static str, fn(&str) -> Result<T, E>);

impl<T, E: Error> Visitor<'_> for Text<T, E> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
    fn visit_str<F: Error>(self, text: &str) -> Result<T, F> {
        (self.1)(text).map_err(F::custom)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read: fn(&str) -> Result<_, D::Error> = |text| fixed(text).map(Self);
        deserializer.deserialize_str(Text("hexadecimal text", read))
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read: fn(&str) -> Result<_, D::Error> =
            |text| hex::decode(digits(text)?).map(Self).map_err(bad_digit);
        deserializer.deserialize_str(Text("hexadecimal text", read))
    }
}

impl<'de> Deserialize<'de> for GivenRoot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read: fn(&str) -> Result<_, D::Error> = |text| {
            let digits = digits(text)?;
            let mut root = [0; 32];
            if digits.len() == 64 {
                hex::decode_to_slice(digits, &mut root).map_err(bad_digit)?;
                return Ok(Self(Some(root)));
            }
            if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                Ok(Self(None))
            } else {
                Err(D::Error::custom(
                    "hexadecimal expected, found a character that is not a hexadecimal digit",
                ))
            }
        };
        deserializer.deserialize_str(Text("hexadecimal text", read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
        serde_json::from_str(json).ok()
    }

    #[test]
    fn numbers_are_decimal_and_fit_64_bits() {
        for (json, value) in [
            ("0", 0),
            ("\"0\"", 0),
            ("18446744073709551615", u64::MAX),
            ("\"18446744073709551615\"", u64::MAX),
            ("\"007\"", 7),
            ("\"\\u0031\"", 1),
        ] {
            assert_eq!(read(json), Some(Number(value)), "{json}");
        }
        for json in [
            "-1",
            "\"-1\"",
            "1.0",
            "\"1.0\"",
            "1e3",
            "\"0x10\"",
            "\"+1\"",
            "\"\"",
            "\" 1\"",
            "\"1 \"",
            "\"abc\"",
            "true",
            "null",
            "[]",
            "{}",
            "18446744073709551616",
            "\"18446744073709551616\"",
            "\"\u{661}\"",
        ] {
            assert_eq!(read::<Number>(json), None, "{json}");
        }
    }

    #[test]
    fn fixed_bytes_have_exactly_their_size() {
        for json in ["\"0x01020304\"", "\"01020304\"", "\"0x0102\\u0030304\""] {
            assert_eq!(read(json), Some(Bytes([1, 2, 3, 4])), "{json}");
        }
        assert_eq!(read("\"0xabCD\""), Some(Bytes([0xab, 0xcd])));
        for json in [
            "\"0x010203\"",
            "\"0x0102030405\"",
            "\"0x0102030\"",
            "\"0x\"",
            "\"\"",
            "\"0X01020304\"",
            "\"0x0102030g\"",
            "\"0x010203 4\"",
            "\"0x0x010203\"",
            "\"\u{e9}\u{e9}\u{e9}\u{e9}\"",
            "1",
            "null",
            "[1,2,3,4]",
            "true",
        ] {
            assert_eq!(read::<Bytes<4>>(json), None, "{json}");
        }
    }

    #[test]
    fn a_given_root_of_another_length_is_kept_as_one_that_cannot_match() {
        assert_eq!(read("\"0x\""), Some(GivenRoot(None)));
        assert_eq!(read("\"0x00\""), Some(GivenRoot(None)));
        assert_eq!(read(&format!("\"0x{}\"", "00".repeat(33))), Some(GivenRoot(None)));
        assert_eq!(
            read(&format!("\"{}\"", "ab".repeat(32))),
            Some(GivenRoot(Some([0xab; 32])))
        );
        for json in ["\"0x0\"", "\"0xzz\"", "1", "\"zz\""] {
            assert_eq!(read::<GivenRoot>(json), None, "{json}");
        }
        assert_eq!(read::<GivenRoot>(&format!("\"{}g0\"", "ab".repeat(31))), None);
    }

    #[test]
    fn no_error_repeats_what_was_sent() {
        for json in ["\"5ecre7\"", "\"0x5ecre7\""] {
            let number = serde_json::from_str::<Number>(json).unwrap_err().to_string();
            let bytes = serde_json::from_str::<Bytes<3>>(json).unwrap_err().to_string();
            assert!(
                !number.contains("ecre") && !bytes.contains("ecre"),
                "{number} / {bytes}"
            );
        }
    }
}
