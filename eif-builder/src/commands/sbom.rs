//! `eif-builder sbom`

use std::io::Write;

use super::build::with_pipeline;
use super::{Outcome, read_limited, write_whole};
use crate::cli::{Paper, SbomArgs};
use crate::host::Host;
use crate::sbom::evidence::{CYCLONEDX_FILE, PROVENANCE_FILE, SPDX_FILE};

/// Longest document: an image of several hundred packages has some megabytes.
const MAX_BYTES: u64 = 256 << 20;

pub(super) fn run(args: &SbomArgs, host: &Host, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let local = args.downloads.iter().cloned().collect();
    let made = with_pipeline(&args.store, host, &args.manifest, local, |pipeline| {
        Ok(pipeline.make(&args.manifest, None)?)
    })?;
    let file = match args.format {
        Paper::Cyclonedx => CYCLONEDX_FILE,
        Paper::Spdx => SPDX_FILE,
        Paper::Provenance => PROVENANCE_FILE,
    };
    let bytes = read_limited(&made.papers.join(file), MAX_BYTES)?;
    match &args.output {
        Some(path) => write_whole(path, &bytes)?,
        None => out.write_all(&bytes)?,
    }
    Ok(Outcome::Done)
}
