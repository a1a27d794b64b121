//! `eif-builder diff`

use std::io::Write;

use super::Outcome;
use crate::cli::DiffArgs;
use crate::cpio_read::Budget;
use crate::diff::diff;

pub(super) fn run(args: &DiffArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let difference = diff(&args.a, &args.b, Budget::default())?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&difference)?)?;
    } else {
        out.write_all(difference.to_text().as_bytes())?;
    }
    Ok(if difference.same {
        Outcome::Done
    } else {
        Outcome::Refused
    })
}
