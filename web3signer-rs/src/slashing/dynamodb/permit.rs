//! One decision: one conditional write. The condition is the minimal scheme and the standing of the validator, in the
//! language of DynamoDB; [`Item`] and the pure rules say the same again, to name the reason of a refusal.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use slashing_table::item::{self, Item, ItemError};

use super::{DynamoDb, DynamoDbError, request};
use crate::duty::{Duty, SlashableDuty};
use crate::slashing::key::ValidatorKey;
use crate::slashing::refusal::Refusal;
use crate::slashing::rules::Standing;

/// The validator's record may be used for this chain, and there is one: an absent item has none of these.
const MAY_SIGN: &str = "layout = :layout AND enabled = :yes AND genesis_validators_root = :genesis";

/// Below the high watermark; above the newest block, or that very block.
const BLOCK: &str = "(attribute_not_exists(high_slot) OR high_slot > :slot) \
    AND (attribute_not_exists(block_slot) OR block_slot < :slot \
         OR (block_slot = :slot AND block_root = :root))";
const SET_BLOCK: &str = "SET block_slot = :slot, block_root = :root";

/// Below the high watermark; no lower source; a higher target, or that very vote.
const VOTE: &str = "(attribute_not_exists(high_epoch) OR (high_epoch > :source AND high_epoch > :target)) \
    AND (attribute_not_exists(source_epoch) OR source_epoch <= :source) \
    AND (attribute_not_exists(target_epoch) OR target_epoch < :target \
         OR (target_epoch = :target AND vote_root = :root))";
const SET_VOTE: &str = "SET source_epoch = :source, target_epoch = :target, vote_root = :root";

impl DynamoDb {
    pub(in crate::slashing) async fn permit(
        &self,
        key: &ValidatorKey,
        asked: &SlashableDuty,
    ) -> Result<(), Refusal> {
        self.same_table()?;
        // What needs no record: the request's chain and its order of epochs.
        let network = Standing {
            genesis_validators_root: Some(self.genesis_validators_root),
            enabled: true,
            high_watermark: None,
        };
        network.judge(asked).map_err(Refusal::Prevented)?;

        let id = item::validator_id(key);
        let (rule, set) = match asked.duty {
            Duty::Block { .. } => (BLOCK, SET_BLOCK),
            Duty::Attestation { .. } => (VOTE, SET_VOTE),
        };
        let write = self
            .client
            .update_item()
            .table_name(self.table.as_str())
            .key(item::ID, item::text(&id))
            .condition_expression(format!("{MAY_SIGN} AND {rule}"))
            .update_expression(set)
            .expression_attribute_values(":layout", AttributeValue::N(item::LAYOUT_1.to_owned()))
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .expression_attribute_values(":genesis", item::root(&asked.genesis_validators_root))
            .expression_attribute_values(":root", item::root(&asked.signing_root))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let write = match asked.duty {
            Duty::Block { slot } => write.expression_attribute_values(":slot", item::number(slot)),
            Duty::Attestation { source, target } => write
                .expression_attribute_values(":source", item::number(source))
                .expression_attribute_values(":target", item::number(target)),
        };
        let Err(error) = write.send().await else {
            return Ok(());
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let old = failed.item().map(|old| Item::decode(&id, |name| old.get(name)));
                Err(self.reason(key, &id, old, asked).await)
            }
            _ => Err(request("UpdateItem", &id, error).into()),
        }
    }

    /// Why the condition failed. Never a permit.
    async fn reason(
        &self,
        key: &ValidatorKey,
        id: &str,
        old: Option<Result<Item, ItemError>>,
        asked: &SlashableDuty,
    ) -> Refusal {
        let item = match old {
            Some(item) => item.map(Some).map_err(DynamoDbError::Item),
            // An absent item, or a service that does not return the old one.
            None => self.validator(key).await,
        };
        match item {
            Err(error) => error.into(),
            Ok(None) => Refusal::UnknownValidator(*key),
            Ok(Some(item)) => {
                let judged = item
                    .standing
                    .judge(asked)
                    .and_then(|()| item.marks.judge(asked.duty, &asked.signing_root));
                match judged {
                    Err(rule) => Refusal::Prevented(rule),
                    Ok(_) => DynamoDbError::Inconsistent { id: id.to_owned() }.into(),
                }
            }
        }
    }
}
