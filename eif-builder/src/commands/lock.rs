//! `eif-builder lock`

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Context as _;

use super::{Outcome, open_store, progress};
use crate::cli::LockArgs;
use crate::debian::keyring::Keyring;
use crate::fetch::download::Retry;
use crate::fetch::http::Http;
use crate::fetch::{DEFAULT_PARALLEL, Fetcher};
use crate::host::Host;
use crate::lock_cmd::{self, Locker};
use crate::mirror::Mirrors;
use crate::suite::SuiteSource;

pub(super) fn run(args: &LockArgs, host: &Host, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    if args.check {
        check(args, out)
    } else {
        lock(args, host, out)
    }
}

fn check(args: &LockArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Done;
    for manifest in &args.manifests {
        match lock_cmd::check(manifest) {
            Ok(locked) => writeln!(
                out,
                "{}: matches, {} inputs",
                manifest.display(),
                locked.inputs().count()
            )?,
            Err(error) => {
                let error = anyhow::Error::from(error);
                writeln!(out, "{}: {error:#}", manifest.display())?;
                outcome = Outcome::Refused;
            }
        }
    }
    Ok(outcome)
}

fn lock(args: &LockArgs, host: &Host, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let store = open_store(&args.store, host)?;
    let http = Http::new(&host.http)?;
    let mirrors = Mirrors::discover(&host.mirrors, &host.etc)?;
    let keyring = Keyring::debian()?;
    let progress = progress(host);
    let suites = SuiteSource {
        http: &http,
        mirrors: &mirrors,
        keyring: &keyring,
        now: host.now,
        progress: &*progress,
    };
    let fetcher = Fetcher {
        http: &http,
        mirrors: &mirrors,
        local: BTreeMap::new(),
        parallel: DEFAULT_PARALLEL,
        retry: Retry::default(),
        progress: &*progress,
    };
    let mut locker = Locker::new(suites, fetcher, &store);
    for manifest in &args.manifests {
        let outcome = locker
            .lock_file(manifest)
            .with_context(|| format!("cannot lock {}", manifest.display()))?;
        let state = if outcome.changed { "written" } else { "unchanged" };
        let (path, mib) = (outcome.path.display(), outcome.bytes.div_ceil(1 << 20));
        writeln!(out, "{path}: {state}, {} inputs, {mib} MiB", outcome.inputs)?;
    }
    Ok(Outcome::Done)
}
