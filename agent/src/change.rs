//! What changes a running signer: `add_keys`, `remove_keys`, `set_clients`, `refresh_credentials`.
//!
//! `provision` changes the files, all of them or none; then the signer reads them again, or is started again when it is one that
//! cannot. A signer that does not come back is PID 1's business: it starts it until it ends too often.

use std::sync::Arc;

use abi::request::{Reply, Request};
use control::answer::{Changed, Refreshed};
use control::log::Level;
use control::provision::Work;
use control::request::{Credential, Entry, KeyEntry};
use control::text::PublicKey;

use crate::core::Core;
use crate::entries::Rules;
use crate::failure::Failure;
use crate::phase::Config;
use crate::served::serves;

impl Core {
    /// `add_keys`.
    ///
    /// # Errors
    /// [`Failure`]; nothing was changed, unless it is that the signer is not healthy after the change or serves other keys.
    pub async fn add_keys(self: Arc<Self>, entries: Vec<KeyEntry>) -> Result<Changed, Failure> {
        let _change = self.begin_change()?;
        let config = self.running()?;
        let credential = self.credential()?;
        let artefacts = self.rules(&config).keys(&entries).map_err(Failure::Items)?;
        drop(entries);
        let work = Work::AddKeys {
            credential,
            artefacts,
        };
        self.change_files(&config, work).await
    }

    /// `set_clients`.
    ///
    /// # Errors
    /// As [`Core::add_keys`].
    pub async fn set_clients(self: Arc<Self>, entry: Entry) -> Result<Changed, Failure> {
        let _change = self.begin_change()?;
        let config = self.running()?;
        let credential = self.credential()?;
        let artefact = self.rules(&config).clients(&entry).map_err(Failure::Items)?;
        let work = Work::SetClients { credential, artefact };
        self.change_files(&config, work).await
    }

    /// `remove_keys`.
    ///
    /// # Errors
    /// As [`Core::add_keys`].
    pub async fn remove_keys(self: Arc<Self>, public_keys: Vec<PublicKey>) -> Result<Changed, Failure> {
        let _change = self.begin_change()?;
        let config = self.running()?;
        self.change_files(&config, Work::RemoveKeys { public_keys }).await
    }

    /// `refresh_credentials`. They are kept until the next call of KMS, and wiped when others come.
    ///
    /// # Errors
    /// [`Failure::Phase`] before `init`: that brings its own.
    pub fn refresh_credentials(&self, credential: Credential) -> Result<Refreshed, Failure> {
        self.running()?;
        self.with_held(|held| held.credential = Some(credential));
        Ok(Refreshed { accepted: true })
    }

    fn running(&self) -> Result<Config, Failure> {
        Ok(self.with_machine(|machine| machine.running().cloned())?)
    }

    fn credential(&self) -> Result<Credential, Failure> {
        self.with_held(|held| held.credential.clone())
            .ok_or(Failure::NoCredential)
    }

    fn rules<'a>(&self, config: &'a Config) -> Rules<'a> {
        Rules {
            config: &config.config,
            legacy: self.parts.policy.trust.legacy_no_context,
        }
    }

    async fn change_files(&self, config: &Config, work: Work) -> Result<Changed, Failure> {
        let mode = work.name();
        let (items, state) = self.job(config, work).await?;
        let state = state.ok_or(Failure::State("no state after a change"))?;
        let keys = u64::try_from(state.public_keys.len()).unwrap_or(u64::MAX);
        let upcheck = self.upcheck(&state)?;
        let unchanged = self.with_held(|held| held.state.replace(state.clone()).as_ref() == Some(&state));
        if !unchanged {
            let ends = self.apply().await?;
            self.book.watch(Some(upcheck.clone()));
            self.book.healthy(self.parts.patience.signer, ends).await?;
            serves(&upcheck, &state.public_keys, self.parts.patience.signer).await?;
        }
        let fields = [("mode", mode), ("keys", &keys.to_string())];
        self.parts.ring.say(Level::Info, "changed", &fields);
        Ok(Changed { items, keys })
    }

    /// Makes the signer use its new files. Gives how often it may have ended when it is healthy again.
    async fn apply(&self) -> Result<u64, Failure> {
        let ends = self.book.ends();
        if self.parts.policy.signer.distribution.reloads() {
            return match self.parts.pid1.ask(Request::ReloadSigner).await? {
                Reply::Accepted => Ok(ends),
                Reply::Absent => Err(Failure::NoSigner),
                // It is not running just now: it reads the new files when it starts.
                _ => Ok(ends + 1),
            };
        }
        match self.parts.pid1.ask(Request::StopSigner).await? {
            Reply::Accepted | Reply::Already => {}
            Reply::Absent => return Err(Failure::NoSigner),
            _ => return Err(Failure::NotStarted),
        }
        self.ask_for_signer().await?;
        Ok(ends + 1)
    }
}
