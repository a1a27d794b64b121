//! `eif-builder attest verify` and `attest show`

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use ::attest::UnixMs;
use anyhow::Context as _;
use kms_policy::measurements;

use super::{Outcome, read_limited};
use crate::attest::{VerifyParameters, read_document};
use crate::cli::{AttestShowArgs, AttestVerifyArgs};
use crate::host::Host;

/// Largest root certificate file, in bytes.
const MAX_ROOT_BYTES: u64 = 64 * 1024;

pub(super) fn verify(args: &AttestVerifyArgs, host: &Host, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let read = |path: &Option<PathBuf>, limit| path.as_deref().map(|p| read_limited(p, limit)).transpose();
    let parameters = VerifyParameters {
        root: read(&args.root, MAX_ROOT_BYTES)?,
        pcrs: read(&args.pcrs, measurements::MAX_BYTES as u64)?,
        nonce: args.nonce.clone(),
        at: args.at.clone(),
        max_age: args.max_age.clone(),
        danger_admit_debug: args.danger_admit_debug,
    };
    let document = document(&args.document)?;
    let now = UnixMs::from_duration(Duration::from_secs(host.now)).context("the clock is out of range")?;
    let report = match crate::attest::verify(&document, &parameters, now) {
        Ok(report) => report,
        Err(error) => {
            writeln!(io::stderr(), "eif-builder: {:#}", anyhow::Error::from(error))?;
            return Ok(Outcome::Usage);
        }
    };
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

pub(super) fn show(args: &AttestShowArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let document = document(&args.document)?;
    match crate::attest::show(&document) {
        Ok(claims) if args.json => writeln!(out, "{}", serde_json::to_string_pretty(&claims)?)?,
        Ok(claims) => writeln!(out, "{claims}")?,
        Err(error) => {
            writeln!(io::stderr(), "eif-builder: {:#}", anyhow::Error::from(error))?;
            return Ok(Outcome::Refused);
        }
    }
    Ok(Outcome::Done)
}

fn document(name: &str) -> anyhow::Result<Vec<u8>> {
    if name == "-" {
        return read_document(&mut io::stdin().lock()).context("cannot read standard input");
    }
    let mut file = File::open(name).with_context(|| format!("cannot open {name}"))?;
    read_document(&mut file).with_context(|| format!("cannot read {name}"))
}
