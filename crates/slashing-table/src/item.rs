//! Names and values of the table's items. The layout is in section 2 of `web3signer-rs/src/slashing/SPEC.md`; this is its
//! only spelling in code. Nothing here talks to the service.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::duty::Root;
use crate::key::ValidatorKey;
use crate::rules::Standing;
use crate::rules::minimal::{BlockMark, Marks, VoteMark};
use crate::watermark::HighWatermark;

/// The table's hash key, a string. There is no sort key.
pub const ID: &str = "id";
/// Version of the layout of an item.
pub const LAYOUT: &str = "layout";
/// The only version.
pub const LAYOUT_1: &str = "1";
/// `false` never signs.
pub const ENABLED: &str = "enabled";
/// The chain.
pub const GENESIS: &str = "genesis_validators_root";
/// Newest block.
pub const BLOCK_SLOT: &str = "block_slot";
/// Its signing root.
pub const BLOCK_ROOT: &str = "block_root";
/// Highest source.
pub const SOURCE_EPOCH: &str = "source_epoch";
/// Highest target.
pub const TARGET_EPOCH: &str = "target_epoch";
/// Signing root of the vote for it.
pub const VOTE_ROOT: &str = "vote_root";
/// High watermark: first epoch that is not signed.
pub const HIGH_EPOCH: &str = "high_epoch";
/// High watermark: first slot that is not signed.
pub const HIGH_SLOT: &str = "high_slot";
/// Of an artefact: highest version that was used.
pub const VERSION: &str = "version";

/// Before the public key in the id of a validator's item.
pub const VALIDATOR: &str = "validator#";
/// Before the kind in the id of an artefact's item.
pub const ARTEFACT: &str = "artefact#";
/// Id of the item about the installation.
pub const INSTALLATION: &str = "installation";

/// Id of the item of `key`.
#[must_use]
pub fn validator_id(key: &ValidatorKey) -> String {
    format!("{VALIDATOR}{key}")
}

/// A string.
pub fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number.
#[must_use]
pub fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A root: `0x` and 64 lower-case hex digits.
#[must_use]
pub fn root(value: &Root) -> AttributeValue {
    AttributeValue::S(format!("0x{}", hex::encode(value)))
}

/// An item that is not laid out as the specification says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("item {id} has no valid {attribute}; it was not written by this project's programs")]
pub struct ItemError {
    /// The item.
    pub id: String,
    /// The attribute.
    pub attribute: &'static str,
}

/// A validator's item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Whether it may sign, and for which chain.
    pub standing: Standing,
    /// What it signed last.
    pub marks: Marks,
}

impl Item {
    /// Every attribute but the id, in order of the name; absent ones are left out.
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        let mut all = vec![
            (LAYOUT, AttributeValue::N(LAYOUT_1.to_owned())),
            (ENABLED, AttributeValue::Bool(self.standing.enabled)),
        ];
        if let Some(genesis) = &self.standing.genesis_validators_root {
            all.push((GENESIS, root(genesis)));
        }
        if let Some(block) = self.marks.block {
            all.push((BLOCK_SLOT, number(block.slot)));
            all.extend(block.root.map(|of| (BLOCK_ROOT, root(&of))));
        }
        if let Some(vote) = self.marks.vote {
            all.push((SOURCE_EPOCH, number(vote.source)));
            all.push((TARGET_EPOCH, number(vote.target)));
            all.extend(vote.root.map(|of| (VOTE_ROOT, root(&of))));
        }
        if let Some(mark) = self.standing.high_watermark {
            all.push((HIGH_EPOCH, number(mark.epoch)));
            all.push((HIGH_SLOT, number(mark.slot)));
        }
        all
    }

    /// Reads a validator's item through `read`, which gives an attribute by name.
    ///
    /// # Errors
    /// [`ItemError`] for the first attribute that is missing, half a pair or of another type.
    pub fn decode<'a>(
        id: &str,
        read: impl Fn(&str) -> Option<&'a AttributeValue>,
    ) -> Result<Self, ItemError> {
        let reader = Reader { id, read };
        reader.layout()?;
        let slot = reader.number(BLOCK_SLOT)?;
        let votes = reader.pair(SOURCE_EPOCH, TARGET_EPOCH)?;
        Ok(Self {
            standing: Standing {
                genesis_validators_root: Some(reader.genesis()?),
                enabled: match (reader.read)(ENABLED) {
                    Some(AttributeValue::Bool(enabled)) => *enabled,
                    _ => return Err(reader.malformed(ENABLED)),
                },
                high_watermark: reader.high_watermark()?,
            },
            marks: Marks {
                block: match slot {
                    Some(slot) => Some(BlockMark {
                        slot,
                        root: reader.root(BLOCK_ROOT)?,
                    }),
                    None => None,
                },
                vote: match votes {
                    Some((source, target)) => Some(VoteMark {
                        source,
                        target,
                        root: reader.root(VOTE_ROOT)?,
                    }),
                    None => None,
                },
            },
        })
    }
}

/// The item about the installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The chain.
    pub genesis_validators_root: Root,
    /// Where everything stops, if anywhere.
    pub high_watermark: Option<HighWatermark>,
}

impl Installation {
    /// Reads it as [`Item::decode`] does.
    ///
    /// # Errors
    /// [`ItemError`].
    pub fn decode<'a>(read: impl Fn(&str) -> Option<&'a AttributeValue>) -> Result<Self, ItemError> {
        let reader = Reader {
            id: INSTALLATION,
            read,
        };
        reader.layout()?;
        Ok(Self {
            genesis_validators_root: reader.genesis()?,
            high_watermark: reader.high_watermark()?,
        })
    }
}

/// Reads any item of the table: a validator's with its key, `None` for an item of another kind.
///
/// # Errors
/// [`ItemError`].
pub fn decode_validator<'a>(
    read: impl Fn(&str) -> Option<&'a AttributeValue>,
) -> Result<Option<(ValidatorKey, Item)>, ItemError> {
    let Some(AttributeValue::S(id)) = read(ID) else {
        return Ok(None);
    };
    let Some(key) = id.strip_prefix(VALIDATOR) else {
        return Ok(None);
    };
    let key: ValidatorKey = key.parse().map_err(|_| ItemError {
        id: id.clone(),
        attribute: ID,
    })?;
    Ok(Some((key, Item::decode(id, read)?)))
}

struct Reader<'i, F> {
    id: &'i str,
    read: F,
}

impl<'a, F: Fn(&str) -> Option<&'a AttributeValue>> Reader<'_, F> {
    fn malformed(&self, attribute: &'static str) -> ItemError {
        ItemError {
            id: self.id.to_owned(),
            attribute,
        }
    }

    fn layout(&self) -> Result<(), ItemError> {
        match (self.read)(LAYOUT) {
            Some(AttributeValue::N(version)) if version == LAYOUT_1 => Ok(()),
            _ => Err(self.malformed(LAYOUT)),
        }
    }

    fn genesis(&self) -> Result<Root, ItemError> {
        self.root(GENESIS)?.ok_or_else(|| self.malformed(GENESIS))
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, ItemError> {
        match (self.read)(name) {
            None => Ok(None),
            Some(AttributeValue::N(digits)) => match digits.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.malformed(name)),
            },
            Some(_) => Err(self.malformed(name)),
        }
    }

    /// Two numbers that come together or not at all.
    fn pair(&self, one: &'static str, other: &'static str) -> Result<Option<(u64, u64)>, ItemError> {
        match (self.number(one)?, self.number(other)?) {
            (Some(one), Some(other)) => Ok(Some((one, other))),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(self.malformed(one)),
            (Some(_), None) => Err(self.malformed(other)),
        }
    }

    fn root(&self, name: &'static str) -> Result<Option<Root>, ItemError> {
        match (self.read)(name) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => {
                let mut root = [0; 32];
                text.strip_prefix("0x")
                    .and_then(|digits| hex::decode_to_slice(digits, &mut root).ok())
                    .ok_or_else(|| self.malformed(name))?;
                Ok(Some(root))
            }
            Some(_) => Err(self.malformed(name)),
        }
    }

    fn high_watermark(&self) -> Result<Option<HighWatermark>, ItemError> {
        Ok(self
            .pair(HIGH_EPOCH, HIGH_SLOT)?
            .map(|(epoch, slot)| HighWatermark { epoch, slot }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Item = Item {
        standing: Standing {
            genesis_validators_root: Some([7; 32]),
            enabled: true,
            high_watermark: Some(HighWatermark {
                epoch: u64::MAX,
                slot: 12,
            }),
        },
        marks: Marks {
            block: Some(BlockMark {
                slot: u64::MAX,
                root: Some([1; 32]),
            }),
            vote: Some(VoteMark {
                source: 3,
                target: 4,
                root: Some([2; 32]),
            }),
        },
    };

    fn decode(attributes: &[(&'static str, AttributeValue)]) -> Result<Item, ItemError> {
        Item::decode("x", |name| {
            attributes
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value)
        })
    }

    #[test]
    fn an_item_is_read_as_it_was_written() {
        let mut bare = FULL;
        bare.standing.enabled = false;
        bare.standing.high_watermark = None;
        bare.marks = Marks::default();
        for item in [FULL, bare] {
            assert_eq!(decode(&item.attributes()).unwrap(), item);
        }
        let attributes = FULL.attributes();
        let slot = attributes.iter().find(|(name, _)| *name == BLOCK_SLOT);
        assert_eq!(
            slot.unwrap().1,
            AttributeValue::N("18446744073709551615".to_owned())
        );
    }

    #[test]
    fn an_item_that_lacks_half_or_has_another_type_is_refused() {
        let without = |gone: &str| -> Vec<_> {
            FULL.attributes()
                .into_iter()
                .filter(|(name, _)| *name != gone)
                .collect()
        };
        for gone in [
            LAYOUT,
            ENABLED,
            GENESIS,
            SOURCE_EPOCH,
            TARGET_EPOCH,
            HIGH_EPOCH,
            HIGH_SLOT,
        ] {
            assert!(decode(&without(gone)).is_err(), "without {gone}");
        }
        let bad = [
            AttributeValue::N("-1".to_owned()),
            AttributeValue::N("1.5".to_owned()),
            AttributeValue::N("18446744073709551616".to_owned()),
            AttributeValue::S("0x00".to_owned()),
            AttributeValue::Null(true),
        ];
        for (name, _) in FULL.attributes() {
            for bad in &bad {
                let mut attributes = without(name);
                attributes.push((name, bad.clone()));
                assert!(decode(&attributes).is_err(), "{name} = {bad:?}");
            }
        }
    }
}
