//! The two tables of artefacts, as the published guidance has them, with columns of our own.
//!
//! ```text
//! TLS table         key_id (N or S)             encrypted_tls_key_b64, cert_pem (base64 of the PEM)
//!                   ours                        encrypted_clients_b64, encrypted_slashing_credential_b64, web3signer_uuid,
//!                                               tls_key_version, clients_version, slashing_credential_version (N)
//! validator table   web3signer_uuid, pubkey (S) encrypted_key_password_mnemonic_b64, deposit_json_b64, chain, datetime,
//!                                               active (BOOL)
//! ```
//! What is written here is what the parent reads (`parent/src/tables.rs`). The columns `*_version` repeat, for the next
//! ceremony, what the ciphertexts say inside. Before the first write the table's keys are compared with this layout.

pub mod tls;
pub mod validators;

use anyhow::{Context as _, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeyType, ScalarAttributeType, TableDescription};

use crate::aws::reason;

/// The keys of a table: name and type, the partition key first.
pub type Keys = Vec<(String, ScalarAttributeType)>;

/// Asks for a table's description.
///
/// # Errors
/// What DynamoDB says.
pub async fn describe(client: &Client, table: &str) -> anyhow::Result<TableDescription> {
    client
        .describe_table()
        .table_name(table)
        .send()
        .await
        .map_err(|error| anyhow::anyhow!("DescribeTable of {table}: {}", reason(&error)))?
        .table
        .with_context(|| format!("DynamoDB describes no table {table}"))
}

/// The keys of a described table.
#[must_use]
pub fn keys(table: &TableDescription) -> Keys {
    let mut schema: Vec<_> = table.key_schema().iter().collect();
    schema.sort_by_key(|element| *element.key_type() != KeyType::Hash);
    let type_of = |name: &str| {
        let found = table
            .attribute_definitions()
            .iter()
            .find(|a| a.attribute_name() == name);
        found.map(|a| a.attribute_type().clone())
    };
    schema
        .into_iter()
        .filter_map(|element| {
            Some((
                element.attribute_name().to_owned(),
                type_of(element.attribute_name())?,
            ))
        })
        .collect()
}

/// Refuses a table whose keys are others.
fn expect_keys(table: &str, actual: &Keys, forms: &[&[(&str, ScalarAttributeType)]]) -> anyhow::Result<()> {
    let same = |form: &&[(&str, ScalarAttributeType)]| {
        form.iter()
            .map(|(name, kind)| (*name, kind))
            .eq(actual.iter().map(|(name, kind)| (name.as_str(), kind)))
    };
    if forms.iter().any(same) {
        return Ok(());
    }
    let shown = |keys: &mut dyn Iterator<Item = (&str, &ScalarAttributeType)>| {
        keys.map(|(name, kind)| format!("{name} ({})", kind.as_str()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let expected: Vec<String> = forms
        .iter()
        .map(|form| shown(&mut form.iter().map(|(n, k)| (*n, k))))
        .collect();
    bail!(
        "table {table} has the keys {}, expected {}: it is another table. Nothing was written",
        shown(&mut actual.iter().map(|(n, k)| (n.as_str(), k))),
        expected.join(" or ")
    );
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// The text of a column, if it is one.
fn text_of<'a>(
    item: &'a std::collections::BTreeMap<String, AttributeValue>,
    column: &str,
) -> Option<&'a str> {
    item.get(column)
        .and_then(|value| value.as_s().ok())
        .map(String::as_str)
}
