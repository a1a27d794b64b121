//! The validator table: what is there, adding items in batches, and switching items on and off.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeysAndAttributes, PutRequest, ScalarAttributeType, WriteRequest,
};
use control::text::{Ciphertext, PublicKey, StackId};
use serde::Serialize;

use super::{describe, expect_keys, keys, text, text_of};
use crate::aws::reason;

/// Items of one `BatchWriteItem`, the service's limit.
pub const BATCH: usize = 25;
/// Rounds for what a batch left over, each waiting twice as long as the one before: 12 s in all.
const ROUNDS: u32 = 8;
/// First wait.
const FIRST_WAIT: Duration = Duration::from_millis(50);

const STACK: &str = "web3signer_uuid";
const PUBKEY: &str = "pubkey";
const CIPHERTEXT: &str = "encrypted_key_password_mnemonic_b64";
const DEPOSIT: &str = "deposit_json_b64";
const ACTIVE: &str = "active";

/// A key to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// `pubkey`
    pub pubkey: PublicKey,
    /// `encrypted_key_password_mnemonic_b64`
    pub ciphertext: Ciphertext,
    /// `deposit_json_b64`; absent without deposit data.
    pub deposit_b64: Option<String>,
    /// `chain`
    pub chain: String,
    /// `datetime`, RFC 3339.
    pub datetime: String,
}

/// A key as it stands in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `pubkey`; as it is written there when it is no public key.
    pub pubkey: String,
    /// `active`; `None` when it is neither of its forms.
    pub active: Option<bool>,
    /// `chain`
    pub chain: Option<String>,
    /// `datetime`
    pub datetime: Option<String>,
    /// Whether there is a ciphertext of the right form.
    pub ciphertext: bool,
}

type Item = BTreeMap<String, AttributeValue>;

/// The validator table, for one stack.
#[derive(Clone, Debug)]
pub struct Validators {
    client: Client,
    table: String,
    stack: StackId,
}

impl Validators {
    /// Compares the table's keys with the layout.
    ///
    /// # Errors
    /// What DynamoDB says, or that it is another table.
    pub async fn open(client: Client, table: &str, stack: StackId) -> anyhow::Result<Self> {
        let found = keys(&describe(&client, table).await?);
        let strings = [(STACK, ScalarAttributeType::S), (PUBKEY, ScalarAttributeType::S)];
        expect_keys(table, &found, &[&strings])?;
        Ok(Self {
            client,
            table: table.to_owned(),
            stack,
        })
    }

    /// Every key of the stack, by public key: all pages, consistently.
    ///
    /// # Errors
    /// What DynamoDB says.
    pub async fn all(&self) -> anyhow::Result<Vec<Row>> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("web3signer_uuid = :stack")
            .expression_attribute_values(":stack", text(self.stack.as_str()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut rows = Vec::new();
        while let Some(item) = pages.next().await {
            let item =
                item.map_err(|error| anyhow::anyhow!("Query of {}: {}", self.table, reason(&error)))?;
            rows.push(row(&item.into_iter().collect()));
        }
        rows.sort_by(|a: &Row, b| a.pubkey.cmp(&b.pubkey));
        Ok(rows)
    }

    /// Of at most [`BATCH`] keys, those that the table has now, with their ciphertexts.
    ///
    /// # Errors
    /// What DynamoDB says, or that it leaves items over again and again.
    pub async fn present(&self, keys: &[PublicKey]) -> anyhow::Result<BTreeMap<String, Option<String>>> {
        let mut wanted = KeysAndAttributes::builder().consistent_read(true);
        for spelled in keys.iter().flat_map(spellings) {
            let key = [
                (STACK.to_owned(), text(self.stack.as_str())),
                (PUBKEY.to_owned(), text(spelled)),
            ];
            wanted = wanted.keys(key.into_iter().collect());
        }
        let mut pending = Some(wanted.build().context("no keys to look for")?);
        let mut found = BTreeMap::new();
        for round in 0..ROUNDS {
            let Some(wanted) = pending.take() else { break };
            wait(round).await;
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.table, wanted)
                .send()
                .await
                .map_err(|error| anyhow::anyhow!("BatchGetItem of {}: {}", self.table, reason(&error)))?;
            for item in answer
                .responses()
                .into_iter()
                .flat_map(|tables| tables.values())
                .flatten()
            {
                let item: Item = item.clone().into_iter().collect();
                if let Some(key) = text_of(&item, PUBKEY).and_then(|key| key.parse::<PublicKey>().ok()) {
                    found.insert(key.to_string(), text_of(&item, CIPHERTEXT).map(str::to_owned));
                }
            }
            let left = answer
                .unprocessed_keys()
                .and_then(|tables| tables.values().next().cloned());
            pending = left.filter(|left| !left.keys().is_empty());
        }
        if pending.is_some() {
            bail!(
                "table {} is overloaded: it leaves reads over again and again; try later",
                self.table
            );
        }
        Ok(found)
    }

    /// Writes at most [`BATCH`] keys that the table has not. What the service leaves over is sent again.
    ///
    /// # Errors
    /// What DynamoDB says, or that it leaves items over again and again. What is written by then stays.
    pub async fn add(&self, keys: &[NewKey]) -> anyhow::Result<()> {
        let mut pending = keys
            .iter()
            .map(|key| self.request(key))
            .collect::<anyhow::Result<Vec<_>>>()?;
        for round in 0..ROUNDS {
            if pending.is_empty() {
                return Ok(());
            }
            wait(round).await;
            let answer = self
                .client
                .batch_write_item()
                .request_items(&self.table, pending)
                .send()
                .await
                .map_err(|error| anyhow::anyhow!("BatchWriteItem of {}: {}", self.table, reason(&error)))?;
            let mut left = answer.unprocessed_items.unwrap_or_default();
            pending = left.remove(&self.table).unwrap_or_default();
        }
        if pending.is_empty() {
            return Ok(());
        }
        bail!(
            "table {} is overloaded: {} items are left over again and again; the same command later goes on from here",
            self.table,
            pending.len()
        );
    }

    fn request(&self, key: &NewKey) -> anyhow::Result<WriteRequest> {
        let mut put = PutRequest::builder()
            .item(STACK, text(self.stack.as_str()))
            .item(PUBKEY, text(key.pubkey.as_str()))
            .item(CIPHERTEXT, text(key.ciphertext.as_str()))
            .item("chain", text(&key.chain))
            .item("datetime", text(&key.datetime))
            .item(ACTIVE, AttributeValue::Bool(true));
        if let Some(deposit) = &key.deposit_b64 {
            put = put.item(DEPOSIT, text(deposit));
        }
        Ok(WriteRequest::builder().put_request(put.build()?).build())
    }

    /// Sets `active`; `false` when the table has no such key. Keeps the column's type: text stays text.
    ///
    /// # Errors
    /// What DynamoDB says.
    pub async fn set_active(&self, key: &PublicKey, active: bool) -> anyhow::Result<bool> {
        for spelled in spellings(key) {
            let sent = self
                .client
                .update_item()
                .table_name(&self.table)
                .key(STACK, text(self.stack.as_str()))
                .key(PUBKEY, text(spelled))
                .condition_expression("attribute_exists(pubkey)")
                .update_expression("SET active = :active")
                .expression_attribute_values(":active", AttributeValue::Bool(active))
                .send()
                .await;
            match sent {
                Ok(_) => return Ok(true),
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(UpdateItemError::is_conditional_check_failed_exception) => {}
                Err(error) => bail!("UpdateItem of {key} in {}: {}", self.table, reason(&error)),
            }
        }
        Ok(false)
    }
}

/// Other loaders wrote public keys without `0x`.
fn spellings(key: &PublicKey) -> [String; 2] {
    let with = key.to_string();
    let without = with.trim_start_matches("0x").to_owned();
    [with, without]
}

async fn wait(round: u32) {
    if round > 0 {
        tokio::time::sleep(FIRST_WAIT * 2_u32.saturating_pow(round)).await;
    }
}

fn row(item: &Item) -> Row {
    let shown: String = text_of(item, PUBKEY)
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(98)
        .collect();
    let active = match item.get(ACTIVE) {
        Some(AttributeValue::Bool(active)) => Some(*active),
        Some(AttributeValue::S(said)) if said.eq_ignore_ascii_case("true") => Some(true),
        Some(AttributeValue::S(said)) if said.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    };
    Row {
        pubkey: shown.parse::<PublicKey>().map_or(shown, |key| key.to_string()),
        active,
        chain: text_of(item, "chain").map(printable),
        datetime: text_of(item, "datetime").map(printable),
        ciphertext: text_of(item, CIPHERTEXT).is_some_and(|c| c.trim().parse::<Ciphertext>().is_ok()),
    }
}

/// What others wrote must not move a terminal's cursor.
fn printable(value: &str) -> String {
    value.chars().filter(|c| !c.is_control()).take(64).collect()
}
