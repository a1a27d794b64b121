//! `eif-builder report`

use std::io::Write;

use super::{Outcome, write_whole};
use crate::cli::ReportArgs;
use crate::report::facts::{Beside, Facts};
use crate::report::page;

pub(super) fn run(args: &ReportArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let beside = Beside {
        materials: args.sbom.clone(),
        kernel_config: args.kernel_config.clone(),
    };
    let image = Facts::read(&args.image, &beside)?;
    let previous = args
        .against
        .as_deref()
        .map(|path| Facts::read(path, &Beside::default()))
        .transpose()?;
    write_whole(&args.output, page(&image, previous.as_ref()).as_bytes())?;
    writeln!(out, "{}", args.output.display())?;
    let problems = image.description.problems();
    for problem in &problems {
        writeln!(std::io::stderr(), "eif-builder: {problem}")?;
    }
    Ok(if problems.is_empty() {
        Outcome::Done
    } else {
        Outcome::Refused
    })
}
