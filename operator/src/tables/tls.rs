//! The item of the TLS table: three artefacts side by side, each with its version.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ScalarAttributeType};
use control::artefact::Kind;
use control::canonical::MAX_NUMBER;
use control::text::{Ciphertext, StackId};

use super::{describe, expect_keys, keys, text, text_of};
use crate::aws::reason;

const KEY_ID: &str = "key_id";
const STACK: &str = "web3signer_uuid";

/// The columns of a kind of artefact: ciphertext and version.
const fn columns(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Clients => ("encrypted_clients_b64", "clients_version"),
        Kind::SlashingCredential => ("encrypted_slashing_credential_b64", "slashing_credential_version"),
        // Validator keys are not in this table; nothing here asks for them.
        Kind::TlsKey | Kind::ValidatorKey => ("encrypted_tls_key_b64", "tls_key_version"),
    }
}

/// One item of the TLS table, as it was when it was read.
#[derive(Clone, Debug)]
pub struct TlsItem {
    client: Client,
    table: String,
    id: AttributeValue,
    item: BTreeMap<String, AttributeValue>,
}

/// What is written.
#[derive(Clone, Debug)]
pub struct Change {
    /// The kind of artefact.
    pub kind: Kind,
    /// The artefact.
    pub ciphertext: Ciphertext,
    /// Its version, as it says inside.
    pub version: u64,
    /// The stack in its encryption context.
    pub stack: StackId,
    /// `cert_pem`, for a TLS key.
    pub certificate_b64: Option<String>,
}

impl TlsItem {
    /// Compares the table's key with the layout, and reads the item, which may be absent.
    ///
    /// # Errors
    /// What DynamoDB says, that it is another table, or a `key_id` that is no number where it must be.
    pub async fn read(client: Client, table: &str, key_id: &str) -> anyhow::Result<Self> {
        let found = keys(&describe(&client, table).await?);
        let (number, string) = (
            [(KEY_ID, ScalarAttributeType::N)],
            [(KEY_ID, ScalarAttributeType::S)],
        );
        expect_keys(table, &found, &[&number, &string])?;
        let id = if found
            .first()
            .is_some_and(|(_, kind)| *kind == ScalarAttributeType::N)
        {
            let digits =
                !key_id.is_empty() && key_id.len() <= 20 && key_id.bytes().all(|b| b.is_ascii_digit());
            ensure!(
                digits,
                "key_id {key_id:?} is not a number, as table {table} wants it"
            );
            AttributeValue::N(key_id.to_owned())
        } else {
            text(key_id)
        };
        let answer = client
            .get_item()
            .table_name(table)
            .key(KEY_ID, id.clone())
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("GetItem of {table}: {}", reason(&error)))?;
        Ok(Self {
            client,
            table: table.to_owned(),
            id,
            item: answer.item.unwrap_or_default().into_iter().collect(),
        })
    }

    /// Whether an artefact of this kind is there.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        text_of(&self.item, columns(kind).0).is_some()
    }

    /// Version of the artefact that is there. 0 if there is none, or if it was written by another loader.
    ///
    /// # Errors
    /// When the column is no number.
    pub fn version(&self, kind: Kind) -> anyhow::Result<u64> {
        let column = columns(kind).1;
        let version = match self.item.get(column) {
            None => Some(0),
            Some(AttributeValue::N(digits)) => digits.parse().ok(),
            Some(_) => None,
        };
        version.with_context(|| format!("column {column} of table {} is no whole number", self.table))
    }

    /// The version to give to the next artefact: `wanted`, or one above `least` and what is there.
    ///
    /// # Errors
    /// When `wanted` is not above what is there, or is beyond every version.
    pub fn next_version(&self, kind: Kind, least: u64, wanted: Option<u64>) -> anyhow::Result<u64> {
        let highest = self.version(kind)?;
        let next = wanted.unwrap_or_else(|| highest.max(least).saturating_add(1));
        ensure!(
            next > highest && next >= least,
            "version {next} of {} is not above {highest} in table {}, or is below {least}, which the config or the slashing store asks for",
            kind.name(),
            self.table
        );
        ensure!(next <= MAX_NUMBER, "version {next} is above {MAX_NUMBER}");
        Ok(next)
    }

    /// Artefacts of one item must be for one stack: the parent sends one with them.
    ///
    /// # Errors
    /// When the item has artefacts for another stack.
    pub fn check_stack(&self, stack: &StackId, replaced: Kind) -> anyhow::Result<()> {
        let others = [Kind::TlsKey, Kind::Clients, Kind::SlashingCredential];
        let others = others
            .into_iter()
            .filter(|kind| *kind != replaced && self.has(*kind))
            .count();
        match text_of(&self.item, STACK) {
            Some(found) if found != stack.as_str() && others > 0 => bail!(
                "the item of table {} has artefacts of stack {found}, this one would be for {stack}; use another --key-id or --stack",
                self.table
            ),
            _ => Ok(()),
        }
    }

    /// Writes one artefact, if the item still has the version that was read. Everything else in the item stays.
    ///
    /// # Errors
    /// What DynamoDB says, or that another ceremony wrote meanwhile.
    pub async fn write(&self, change: &Change) -> anyhow::Result<()> {
        let (ciphertext, version) = columns(change.kind);
        let mut update = format!("SET {ciphertext} = :ciphertext, {version} = :version, {STACK} = :stack");
        let mut write = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(KEY_ID, self.id.clone())
            .expression_attribute_values(":ciphertext", text(change.ciphertext.as_str()))
            .expression_attribute_values(":version", AttributeValue::N(change.version.to_string()))
            .expression_attribute_values(":stack", text(change.stack.as_str()));
        if let Some(certificate) = &change.certificate_b64 {
            update.push_str(", cert_pem = :certificate");
            write = write.expression_attribute_values(":certificate", text(certificate));
        }
        // The ciphertext too: another loader writes no version.
        let mut conditions = Vec::new();
        for (column, name) in [
            (version, ":old_version"),
            (ciphertext, ":old_ciphertext"),
            (STACK, ":old_stack"),
        ] {
            match self.item.get(column) {
                Some(old) => {
                    conditions.push(format!("{column} = {name}"));
                    write = write.expression_attribute_values(name, old.clone());
                }
                None => conditions.push(format!("attribute_not_exists({column})")),
            }
        }
        let sent = write
            .condition_expression(conditions.join(" AND "))
            .update_expression(update)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                bail!(
                    "table {}: the {} was changed by someone else meanwhile; nothing was written. Look, and run the command again",
                    self.table,
                    change.kind.name()
                )
            }
            Err(error) => bail!("UpdateItem of {}: {}", self.table, reason(&error)),
        }
    }
}
