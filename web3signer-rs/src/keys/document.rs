//! One YAML document of a key configuration file, and what it asks for. No file is read and no key is made here.

use std::fmt;
use std::path::{Path, PathBuf};

use keystore::HexError;
use serde::de::{self, Deserialize, Deserializer};
use zeroize::Zeroizing;

/// Types of entries whose keys are held by someone else. Upstream knows them; this signer holds its keys itself.
const REMOTE_TYPES: [&str; 5] = ["hashicorp", "azure-secret", "azure-key", "aws-secret", "aws-kms"];

/// Why a document was refused. Never with a secret in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// A required member is not there.
    #[error("{member} is missing")]
    Missing {
        /// Its name.
        member: &'static str,
    },
    /// The key lies with a remote service.
    #[error(
        "type {found:?} is a remote source, which this signer does not have; it takes file-raw and file-keystore"
    )]
    Remote {
        /// The type.
        found: &'static str,
    },
    /// Nobody knows this type.
    #[error("type {found} is unknown, expected file-raw or file-keystore")]
    UnknownType {
        /// Quoted and cut short.
        found: String,
    },
    /// Nobody knows this type of key.
    #[error("keyType {found} is unknown, expected BLS (or SECP256K1, which is passed over)")]
    UnknownKeyType {
        /// Quoted and cut short.
        found: String,
    },
    /// The private key is not hexadecimal text.
    #[error("privateKey is not the hexadecimal text of at most 32 bytes")]
    PrivateKey(#[source] HexError),
}

/// What a document asks for.
pub(super) enum Definition {
    /// A secret key, 32 bytes, big-endian.
    Raw(Zeroizing<[u8; 32]>),
    /// A keystore and the file whose first line is its password.
    Keystore { keystore: PathBuf, password: PathBuf },
}

/// The members that matter. Others are ignored, as upstream does. Names are exact; values are the text as written, so
/// `0x25...` without quotes is text and not a number.
#[derive(serde::Deserialize)]
#[serde(
    rename_all = "camelCase",
    expecting = "a mapping of text members, one of them `type`"
)]
pub(super) struct Document {
    #[serde(rename = "type")]
    kind: Option<SecretText>,
    key_type: Option<SecretText>,
    private_key: Option<SecretText>,
    keystore_file: Option<SecretText>,
    keystore_password_file: Option<SecretText>,
}

impl Document {
    /// What is asked for; `None` for a SECP256K1 key, which eth2 mode passes over. Relative names are taken from
    /// `folder`.
    pub(super) fn definition(&self, folder: &Path) -> Result<Option<Definition>, DocumentError> {
        let bls = self.is_bls()?;
        let definition = match text(self.kind.as_ref(), "type")? {
            "file-raw" => {
                let secret_text = text(self.private_key.as_ref(), "privateKey")?;
                if !bls {
                    return Ok(None);
                }
                Definition::Raw(secret(secret_text).map_err(DocumentError::PrivateKey)?)
            }
            "file-keystore" => Definition::Keystore {
                keystore: folder.join(text(self.keystore_file.as_ref(), "keystoreFile")?),
                password: folder.join(text(
                    self.keystore_password_file.as_ref(),
                    "keystorePasswordFile",
                )?),
            },
            other => match REMOTE_TYPES.iter().find(|remote| **remote == other) {
                Some(_) if !bls => return Ok(None),
                Some(found) => return Err(DocumentError::Remote { found }),
                None => return Err(DocumentError::UnknownType { found: shown(other) }),
            },
        };
        Ok(bls.then_some(definition))
    }

    fn is_bls(&self) -> Result<bool, DocumentError> {
        match self.key_type.as_ref().map(|text| text.0.as_str()) {
            None => Ok(true),
            Some(name) if name.eq_ignore_ascii_case("BLS") => Ok(true),
            Some(name) if name.eq_ignore_ascii_case("SECP256K1") => Ok(false),
            Some(name) => Err(DocumentError::UnknownKeyType { found: shown(name) }),
        }
    }
}

fn text<'t>(value: Option<&'t SecretText>, member: &'static str) -> Result<&'t str, DocumentError> {
    value
        .map(|text| text.0.as_str())
        .ok_or(DocumentError::Missing { member })
}

/// Up to 32 bytes of hexadecimal text, padded with zeros on the left as upstream does.
fn secret(text: &str) -> Result<Zeroizing<[u8; 32]>, HexError> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    if digits.len() > 64 {
        return Err(HexError::Length {
            expected: 64,
            actual: digits.len(),
        });
    }
    let mut bytes = Zeroizing::new([0; 32]);
    let start = bytes.len() - digits.len() / 2;
    let fault = |error| match error {
        hex::FromHexError::InvalidHexCharacter { index, .. } => HexError::Digit { position: index },
        hex::FromHexError::OddLength | hex::FromHexError::InvalidStringLength => HexError::Odd(digits.len()),
    };
    hex::decode_to_slice(digits, bytes.get_mut(start..).unwrap_or_default()).map_err(fault)?;
    Ok(bytes)
}

/// At most forty characters, quoted, on one line.
fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

/// Text that is wiped: in every member, for someone may have put the secret into the wrong one.
struct SecretText(Zeroizing<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = SecretText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretText, E> {
                Ok(SecretText(Zeroizing::new(text.to_owned())))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<SecretText, E> {
                Ok(SecretText(Zeroizing::new(text)))
            }
        }
        deserializer.deserialize_string(Text)
    }
}
