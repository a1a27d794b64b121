//! From the entries of a message to the artefacts of a job: which encryption context each must have, and what must be there.

use std::collections::BTreeSet;

use control::answer::{Item, ItemCode};
use control::artefact::Kind;
use control::config::{ClientAuthentication, DeploymentConfig, SlashingStore};
use control::provision::{Binding, Sealed};
use control::request::{Entry, Init, KeyEntry};
use control::text::{Ciphertext, PublicKey, StackId};

/// What decides about entries.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The stacks.
    pub config: &'a DeploymentConfig,
    /// The image takes artefacts without context.
    pub legacy: bool,
}

/// An artefact that the config demands is not in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the config demands {field}, which the message does not have")]
pub struct Missing {
    /// Name of the field.
    pub field: &'static str,
}

/// Artefacts, or the items of those that are refused before anybody decrypts.
pub type Artefacts = Result<Vec<Sealed>, Vec<Item>>;

impl Rules<'_> {
    /// The artefacts of `init`.
    ///
    /// # Errors
    /// [`Missing`].
    pub fn init(&self, init: &Init) -> Result<Artefacts, Missing> {
        let fields = self.config.fields();
        if fields.client_authentication != ClientAuthentication::AnyClient && init.encrypted_clients.is_none()
        {
            return Err(Missing {
                field: "encrypted_clients",
            });
        }
        let stored = !matches!(fields.slashing_store, SlashingStore::Memory {});
        if stored && init.encrypted_slashing_credential.is_none() {
            return Err(Missing {
                field: "encrypted_slashing_credential",
            });
        }
        let mut sorted = Sorted::default();
        sorted.take(self.one(Kind::TlsKey, &init.encrypted_tls_key));
        let optional = [
            (Kind::Clients, &init.encrypted_clients),
            (Kind::SlashingCredential, &init.encrypted_slashing_credential),
        ];
        for (kind, entry) in optional {
            if let Some(entry) = entry {
                sorted.take(self.one(kind, entry));
            }
        }
        self.keys_into(&mut sorted, &init.encrypted_validator_keys);
        Ok(sorted.end())
    }

    /// The artefacts of `add_keys`.
    ///
    /// # Errors
    /// The items that are refused.
    pub fn keys(&self, entries: &[KeyEntry]) -> Artefacts {
        let mut sorted = Sorted::default();
        self.keys_into(&mut sorted, entries);
        sorted.end()
    }

    /// The artefact of `set_clients`.
    ///
    /// # Errors
    /// The item that is refused.
    pub fn clients(&self, entry: &Entry) -> Result<Sealed, Vec<Item>> {
        self.one(Kind::Clients, entry).map_err(|item| vec![item])
    }

    fn keys_into(&self, sorted: &mut Sorted, entries: &[KeyEntry]) {
        let mut seen: BTreeSet<&PublicKey> = BTreeSet::new();
        for (index, entry) in (0..).zip(entries) {
            let (ciphertext, bound) = match entry {
                KeyEntry::Legacy(ciphertext) => (ciphertext, None),
                KeyEntry::Bound {
                    ciphertext,
                    pubkey,
                    stack,
                } => (ciphertext, Some((pubkey, stack))),
            };
            let mut sealed = self.seal(
                Kind::ValidatorKey,
                index,
                ciphertext,
                bound.map(|(key, stack)| (Some(key), stack.as_ref())),
            );
            if let Some((key, _)) = bound
                && !seen.insert(key)
            {
                sealed = Err(item(Kind::ValidatorKey, index, Some(key), ItemCode::Duplicate));
            }
            sorted.take(sealed);
        }
    }

    fn one(&self, kind: Kind, entry: &Entry) -> Result<Sealed, Item> {
        match entry {
            Entry::Legacy(ciphertext) => self.seal(kind, 0, ciphertext, None),
            Entry::Bound { ciphertext, stack } => {
                self.seal(kind, 0, ciphertext, Some((None, stack.as_ref())))
            }
        }
    }

    /// `bound` is the expected public key and the stack of an entry that has a context.
    fn seal(
        &self,
        kind: Kind,
        index: u64,
        ciphertext: &Ciphertext,
        bound: Option<(Option<&PublicKey>, Option<&StackId>)>,
    ) -> Result<Sealed, Item> {
        let key = bound.and_then(|(key, _)| key);
        let refused = |code| Err(item(kind, index, key, code));
        let binding = match bound {
            None if self.legacy => Binding::None {},
            None => return refused(ItemCode::LegacyRefused),
            Some((pubkey, stack)) => match self.stack(stack) {
                Some(stack) => Binding::Bound {
                    stack: stack.clone(),
                    pubkey: pubkey.cloned(),
                },
                None => return refused(ItemCode::UnknownStack),
            },
        };
        Ok(Sealed {
            kind,
            index,
            ciphertext: ciphertext.clone(),
            binding,
        })
    }

    /// The config's stack that is named; the only one when none is.
    fn stack(&self, named: Option<&StackId>) -> Option<&StackId> {
        let stacks = &self.config.fields().stacks;
        match (named, stacks.as_slice()) {
            (Some(named), _) => stacks.iter().find(|stack| *stack == named),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

#[derive(Default)]
struct Sorted {
    good: Vec<Sealed>,
    bad: Vec<Item>,
}

impl Sorted {
    fn take(&mut self, sealed: Result<Sealed, Item>) {
        match sealed {
            Ok(sealed) => self.good.push(sealed),
            Err(item) => self.bad.push(item),
        }
    }

    fn end(self) -> Artefacts {
        if self.bad.is_empty() {
            Ok(self.good)
        } else {
            Err(self.bad)
        }
    }
}

fn item(kind: Kind, index: u64, pubkey: Option<&PublicKey>, code: ItemCode) -> Item {
    Item {
        kind,
        index,
        pubkey: pubkey.cloned(),
        code,
    }
}
