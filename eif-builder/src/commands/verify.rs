//! `eif-builder verify`

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context as _;
use attest::UnixMs;
use kms_policy::measurements;

use super::{Outcome, read_limited};
use crate::cli::VerifyArgs;
use crate::cpio_read::Budget;
use crate::host::Host;
use crate::verify::{Parameters, Published, verify};

pub(super) fn run(args: &VerifyArgs, host: &Host, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let published = match &args.pcrs {
        None => None,
        Some(path) => {
            let bytes = read_limited(path, measurements::MAX_BYTES as u64)?;
            match Published::read(&path.display().to_string(), &bytes) {
                Ok(published) => Some(published),
                Err(error) => return usage(&error.into()),
            }
        }
    };
    let at = match instant(args.at.as_deref(), host) {
        Ok(at) => at,
        Err(error) => return usage(&error),
    };
    let parameters = Parameters {
        published,
        at,
        budget: Budget::default(),
    };
    let image = args.image.as_deref().context("no image is given")?;
    let report = verify(image, &parameters)?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        writeln!(out, "{report}")?;
    }
    Ok(if report.verified {
        Outcome::Done
    } else {
        Outcome::Refused
    })
}

/// `--at`, or the machine's clock.
pub(super) fn instant(at: Option<&str>, host: &Host) -> anyhow::Result<UnixMs> {
    match at {
        Some(text) => text.parse().with_context(|| format!("--at {text:?} is wrong")),
        None => UnixMs::from_duration(Duration::from_secs(host.now)).context("the clock is out of range"),
    }
}

/// The command line is wrong in a way that only reading it shows.
pub(super) fn usage(error: &anyhow::Error) -> anyhow::Result<Outcome> {
    writeln!(io::stderr(), "eif-builder: {error:#}")?;
    Ok(Outcome::Usage)
}
