//! The slashing table, for the operator: makes records, raises them, reads them. `web3signer-rs/src/slashing/SPEC.md`,
//! section 2, says what is in it, and what only the operator may do.
//!
//! The table is compared by ARN and `TableId` with the config before it is used: one that was deleted and made again, or
//! restored, would be missing what was signed since.

use anyhow::{Context as _, bail, ensure};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ScalarAttributeType};
use control::artefact::Kind;
use control::config::{DeploymentConfig, SlashingStore};
use slashing_table::change::Change;
use slashing_table::duty::Root;
use slashing_table::interchange::{History, Interchange};
use slashing_table::item::{self, Installation, Item};
use slashing_table::key::ValidatorKey;
use slashing_table::rules::Standing;
use slashing_table::rules::minimal::Marks;
use slashing_table::watermark::HighWatermark;

use crate::aws::{Aws, reason};
use crate::tables::{describe, keys};

/// Tries of a change that signers may disturb.
const TRIES: usize = 16;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It is new.
    New,
    /// It was raised.
    Raised,
    /// It had all of it.
    Unchanged,
    /// It says that the key must not sign, and still does. It was raised.
    Disabled,
}

/// The table of one chain.
#[derive(Clone, Debug)]
pub struct SlashingTable {
    client: Client,
    table: String,
    genesis: Root,
}

impl SlashingTable {
    /// Checks that the table is the config's, and of this chain if it was initialised.
    ///
    /// # Errors
    /// Another store than DynamoDB, another table, another chain; what DynamoDB says.
    pub async fn open(aws: &Aws, config: &DeploymentConfig, genesis: Root) -> anyhow::Result<Self> {
        let SlashingStore::Dynamodb { table_arn, table_id } = &config.fields().slashing_store else {
            bail!(
                "the slashing store of the config is not DynamoDB; for PostgreSQL use `web3signer eth2 import` and `export`"
            );
        };
        let client = aws.dynamodb(table_arn.region());
        let found = describe(&client, table_arn.as_str()).await?;
        for (what, expected, actual) in [
            ("TableArn", table_arn.as_str(), found.table_arn()),
            ("TableId", table_id.as_str(), found.table_id()),
        ] {
            ensure!(
                actual == Some(expected),
                "table {table_arn} has {what} {:?}, the config says {expected:?}: it is another table, or was made anew or restored. Nothing was written",
                actual.unwrap_or_default()
            );
        }
        let expected = [(item::ID.to_owned(), ScalarAttributeType::S)];
        ensure!(
            keys(&found) == expected,
            "table {table_arn} does not have the one key `id` (S): it is no slashing table"
        );
        let table = Self {
            client,
            table: table_arn.to_string(),
            genesis,
        };
        table.installation().await?;
        Ok(table)
    }

    /// The item about the installation, if there is one.
    ///
    /// # Errors
    /// When it is of another chain; what DynamoDB says.
    pub async fn installation(&self) -> anyhow::Result<Option<Installation>> {
        let answer = self.get(item::INSTALLATION).await?;
        let Some(attributes) = answer else { return Ok(None) };
        let installation = Installation::decode(|name| attributes.get(name))?;
        self.same_chain(item::INSTALLATION, Some(installation.genesis_validators_root))?;
        Ok(Some(installation))
    }

    /// Makes the item about the installation if there is none, and gives its high watermark.
    ///
    /// # Errors
    /// As [`Self::installation`].
    pub async fn make_installation(&self) -> anyhow::Result<Option<HighWatermark>> {
        self.put(
            item::INSTALLATION,
            vec![
                (item::LAYOUT, layout()),
                (item::GENESIS, item::root(&self.genesis)),
            ],
        )
        .await?;
        Ok(self
            .installation()
            .await?
            .and_then(|installation| installation.high_watermark))
    }

    /// Makes the records of artefacts' versions, at 0, that are missing.
    ///
    /// # Errors
    /// What DynamoDB says.
    pub async fn make_artefacts(&self) -> anyhow::Result<()> {
        for kind in [Kind::TlsKey, Kind::Clients, Kind::SlashingCredential] {
            let id = format!("{}{}", item::ARTEFACT, kind.name());
            self.put(
                &id,
                vec![(item::LAYOUT, layout()), (item::VERSION, item::number(0))],
            )
            .await?;
        }
        Ok(())
    }

    /// Makes a record from `history`, or raises the one that is there.
    ///
    /// # Errors
    /// A record of another chain, or one that others change again and again; what DynamoDB says.
    pub async fn make_or_raise(
        &self,
        key: &ValidatorKey,
        history: &History,
        high_watermark: Option<HighWatermark>,
    ) -> anyhow::Result<Made> {
        let id = item::validator_id(key);
        let mut marks = Marks::default();
        marks.raise_by(history);
        let standing = Standing {
            genesis_validators_root: Some(self.genesis),
            enabled: true,
            high_watermark,
        };
        if self.put(&id, Item { standing, marks }.attributes()).await? {
            return Ok(Made::New);
        }
        for _ in 0..TRIES {
            let attributes = self
                .get(&id)
                .await?
                .with_context(|| format!("item {id} was deleted; nobody may do that"))?;
            let old = Item::decode(&id, |name| attributes.get(name))?;
            self.same_chain(&id, old.standing.genesis_validators_root)?;
            let mut new = old;
            new.marks.raise_by(history);
            let raised = new != old;
            if !raised || self.replace_marks(&id, &old, &new).await? {
                return Ok(match (old.standing.enabled, raised) {
                    (false, _) => Made::Disabled,
                    (true, true) => Made::Raised,
                    (true, false) => Made::Unchanged,
                });
            }
        }
        bail!("item {id} changed at every try; run the command again when fewer signers are active");
    }

    /// Gives a record the installation's high watermark.
    ///
    /// # Errors
    /// What DynamoDB says.
    pub async fn set_high_watermark(
        &self,
        key: &ValidatorKey,
        mark: Option<HighWatermark>,
    ) -> anyhow::Result<()> {
        let id = item::validator_id(key);
        let request = self.client.update_item().table_name(&self.table);
        Change::high_watermark(mark)
            .of(&id, request)
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("UpdateItem of {id}: {}", reason(&error)))?;
        Ok(())
    }

    /// The newest duties of every validator.
    ///
    /// # Errors
    /// An item that is not laid out right, or of another chain; what DynamoDB says.
    pub async fn export(&self) -> anyhow::Result<Interchange> {
        let mut all = Interchange::empty(self.genesis);
        let mut pages = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .filter_expression("begins_with(id, :validator)")
            .expression_attribute_values(":validator", item::text(item::VALIDATOR))
            .into_paginator()
            .items()
            .send();
        while let Some(page) = pages.next().await {
            let attributes =
                page.map_err(|error| anyhow::anyhow!("Scan of {}: {}", self.table, reason(&error)))?;
            let found = item::decode_validator(|name| attributes.get(name))?;
            if let Some((key, item)) = found {
                self.same_chain(&item::validator_id(&key), item.standing.genesis_validators_root)?;
                all.validators.insert(key, History::from(item.marks));
            }
        }
        Ok(all)
    }

    fn same_chain(&self, id: &str, actual: Option<Root>) -> anyhow::Result<()> {
        ensure!(
            actual == Some(self.genesis),
            "item {id} of table {} is for genesis validators root 0x{}, expected 0x{}: it is of another chain",
            self.table,
            hex::encode(actual.unwrap_or_default()),
            hex::encode(self.genesis)
        );
        Ok(())
    }

    async fn get(
        &self,
        id: &str,
    ) -> anyhow::Result<Option<std::collections::BTreeMap<String, AttributeValue>>> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(item::ID, item::text(id))
            .consistent_read(true);
        let answer = answer
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("GetItem of {id}: {}", reason(&error)))?;
        Ok(answer.item.map(|item| item.into_iter().collect()))
    }

    /// Makes an item; `false` if there is one with this id.
    async fn put(&self, id: &str, attributes: Vec<(&'static str, AttributeValue)>) -> anyhow::Result<bool> {
        let mut put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(item::ID, item::text(id))
            .condition_expression("attribute_not_exists(id)");
        for (name, value) in attributes {
            put = put.item(name, value);
        }
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => bail!("PutItem of {id}: {}", reason(&error)),
        }
    }

    /// Writes the marks of `new` if the record still has those of `old`.
    async fn replace_marks(&self, id: &str, old: &Item, new: &Item) -> anyhow::Result<bool> {
        let request = self.client.update_item().table_name(&self.table);
        let answer = Change::marks(old, new).of(id, request).send().await;
        match answer {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => bail!("UpdateItem of {id}: {}", reason(&error)),
        }
    }
}

/// The highest version of a kind of artefact that an enclave has used; 0 without a record, or with another store.
///
/// # Errors
/// A record that has none; what DynamoDB says.
pub async fn used_version(aws: &Aws, config: &DeploymentConfig, kind: Kind) -> anyhow::Result<u64> {
    let SlashingStore::Dynamodb { table_arn, .. } = &config.fields().slashing_store else {
        return Ok(0);
    };
    let id = format!("{}{}", item::ARTEFACT, kind.name());
    let client = aws.dynamodb(table_arn.region());
    let answer = client
        .get_item()
        .table_name(table_arn.as_str())
        .key(item::ID, item::text(&id))
        .consistent_read(true);
    let answer = answer.send().await;
    let answer = answer.map_err(|error| {
        anyhow::anyhow!(
            "which version of {} an enclave has seen: GetItem of {table_arn}: {}",
            kind.name(),
            reason(&error)
        )
    })?;
    let Some(attributes) = answer.item else {
        return Ok(0);
    };
    match attributes.get(item::VERSION) {
        Some(AttributeValue::N(digits)) => digits.parse().ok(),
        _ => None,
    }
    .with_context(|| format!("item {id} of {table_arn} has no version"))
}

fn layout() -> AttributeValue {
    AttributeValue::N(item::LAYOUT_1.to_owned())
}
