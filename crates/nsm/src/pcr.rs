//! Platform configuration registers: their index and their value. Which register holds what is not decided here.

use core::fmt;

/// Registers of a module. Source: aws-nitro-enclaves-nsm-api, `DescribeNSM` answers `max_pcrs` 32.
pub const PCR_COUNT: u16 = 32;

/// Index of a register, `0..32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PcrIndex(u16);

impl PcrIndex {
    /// PCR0: the whole image.
    pub const IMAGE: Self = Self(0);

    /// The index, or `None` from 32 on.
    #[must_use]
    pub const fn new(index: u16) -> Option<Self> {
        if index < PCR_COUNT {
            Some(Self(index))
        } else {
            None
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// All 32, ascending.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PCR_COUNT).map(Self)
    }
}

impl fmt::Display for PcrIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PCR{}", self.0)
    }
}

/// Value of a register: SHA-384, 48 bytes. Shown as 96 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pcr(pub [u8; 48]);

impl Pcr {
    /// The value of a register that nothing was measured into. PCR0 has it in a debug-mode enclave only.
    pub const ZERO: Self = Self([0; 48]);
}

impl fmt::Display for Pcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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
    fn indices_are_bounded() {
        assert_eq!(PcrIndex::new(31).map(PcrIndex::number), Some(31));
        assert_eq!(PcrIndex::new(32), None);
        assert_eq!(PcrIndex::all().count(), 32);
    }

    #[test]
    fn shown_in_lower_case() {
        let mut value = Pcr::ZERO;
        value.0[0] = 0xAB;
        value.0[47] = 1;
        assert_eq!(format!("{value}"), format!("ab{}01", "00".repeat(46)));
    }
}
