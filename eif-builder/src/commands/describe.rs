//! `eif-builder describe`

use std::io::{self, Write};

use super::Outcome;
use crate::cli::DescribeArgs;
use crate::describe::{DescribeError, describe};

pub(super) fn run(args: &DescribeArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let description = match describe(&args.image) {
        Ok(description) => description,
        // Not looked at, so nothing was found wrong with it.
        Err(error @ DescribeError::Open(_)) => {
            return Err(error.into());
        }
        Err(error) => {
            writeln!(io::stderr(), "eif-builder: {:#}", anyhow::Error::from(error))?;
            return Ok(Outcome::Refused);
        }
    };
    let text = if args.json {
        description.to_json()?
    } else {
        description.to_text()
    };
    out.write_all(text.as_bytes())?;
    let problems = description.problems();
    for problem in &problems {
        writeln!(io::stderr(), "eif-builder: {problem}")?;
    }
    Ok(if problems.is_empty() {
        Outcome::Done
    } else {
        Outcome::Refused
    })
}
