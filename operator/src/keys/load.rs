//! `keys load`: verify, encrypt, write; a batch at a time, so that a run that is cut off is not lost.
//!
//! What the table has already is never written again, whatever its state: an item's ciphertext is for the same public key,
//! which its encryption context holds, and an operator who switched a key off did so for a reason. After each batch the items
//! are read back and compared: two ceremonies at once cannot pass unseen.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use control::artefact::key_context;
use control::text::{PublicKey, StackId};
use serde::Serialize;
use tokio::task::JoinSet;

use super::passwords::Passwords;
use super::sources::{Source, Sources};
use super::verify::verify;
use crate::payload::Plaintext;
use crate::progress::Progress;
use crate::seal::Sealer;
use crate::tables::validators::{BATCH, NewKey, Validators};

/// What to do with what was found.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The stack in the encryption context.
    pub stack: StackId,
    /// How keystores open.
    pub passwords: Passwords,
    /// Secret keys instead of keystores.
    pub compact: bool,
    /// Go on without what is bad.
    pub skip_bad: bool,
    /// Write nothing.
    pub dry_run: bool,
    /// Keystores that are opened at once.
    pub jobs: usize,
    /// `chain`
    pub chain: String,
    /// `datetime`
    pub datetime: String,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Nothing was written; `written` would be.
    pub dry_run: bool,
    /// Keys that were verified, encrypted and written.
    pub written: Vec<PublicKey>,
    /// Keys that the table has and the parent loads.
    pub already_active: Vec<PublicKey>,
    /// Keys that the table has and that are switched off; they stay so.
    pub already_inactive: Vec<PublicKey>,
    /// What should have been loaded and was not, with the reason.
    pub bad: Vec<String>,
    /// Files that are something else.
    pub ignored: Vec<PathBuf>,
}

/// Loads `sources` into the table.
///
/// # Errors
/// When something is bad and `skip_bad` is not set; what KMS and DynamoDB say. What was written before stays.
pub async fn load(
    plan: Plan,
    sources: Sources,
    table: &Validators,
    sealer: &Sealer,
    progress: &Arc<dyn Progress>,
) -> anyhow::Result<Report> {
    let mut report = Report {
        dry_run: plan.dry_run,
        ignored: sources.ignored,
        ..Report::default()
    };
    for error in sources.bad {
        report.bad.push(format!("{:#}", anyhow::Error::from(error)));
    }
    stop_if_bad(&plan, &report, "nothing was written")?;
    let new = split(table, sources.keystores, &mut report).await?;
    let (plan, total) = (Arc::new(plan), new.len() as u64);
    progress.begin(if plan.dry_run { "verified" } else { "loaded" }, total);
    let mut new = new.into_iter().peekable();
    while new.peek().is_some() {
        let batch: Vec<Source> = new.by_ref().take(BATCH).collect();
        let loaded = one_batch(&plan, batch, table, sealer, progress, &mut report).await;
        if loaded.is_err() {
            progress.end();
        }
        loaded?;
    }
    progress.end();
    Ok(report)
}

/// Sorts out what the table has.
async fn split(table: &Validators, found: Vec<Source>, report: &mut Report) -> anyhow::Result<Vec<Source>> {
    let rows = table.all().await?;
    let there: BTreeMap<&str, bool> = rows
        .iter()
        .map(|row| (row.pubkey.as_str(), row.active == Some(true)))
        .collect();
    let mut new = Vec::new();
    for source in found {
        match there.get(source.pubkey.as_str()) {
            None => new.push(source),
            Some(true) => report.already_active.push(source.pubkey),
            Some(false) => report.already_inactive.push(source.pubkey),
        }
    }
    Ok(new)
}

async fn one_batch(
    plan: &Arc<Plan>,
    batch: Vec<Source>,
    table: &Validators,
    sealer: &Sealer,
    progress: &Arc<dyn Progress>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let verified = {
        let (plan, progress) = (Arc::clone(plan), Arc::clone(progress));
        tokio::task::spawn_blocking(move || {
            let step = || progress.advance(1);
            let results = verify(&batch, &plan.passwords, plan.compact, plan.jobs, &step);
            batch.into_iter().zip(results).collect::<Vec<_>>()
        })
        .await
        .context("verifying keystores")?
    };
    let mut good = Vec::new();
    for (source, result) in verified {
        match result {
            Ok(plaintext) => good.push((source, plaintext)),
            Err(error) => report.bad.push(format!("{:#}", anyhow::Error::from(error))),
        }
    }
    stop_if_bad(
        plan,
        report,
        &format!("{} keys were written before", report.written.len()),
    )?;
    if plan.dry_run {
        report
            .written
            .extend(good.into_iter().map(|(source, _)| source.pubkey));
        return Ok(());
    }
    // Again, just before the write: another ceremony may have gone on meanwhile.
    let keys: Vec<PublicKey> = good.iter().map(|(source, _)| source.pubkey.clone()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let present = table.present(&keys).await?;
    good.retain(|(source, _)| !present.contains_key(source.pubkey.as_str()));
    let items = encrypt(plan, good, sealer).await?;
    table.add(&items).await?;
    check(table, &items).await?;
    report.written.extend(items.into_iter().map(|item| item.pubkey));
    Ok(())
}

/// One call of KMS for each key, all of the batch at once.
async fn encrypt(
    plan: &Plan,
    good: Vec<(Source, Plaintext)>,
    sealer: &Sealer,
) -> anyhow::Result<Vec<NewKey>> {
    let mut calls = JoinSet::new();
    for (index, (source, plaintext)) in good.into_iter().enumerate() {
        let (sealer, context) = (sealer.clone(), key_context(&plan.stack, &source.pubkey));
        let (chain, datetime) = (plan.chain.clone(), plan.datetime.clone());
        calls.spawn(async move {
            let ciphertext = sealer.seal(&plaintext, &context).await?;
            let key = NewKey {
                pubkey: source.pubkey,
                ciphertext,
                deposit_b64: source.deposit_b64,
                chain,
                datetime,
            };
            anyhow::Ok((index, key))
        });
    }
    let mut items = Vec::new();
    while let Some(call) = calls.join_next().await {
        items.push(call.context("a call of KMS was cut off")??);
    }
    items.sort_by_key(|(index, _)| *index);
    Ok(items.into_iter().map(|(_, item)| item).collect())
}

/// Reads back what was written.
async fn check(table: &Validators, items: &[NewKey]) -> anyhow::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let keys: Vec<PublicKey> = items.iter().map(|item| item.pubkey.clone()).collect();
    let present = table.present(&keys).await?;
    for item in items {
        let there = present.get(item.pubkey.as_str()).and_then(Option::as_deref);
        if there != Some(item.ciphertext.as_str()) {
            bail!(
                "the item of {} is not what was written: is another ceremony going on? Look with `keys list`, and run this again",
                item.pubkey
            );
        }
    }
    Ok(())
}

fn stop_if_bad(plan: &Plan, report: &Report, so_far: &str) -> anyhow::Result<()> {
    if report.bad.is_empty() || plan.skip_bad || plan.dry_run {
        return Ok(());
    }
    bail!(
        "{} keystores cannot be loaded, {so_far} (--skip-bad goes on without them):\n  {}",
        report.bad.len(),
        report.bad.join("\n  ")
    );
}

impl Report {
    /// For a person.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let verb = if self.dry_run {
            "would be written"
        } else {
            "written"
        };
        for key in &self.written {
            writeln!(out, "{key}  {verb}")?;
        }
        for key in &self.already_inactive {
            writeln!(out, "{key}  in the table, inactive: left so (keys activate)")?;
        }
        for line in &self.bad {
            writeln!(out, "refused: {line}")?;
        }
        for path in &self.ignored {
            writeln!(out, "ignored: {}", path.display())?;
        }
        writeln!(
            out,
            "{} {verb}, {} in the table already, {} refused",
            self.written.len(),
            self.already_active.len() + self.already_inactive.len(),
            self.bad.len()
        )
    }
}
