//! Platform configuration registers as values: text form, and how PCR3 and PCR4 follow from names.
//!
//! PCR0, PCR1 and PCR2 come from an image and are only carried here. It reads no attestation document.
//!
//! Spec: AWS Nitro Enclaves user guide, "Where to get an enclave's measurements".

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha384};

use crate::arn::{InstanceId, RoleArn};

/// Length of a register in bytes (SHA-384).
pub const PCR_LEN: usize = 48;

/// Length of a register in hex characters.
pub const PCR_HEX_LEN: usize = 2 * PCR_LEN;

/// The value of one register: 48 bytes, written as 96 lower-case hex characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pcr([u8; PCR_LEN]);

/// Why a text is not the value of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PcrError {
    /// Not 96 characters.
    #[error("a PCR has {PCR_HEX_LEN} hex characters, this has {actual}")]
    Length {
        /// Length of the text in characters.
        actual: usize,
    },
    /// A character that is no hex digit.
    #[error("a PCR is hexadecimal, this has {found:?} at character {at}")]
    NotHex {
        /// Position of the character, from 0.
        at: usize,
        /// The character.
        found: char,
    },
}

impl Pcr {
    /// 48 zero bytes: what PCR0, PCR1 and PCR2 hold in debug mode, and PCR3 and PCR8 when there is no role or signature.
    pub const ZERO: Self = Self([0; PCR_LEN]);

    /// The register with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; PCR_LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes of the register.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; PCR_LEN] {
        &self.0
    }

    /// Whether every byte is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// PCR3 of an enclave whose parent instance has this role: SHA-384 over 48 zero bytes and the ARN as ASCII.
    ///
    /// For a role whose ARN has a path AWS does not document which spelling is measured; compare with a real
    /// attestation document before relying on it. A wrong guess refuses use, it never widens it.
    #[must_use]
    pub fn of_role(role: &RoleArn) -> Self {
        Self::extended_from_zero(role.as_str())
    }

    /// PCR4 of an enclave on this instance: SHA-384 over 48 zero bytes and the instance id as ASCII.
    #[must_use]
    pub fn of_instance(id: &InstanceId) -> Self {
        Self::extended_from_zero(id.as_str())
    }

    fn extended_from_zero(text: &str) -> Self {
        Self(
            Sha384::new()
                .chain_update([0; PCR_LEN])
                .chain_update(text)
                .finalize()
                .into(),
        )
    }
}

impl FromStr for Pcr {
    type Err = PcrError;

    /// Accepts upper and lower case; no prefix, no white space.
    fn from_str(text: &str) -> Result<Self, PcrError> {
        let actual = text.chars().count();
        if actual != PCR_HEX_LEN {
            return Err(PcrError::Length { actual });
        }
        let digit = |(at, found): (usize, char)| match found.to_digit(16).map(u8::try_from) {
            Some(Ok(value)) => Ok(value),
            _ => Err(PcrError::NotHex { at, found }),
        };
        let digits = text
            .chars()
            .enumerate()
            .map(digit)
            .collect::<Result<Vec<u8>, _>>()?;
        let mut bytes = [0; PCR_LEN];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |value, digit| value << 4 | digit);
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Pcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Pcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pcr({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_case_is_ignored() {
        let text = "0123456789abcdef".repeat(6);
        let pcr: Pcr = text.parse().unwrap();
        assert_eq!(pcr.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(pcr));
        assert_eq!(pcr.as_bytes()[1], 0x23);
    }

    #[test]
    fn each_wrong_text_is_named() {
        for actual in (0..200).filter(|n| *n != PCR_HEX_LEN) {
            assert_eq!(
                "a".repeat(actual).parse::<Pcr>(),
                Err(PcrError::Length { actual })
            );
        }
        let with = |at: usize, c: char| {
            let mut text: Vec<char> = "a".repeat(PCR_HEX_LEN).chars().collect();
            text[at] = c;
            text.iter().collect::<String>().parse::<Pcr>()
        };
        for at in 0..PCR_HEX_LEN {
            for found in ['g', ' ', 'x', 'é', '\n'] {
                assert_eq!(with(at, found), Err(PcrError::NotHex { at, found }));
            }
        }
    }

    #[test]
    fn zero_is_seen() {
        assert_eq!("0".repeat(96).parse(), Ok(Pcr::ZERO));
        assert!(Pcr::ZERO.is_zero());
        assert!(!"1".repeat(96).parse::<Pcr>().unwrap().is_zero());
    }
}
