//! `slashing`: the records without which nothing is signed, and the credential to reach them.

pub mod credential;
pub mod genesis;
pub mod table;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use control::text::PublicKey;
use serde::Serialize;
use slashing_table::duty::Root;
use slashing_table::interchange::{Interchange, MAX_FILE_BYTES};
use slashing_table::key::ValidatorKey;

use self::table::{Made, SlashingTable};
use crate::progress::Progress;

/// What `slashing init` did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Nothing was written.
    pub dry_run: bool,
    /// Keys that got a record.
    pub made: Vec<String>,
    /// Keys whose record was raised to what the files say.
    pub raised: Vec<String>,
    /// Keys whose record had all of it.
    pub unchanged: Vec<String>,
    /// Keys whose record says that they must not sign. They were raised and stay disabled.
    pub disabled: Vec<String>,
}

/// Reads interchange files and joins them; a key may be in several. `never_signed` are added without history.
///
/// # Errors
/// A file that is none, one of another chain, or a key that never signed and has a history all the same.
pub fn read(files: &[PathBuf], never_signed: &[PublicKey], genesis: Root) -> anyhow::Result<Interchange> {
    ensure!(
        !files.is_empty() || !never_signed.is_empty(),
        "nothing to do: name interchange files, or keys with --never-signed"
    );
    let mut all = Interchange::empty(genesis);
    for path in files {
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let one = Interchange::read(file, MAX_FILE_BYTES).with_context(|| path.display().to_string())?;
        if one.genesis_validators_root != genesis {
            bail!(
                "{} is for genesis validators root 0x{}, expected 0x{}: it is of another network. Nothing was written",
                path.display(),
                hex::encode(one.genesis_validators_root),
                hex::encode(genesis)
            );
        }
        for (key, history) in one.validators {
            let joined = all.validators.entry(key).or_default();
            joined.blocks.extend(history.blocks);
            joined.attestations.extend(history.attestations);
        }
    }
    for key in never_signed {
        let key: ValidatorKey = key.as_str().parse()?;
        let history = all.validators.entry(key).or_default();
        ensure!(
            history.blocks.is_empty() && history.attestations.is_empty(),
            "{key} is said to have never signed, but the files have a history of it"
        );
    }
    Ok(all)
}

/// Makes records that are missing and raises the others. Nothing is ever lowered.
///
/// # Errors
/// What DynamoDB says; what was written before stays, and the same command again goes on.
pub async fn init(
    table: &SlashingTable,
    all: &Interchange,
    progress: &dyn Progress,
) -> anyhow::Result<Report> {
    let before = table.make_installation().await?;
    table.make_artefacts().await?;
    let mut report = Report::default();
    progress.begin("records", all.validators.len() as u64);
    for (key, history) in &all.validators {
        let list = match table.make_or_raise(key, history, before).await? {
            Made::New => &mut report.made,
            Made::Raised => &mut report.raised,
            Made::Unchanged => &mut report.unchanged,
            Made::Disabled => &mut report.disabled,
        };
        list.push(key.to_string());
        progress.advance(1);
    }
    // A watermark that was set meanwhile found only the records that were there.
    let after = table
        .installation()
        .await?
        .and_then(|installation| installation.high_watermark);
    if after != before {
        for key in all.validators.keys() {
            table.set_high_watermark(key, after).await?;
        }
    }
    progress.end();
    Ok(report)
}

impl Report {
    /// For a person.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for key in &self.disabled {
            writeln!(out, "{key}  disabled: it does not sign")?;
        }
        if self.dry_run {
            return writeln!(out, "{} records would be made or raised", self.made.len());
        }
        writeln!(
            out,
            "{} records made, {} raised, {} unchanged, {} disabled",
            self.made.len(),
            self.raised.len(),
            self.unchanged.len(),
            self.disabled.len()
        )
    }
}
