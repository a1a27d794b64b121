//! `keys`: from keystores to items of the validator table, and what can be done with those.

pub mod load;
pub mod passwords;
pub mod sources;
pub mod verify;

use std::io::Write;

use anyhow::Context as _;
use control::text::PublicKey;
use serde::Serialize;

use crate::tables::validators::{Row, Validators};

/// What `keys list` finds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// Keys that the parent loads.
    pub active: usize,
    /// All, by public key.
    pub keys: Vec<Row>,
}

/// Reads every key of the stack.
///
/// # Errors
/// What DynamoDB says.
pub async fn list(table: &Validators) -> anyhow::Result<Listing> {
    let keys = table.all().await?;
    Ok(Listing {
        active: keys.iter().filter(|row| row.active == Some(true)).count(),
        keys,
    })
}

impl Listing {
    /// One line for each key.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for row in &self.keys {
            let state = match (row.active, row.ciphertext) {
                (_, false) => "broken: no ciphertext of the right form",
                (None, _) => "broken: neither active nor inactive",
                (Some(true), _) => "active",
                (Some(false), _) => "inactive",
            };
            let (chain, since) = (row.chain.as_deref(), row.datetime.as_deref());
            writeln!(
                out,
                "{}  {state}  {}  {}",
                row.pubkey,
                chain.unwrap_or("-"),
                since.unwrap_or("-")
            )?;
        }
        writeln!(out, "{} keys, {} active", self.keys.len(), self.active)
    }
}

/// What `keys activate` and `keys deactivate` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Switched {
    /// What `active` is now.
    pub active: bool,
    /// The keys.
    pub keys: Vec<PublicKey>,
}

/// Switches keys on or off, one after the other.
///
/// # Errors
/// What DynamoDB says, or that the table has no such key; the ones before it are switched.
pub async fn switch(table: &Validators, keys: &[PublicKey], active: bool) -> anyhow::Result<Switched> {
    for key in keys {
        let there = table.set_active(key, active).await?;
        there.then_some(()).with_context(|| {
            format!("the table has no key {key} for this stack; the keys before it were changed")
        })?;
    }
    Ok(Switched {
        active,
        keys: keys.to_vec(),
    })
}
