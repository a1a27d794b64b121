//! Which validator client may use which keys: an optional file of this signer.
//!
//! ```yaml
//! clients:
//!   - common_name: vc1
//!     fingerprint: 04:16:92:...   # SHA-256 of the certificate, as in the known-clients file
//!     keys: [0x8349..., 0xa99a...]
//!   - common_name: vc2
//!     fingerprint: 4abd8d...
//!     keys: all
//! ```
//!
//! A client that the file does not name may use no key. A key that a client may not use is, for that client, a key that
//! is not there: 404 when it asks for a signature, absent from its list. So a client learns nothing of others' keys.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::tls::certificate::ClientName;
use crate::tls::known_clients::fingerprint;

/// Largest file, in bytes: some 100,000 keys.
pub const FILE_LIMIT: usize = 16 << 20;

/// A compressed public key.
type Key = [u8; 48];

/// The keys of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// All keys, also those that are loaded later.
    All,
    /// These.
    Keys(BTreeSet<Key>),
}

impl Allowed {
    /// Whether the client may use this key.
    #[must_use]
    pub fn has(&self, key: &Key) -> bool {
        match self {
            Self::All => true,
            Self::Keys(keys) => keys.contains(key),
        }
    }
}

/// The file. Without one, every client may use every key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKeys {
    /// No file was given.
    Everyone,
    /// Client to keys.
    Map(BTreeMap<ClientName, Allowed>),
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientKeysError {
    /// Larger than [`FILE_LIMIT`].
    #[error("it has {0} bytes; at most {FILE_LIMIT} are read")]
    TooLarge(usize),
    /// Neither YAML nor JSON of the right shape.
    #[error("it is not a list of clients with common_name, fingerprint and keys: {0}")]
    Shape(String),
    /// A client twice.
    #[error("client '{0}' with the same fingerprint is there twice")]
    Twice(String),
    /// A fingerprint that is none.
    #[error("client '{0}': the fingerprint is not 64 hex digits (colons may stand between bytes)")]
    Fingerprint(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    clients: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    common_name: String,
    fingerprint: String,
    keys: Allowed,
}

struct AllowedVisitor;

impl<'de> Visitor<'de> for AllowedVisitor {
    type Value = Allowed;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the word all, or a list of public keys (96 hex digits)")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Allowed, E> {
        if word == "all" {
            Ok(Allowed::All)
        } else {
            Err(E::custom("expected the word all, or a list of public keys"))
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Allowed, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(KeyText(key)) = access.next_element()? {
            keys.insert(key);
        }
        Ok(Allowed::Keys(keys))
    }
}

impl<'de> Deserialize<'de> for Allowed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AllowedVisitor)
    }
}

struct KeyText(Key);

impl<'de> Deserialize<'de> for KeyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As text, so that YAML does not read 0x8349 as a number.
        let text = String::deserialize(deserializer)?;
        let mut key = [0; 48];
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(&text), &mut key).map_err(|_| {
            de::Error::custom(format!(
                "'{}' is not a public key (96 hex digits)",
                text.escape_debug()
            ))
        })?;
        Ok(Self(key))
    }
}

impl ClientKeys {
    /// Reads a file's bytes: JSON if it starts with a brace, else YAML.
    ///
    /// # Errors
    /// See [`ClientKeysError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ClientKeysError> {
        if bytes.len() > FILE_LIMIT {
            return Err(ClientKeysError::TooLarge(bytes.len()));
        }
        let file: File = if bytes.trim_ascii_start().starts_with(b"{") {
            serde_json::from_slice(bytes).map_err(|e| ClientKeysError::Shape(e.to_string()))?
        } else {
            let text = std::str::from_utf8(bytes).map_err(|e| ClientKeysError::Shape(e.to_string()))?;
            serde_saphyr::from_str(text).map_err(|e| ClientKeysError::Shape(e.to_string()))?
        };
        let mut map = BTreeMap::new();
        for entry in file.clients {
            let Some(fingerprint) = fingerprint(&entry.fingerprint) else {
                return Err(ClientKeysError::Fingerprint(entry.common_name));
            };
            let client = ClientName {
                common_name: entry.common_name,
                fingerprint,
            };
            let name = client.common_name.clone();
            if map.insert(client, entry.keys).is_some() {
                return Err(ClientKeysError::Twice(name));
            }
        }
        Ok(Self::Map(map))
    }

    /// What a client may use. A connection without a client (plain HTTP, or any client) may use nothing of a map.
    #[must_use]
    pub fn of(&self, client: Option<&ClientName>) -> Allowed {
        match self {
            Self::Everyone => Allowed::All,
            Self::Map(map) => client
                .and_then(|client| map.get(client))
                .cloned()
                .unwrap_or_else(|| Allowed::Keys(BTreeSet::new())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str, byte: u8) -> ClientName {
        ClientName {
            common_name: name.to_owned(),
            fingerprint: [byte; 32],
        }
    }

    fn yaml(keys: &str) -> String {
        format!(
            "clients:\n- common_name: a\n  fingerprint: {}\n  keys: {keys}\n",
            "01".repeat(32)
        )
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        let key = "11".repeat(48);
        let json = format!(
            r#"{{"clients":[{{"common_name":"a","fingerprint":"{}","keys":["{key}"]}}]}}"#,
            vec!["01"; 32].join(":")
        );
        for text in [yaml(&format!("[0x{key}]")), json] {
            let map = ClientKeys::parse(text.as_bytes()).unwrap();
            let allowed = map.of(Some(&client("a", 1)));
            assert!(allowed.has(&[0x11; 48]) && !allowed.has(&[0x12; 48]));
            for other in [Some(client("a", 2)), Some(client("b", 1)), None] {
                assert!(!map.of(other.as_ref()).has(&[0x11; 48]), "{other:?}");
            }
        }
        let all = ClientKeys::parse(yaml("all").as_bytes()).unwrap();
        assert!(all.of(Some(&client("a", 1))).has(&[0; 48]));
        assert!(ClientKeys::Everyone.of(None).has(&[0; 48]));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let twice = format!("{}{}", yaml("all"), &yaml("all")["clients:\n".len()..]);
        for (text, expected) in [
            (String::new(), "not a list of clients"),
            (yaml("some"), "expected the word all"),
            (yaml("[0x12]"), "is not a public key"),
            (yaml("all\n  extra: 1"), "extra"),
            (yaml("all").replace("01", "0g"), "64 hex digits"),
            (twice, "there twice"),
            ("{\"clients\":[]} x".to_owned(), "trailing"),
        ] {
            let error = ClientKeys::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn ten_thousand_keys_fit() {
        let keys: Vec<String> = (0..10_000).map(|n| format!("\"0x{n:096x}\"")).collect();
        let map = ClientKeys::parse(yaml(&format!("[{}]", keys.join(","))).as_bytes()).unwrap();
        let Allowed::Keys(found) = map.of(Some(&client("a", 1))) else {
            panic!("not a list")
        };
        assert_eq!(found.len(), 10_000);
    }
}
