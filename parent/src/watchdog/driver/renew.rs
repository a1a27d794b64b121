//! Reads the tables again when asked to (SIGHUP), and brings the running signer to what they hold.

use control::answer::{Changed, Refreshed};
use control::request::Request;

use super::give::InitError;
use super::{ASK_TIME, Driver};
use crate::ask::ask;
use crate::tables;
use crate::watchdog::message::{Given, changes};

impl Driver {
    /// Does it once for each time it was asked for since. What fails leaves the signer as it was before that message; asking
    /// again tries again.
    pub(super) async fn renew(&mut self) {
        if !self.reload.has_changed().unwrap_or(false) {
            return;
        }
        self.reload.mark_unchanged();
        match self.renew_once().await {
            Ok(messages) => self.journal.info("tables-followed", &[("messages", &messages)]),
            Err(error) => self.say_refusal("tables-not-followed", &error),
        }
    }

    async fn renew_once(&mut self) -> Result<usize, InitError> {
        let credentials = self.imds.credentials().await?;
        let artefacts = tables::read(&self.config.tables, &credentials).await?;
        let messages = changes(self.known.given.as_ref(), &artefacts, self.config.tables.legacy);
        if messages.is_empty() {
            return Ok(0);
        }
        let credential = credentials.credential.clone();
        ask::<Refreshed>(
            &self.dialer,
            &Request::RefreshCredentials { credential },
            ASK_TIME,
        )
        .await?;
        self.known.credentials = Some(credentials);
        for message in &messages {
            let changed: Changed = ask(&self.dialer, message, self.config.times.init).await?;
            self.journal.info(message.name(), &[("keys", &changed.keys)]);
        }
        // Keys that init left over were among them: they count as given when they were taken.
        self.known.pending.clear();
        self.known.all = None;
        self.known.given = Some(Given::all(&artefacts));
        Ok(messages.len())
    }
}
