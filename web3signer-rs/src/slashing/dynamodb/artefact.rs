//! The highest version of each kind of artefact that was ever used, so that an old TLS key or client list cannot be fed in
//! again. For provisioning; nothing of signing depends on it.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use slashing_table::item;

use super::{DynamoDb, DynamoDbError, request};

impl DynamoDb {
    /// Notes that `version` of the artefact `kind` is in use. Never lowers; the same version again is fine.
    ///
    /// # Errors
    /// [`DynamoDbError::OldArtefact`] if a higher one was seen; [`DynamoDbError::Absent`] if the operator made no record for
    /// the kind.
    pub async fn use_artefact(&self, kind: &str, version: u64) -> Result<(), DynamoDbError> {
        self.same_table()?;
        let id = format!("{}{kind}", item::ARTEFACT);
        let sent = self
            .client
            .update_item()
            .table_name(self.table.as_str())
            .key(item::ID, item::text(&id))
            .condition_expression("layout = :layout AND #version <= :version")
            .update_expression("SET #version = :version")
            .expression_attribute_names("#version", item::VERSION)
            .expression_attribute_values(":layout", AttributeValue::N(item::LAYOUT_1.to_owned()))
            .expression_attribute_values(":version", item::number(version))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = sent else { return Ok(()) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let old = failed.item().and_then(|old| old.get(item::VERSION));
                match old {
                    Some(AttributeValue::N(digits)) => Err(DynamoDbError::OldArtefact {
                        kind: kind.to_owned(),
                        version,
                        highest: digits.parse().unwrap_or(u64::MAX),
                    }),
                    _ => Err(DynamoDbError::Absent { id }),
                }
            }
            _ => Err(request("UpdateItem", &id, error)),
        }
    }

    /// Makes the record of an artefact's kind at version 0, if there is none. For the operator.
    ///
    /// # Errors
    /// [`DynamoDbError::Request`].
    pub async fn make_artefact(&self, kind: &str) -> Result<(), DynamoDbError> {
        let id = format!("{}{kind}", item::ARTEFACT);
        let sent = self
            .client
            .put_item()
            .table_name(self.table.as_str())
            .item(item::ID, item::text(&id))
            .item(item::LAYOUT, AttributeValue::N(item::LAYOUT_1.to_owned()))
            .item(item::VERSION, item::number(0))
            .condition_expression("attribute_not_exists(id)")
            .send()
            .await;
        match sent {
            Err(error)
                if !error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Err(request("PutItem", &id, error))
            }
            _ => Ok(()),
        }
    }
}
