//! The two forms of an artefact in a message: a bare string, as the published guidance sends it, or an object.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::ser::{Serialize, Serializer};

use super::request::{Entry, KeyEntry};
use super::text::{Ciphertext, PublicKey, StackId};

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    ciphertext: Ciphertext,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stack: Option<StackId>,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKeyEntry {
    ciphertext: Ciphertext,
    pubkey: PublicKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stack: Option<StackId>,
}

/// Reads a string as `Bare` and an object as `Object`, without keeping a copy in between.
struct Forms<Bare, Object>(std::marker::PhantomData<(Bare, Object)>);

enum Form<Bare, Object> {
    Bare(Bare),
    Object(Object),
}

impl<'de, Bare, Object> Visitor<'de> for Forms<Bare, Object>
where
    Bare: TryFrom<String>,
    Object: Deserialize<'de>,
{
    type Value = Form<Bare, Object>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a ciphertext, or an object with one")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
        Bare::try_from(text)
            .map(Form::Bare)
            .map_err(|_| E::custom("not a ciphertext"))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Object::deserialize(MapAccessDeserializer::new(map)).map(Form::Object)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let forms = Forms::<Ciphertext, RawEntry>(std::marker::PhantomData);
        Ok(match deserializer.deserialize_any(forms)? {
            Form::Bare(ciphertext) => Self::Legacy(ciphertext),
            Form::Object(RawEntry { ciphertext, stack }) => Self::Bound { ciphertext, stack },
        })
    }
}

impl<'de> Deserialize<'de> for KeyEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let forms = Forms::<Ciphertext, RawKeyEntry>(std::marker::PhantomData);
        Ok(match deserializer.deserialize_any(forms)? {
            Form::Bare(ciphertext) => Self::Legacy(ciphertext),
            Form::Object(RawKeyEntry {
                ciphertext,
                pubkey,
                stack,
            }) => Self::Bound {
                ciphertext,
                pubkey,
                stack,
            },
        })
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.clone() {
            Self::Legacy(ciphertext) => ciphertext.serialize(serializer),
            Self::Bound { ciphertext, stack } => RawEntry { ciphertext, stack }.serialize(serializer),
        }
    }
}

impl Serialize for KeyEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.clone() {
            Self::Legacy(ciphertext) => ciphertext.serialize(serializer),
            Self::Bound {
                ciphertext,
                pubkey,
                stack,
            } => RawKeyEntry {
                ciphertext,
                pubkey,
                stack,
            }
            .serialize(serializer),
        }
    }
}
