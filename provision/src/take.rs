//! Takes the plaintexts of a job one by one: what each says, whether it fits the config and the others.

use std::time::SystemTime;

use control::answer::{Item, ItemCode};
use control::artefact::Kind;
use control::config::{ArtefactVersions, DeploymentConfig};
use control::provision::{Binding, Sealed};
use control::text::PublicKey;

use crate::keys_file::Keys;
use crate::payload::clients::{Clients, clients};
use crate::payload::key::key;
use crate::payload::store::{Versioned, store};
use crate::payload::tls::{Tls, tls};

/// What is demanded of artefacts.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The config.
    pub config: &'a DeploymentConfig,
    /// The image takes artefacts without context.
    pub legacy: bool,
    /// Lowest versions: the config's, or those in use where they are higher.
    pub least: ArtefactVersions,
    /// The time.
    pub now: SystemTime,
}

/// What was taken so far.
#[derive(Debug, Default)]
pub struct Taken {
    /// The TLS key.
    pub tls: Option<Tls>,
    /// The clients.
    pub clients: Option<Clients>,
    /// The credential of the slashing store.
    pub store: Option<Versioned>,
    /// Validator keys that were not there before.
    pub keys: Keys,
    /// Public key of each validator key that was read, by its artefact's place in the list.
    names: Vec<(usize, keystore::PublicKey)>,
}

impl Rules<'_> {
    /// Whether an artefact may be asked for at all, before KMS is.
    ///
    /// # Errors
    /// [`ItemCode::LegacyRefused`], [`ItemCode::UnknownStack`]; [`ItemCode::Payload`] for a key on what is no key's.
    pub fn may_ask(&self, sealed: &Sealed) -> Result<(), ItemCode> {
        match &sealed.binding {
            Binding::None {} if self.legacy => Ok(()),
            Binding::None {} => Err(ItemCode::LegacyRefused),
            Binding::Bound { stack, .. } if !self.config.fields().stacks.contains(stack) => {
                Err(ItemCode::UnknownStack)
            }
            Binding::Bound { pubkey, .. } if pubkey.is_some() != (sealed.kind == Kind::ValidatorKey) => {
                Err(ItemCode::Payload)
            }
            Binding::Bound { .. } => Ok(()),
        }
    }

    /// Takes the plaintext of artefact `at`. `there` are the keys that the signer has already.
    ///
    /// # Errors
    /// The code of what is wrong with it; [`ItemCode::Already`] for a key that is there, which is no fault.
    pub fn take(
        &self,
        taken: &mut Taken,
        there: &Keys,
        at: usize,
        sealed: &Sealed,
        plaintext: &[u8],
    ) -> Result<(), ItemCode> {
        let fields = self.config.fields();
        match sealed.kind {
            Kind::TlsKey => {
                let tls = tls(plaintext, self.now)?;
                at_least(tls.version, self.least.tls_key)?;
                once(&mut taken.tls, tls)
            }
            Kind::Clients => {
                let clients = clients(plaintext, fields.client_authentication, self.now)?;
                at_least(clients.version, self.least.clients)?;
                once(&mut taken.clients, clients)
            }
            Kind::SlashingCredential => {
                let store = store(plaintext, &fields.slashing_store)?;
                at_least(store.version, self.least.slashing_credential)?;
                once(&mut taken.store, store)
            }
            Kind::ValidatorKey => {
                let expected = match &sealed.binding {
                    Binding::Bound {
                        pubkey: Some(key), ..
                    } => {
                        // Digits that are no point of the curve are nobody's public key.
                        Some(key.as_str().parse().map_err(|_| ItemCode::PublicKeyMismatch)?)
                    }
                    _ => None,
                };
                let (public, secret) = key(plaintext, expected.as_ref())?;
                taken.names.push((at, public));
                if taken.keys.contains_key(&public) {
                    return Err(ItemCode::Duplicate);
                }
                if there.contains_key(&public) {
                    return Err(ItemCode::Already);
                }
                taken.keys.insert(public, secret);
                Ok(())
            }
        }
    }
}

impl Taken {
    /// The items of an answer, in the order of the artefacts.
    #[must_use]
    pub fn items(&self, artefacts: &[Sealed], codes: &[ItemCode]) -> Vec<Item> {
        let mut names = self.names.iter().peekable();
        let items = artefacts.iter().zip(codes).enumerate();
        items
            .map(|(at, (sealed, code))| {
                let found = names.next_if(|(place, _)| *place == at);
                let bound = match &sealed.binding {
                    Binding::Bound { pubkey, .. } => pubkey.clone(),
                    Binding::None {} => None,
                };
                let found = || PublicKey::try_from(found?.1.to_string()).ok();
                Item {
                    kind: sealed.kind,
                    index: sealed.index,
                    pubkey: bound.or_else(found),
                    code: *code,
                }
            })
            .collect()
    }
}

const fn at_least(version: u64, least: u64) -> Result<(), ItemCode> {
    if version < least {
        Err(ItemCode::Version)
    } else {
        Ok(())
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), ItemCode> {
    if place.is_some() {
        return Err(ItemCode::Duplicate);
    }
    *place = Some(value);
    Ok(())
}
