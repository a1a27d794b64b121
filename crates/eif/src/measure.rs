//! Measurements: what the hypervisor computes from an image and an attestation document later shows.
//!
//! `PCR = SHA384(48 zero bytes || SHA384(data))`, with the data of each register in `SPEC.md`, section 5.

use core::fmt;
use core::str::FromStr;

use sha2::{Digest as _, Sha384};

/// A SHA-384 value, shown as 96 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest([u8; 48]);

/// A platform configuration register, shown as 96 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pcr([u8; 48]);

/// A text that is not a register value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 96 lower-case hex digits")]
pub struct NotHex;

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha384::digest(bytes).into())
    }

    pub(crate) const fn from_bytes(bytes: [u8; 48]) -> Self {
        Self(bytes)
    }

    /// The 48 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 48] {
        &self.0
    }
}

impl Pcr {
    /// A register with these 48 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 48]) -> Self {
        Self(bytes)
    }

    /// The register that held zero and was extended once with `digest`.
    #[must_use]
    pub fn extended_with(digest: &Digest) -> Self {
        let state = Sha384::new_with_prefix([0; 48]).chain_update(digest.0);
        Self(state.finalize().into())
    }

    /// The 48 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 48] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
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

impl FromStr for Pcr {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(NotHex);
        }
        let mut bytes = [0; 48];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NotHex)?;
        Ok(Self(bytes))
    }
}

/// The registers that an image determines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurements {
    /// Kernel, command line and all ramdisks.
    pub pcr0: Pcr,
    /// Kernel, command line and the first ramdisk.
    pub pcr1: Pcr,
    /// All ramdisks but the first.
    pub pcr2: Pcr,
    /// The signing certificate; `None` for an unsigned image, whose register stays zero.
    pub pcr8: Option<Pcr>,
}

impl Measurements {
    /// What nitro-cli prints under `Measurements`: `HashAlgorithm`, `PCR0`, `PCR1`, `PCR2` and, if signed, `PCR8`.
    ///
    /// `HashAlgorithm` is there for tools that expect the key. It is a debug print of a hash library, and its
    /// spelling changed with that library (`SPEC.md`, section 5), so no reader should depend on its value.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let named = [("PCR0", self.pcr0), ("PCR1", self.pcr1), ("PCR2", self.pcr2)];
        let registers = named.into_iter().chain(self.pcr8.map(|pcr| ("PCR8", pcr)));
        let algorithm = (
            "HashAlgorithm".to_owned(),
            serde_json::Value::from("Sha384 { ... }"),
        );
        let registers = registers.map(|(name, pcr)| (name.to_owned(), pcr.to_string().into()));
        std::iter::once(algorithm).chain(registers).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PCR2 of a genuine document of an image with a single ramdisk.
    const NO_APPLICATION: &str = concat!(
        "21b9efbc184807662e966d34f390821309eeac6802309798",
        "826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"
    );

    #[test]
    fn register_of_nothing() {
        let pcr = Pcr::extended_with(&Digest::of(b""));
        assert_eq!(pcr.to_string(), NO_APPLICATION);
        assert_eq!(NO_APPLICATION.parse(), Ok(pcr));
        assert_eq!(NO_APPLICATION.to_uppercase().parse::<Pcr>(), Err(NotHex));
        assert_eq!(NO_APPLICATION[1..].parse::<Pcr>(), Err(NotHex));
    }

    #[test]
    fn json_is_what_nitro_cli_prints() {
        let [a, b, c, d] = [1, 2, 3, 8].map(|byte| Pcr::from_bytes([byte; 48]));
        let mut measured = Measurements {
            pcr0: a,
            pcr1: b,
            pcr2: c,
            pcr8: None,
        };
        let text = |n: &str| n.repeat(48);
        let unsigned = format!(
            r#"{{"HashAlgorithm":"Sha384 {{ ... }}","PCR0":"{}","PCR1":"{}","PCR2":"{}"}}"#,
            text("01"),
            text("02"),
            text("03")
        );
        assert_eq!(measured.to_json().to_string(), unsigned);
        measured.pcr8 = Some(d);
        assert_eq!(measured.to_json()["PCR8"], text("08"));
    }
}
