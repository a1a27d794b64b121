//! What is not a decision: making records, raising them, reading them.
//!
//! Only [`DynamoDb::import_by_operator`] makes items. It needs `dynamodb:PutItem`, which the signer's credential should not
//! have; everything the signer does needs `UpdateItem`, `GetItem`, `BatchGetItem`, `Scan` and `DescribeTable`.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use slashing_table::change::Change;
use slashing_table::item::{self, Item};

use super::records::BATCH;
use super::{DynamoDb, DynamoDbError, request};
use crate::slashing::interchange::{History, Interchange};
use crate::slashing::key::ValidatorKey;
use crate::slashing::report::{ImportReport, Registration};
use crate::slashing::rules::Standing;
use crate::slashing::rules::minimal::Marks;
use crate::slashing::watermark::HighWatermark;

/// Tries of a change that others may disturb.
const TRIES: usize = 16;

impl DynamoDb {
    /// Takes over an interchange file and makes the records that are missing: `slashing init`. The genesis root was compared.
    ///
    /// A record that is disabled is raised and stays disabled; see [`DynamoDb::enable`].
    pub(in crate::slashing) async fn import_by_operator(
        &self,
        interchange: &Interchange,
    ) -> Result<ImportReport, DynamoDbError> {
        self.make_installation().await?;
        let before = self.high_watermark().await?;
        let mut report = ImportReport::default();
        for (key, history) in &interchange.validators {
            let enabled = self.make(key, history, before).await?
                || self
                    .raise(key, |marks| marks.raise_by(history))
                    .await?
                    .is_some_and(|item| item.standing.enabled);
            if enabled {
                report.imported.insert(*key);
            } else {
                report.skipped.push((*key, DISABLED.to_owned()));
            }
        }
        // A watermark that was set meanwhile found only the records that were there.
        let after = self.high_watermark().await?;
        if after != before {
            for key in interchange.validators.keys() {
                self.set_high(&item::validator_id(key), after).await?;
            }
        }
        Ok(report)
    }

    /// Takes over an interchange file for records that exist: all that a signer may do.
    pub(in crate::slashing) async fn import_by_signer(
        &self,
        interchange: &Interchange,
    ) -> Result<ImportReport, DynamoDbError> {
        let mut report = ImportReport::default();
        for (key, history) in &interchange.validators {
            match self.raise(key, |marks| marks.raise_by(history)).await? {
                None => report.skipped.push((*key, NO_RECORD.to_owned())),
                Some(item) if !item.standing.enabled => report.skipped.push((*key, DISABLED.to_owned())),
                Some(_) => {
                    report.imported.insert(*key);
                }
            }
        }
        Ok(report)
    }

    /// Which of `keys` will not sign, and why.
    pub(in crate::slashing) async fn register(
        &self,
        keys: &[ValidatorKey],
    ) -> Result<Registration, DynamoDbError> {
        let mut registration = Registration::default();
        for batch in keys.chunks(BATCH) {
            let mut missing: BTreeSet<_> = batch.iter().copied().collect();
            for (key, item) in self.batch(batch).await? {
                missing.remove(&key);
                if !item.standing.enabled {
                    registration.disabled.push(key);
                }
            }
            registration.unknown.extend(missing);
        }
        Ok(registration)
    }

    /// Keeps `keys` from signing anywhere. Records that do not exist stay so.
    pub(in crate::slashing) async fn disable(&self, keys: &[ValidatorKey]) -> Result<(), DynamoDbError> {
        for key in keys {
            self.set_enabled(key, false).await?;
        }
        Ok(())
    }

    /// Lets a disabled validator sign again. For the operator, who must know that no one else signs with the key and that
    /// the record has all that was signed meanwhile.
    ///
    /// # Errors
    /// [`DynamoDbError::Absent`] without a record.
    pub async fn enable(&self, key: &ValidatorKey) -> Result<(), DynamoDbError> {
        if self.set_enabled(key, true).await? {
            return Ok(());
        }
        Err(DynamoDbError::Absent {
            id: item::validator_id(key),
        })
    }

    pub(in crate::slashing) async fn high_watermark(&self) -> Result<Option<HighWatermark>, DynamoDbError> {
        Ok(self.installation().await?.and_then(|i| i.high_watermark))
    }

    /// Sets the watermark in the installation's item, then in every record: from when it is there, that validator obeys it.
    pub(in crate::slashing) async fn set_high_watermark(
        &self,
        mark: Option<HighWatermark>,
    ) -> Result<(), DynamoDbError> {
        if !self.set_high(item::INSTALLATION, mark).await? {
            return Err(DynamoDbError::Absent {
                id: item::INSTALLATION.to_owned(),
            });
        }
        for (key, _) in self.all().await? {
            self.set_high(&item::validator_id(&key), mark).await?;
        }
        Ok(())
    }

    pub(in crate::slashing) async fn raise_low_watermarks(
        &self,
        floor: HighWatermark,
    ) -> Result<usize, DynamoDbError> {
        let all = self.all().await?;
        for (key, _) in &all {
            self.raise(key, |marks| marks.raise_floors(floor.slot, floor.epoch))
                .await?;
        }
        Ok(all.len())
    }

    /// The newest duties of `keys`, or of all.
    pub(in crate::slashing) async fn export(
        &self,
        keys: Option<&[ValidatorKey]>,
    ) -> Result<Interchange, DynamoDbError> {
        let found = match keys {
            None => self.all().await?,
            Some(keys) => {
                let mut found = Vec::new();
                for batch in keys.chunks(BATCH) {
                    found.extend(self.batch(batch).await?);
                }
                found
            }
        };
        let mut interchange = Interchange::empty(self.genesis_validators_root);
        for (key, item) in found {
            interchange.validators.insert(key, History::from(item.marks));
        }
        Ok(interchange)
    }

    async fn make_installation(&self) -> Result<(), DynamoDbError> {
        let put = self
            .client
            .put_item()
            .table_name(self.table.as_str())
            .item(item::ID, item::text(item::INSTALLATION))
            .item(item::LAYOUT, AttributeValue::N(item::LAYOUT_1.to_owned()))
            .item(item::GENESIS, item::root(&self.genesis_validators_root))
            .condition_expression("attribute_not_exists(id)")
            .send()
            .await;
        match put {
            Ok(_) => Ok(()),
            // There already: it must be of this chain.
            Err(error)
                if matches!(
                    error.as_service_error(),
                    Some(PutItemError::ConditionalCheckFailedException(_))
                ) =>
            {
                self.installation().await.map(|_| ())
            }
            Err(error) => Err(request("PutItem", item::INSTALLATION, error)),
        }
    }

    /// Makes a record from `history`; `false` if there is one.
    async fn make(
        &self,
        key: &ValidatorKey,
        history: &History,
        high_watermark: Option<HighWatermark>,
    ) -> Result<bool, DynamoDbError> {
        let id = item::validator_id(key);
        let mut marks = Marks::default();
        marks.raise_by(history);
        let new = Item {
            standing: Standing {
                genesis_validators_root: Some(self.genesis_validators_root),
                enabled: true,
                high_watermark,
            },
            marks,
        };
        let mut put = self
            .client
            .put_item()
            .table_name(self.table.as_str())
            .item(item::ID, item::text(&id))
            .condition_expression("attribute_not_exists(id)");
        for (name, value) in new.attributes() {
            put = put.item(name, value);
        }
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(
                    error.as_service_error(),
                    Some(PutItemError::ConditionalCheckFailedException(_))
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(request("PutItem", &id, error)),
        }
    }

    /// Raises the marks of a record and answers with the new one; `None` if there is no record. Written only if nobody
    /// changed them meanwhile.
    async fn raise(
        &self,
        key: &ValidatorKey,
        change: impl Fn(&mut Marks),
    ) -> Result<Option<Item>, DynamoDbError> {
        let id = item::validator_id(key);
        for _ in 0..TRIES {
            let Some(old) = self.validator(key).await? else {
                return Ok(None);
            };
            if old.standing.genesis_validators_root != Some(self.genesis_validators_root) {
                return Err(DynamoDbError::OtherChain {
                    id,
                    expected: self.genesis_validators_root,
                    actual: old.standing.genesis_validators_root.unwrap_or_default(),
                });
            }
            let mut new = old;
            change(&mut new.marks);
            if new == old || self.replace_marks(&id, &old, &new).await? {
                return Ok(Some(new));
            }
        }
        Err(DynamoDbError::Contended { id })
    }

    /// Writes the marks of `new` if the record still has those of `old`.
    async fn replace_marks(&self, id: &str, old: &Item, new: &Item) -> Result<bool, DynamoDbError> {
        let request = self.client.update_item().table_name(self.table.as_str());
        let answer = Change::marks(old, new).of(id, request).send().await;
        done_unless_condition(id, answer)
    }

    async fn set_enabled(&self, key: &ValidatorKey, enabled: bool) -> Result<bool, DynamoDbError> {
        let id = item::validator_id(key);
        let sent = self
            .client
            .update_item()
            .table_name(self.table.as_str())
            .key(item::ID, item::text(&id))
            .condition_expression("attribute_exists(id)")
            .update_expression("SET enabled = :enabled")
            .expression_attribute_values(":enabled", AttributeValue::Bool(enabled))
            .send()
            .await;
        done_unless_condition(&id, sent)
    }

    async fn set_high(&self, id: &str, mark: Option<HighWatermark>) -> Result<bool, DynamoDbError> {
        let request = self.client.update_item().table_name(self.table.as_str());
        let answer = Change::high_watermark(mark).of(id, request).send().await;
        done_unless_condition(id, answer)
    }
}

const NO_RECORD: &str =
    "the table has no record of it, and a signer makes none: the operator imports its history first";
const DISABLED: &str = "its record is disabled and stays so; it was raised. The operator enables it when no one else signs with the key";

fn done_unless_condition<T>(
    id: &str,
    sent: Result<T, aws_sdk_dynamodb::error::SdkError<UpdateItemError>>,
) -> Result<bool, DynamoDbError> {
    match sent {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(
                error.as_service_error(),
                Some(UpdateItemError::ConditionalCheckFailedException(_))
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(request("UpdateItem", id, error)),
    }
}
