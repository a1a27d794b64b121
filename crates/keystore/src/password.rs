//! The password of a keystore, made into the bytes that EIP-2335 asks for.
//!
//! Where a password comes from (a whole file, its first line, a member of a request) is the caller's business.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// The longest password in bytes of UTF-8, before normalization. Far above what anyone types or generates.
pub const MAX_PASSWORD_LEN: usize = 4096;

/// Why a password was refused. The password is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Nothing is left after control codes were removed.
    #[error("the password is empty (control codes, line ends among them, do not count)")]
    Empty,
    /// The text is too long.
    #[error("the password has {actual} bytes; at most {MAX_PASSWORD_LEN} are taken")]
    TooLong {
        /// Bytes of UTF-8.
        actual: usize,
    },
    /// The bytes are not UTF-8.
    #[error("the password is not UTF-8 text (first bad byte at offset {offset})")]
    NotUtf8 {
        /// Zero-based.
        offset: usize,
    },
}

/// A password after the rules of EIP-2335: NFKD, then the C0 codes, the C1 codes and Delete removed, then UTF-8.
///
/// Spaces stay. Wiped when dropped; `Debug` shows nothing.
///
/// Source: EIP-2335, "Password requirements".
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// From text.
    ///
    /// # Errors
    /// [`PasswordError::Empty`], [`PasswordError::TooLong`].
    pub fn new(text: &str) -> Result<Self, PasswordError> {
        if text.len() > MAX_PASSWORD_LEN {
            return Err(PasswordError::TooLong { actual: text.len() });
        }
        // NFKD makes one character of three bytes into at most 18 characters (U+FDFA, 33 bytes). Room for all of it
        // from the start: a buffer that grows would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() * 12));
        let mut utf8 = Zeroizing::new([0; 4]);
        for character in text.nfkd().filter(|c| !is_control(*c)) {
            bytes.extend_from_slice(character.encode_utf8(utf8.as_mut_slice()).as_bytes());
        }
        if bytes.is_empty() {
            return Err(PasswordError::Empty);
        }
        Ok(Self(bytes))
    }

    /// From the bytes of a file.
    ///
    /// # Errors
    /// As [`Password::new`], and [`PasswordError::NotUtf8`].
    pub fn from_utf8(bytes: &[u8]) -> Result<Self, PasswordError> {
        // The length first, so that a huge file is not read through for nothing.
        if bytes.len() > MAX_PASSWORD_LEN {
            return Err(PasswordError::TooLong { actual: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|e| PasswordError::NotUtf8 {
            offset: e.valid_up_to(),
        })?;
        Self::new(text)
    }

    /// The bytes after normalization: what is hashed, and what a password file may hold (no line end is in them).
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// C0, Delete and C1. Unicode's category Cc is exactly these.
fn is_control(character: char) -> bool {
    matches!(character, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}')
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        Password::new(text).unwrap().expose().to_vec()
    }

    #[test]
    fn normalization_follows_the_eip() {
        assert_eq!(bytes("𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑"), "testpassword🔑".as_bytes());
        assert_eq!(bytes(" a b\u{a0}"), b" a b ");
        assert_eq!(bytes("\u{0}\u{1f}x\u{7f}\u{80}\u{9f}\r\n"), b"x");
        assert_eq!(bytes("\u{e9}"), "e\u{301}".as_bytes());
    }

    #[test]
    fn the_longest_expansion_fits_the_room() {
        let text = "\u{fdfa}".repeat(MAX_PASSWORD_LEN / 3);
        let password = Password::new(&text).unwrap();
        assert!(password.0.len() > text.len() * 10);
        assert_eq!(password.0.capacity(), text.len() * 12);
    }

    #[test]
    fn faults_are_named_and_nothing_is_shown() {
        assert_eq!(Password::new("").unwrap_err(), PasswordError::Empty);
        assert_eq!(Password::new("\r\n\u{85}").unwrap_err(), PasswordError::Empty);
        assert_eq!(
            Password::from_utf8(b"ab\xff").unwrap_err(),
            PasswordError::NotUtf8 { offset: 2 }
        );
        assert_eq!(
            Password::new(&"x".repeat(4097)).unwrap_err(),
            PasswordError::TooLong { actual: 4097 }
        );
        assert_eq!(bytes(&"x".repeat(4096)).len(), 4096);
        assert_eq!(format!("{:?}", Password::new("planted").unwrap()), "Password(..)");
    }
}
