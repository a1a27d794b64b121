//! Members of a JSON object by their full path, so that every fault can name where it is.

use serde_json::Value;

use crate::hex_text::{self, HexError};

/// Why a member of a keystore was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemberError {
    /// It is not there.
    #[error("{member} is missing")]
    Missing {
        /// Its path, such as `crypto.kdf.function`.
        member: &'static str,
    },
    /// It is there with another type or outside its range.
    #[error("{member} is not {expected}")]
    Wrong {
        /// Its path.
        member: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// It is text, but not the hexadecimal text it should be.
    #[error("{member} is not the hexadecimal text it should be")]
    Hex {
        /// Its path.
        member: &'static str,
        /// What is wrong.
        #[source]
        source: HexError,
    },
    /// It names something that is not supported.
    #[error("{member} is {found}, expected {expected}")]
    Unsupported {
        /// Its path.
        member: &'static str,
        /// As found, quoted and cut short.
        found: String,
        /// What is supported.
        expected: &'static str,
    },
}

/// A member that must be there.
pub(crate) fn get<'v>(root: &'v Value, member: &'static str) -> Result<&'v Value, MemberError> {
    member
        .split('.')
        .try_fold(root, |value, name| value.get(name))
        .ok_or(MemberError::Missing { member })
}

/// Text that must be there.
pub(crate) fn text<'v>(root: &'v Value, member: &'static str) -> Result<&'v str, MemberError> {
    get(root, member)?.as_str().ok_or(MemberError::Wrong {
        member,
        expected: "text",
    })
}

/// Text that may be absent or `null`.
pub(crate) fn optional_text<'v>(
    root: &'v Value,
    member: &'static str,
) -> Result<Option<&'v str>, MemberError> {
    match root.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(MemberError::Wrong {
            member,
            expected: "text",
        }),
    }
}

/// A whole number that must be there.
pub(crate) fn number(root: &Value, member: &'static str) -> Result<u64, MemberError> {
    get(root, member)?.as_u64().ok_or(MemberError::Wrong {
        member,
        expected: "a whole number",
    })
}

/// A whole number of 32 bits that must be there.
pub(crate) fn number_u32(root: &Value, member: &'static str) -> Result<u32, MemberError> {
    u32::try_from(number(root, member)?).map_err(|_| MemberError::Wrong {
        member,
        expected: "a number below 2^32",
    })
}

/// Exactly `N` bytes in hexadecimal text.
pub(crate) fn fixed<const N: usize>(root: &Value, member: &'static str) -> Result<[u8; N], MemberError> {
    hex_text::fixed(text(root, member)?).map_err(|source| MemberError::Hex { member, source })
}

/// Bytes in hexadecimal text.
pub(crate) fn bytes(root: &Value, member: &'static str) -> Result<Vec<u8>, MemberError> {
    hex_text::bytes(text(root, member)?).map_err(|source| MemberError::Hex { member, source })
}

/// One supported value and no other.
pub(crate) fn only(root: &Value, member: &'static str, expected: &'static str) -> Result<(), MemberError> {
    match text(root, member)? {
        found if found == expected => Ok(()),
        found => Err(unsupported(member, found, expected)),
    }
}

/// The error for a name that is not supported.
pub(crate) fn unsupported(member: &'static str, found: &str, expected: &'static str) -> MemberError {
    const SHOWN: usize = 40;
    let cut: String = found.chars().take(SHOWN).collect();
    MemberError::Unsupported {
        member,
        found: format!("{cut:?}"),
        expected,
    }
}
