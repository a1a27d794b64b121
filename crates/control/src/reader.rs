//! From the bytes of a message to a [`Request`]: the one way in, and a strict one.
//!
//! The text of an error starts with a fixed word, for programs. It repeats no value of the message, and of names at most
//! [`MAX_QUOTED`] characters, if they look like names: the message may hold credentials.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::config::{ConfigError, DeploymentConfig, RawConfig};
use super::request::{Credential, Entry, Init, KeyEntry, Request};
use super::text::{MAX_NONCE_BYTES, Nonce, PublicKey};
use super::{MAX_KEYS, MAX_REQUEST_BYTES, Surface};

/// Characters of a name that an error repeats.
pub const MAX_QUOTED: usize = 64;

/// Why a message is refused. The text starts with a fixed word, for programs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Too long.
    #[error("too-large: the message is longer than {MAX_REQUEST_BYTES} bytes")]
    TooLarge,
    /// Not UTF-8.
    #[error("not-utf8: byte {at} is not UTF-8")]
    NotUtf8 {
        /// Position of the byte, from 0.
        at: usize,
    },
    /// Not one JSON object.
    #[error("not-json: the message is not JSON at line {line} column {column}")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A field twice.
    #[error("duplicate-field: {name:?} stands twice")]
    Duplicate {
        /// Its name.
        name: &'static str,
    },
    /// A field that must be there.
    #[error("missing-field: {name:?} is missing")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A field that the operation does not have.
    #[error("unknown-field: {operation} has no {name:?}")]
    UnknownField {
        /// The operation.
        operation: &'static str,
        /// Name of the field.
        name: String,
    },
    /// A field of another type, or with a part that is not of its form.
    #[error("wrong-type: {name:?} is not {expected}; seen at line {line} column {column}")]
    Field {
        /// Its name.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
        /// Line where that was seen, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// No such operation.
    #[error("unknown-operation: {found:?}")]
    UnknownOperation {
        /// Its name.
        found: String,
    },
    /// An operation that another port serves.
    #[error("wrong-port: {operation} is not served on vsock port {port}")]
    WrongPort {
        /// The operation.
        operation: &'static str,
        /// The port that it came in by.
        port: u32,
    },
    /// A nonce that is not 1 to 64 bytes in hexadecimal digits.
    #[error("bad-nonce: not an even number of hexadecimal digits for 1 to {MAX_NONCE_BYTES} bytes")]
    Nonce,
    /// Fields that are no deployment config.
    #[error("bad-config: {0}")]
    Config(#[from] ConfigError),
    /// A list without entries, or with too many.
    #[error("bad-count: {name:?} has {found} entries, expected 1 to {MAX_KEYS}")]
    Count {
        /// Name of the field.
        name: &'static str,
        /// How many it has; one more than allowed when there are too many.
        found: usize,
    },
    /// A public key twice.
    #[error("duplicate-key: entry {index} of {name:?} repeats the public key of an earlier one")]
    DuplicateKey {
        /// Name of the field.
        name: &'static str,
        /// Number of the entry, from 0.
        index: usize,
    },
}

impl Request {
    /// Reads one message that came in by this port.
    ///
    /// # Errors
    /// [`MessageError`], by its variants, for the first thing that is wrong.
    pub fn parse(bytes: &[u8], surface: Surface) -> Result<Self, MessageError> {
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(MessageError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|e| MessageError::NotUtf8 { at: e.valid_up_to() })?;
        let request = Draft::read(text)?.finish()?;
        if request.allowed_on(surface) {
            Ok(request)
        } else {
            Err(MessageError::WrongPort {
                operation: request.name(),
                port: surface.port(),
            })
        }
    }
}

/// What one field of a message holds.
enum Field {
    Operation,
    Nonce,
    Credential,
    TlsKey,
    ValidatorKeys,
    Clients,
    SlashingCredential,
    Config,
    PublicKeys,
}

impl Field {
    /// The field, its name and what it should be.
    const ALL: [(Self, &'static str, &'static str); 9] = [
        (Self::Operation, "operation", "text"),
        (Self::Nonce, "nonce", "text"),
        (
            Self::Credential,
            "credential",
            "an object of access_key_id, secret_access_key and token",
        ),
        (Self::TlsKey, "encrypted_tls_key", ENTRY),
        (Self::ValidatorKeys, "encrypted_validator_keys", KEYS),
        (Self::Clients, "encrypted_clients", ENTRY),
        (Self::SlashingCredential, "encrypted_slashing_credential", ENTRY),
        (Self::Config, "config", "a deployment config"),
        (
            Self::PublicKeys,
            "public_keys",
            "a list of public keys in hexadecimal digits",
        ),
    ];

    fn named(name: &str) -> Option<&'static (Self, &'static str, &'static str)> {
        Self::ALL.iter().find(|(_, known, _)| *known == name)
    }
}

const ENTRY: &str = "base64 of a ciphertext, or an object of ciphertext and perhaps stack";
const KEYS: &str = "a list of base64 of a ciphertext, or of objects of ciphertext, pubkey and perhaps stack";

/// The fields that were there, whatever the operation is: that may come last.
#[derive(Default)]
struct Draft {
    operation: Option<String>,
    nonce: Option<String>,
    credential: Option<Credential>,
    tls_key: Option<Entry>,
    validator_keys: Option<Bounded<KeyEntry>>,
    clients: Option<Entry>,
    slashing_credential: Option<Entry>,
    config: Option<RawConfig>,
    public_keys: Option<Bounded<PublicKey>>,
    /// The first field that no operation has.
    unknown: Option<String>,
}

impl Draft {
    fn read(text: &str) -> Result<Self, MessageError> {
        let (twice, inside) = (Cell::new(None), Cell::new(None));
        let mut reader = serde_json::Deserializer::from_str(text);
        let draft = Object {
            twice: &twice,
            inside: &inside,
        }
        .deserialize(&mut reader);
        draft.and_then(|draft| reader.end().map(|()| draft)).map_err(|e| {
            let (line, column) = (e.line(), e.column());
            match (twice.take(), inside.get()) {
                (Some(name), _) => MessageError::Duplicate { name },
                (None, Some((name, expected))) if e.is_data() => MessageError::Field {
                    name,
                    expected,
                    line,
                    column,
                },
                (None, _) => MessageError::NotJson { line, column },
            }
        })
    }

    fn finish(mut self) -> Result<Request, MessageError> {
        let operation = needed(self.operation.take(), "operation")?;
        let (name, request) = match operation.as_str() {
            "init_state" => ("init_state", Request::InitState),
            "status" => ("status", Request::Status),
            "metrics" => ("metrics", Request::Metrics),
            "init" => ("init", Request::Init(Box::new(self.init()?))),
            "attest" => ("attest", Request::Attest { nonce: self.nonce()? }),
            "configure" => {
                let config = Box::new(DeploymentConfig::try_from(needed(self.config.take(), "config")?)?);
                ("configure", Request::Configure { config })
            }
            "add_keys" => {
                let encrypted_validator_keys = self.validator_keys()?;
                (
                    "add_keys",
                    Request::AddKeys {
                        encrypted_validator_keys,
                    },
                )
            }
            "remove_keys" => {
                let public_keys = needed(self.public_keys.take(), "public_keys")?.checked("public_keys")?;
                no_key_twice("public_keys", public_keys.iter().map(Some))?;
                ("remove_keys", Request::RemoveKeys { public_keys })
            }
            "set_clients" => {
                let encrypted_clients = needed(self.clients.take(), "encrypted_clients")?;
                ("set_clients", Request::SetClients { encrypted_clients })
            }
            "refresh_credentials" => {
                let credential = needed(self.credential.take(), "credential")?;
                ("refresh_credentials", Request::RefreshCredentials { credential })
            }
            found => return Err(MessageError::UnknownOperation { found: quoted(found) }),
        };
        self.nothing_left(name)?;
        Ok(request)
    }

    fn init(&mut self) -> Result<Init, MessageError> {
        Ok(Init {
            credential: needed(self.credential.take(), "credential")?,
            encrypted_tls_key: needed(self.tls_key.take(), "encrypted_tls_key")?,
            encrypted_validator_keys: self.validator_keys()?,
            encrypted_clients: self.clients.take(),
            encrypted_slashing_credential: self.slashing_credential.take(),
        })
    }

    fn nonce(&mut self) -> Result<Nonce, MessageError> {
        let nonce = needed(self.nonce.take(), "nonce")?;
        Nonce::try_from(nonce).map_err(|_| MessageError::Nonce)
    }

    fn validator_keys(&mut self) -> Result<Vec<KeyEntry>, MessageError> {
        let name = "encrypted_validator_keys";
        let keys = needed(self.validator_keys.take(), name)?.checked(name)?;
        let public = |entry: &KeyEntry| match entry {
            KeyEntry::Legacy(_) => None,
            KeyEntry::Bound { pubkey, .. } => Some(pubkey.clone()),
        };
        let public: Vec<_> = keys.iter().map(public).collect();
        no_key_twice(name, public.iter().map(Option::as_ref))?;
        Ok(keys)
    }

    fn nothing_left(self, operation: &'static str) -> Result<(), MessageError> {
        let left = |there: bool, name: &'static str| there.then(|| name.to_owned());
        let name = self
            .unknown
            .or_else(|| left(self.nonce.is_some(), "nonce"))
            .or_else(|| left(self.credential.is_some(), "credential"))
            .or_else(|| left(self.tls_key.is_some(), "encrypted_tls_key"))
            .or_else(|| left(self.validator_keys.is_some(), "encrypted_validator_keys"))
            .or_else(|| left(self.clients.is_some(), "encrypted_clients"))
            .or_else(|| {
                left(
                    self.slashing_credential.is_some(),
                    "encrypted_slashing_credential",
                )
            })
            .or_else(|| left(self.config.is_some(), "config"))
            .or_else(|| left(self.public_keys.is_some(), "public_keys"));
        name.map_or(Ok(()), |name| {
            Err(MessageError::UnknownField {
                operation,
                name: quoted(&name),
            })
        })
    }
}

fn needed<T>(value: Option<T>, name: &'static str) -> Result<T, MessageError> {
    value.ok_or(MessageError::Missing { name })
}

/// What an error repeats of a name: nothing that could be a value which a broken quote made a name.
fn quoted(text: &str) -> String {
    let is_name = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if is_name {
        text.chars().take(MAX_QUOTED).collect()
    } else {
        "(not a name)".to_owned()
    }
}

fn no_key_twice<'a>(
    name: &'static str,
    keys: impl Iterator<Item = Option<&'a PublicKey>>,
) -> Result<(), MessageError> {
    let mut seen = BTreeSet::new();
    for (index, key) in keys.enumerate() {
        if key.is_some_and(|key| !seen.insert(key)) {
            return Err(MessageError::DuplicateKey { name, index });
        }
    }
    Ok(())
}

/// A list that stops growing when it is longer than [`MAX_KEYS`]; the rest is read and dropped.
struct Bounded<T>(Vec<T>);

impl<T> Bounded<T> {
    fn checked(self, name: &'static str) -> Result<Vec<T>, MessageError> {
        let found = self.0.len();
        if (1..=MAX_KEYS).contains(&found) {
            Ok(self.0)
        } else {
            Err(MessageError::Count { name, found })
        }
    }
}

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T>(std::marker::PhantomData<T>);

        impl<'de, T: serde::Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = Bounded<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Bounded<T>, A::Error> {
                let mut list = Vec::new();
                while list.len() <= MAX_KEYS {
                    match seq.next_element()? {
                        Some(entry) => list.push(entry),
                        None => return Ok(Bounded(list)),
                    }
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Bounded(list))
            }
        }

        deserializer.deserialize_seq(List(std::marker::PhantomData))
    }
}

/// Reads an object. Leaves the name of a field that stands twice in `twice`, and the field that is being read in `inside`.
struct Object<'a> {
    twice: &'a Cell<Option<&'static str>>,
    inside: &'a Cell<Option<(&'static str, &'static str)>>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Draft;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Draft, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Draft;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Draft, A::Error> {
        let mut draft = Draft::default();
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let Some((field, known, expected)) = Field::named(&name) else {
                map.next_value::<IgnoredAny>()?;
                draft.unknown.get_or_insert(name);
                continue;
            };
            if !seen.insert(*known) {
                self.twice.set(Some(known));
                return Err(A::Error::custom("duplicate field"));
            }
            self.inside.set(Some((known, expected)));
            match field {
                Field::Operation => draft.operation = Some(map.next_value()?),
                Field::Nonce => draft.nonce = Some(map.next_value()?),
                Field::Credential => draft.credential = Some(map.next_value()?),
                Field::TlsKey => draft.tls_key = Some(map.next_value()?),
                Field::ValidatorKeys => draft.validator_keys = Some(map.next_value()?),
                Field::Clients => draft.clients = Some(map.next_value()?),
                Field::SlashingCredential => draft.slashing_credential = Some(map.next_value()?),
                Field::Config => draft.config = Some(map.next_value()?),
                Field::PublicKeys => draft.public_keys = Some(map.next_value()?),
            }
            self.inside.set(None);
        }
        Ok(draft)
    }
}

#[cfg(test)]
mod tests;
