//! Hexadecimal text of a known length, with or without `0x`, in either case. It never shows the text in an error.

use std::fmt;

/// Why hexadecimal text was refused. The text itself is not in it: it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HexError {
    /// The text has another length.
    #[error("{actual} characters of hexadecimal text after an optional 0x, expected {expected}")]
    Length {
        /// How many digits there must be.
        expected: usize,
        /// How many characters there are.
        actual: usize,
    },
    /// A character is not a hexadecimal digit.
    #[error("a character that is not a hexadecimal digit, at position {position} after an optional 0x")]
    Digit {
        /// Zero-based, counted in bytes.
        position: usize,
    },
    /// The digits do not pair up to bytes.
    #[error("an odd number of hexadecimal digits ({0})")]
    Odd(usize),
}

/// The digits without a leading `0x` or `0X`.
pub(crate) fn digits(text: &str) -> &str {
    text.strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text)
}

/// Exactly `N` bytes.
pub(crate) fn fixed<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let digits = digits(text);
    if digits.len() != 2 * N {
        return Err(HexError::Length {
            expected: 2 * N,
            actual: digits.len(),
        });
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|e| fault(e, digits))?;
    Ok(bytes)
}

/// Any number of bytes. The caller has bounded the text.
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, HexError> {
    let digits = digits(text);
    hex::decode(digits).map_err(|e| fault(e, digits))
}

/// Writes `0x` and lower-case digits.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("0x")?;
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn fault(error: hex::FromHexError, digits: &str) -> HexError {
    match error {
        hex::FromHexError::InvalidHexCharacter { index, .. } => HexError::Digit { position: index },
        hex::FromHexError::OddLength | hex::FromHexError::InvalidStringLength => HexError::Odd(digits.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_and_case_are_free() {
        for text in ["0x00Ff", "00fF", "0X00FF"] {
            assert_eq!(fixed::<2>(text), Ok([0, 255]));
            assert_eq!(bytes(text), Ok(vec![0, 255]));
        }
    }

    #[test]
    fn faults_are_named_without_the_text() {
        assert_eq!(
            fixed::<2>("0x00f"),
            Err(HexError::Length {
                expected: 4,
                actual: 3
            })
        );
        assert_eq!(fixed::<2>("00fg"), Err(HexError::Digit { position: 3 }));
        assert_eq!(fixed::<2>("0x0xff"), Err(HexError::Digit { position: 1 }));
        assert_eq!(bytes("0x0"), Err(HexError::Odd(1)));
        // Four bytes of UTF-8, two characters.
        assert_eq!(fixed::<2>("éé"), Err(HexError::Digit { position: 0 }));
    }
}
