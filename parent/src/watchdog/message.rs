//! From the rows of the tables to the messages of `init`, and of `add_keys` for what does not fit into one.

use std::collections::BTreeSet;

use control::request::{Credential, Entry, Init, KeyEntry, Request};
use control::text::{Ciphertext, PublicKey, StackId};
use control::{MAX_KEYS, MAX_REQUEST_BYTES};

use crate::tables::Artefacts;
use crate::tables::item::KeyRow;

/// Bytes of a message that are not validator keys, with a wide margin: three ciphertexts of at most 8192 characters and
/// credentials of at most three times as much.
const OTHER_BYTES: usize = 128 * 1024;

/// The messages, in order. `legacy` sends bare ciphertexts, as the published guidance does.
#[must_use]
pub fn messages(artefacts: &Artefacts, credential: &Credential, legacy: bool) -> Vec<Request> {
    let stack = artefacts.tls.stack.as_ref();
    let entry = |ciphertext: &Ciphertext| other_entry(ciphertext, stack, legacy);
    let mut batches = batches(&artefacts.keys, legacy, MAX_REQUEST_BYTES - OTHER_BYTES).into_iter();
    let init = Init {
        credential: credential.clone(),
        encrypted_tls_key: entry(&artefacts.tls.key),
        encrypted_validator_keys: batches.next().unwrap_or_default(),
        encrypted_clients: artefacts.tls.clients.as_ref().map(entry),
        encrypted_slashing_credential: artefacts.tls.slashing_credential.as_ref().map(entry),
    };
    std::iter::once(Request::Init(Box::new(init)))
        .chain(batches.map(add_keys))
        .collect()
}

/// The messages that bring a running signer from what it was given to what the tables hold now, in order. `given` is absent
/// for a signer that was taken over: then every key is sent, and none can be taken away.
#[must_use]
pub fn changes(given: Option<&Given>, artefacts: &Artefacts, legacy: bool) -> Vec<Request> {
    let has = |row: &&KeyRow| given.is_some_and(|given| given.keys.contains(&row.pubkey));
    let wanted: BTreeSet<&PublicKey> = artefacts.keys.iter().map(|row| &row.pubkey).collect();
    let held = given.into_iter().flat_map(|given| &given.keys);
    let gone: Vec<PublicKey> = held.filter(|key| !wanted.contains(key)).cloned().collect();
    let new: Vec<KeyRow> = artefacts.keys.iter().filter(|row| !has(row)).cloned().collect();
    let clients = artefacts.tls.clients.as_ref();
    let clients = clients.filter(|clients| given.and_then(|given| given.clients.as_ref()) != Some(clients));
    let set_clients = clients.map(|clients| Request::SetClients {
        encrypted_clients: other_entry(clients, artefacts.tls.stack.as_ref(), legacy),
    });
    let remove = gone.chunks(MAX_KEYS).map(|keys| Request::RemoveKeys {
        public_keys: keys.to_vec(),
    });
    let add = batches(&new, legacy, MAX_REQUEST_BYTES - OTHER_BYTES);
    let add = add.into_iter().map(add_keys);
    // Who must not sign any more comes first.
    set_clients.into_iter().chain(remove).chain(add).collect()
}

/// What a signer was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    keys: BTreeSet<PublicKey>,
    clients: Option<Ciphertext>,
}

impl Given {
    /// All of these.
    #[must_use]
    pub fn all(artefacts: &Artefacts) -> Self {
        Self::first(artefacts, artefacts.keys.len())
    }

    /// The clients, and so many of the keys: what the first of [`messages`] gives.
    #[must_use]
    pub fn first(artefacts: &Artefacts, keys: usize) -> Self {
        let keys = artefacts.keys.iter().take(keys);
        Self {
            keys: keys.map(|row| row.pubkey.clone()).collect(),
            clients: artefacts.tls.clients.clone(),
        }
    }
}

const fn add_keys(encrypted_validator_keys: Vec<KeyEntry>) -> Request {
    Request::AddKeys {
        encrypted_validator_keys,
    }
}

fn other_entry(ciphertext: &Ciphertext, stack: Option<&StackId>, legacy: bool) -> Entry {
    if legacy {
        Entry::Legacy(ciphertext.clone())
    } else {
        Entry::Bound {
            ciphertext: ciphertext.clone(),
            stack: stack.cloned(),
        }
    }
}

/// Keys in messages of at most so many bytes and [`MAX_KEYS`] entries each.
fn batches(rows: &[KeyRow], legacy: bool, most_bytes: usize) -> Vec<Vec<KeyEntry>> {
    let mut batches: Vec<Vec<KeyEntry>> = Vec::new();
    let mut bytes = 0;
    for row in rows {
        let entry = if legacy {
            KeyEntry::Legacy(row.key.clone())
        } else {
            KeyEntry::Bound {
                ciphertext: row.key.clone(),
                pubkey: row.pubkey.clone(),
                stack: Some(row.stack.clone()),
            }
        };
        // What it becomes in JSON, its comma included.
        let size = row.key.as_str().len() + row.pubkey.as_str().len() + row.stack.as_str().len() + 64;
        match batches.last_mut() {
            Some(batch) if bytes + size <= most_bytes && batch.len() < MAX_KEYS => batch.push(entry),
            _ => {
                batches.push(vec![entry]);
                bytes = 0;
            }
        }
        bytes += size;
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::item::TlsRow;

    fn rows(count: usize, characters: usize) -> Vec<KeyRow> {
        let row = |n: usize| KeyRow {
            stack: "00000000-0000-4000-8000-000000000001".parse().unwrap(),
            pubkey: format!("{n:096x}").parse().unwrap(),
            key: "A".repeat(characters).parse().unwrap(),
        };
        (0..count).map(row).collect()
    }

    fn artefacts(keys: Vec<KeyRow>) -> Artefacts {
        let key: Ciphertext = "QUJD".parse().unwrap();
        let tls = TlsRow {
            key: key.clone(),
            certificate_b64: None,
            clients: Some(key),
            slashing_credential: None,
            stack: None,
        };
        Artefacts {
            tls,
            keys,
            inactive: 0,
        }
    }

    fn credential() -> Credential {
        Credential::new("a".repeat(8192), "b".repeat(8192), "c".repeat(8192)).unwrap()
    }

    #[test]
    fn few_keys_are_one_message_of_the_guidance() {
        let credential = Credential::new("A".to_owned(), "B".to_owned(), "C".to_owned()).unwrap();
        let mut artefacts = artefacts(rows(2, 4));
        artefacts.tls.clients = None;
        let messages = messages(&artefacts, &credential, true);
        assert_eq!(messages.len(), 1);
        assert_eq!(
            String::from_utf8(messages[0].to_bytes().to_vec()).unwrap(),
            r#"{"operation":"init","credential":{"access_key_id":"A","secret_access_key":"B","token":"C"},"encrypted_tls_key":"QUJD","encrypted_validator_keys":["AAAA","AAAA"]}"#
        );
    }

    #[test]
    fn only_what_changed_is_sent() {
        let before = artefacts(rows(3, 4));
        let given = Given::all(&before);
        assert_eq!(changes(Some(&given), &before, false), []);
        let mut after = artefacts(rows(5, 4));
        after.keys.remove(1);
        after.tls.clients = Some("REVG".parse().unwrap());
        let names = |requests: &[Request]| requests.iter().map(Request::name).collect::<Vec<_>>();
        let sent = changes(Some(&given), &after, false);
        assert_eq!(names(&sent), ["set_clients", "remove_keys", "add_keys"]);
        let removed = Request::RemoveKeys {
            public_keys: vec![before.keys[1].pubkey.clone()],
        };
        assert_eq!(sent[1], removed);
        let Request::AddKeys {
            encrypted_validator_keys: added,
        } = &sent[2]
        else {
            panic!()
        };
        assert_eq!(added.len(), 2);
        let taken_over = changes(None, &after, false);
        assert_eq!(names(&taken_over), ["set_clients", "add_keys"]);
    }

    #[test]
    fn every_message_fits_and_no_key_is_lost() {
        for (count, characters, expected) in [(5000, 8192, 3), (20_000, 4, 2), (MAX_KEYS, 4, 1)] {
            let rows = rows(count, characters);
            let messages = messages(&artefacts(rows.clone()), &credential(), false);
            assert_eq!(messages.len(), expected);
            let mut sent = Vec::new();
            for message in &messages {
                assert!(message.to_bytes().len() <= MAX_REQUEST_BYTES);
                sent.extend(match message {
                    Request::Init(init) => init.encrypted_validator_keys.clone(),
                    Request::AddKeys {
                        encrypted_validator_keys,
                    } => encrypted_validator_keys.clone(),
                    other => panic!("{}", other.name()),
                });
            }
            let keys = sent.iter().map(|entry| match entry {
                KeyEntry::Bound { pubkey, .. } => pubkey.clone(),
                KeyEntry::Legacy(_) => panic!(),
            });
            assert!(keys.eq(rows.into_iter().map(|row| row.pubkey)));
        }
    }
}
