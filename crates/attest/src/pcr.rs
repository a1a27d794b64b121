//! Platform configuration registers: one value, and the set that a document lists.

use core::fmt;
use core::str::FromStr;

/// Number of PCRs that a Nitro security module has.
const COUNT: usize = 32;

/// The value of one PCR: 48 bytes, a SHA-384 (extend chain) or all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pcr([u8; Pcr::LEN]);

/// Why a text or an index is not a PCR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PcrError {
    /// The text is not 96 hex digits.
    #[error("a PCR is 96 hex digits, found {found} characters or something that is not hex")]
    Text {
        /// Length of the text in bytes.
        found: usize,
    },
    /// The index is not 0 to 31.
    #[error("PCR index {index} is outside 0 to 31")]
    Index {
        /// The index that was given.
        index: u8,
    },
}

impl Pcr {
    /// Length in bytes.
    pub const LEN: usize = 48;

    /// The PCR with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The 48 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Whether all 48 bytes are zero: never extended, or (PCR0, 1 and 2) an enclave in debug mode.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
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

/// From 96 hex digits, either case, no prefix.
impl FromStr for Pcr {
    type Err = PcrError;

    fn from_str(text: &str) -> Result<Self, PcrError> {
        let mut bytes = [0; Self::LEN];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| PcrError::Text { found: text.len() })?;
        Ok(Self(bytes))
    }
}

/// Values for some of the PCRs 0 to 31, each at most once.
///
/// In a document these are the PCRs that were locked when it was made; in a policy, the expected ones.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PcrSet([Option<Pcr>; COUNT]);

impl PcrSet {
    /// The set without any PCR.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets PCR `index` and returns what it was before.
    ///
    /// # Errors
    /// [`PcrError::Index`] when `index` is above 31.
    pub fn insert(&mut self, index: u8, value: Pcr) -> Result<Option<Pcr>, PcrError> {
        let slot = self
            .0
            .get_mut(usize::from(index))
            .ok_or(PcrError::Index { index })?;
        Ok(slot.replace(value))
    }

    /// PCR `index`, if the set has it.
    #[must_use]
    pub fn get(&self, index: u8) -> Option<&Pcr> {
        self.0.get(usize::from(index))?.as_ref()
    }

    /// The PCRs of the set with their indices, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &Pcr)> {
        (0_u8..)
            .zip(&self.0)
            .filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
    }

    /// How many PCRs the set has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether the set has no PCR.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for PcrSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_exactly_96_hex_digits() {
        let text = "0123456789abcdef".repeat(6);
        let pcr: Pcr = text.parse().unwrap();
        assert_eq!(pcr.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(pcr));
        for bad in [
            "",
            "0x",
            &text[1..],
            &format!("{text}00"),
            &format!("g{}", &text[1..]),
        ] {
            assert_eq!(bad.parse::<Pcr>(), Err(PcrError::Text { found: bad.len() }));
        }
    }

    #[test]
    fn a_set_holds_0_to_31_in_order() {
        let mut set = PcrSet::new();
        assert!(set.is_empty());
        let (a, b) = (Pcr::from_bytes([1; 48]), Pcr::from_bytes([0; 48]));
        assert_eq!(set.insert(31, a), Ok(None));
        assert_eq!(set.insert(0, b), Ok(None));
        assert_eq!(set.insert(0, b), Ok(Some(b)));
        assert_eq!(set.insert(32, a), Err(PcrError::Index { index: 32 }));
        assert_eq!(set.iter().collect::<Vec<_>>(), [(0, &b), (31, &a)]);
        assert_eq!(
            (set.len(), set.get(31), set.get(32), set.get(255)),
            (2, Some(&a), None, None)
        );
        assert!(b.is_zero() && !a.is_zero());
    }
}
