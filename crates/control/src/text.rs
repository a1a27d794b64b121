//! Texts whose form was checked when they were made. Each serialises as a plain string.
//!
//! All of them are printable ASCII without `"`, `\` and space, so they need no escape in JSON, no quotes in a log, and can
//! forge no line.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not of the form that it should have. The text itself is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: expected {expected}")]
pub struct TextError {
    /// What the text should be.
    pub what: &'static str,
    /// Its form.
    pub expected: &'static str,
}

/// Makes a checked text. `$read` gives the text in its one form, or `None`.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $what:literal, $expected:expr, $read:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl TryFrom<String> for $name {
            type Error = TextError;

            fn try_from(text: String) -> Result<Self, TextError> {
                let read: fn(String) -> Option<String> = $read;
                read(text).map(Self).ok_or(TextError { what: $what, expected: $expected })
            }
        }

        impl FromStr for $name {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> { Self::try_from(text.to_owned()) }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self { text.0 }
        }
    };
}

/// Shows the whole text.
macro_rules! shown {
    ($($name:ident)+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
    )+};
}

checked! {
    /// Uuid of a stack, the `web3signer_uuid` of the tables: 8-4-4-4-12 hexadecimal digits; kept in lower case.
    StackId, "stack uuid", "8-4-4-4-12 hexadecimal digits", |text| {
        let text = text.to_ascii_lowercase();
        is_uuid(&text).then_some(text)
    }
}

checked! {
    /// `TableId` of a DynamoDB table: 8-4-4-4-12 hexadecimal digits, kept in lower case. A table that was deleted and made
    /// anew has another.
    TableId, "table id", "8-4-4-4-12 hexadecimal digits", |text| {
        let text = text.to_ascii_lowercase();
        is_uuid(&text).then_some(text)
    }
}

checked! {
    /// A validator's BLS public key: `0x` and 96 hexadecimal digits; kept in lower case. `0x` may be left out when it is read.
    PublicKey, "public key", "96 hexadecimal digits with or without 0x before them", |text| {
        let digits = text.strip_prefix("0x").unwrap_or(&text).to_ascii_lowercase();
        (digits.len() == 96 && is_hex(&digits)).then(|| format!("0x{digits}"))
    }
}

checked! {
    /// Name of an AWS region: 1 to 32 of a-z, 0-9 and `-`, as `eu-central-1`.
    Region, "region", "1 to 32 of a-z, 0-9 and -, as eu-central-1", |text| is_label(&text, 32).then_some(text)
}

checked! {
    /// Name of a network that the signer knows: 1 to 32 of a-z, 0-9 and `-`, as `mainnet`. Whether it does know it is the
    /// signer's to say.
    Network, "network", "1 to 32 of a-z, 0-9 and -, as mainnet", |text| is_label(&text, 32).then_some(text)
}

checked! {
    /// DNS name of a server in lower case, with a dot, without one at the end. No IP address: TLS checks a name.
    HostName, "server name", "a DNS name in lower case with at least one dot, no IP address", |text| {
        let labels = || text.split('.');
        let numeric = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
        let good = text.len() <= 253
            && labels().count() >= 2
            && labels().all(|label| is_label(label, 63))
            && !labels().next_back().is_some_and(numeric);
        good.then_some(text)
    }
}

checked! {
    /// ARN of a KMS key by its id; no alias: an alias can be moved to another key.
    KeyArn, "KMS key ARN", "arn:PARTITION:kms:REGION:ACCOUNT:key/ID with a key id, not an alias", |text| {
        let [region, resource] = arn_parts(&text, "kms")?;
        let id = resource.strip_prefix("key/")?;
        let good = is_label(region, 32) && (is_uuid(id) || id.strip_prefix("mrk-").is_some_and(|id| id.len() == 32 && is_hex(id)));
        good.then_some(text)
    }
}

checked! {
    /// Full ARN of a DynamoDB table.
    TableArn, "table ARN", "arn:PARTITION:dynamodb:REGION:ACCOUNT:table/NAME", |text| {
        let [region, resource] = arn_parts(&text, "dynamodb")?;
        let name = resource.strip_prefix("table/")?;
        let good = is_label(region, 32)
            && (3..=255).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        good.then_some(text)
    }
}

checked! {
    /// Name of a PostgreSQL database: 1 to 63 of letters, digits, `_` and `-`.
    DatabaseName, "database name", "1 to 63 of letters, digits, _ and -", |text| {
        let good = (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        good.then_some(text)
    }
}

checked! {
    /// A SHA-384: 96 hexadecimal digits, kept in lower case.
    Sha384Hex, "SHA-384", "96 hexadecimal digits", |text| {
        let text = text.to_ascii_lowercase();
        (text.len() == 96 && is_hex(&text)).then_some(text)
    }
}

checked! {
    /// A SHA-256: 64 hexadecimal digits, kept in lower case.
    Sha256Hex, "SHA-256", "64 hexadecimal digits", |text| {
        let text = text.to_ascii_lowercase();
        (text.len() == 64 && is_hex(&text)).then_some(text)
    }
}

checked! {
    /// What an auditor gives so that a document is fresh: 1 to 64 bytes, as hexadecimal digits, kept in lower case.
    Nonce, "nonce", "1 to 64 bytes in hexadecimal digits", |text| {
        let good = (2..=2 * MAX_NONCE_BYTES).contains(&text.len()) && text.len().is_multiple_of(2) && is_hex(&text.to_ascii_lowercase());
        good.then(|| text.to_ascii_lowercase())
    }
}

checked! {
    /// What KMS made of a secret, in base64 with padding: 1 to 6144 bytes (KMS encrypts 4096 bytes at most).
    ///
    /// Alphabet, padding and length are checked here. Whether the last character has needless bits is not: who decodes
    /// it must refuse that.
    Ciphertext, "ciphertext", "base64 with padding of 1 to 6144 bytes", |text| {
        let body = text.trim_end_matches('=');
        let padding = text.len() - body.len();
        let good = !body.is_empty()
            && text.len() <= MAX_CIPHERTEXT_BYTES.div_ceil(3) * 4
            && text.len().is_multiple_of(4)
            && padding <= 2
            && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b));
        good.then_some(text)
    }
}

shown! { StackId TableId PublicKey Region Network HostName KeyArn TableArn DatabaseName Sha384Hex Sha256Hex Nonce }

/// Longest nonce in bytes. 32 are enough for freshness; 64 leave room for a SHA-512.
pub const MAX_NONCE_BYTES: usize = 64;

/// Longest ciphertext in bytes.
///
/// Source: KMS API reference, `Encrypt`: `CiphertextBlob` has at most 6144 bytes.
pub const MAX_CIPHERTEXT_BYTES: usize = 6144;

/// Shows the length only: a page of base64 helps nobody.
impl fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ciphertext({} characters)", self.0.len())
    }
}

impl Nonce {
    /// From 1 to [`MAX_NONCE_BYTES`] bytes.
    ///
    /// # Errors
    /// [`TextError`] when there are none, or more.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TextError> {
        let digit = |value: u8| char::from_digit(u32::from(value), 16);
        let digits = bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]);
        Self::try_from(digits.flatten().collect::<String>())
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        };
        self.0.as_bytes().chunks(2).filter_map(byte).collect()
    }
}

impl KeyArn {
    /// The region in it.
    #[must_use]
    pub fn region(&self) -> &str {
        self.0.split(':').nth(3).unwrap_or_default()
    }
}

impl TableArn {
    /// The region in it.
    #[must_use]
    pub fn region(&self) -> &str {
        self.0.split(':').nth(3).unwrap_or_default()
    }
}

/// Region and resource of an ARN of this service.
fn arn_parts<'a>(text: &'a str, service: &str) -> Option<[&'a str; 2]> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, found, region, account, resource] = parts[..] else {
        return None;
    };
    let account_good = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let partition_good = partition == "aws" || (partition.starts_with("aws-") && is_label(partition, 32));
    (found == service && account_good && partition_good).then_some([region, resource])
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(|part| is_hex(part))
}

/// Lower-case hexadecimal digits only.
fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_label(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests;
