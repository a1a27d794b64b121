//! `eif-builder completions` and `eif-builder man`

use std::io::Write;

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::Outcome;
use crate::cli::Cli;

pub(super) fn completions(args: ::manual::Completions, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    args.write(Cli::command(), out)?;
    Ok(Outcome::Done)
}

pub(super) fn man(args: &::manual::Man, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let pages = args.write(Cli::command());
    let pages = pages.with_context(|| format!("cannot write man pages to {}", args.dir.display()))?;
    for page in pages {
        writeln!(out, "{}", args.dir.join(page).display())?;
    }
    Ok(Outcome::Done)
}
