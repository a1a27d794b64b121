//! One KMS key: its id, its material, its policy, its state.

use std::fmt;
use std::str::FromStr;

use attest::UnixMs;
use aws_lc_rs::error::Unspecified;
use kms_policy::policy::Policy;
use zeroize::Zeroizing;

/// A key's id: a UUID, shown in its usual form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 16]);

/// A text is not the id of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id has the form 1234abcd-12ab-34cd-56ef-1234567890ab, in lower case")]
pub struct NotKeyId;

impl KeyId {
    /// A random one, version 4.
    ///
    /// # Errors
    /// [`Unspecified`] without random numbers.
    pub fn random() -> Result<Self, Unspecified> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes)?;
        let [.., six, _, eight, _, _, _, _, _, _, _] = &mut bytes;
        *six = (*six & 0x0f) | 0x40;
        *eight = (*eight & 0x3f) | 0x80;
        Ok(Self(bytes))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for KeyId {
    type Err = NotKeyId;

    fn from_str(text: &str) -> Result<Self, NotKeyId> {
        let mut bytes = [0; 16];
        let digits = text.replace('-', "");
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NotKeyId)?;
        let id = Self(bytes);
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(NotKeyId)
        }
    }
}

/// What encrypts: 32 bytes, wiped when dropped, never shown.
#[derive(Clone)]
pub struct Material(Zeroizing<[u8; 32]>);

impl Material {
    /// Random material.
    ///
    /// # Errors
    /// [`Unspecified`] without random numbers.
    pub fn random() -> Result<Self, Unspecified> {
        let mut bytes = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text, bytes.as_mut()).ok()?;
        Some(Self(bytes))
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material(..)")
    }
}

/// Whether a key can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Yes.
    Enabled,
    /// No, until somebody enables it.
    Disabled,
    /// No; it would be deleted at this time. This KMS never deletes one.
    PendingDeletion(UnixMs),
}

impl State {
    /// As in `KeyMetadata`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
            Self::PendingDeletion(_) => "PendingDeletion",
        }
    }
}

/// A key policy: the text that was put, byte for byte, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    text: String,
    policy: Policy,
}

impl KeyPolicy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`kms_policy::parse::ParseError`]: malformed, or with an element that is not evaluated here.
    pub fn parse(text: &str) -> Result<Self, kms_policy::parse::ParseError> {
        Ok(Self {
            policy: Policy::parse(text.as_bytes())?,
            text: text.to_owned(),
        })
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its meaning.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }
}

/// A key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Its full name.
    pub arn: String,
    /// What encrypts.
    pub material: Material,
    /// Who may do what.
    pub policy: KeyPolicy,
    /// Free text.
    pub description: String,
    /// When it was made.
    pub created: UnixMs,
    /// Whether it can be used.
    pub state: State,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids() {
        let id = KeyId::random().unwrap();
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        assert_eq!((text.len(), &text[14..15]), (36, "4"));
        assert!("89ab".contains(&text[19..20]));
        for bad in [
            "",
            "1234abcd",
            "1234ABCD-12ab-34cd-56ef-1234567890ab",
            "1234abcd12ab34cd56ef1234567890ab",
        ] {
            assert_eq!(bad.parse::<KeyId>(), Err(NotKeyId), "{bad}");
        }
    }

    #[test]
    fn material_is_not_shown() {
        assert_eq!(format!("{:?}", Material::random().unwrap()), "Material(..)");
    }
}
