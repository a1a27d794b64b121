//! The JSON of an interchange file: names, spellings of numbers, and nothing else.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::ser::{SerializeSeq as _, SerializeStruct as _};
use serde::{Deserialize, Serialize, Serializer};

use super::{
    FORMAT_VERSION, History, Interchange, InterchangeError, MAX_VALIDATORS, SignedAttestation, SignedBlock,
};
use crate::duty::Root;
use crate::key::ValidatorKey;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    metadata: Metadata,
    data: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    interchange_format_version: String,
    genesis_validators_root: Hex32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    pubkey: Key,
    signed_blocks: Vec<Block>,
    signed_attestations: Vec<Attestation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    slot: Number,
    #[serde(default)]
    signing_root: Option<Hex32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attestation {
    source_epoch: Number,
    target_epoch: Number,
    #[serde(default)]
    signing_root: Option<Hex32>,
}

impl File {
    pub(super) fn into_interchange(self) -> Result<Interchange, InterchangeError> {
        if self.metadata.interchange_format_version != FORMAT_VERSION {
            return Err(InterchangeError::Version {
                found: self
                    .metadata
                    .interchange_format_version
                    .chars()
                    .take(32)
                    .collect(),
            });
        }
        if self.data.len() > MAX_VALIDATORS {
            return Err(InterchangeError::TooMany);
        }
        let mut interchange = Interchange::empty(self.metadata.genesis_validators_root.0);
        for entry in self.data {
            let History { blocks, attestations } = interchange.validators.entry(entry.pubkey.0).or_default();
            blocks.extend(entry.signed_blocks.into_iter().map(|block| SignedBlock {
                slot: block.slot.0,
                signing_root: block.signing_root.map(|root| root.0),
            }));
            attestations.extend(
                entry
                    .signed_attestations
                    .into_iter()
                    .map(|vote| SignedAttestation {
                        source: vote.source_epoch.0,
                        target: vote.target_epoch.0,
                        signing_root: vote.signing_root.map(|root| root.0),
                    }),
            );
        }
        Ok(interchange)
    }
}

/// 32 bytes as `0x` and 64 hex digits.
struct Hex32(Root);

impl<'de> Deserialize<'de> for Hex32 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Hex32;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0x and 64 hex digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Hex32, E> {
                let mut root = [0; 32];
                text.strip_prefix("0x")
                    .and_then(|digits| hex::decode_to_slice(digits, &mut root).ok())
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Other("other text"), &self))?;
                Ok(Hex32(root))
            }
        }
        from.deserialize_str(Text)
    }
}

struct Key(ValidatorKey);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a public key")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Key, E> {
                text.parse().map(Key).map_err(E::custom)
            }
        }
        from.deserialize_str(Text)
    }
}

/// An unsigned 64-bit number, as the decimal string of the format or as a JSON number.
struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number of at most 64 bits")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                // `parse` alone would take a leading plus; it refuses the empty text.
                if text.bytes().all(|byte| byte.is_ascii_digit())
                    && let Ok(number) = text.parse()
                {
                    return Ok(Number(number));
                }
                Err(E::invalid_value(de::Unexpected::Other("other text"), &self))
            }
        }
        from.deserialize_any(Either)
    }
}

/// An interchange on its way out.
pub(super) struct Out<'a>(pub(super) &'a Interchange);

impl Serialize for Out<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut file = to.serialize_struct("Interchange", 2)?;
        file.serialize_field(
            "metadata",
            &OutMetadata {
                interchange_format_version: FORMAT_VERSION,
                genesis_validators_root: text(&self.0.genesis_validators_root),
            },
        )?;
        file.serialize_field("data", &OutData(self.0))?;
        file.end()
    }
}

#[derive(Serialize)]
struct OutMetadata {
    interchange_format_version: &'static str,
    genesis_validators_root: String,
}

struct OutData<'a>(&'a Interchange);

impl Serialize for OutData<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.0.validators.len()))?;
        for (key, history) in &self.0.validators {
            list.serialize_element(&OutEntry {
                pubkey: key.to_string(),
                signed_blocks: history.blocks.iter().map(OutBlock::from).collect(),
                signed_attestations: history.attestations.iter().map(OutAttestation::from).collect(),
            })?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct OutEntry {
    pubkey: String,
    signed_blocks: Vec<OutBlock>,
    signed_attestations: Vec<OutAttestation>,
}

#[derive(Serialize)]
struct OutBlock {
    slot: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_root: Option<String>,
}

impl From<&SignedBlock> for OutBlock {
    fn from(block: &SignedBlock) -> Self {
        Self {
            slot: block.slot.to_string(),
            signing_root: block.signing_root.as_ref().map(text),
        }
    }
}

#[derive(Serialize)]
struct OutAttestation {
    source_epoch: String,
    target_epoch: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_root: Option<String>,
}

impl From<&SignedAttestation> for OutAttestation {
    fn from(vote: &SignedAttestation) -> Self {
        Self {
            source_epoch: vote.source.to_string(),
            target_epoch: vote.target.to_string(),
            signing_root: vote.signing_root.as_ref().map(text),
        }
    }
}

fn text(root: &Root) -> String {
    format!("0x{}", hex::encode(root))
}
