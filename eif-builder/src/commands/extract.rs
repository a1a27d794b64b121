//! `eif-builder extract`

use std::io::{self, Write};

use super::Outcome;
use crate::cli::ExtractArgs;
use crate::cpio_read::Budget;
use crate::extract::{Options, extract};

pub(super) fn run(args: &ExtractArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let options = Options {
        sections_only: args.sections_only,
        budget: Budget::default(),
    };
    let extracted = match extract(&args.image, &args.dir, options) {
        Ok(extracted) => extracted,
        Err(error) if error.is_the_images() => {
            writeln!(io::stderr(), "eif-builder: {:#}", anyhow::Error::from(error))?;
            return Ok(Outcome::Refused);
        }
        Err(error) => return Err(error.into()),
    };
    writeln!(
        out,
        "{}: {} sections, {} entries of ramdisks, {} of them in the listings only",
        args.dir.display(),
        extracted.sections,
        extracted.entries,
        extracted.listed_only
    )?;
    Ok(Outcome::Done)
}
