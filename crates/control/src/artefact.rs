//! What an artefact is for, and the KMS encryption context that binds it to that.
//!
//! KMS decrypts an artefact only under the context that it was encrypted with, so one that was made for another stack,
//! another kind or another key does not decrypt. The enclave builds the context from the deployment config and from what it
//! expects, never from the ciphertext's own word.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::text::{PublicKey, StackId};

/// Key of the context: the artefact's [`Kind`].
pub const CONTEXT_KIND: &str = "nitro-web3signer:kind";
/// Key of the context: the stack's uuid.
pub const CONTEXT_STACK: &str = "nitro-web3signer:stack";
/// Key of the context: the validator's public key, for [`Kind::ValidatorKey`] only.
pub const CONTEXT_PUBLIC_KEY: &str = "nitro-web3signer:pubkey";

/// What an artefact is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The signer's TLS key and certificate.
    TlsKey,
    /// Who may use the signer: a list of known clients, or a client CA.
    Clients,
    /// How the signer identifies itself to the slashing store.
    SlashingCredential,
    /// A validator's key.
    ValidatorKey,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::TlsKey,
        Self::Clients,
        Self::SlashingCredential,
        Self::ValidatorKey,
    ];

    /// The name in the context, in messages and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TlsKey => "tls-key",
            Self::Clients => "clients",
            Self::SlashingCredential => "slashing-credential",
            Self::ValidatorKey => "validator-key",
        }
    }
}

/// The encryption context of a validator key.
#[must_use]
pub fn key_context(stack: &StackId, key: &PublicKey) -> BTreeMap<String, String> {
    let mut context = context(stack, Kind::ValidatorKey);
    context.insert(CONTEXT_PUBLIC_KEY.to_owned(), key.as_str().to_owned());
    context
}

/// The encryption context of any other artefact.
#[must_use]
pub fn context(stack: &StackId, kind: Kind) -> BTreeMap<String, String> {
    let pairs = [(CONTEXT_KIND, kind.name()), (CONTEXT_STACK, stack.as_str())];
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_have_one_form() {
        let stack: StackId = "0F9E8D7C-0000-4000-8000-00000000000A".parse().unwrap();
        let key: PublicKey = "AB".repeat(48).parse().unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            key_context(&stack, &key),
            BTreeMap::from([
                pair("nitro-web3signer:kind", "validator-key"),
                pair("nitro-web3signer:pubkey", &format!("0x{}", "ab".repeat(48))),
                pair("nitro-web3signer:stack", "0f9e8d7c-0000-4000-8000-00000000000a"),
            ])
        );
        assert_eq!(context(&stack, Kind::TlsKey).len(), 2);
    }

    #[test]
    fn names_are_those_of_json() {
        for kind in Kind::ALL {
            assert_eq!(
                serde_json::to_string(&kind).unwrap(),
                format!("{:?}", kind.name())
            );
        }
    }
}
