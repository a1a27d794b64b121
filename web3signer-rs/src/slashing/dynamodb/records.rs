//! Reading records: one, a hundred, or all. Always consistently.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use slashing_table::item::{self, Installation, Item};

use super::{DynamoDb, DynamoDbError, request};
use crate::slashing::key::ValidatorKey;

/// Items of one `BatchGetItem`, the service's limit.
pub(super) const BATCH: usize = 100;

/// Rounds for what a `BatchGetItem` left over.
const LEFT_OVER_ROUNDS: usize = 8;

impl DynamoDb {
    /// The item about the installation, if the table was initialised. It must be of the network's chain.
    pub(super) async fn installation(&self) -> Result<Option<Installation>, DynamoDbError> {
        let answer = self
            .client
            .get_item()
            .table_name(self.table.as_str())
            .key(item::ID, item::text(item::INSTALLATION))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| request("GetItem", item::INSTALLATION, error))?;
        let Some(attributes) = answer.item() else {
            return Ok(None);
        };
        let installation = Installation::decode(|name| attributes.get(name))?;
        if installation.genesis_validators_root != self.genesis_validators_root {
            return Err(DynamoDbError::OtherChain {
                id: item::INSTALLATION.to_owned(),
                expected: self.genesis_validators_root,
                actual: installation.genesis_validators_root,
            });
        }
        Ok(Some(installation))
    }

    /// The record of one validator.
    pub(super) async fn validator(&self, key: &ValidatorKey) -> Result<Option<Item>, DynamoDbError> {
        let id = item::validator_id(key);
        let answer = self
            .client
            .get_item()
            .table_name(self.table.as_str())
            .key(item::ID, item::text(&id))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| request("GetItem", &id, error))?;
        answer
            .item()
            .map(|attributes| Item::decode(&id, |name| attributes.get(name)).map_err(DynamoDbError::Item))
            .transpose()
    }

    /// The records of at most [`BATCH`] validators.
    pub(super) async fn batch(
        &self,
        keys: &[ValidatorKey],
    ) -> Result<Vec<(ValidatorKey, Item)>, DynamoDbError> {
        let failed = || DynamoDbError::Contended {
            id: self.table.to_string(),
        };
        let unique: BTreeSet<_> = keys.iter().collect();
        let mut wanted = KeysAndAttributes::builder().consistent_read(true);
        for key in unique {
            let id = [(item::ID.to_owned(), item::text(item::validator_id(key)))];
            wanted = wanted.keys(id.into_iter().collect());
        }
        let mut pending = Some(wanted.build().map_err(|_| failed())?);
        let mut found = Vec::new();
        for _ in 0..LEFT_OVER_ROUNDS {
            let Some(wanted) = pending.take() else { break };
            let answer = self
                .client
                .batch_get_item()
                .request_items(self.table.as_str(), wanted)
                .send()
                .await
                .map_err(|error| request("BatchGetItem", self.table.as_str(), error))?;
            for items in answer.responses().into_iter().flat_map(|tables| tables.values()) {
                for attributes in items {
                    found.extend(item::decode_validator(|name| attributes.get(name))?);
                }
            }
            pending = answer
                .unprocessed_keys()
                .and_then(|tables| tables.values().next().cloned())
                .filter(|left| !left.keys().is_empty());
        }
        if pending.is_some() {
            return Err(failed());
        }
        Ok(found)
    }

    /// Every validator's record, by a consistent scan.
    pub(super) async fn all(&self) -> Result<Vec<(ValidatorKey, Item)>, DynamoDbError> {
        let mut found = Vec::new();
        let mut pages = self
            .client
            .scan()
            .table_name(self.table.as_str())
            .consistent_read(true)
            .filter_expression("begins_with(id, :validator)")
            .expression_attribute_values(":validator", item::text(item::VALIDATOR))
            .into_paginator()
            .items()
            .send();
        while let Some(page) = pages.next().await {
            let attributes = page.map_err(|error| request("Scan", self.table.as_str(), error))?;
            found.extend(item::decode_validator(|name| attributes.get(name))?);
        }
        found.sort_by_key(|(key, _)| *key);
        Ok(found)
    }
}
