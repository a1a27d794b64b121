//! From an item of a table to a checked row.

use std::collections::BTreeMap;
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use control::text::{Ciphertext, PublicKey, StackId};

/// An item, by column.
pub type Item = BTreeMap<String, AttributeValue>;

/// The item of the TLS table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsRow {
    /// `encrypted_tls_key_b64`.
    pub key: Ciphertext,
    /// `cert_pem`: base64 of the certificate's PEM, as it stands there.
    pub certificate_b64: Option<String>,
    /// `encrypted_clients_b64`.
    pub clients: Option<Ciphertext>,
    /// `encrypted_slashing_credential_b64`.
    pub slashing_credential: Option<Ciphertext>,
    /// `web3signer_uuid`.
    pub stack: Option<StackId>,
}

/// An active item of the validator table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// `web3signer_uuid`.
    pub stack: StackId,
    /// `pubkey`.
    pub pubkey: PublicKey,
    /// `encrypted_key_password_mnemonic_b64`.
    pub key: Ciphertext,
}

/// What is wrong with an item. Values are not repeated, but for the public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("item {item}: {column} is {problem}")]
pub struct ItemError {
    /// Which item.
    pub item: String,
    /// Name of the column.
    pub column: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

const MISSING: &str = "missing";
const NOT_TEXT: &str = "not text";

/// Reads the TLS item.
///
/// # Errors
/// [`ItemError`] for the first column that is wrong.
pub fn tls_row(item: &Item) -> Result<TlsRow, ItemError> {
    let name = "of the TLS key";
    Ok(TlsRow {
        key: needed(
            name,
            "encrypted_tls_key_b64",
            column(name, item, "encrypted_tls_key_b64")?,
        )?,
        certificate_b64: column(name, item, "cert_pem")?,
        clients: column(name, item, "encrypted_clients_b64")?,
        slashing_credential: column(name, item, "encrypted_slashing_credential_b64")?,
        stack: column(name, item, "web3signer_uuid")?,
    })
}

/// Reads an item of the validator table; `None` when it is not active. Only the public key of an inactive one is looked at.
///
/// # Errors
/// [`ItemError`] for the first column that is wrong.
pub fn key_row(stack: &StackId, item: &Item) -> Result<Option<KeyRow>, ItemError> {
    let shown = match item.get("pubkey") {
        Some(AttributeValue::S(text)) => text
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(98)
            .collect(),
        _ => "without pubkey".to_owned(),
    };
    if !active(&shown, item)? {
        return Ok(None);
    }
    let pubkey = needed(&shown, "pubkey", column(&shown, item, "pubkey")?)?;
    let ciphertext = "encrypted_key_password_mnemonic_b64";
    let key = needed(&shown, ciphertext, column(&shown, item, ciphertext)?)?;
    Ok(Some(KeyRow {
        stack: stack.clone(),
        pubkey,
        key,
    }))
}

/// The loader of the published guidance writes a boolean, its article shows text.
fn active(shown: &str, item: &Item) -> Result<bool, ItemError> {
    let problem = match item.get("active") {
        Some(AttributeValue::Bool(active)) => return Ok(*active),
        Some(AttributeValue::S(text)) if text.eq_ignore_ascii_case("true") => return Ok(true),
        Some(AttributeValue::S(text)) if text.eq_ignore_ascii_case("false") => return Ok(false),
        Some(_) => "neither a boolean nor \"true\" or \"false\"",
        None => MISSING,
    };
    Err(ItemError {
        item: shown.to_owned(),
        column: "active",
        problem,
    })
}

fn column<T: FromStr>(shown: &str, item: &Item, column: &'static str) -> Result<Option<T>, ItemError> {
    let wrong = |problem| ItemError {
        item: shown.to_owned(),
        column,
        problem,
    };
    match item.get(column) {
        None | Some(AttributeValue::Null(_)) => Ok(None),
        Some(AttributeValue::S(text)) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| wrong("not of its form")),
        Some(_) => Err(wrong(NOT_TEXT)),
    }
}

fn needed<T>(shown: &str, column: &'static str, value: Option<T>) -> Result<T, ItemError> {
    value.ok_or_else(|| ItemError {
        item: shown.to_owned(),
        column,
        problem: MISSING,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> AttributeValue {
        AttributeValue::S(value.to_owned())
    }

    fn stack() -> StackId {
        "00000000-0000-4000-8000-000000000001".parse().unwrap()
    }

    fn validator(active: Option<AttributeValue>) -> Item {
        let mut item = Item::from([
            ("web3signer_uuid".to_owned(), text(stack().as_str())),
            ("pubkey".to_owned(), text(&"AB".repeat(48))),
            ("encrypted_key_password_mnemonic_b64".to_owned(), text("QUJD\n")),
            ("deposit_json_b64".to_owned(), text("x")),
        ]);
        item.extend(active.map(|active| ("active".to_owned(), active)));
        item
    }

    #[test]
    fn both_forms_of_active_are_read() {
        let row = KeyRow {
            stack: stack(),
            pubkey: "ab".repeat(48).parse().unwrap(),
            key: "QUJD".parse().unwrap(),
        };
        let read = |active| key_row(&stack(), &validator(Some(active)));
        for yes in [AttributeValue::Bool(true), text("true"), text("True")] {
            assert_eq!(read(yes), Ok(Some(row.clone())));
        }
        for no in [AttributeValue::Bool(false), text("false")] {
            assert_eq!(read(no), Ok(None));
        }
        for bad in [
            text("yes"),
            text(""),
            AttributeValue::N("1".to_owned()),
            AttributeValue::Null(true),
        ] {
            assert_eq!(read(bad).unwrap_err().column, "active");
        }
        assert_eq!(key_row(&stack(), &validator(None)).unwrap_err().problem, MISSING);
    }

    #[test]
    fn wrong_columns_are_named() {
        let with = |name: &str, value: Option<AttributeValue>| {
            let mut item = validator(Some(AttributeValue::Bool(true)));
            item.remove(name);
            item.extend(value.map(|value| (name.to_owned(), value)));
            key_row(&stack(), &item).unwrap_err().to_string()
        };
        let key = "AB".repeat(48);
        assert_eq!(with("pubkey", None), "item without pubkey: pubkey is missing");
        assert_eq!(
            with("pubkey", Some(text("0x00"))),
            "item 0x00: pubkey is not of its form"
        );
        let column = "encrypted_key_password_mnemonic_b64";
        assert_eq!(with(column, None), format!("item {key}: {column} is missing"));
        assert_eq!(
            with(column, Some(text("a b"))),
            format!("item {key}: {column} is not of its form")
        );
        assert_eq!(
            with(column, Some(AttributeValue::Bool(true))),
            format!("item {key}: {column} is not text")
        );
        // An inactive item may be as it is.
        let mut item = validator(Some(AttributeValue::Bool(false)));
        item.remove("pubkey");
        assert_eq!(key_row(&stack(), &item), Ok(None));
    }

    #[test]
    fn the_tls_item_may_have_more_or_less() {
        let mut item = Item::from([
            ("key_id".to_owned(), AttributeValue::N("1".to_owned())),
            ("encrypted_tls_key_b64".to_owned(), text("QUJD")),
        ]);
        let row = TlsRow {
            key: "QUJD".parse().unwrap(),
            certificate_b64: None,
            clients: None,
            slashing_credential: None,
            stack: None,
        };
        assert_eq!(tls_row(&item), Ok(row));
        item.insert("encrypted_clients_b64".to_owned(), text("REVG"));
        item.insert("web3signer_uuid".to_owned(), text(stack().as_str()));
        assert_eq!(tls_row(&item).unwrap().clients, Some("REVG".parse().unwrap()));
        item.remove("encrypted_tls_key_b64");
        assert_eq!(
            tls_row(&item).unwrap_err().to_string(),
            "item of the TLS key: encrypted_tls_key_b64 is missing"
        );
    }
}
