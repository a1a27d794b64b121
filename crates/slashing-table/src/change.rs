//! Changes of an item, as the expressions of DynamoDB's `UpdateItem`: what it must still be, and what it becomes.
//!
//! Every change demands that the item exists: only the operator makes items, and an update must not.

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::item::{self, Item};
use crate::watermark::HighWatermark;

/// The attributes that hold marks.
const MARKS: [&str; 5] = [
    item::BLOCK_SLOT,
    item::BLOCK_ROOT,
    item::SOURCE_EPOCH,
    item::TARGET_EPOCH,
    item::VOTE_ROOT,
];

/// A change of one item.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What must hold, or the service refuses: a `ConditionExpression`.
    pub condition: String,
    /// What is written: an `UpdateExpression`.
    pub update: String,
    /// The values that both name.
    pub values: Vec<(String, AttributeValue)>,
}

impl Change {
    /// Writes the marks of `new` if the item still has those of `old`.
    #[must_use]
    pub fn marks(old: &Item, new: &Item) -> Self {
        let (old, new) = (old.attributes(), new.attributes());
        let mut conditions = vec![EXISTS.to_owned()];
        let (mut set, mut remove, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for name in MARKS {
            match value(&old, name) {
                Some(value) => {
                    conditions.push(format!("{name} = :old_{name}"));
                    values.push((format!(":old_{name}"), value));
                }
                None => conditions.push(format!("attribute_not_exists({name})")),
            }
            match value(&new, name) {
                Some(value) => {
                    set.push(format!("{name} = :new_{name}"));
                    values.push((format!(":new_{name}"), value));
                }
                None => remove.push(name),
            }
        }
        let clause = |verb: &str, of: String| (!of.is_empty()).then(|| format!("{verb} {of}"));
        let update = [clause("SET", set.join(", ")), clause("REMOVE", remove.join(", "))];
        Self {
            condition: conditions.join(" AND "),
            update: update.into_iter().flatten().collect::<Vec<_>>().join(" "),
            values,
        }
    }

    /// Sets the high watermark, or takes it away.
    #[must_use]
    pub fn high_watermark(mark: Option<HighWatermark>) -> Self {
        let (update, values) = match mark {
            Some(mark) => (
                format!("SET {} = :epoch, {} = :slot", item::HIGH_EPOCH, item::HIGH_SLOT),
                vec![
                    (":epoch".to_owned(), item::number(mark.epoch)),
                    (":slot".to_owned(), item::number(mark.slot)),
                ],
            ),
            None => (
                format!("REMOVE {}, {}", item::HIGH_EPOCH, item::HIGH_SLOT),
                Vec::new(),
            ),
        };
        Self {
            condition: EXISTS.to_owned(),
            update,
            values,
        }
    }

    /// The request that makes this change of the item `id`.
    #[must_use]
    pub fn of(self, id: &str, request: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let request = request
            .key(item::ID, item::text(id))
            .condition_expression(self.condition)
            .update_expression(self.update);
        self.values.into_iter().fold(request, |request, (name, value)| {
            request.expression_attribute_values(name, value)
        })
    }
}

const EXISTS: &str = "attribute_exists(id)";

fn value(of: &[(&str, AttributeValue)], name: &str) -> Option<AttributeValue> {
    of.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Standing;
    use crate::rules::minimal::{BlockMark, Marks, VoteMark};

    fn item(marks: Marks) -> Item {
        Item {
            standing: Standing {
                genesis_validators_root: Some([7; 32]),
                enabled: true,
                high_watermark: None,
            },
            marks,
        }
    }

    #[test]
    fn marks_replace_only_what_was_read() {
        let old = item(Marks {
            block: Some(BlockMark {
                slot: 5,
                root: Some([1; 32]),
            }),
            vote: None,
        });
        let new = item(Marks {
            block: Some(BlockMark { slot: 6, root: None }),
            vote: Some(VoteMark {
                source: 2,
                target: 3,
                root: None,
            }),
        });
        let change = Change::marks(&old, &new);
        assert_eq!(
            change.condition,
            "attribute_exists(id) AND block_slot = :old_block_slot AND block_root = :old_block_root AND \
             attribute_not_exists(source_epoch) AND attribute_not_exists(target_epoch) AND attribute_not_exists(vote_root)"
        );
        assert_eq!(
            change.update,
            "SET block_slot = :new_block_slot, source_epoch = :new_source_epoch, target_epoch = :new_target_epoch \
             REMOVE block_root, vote_root"
        );
        let values: Vec<_> = change.values.iter().map(|(name, _)| name.as_str()).collect();
        let named = [
            ":old_block_slot",
            ":new_block_slot",
            ":old_block_root",
            ":new_source_epoch",
            ":new_target_epoch",
        ];
        assert_eq!(values, named);
    }

    #[test]
    fn a_high_watermark_is_set_and_taken_away() {
        let set = Change::high_watermark(Some(HighWatermark { epoch: 3, slot: 96 }));
        assert_eq!(set.update, "SET high_epoch = :epoch, high_slot = :slot");
        assert_eq!(set.values.len(), 2);
        let taken = Change::high_watermark(None);
        assert_eq!(taken.update, "REMOVE high_epoch, high_slot");
        assert_eq!(taken.values, []);
    }
}
