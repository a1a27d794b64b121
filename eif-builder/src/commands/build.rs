//! `eif-builder build` and `eif-builder recipe`

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Outcome, open_store, progress};
use crate::cli::{BuildArgs, RecipeArgs, RecipeName, StoreArgs};
use crate::crates::vendor::HostCargo;
use crate::fetch::download::Retry;
use crate::fetch::http::Http;
use crate::fetch::{DEFAULT_PARALLEL, Fetcher};
use crate::host::Host;
use crate::mirror::Mirrors;
use crate::part::Workshop;
use crate::pipeline::{OwnKernel, Pipeline, RECIPES, find_top};

pub(super) fn build(args: &BuildArgs, host: &Host, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let own = args.kernel.clone().map(|kernel| OwnKernel {
        kernel,
        nsm_module: args.nsm_module.clone(),
    });
    let local = args.downloads.iter().cloned().collect();
    // Before the long part: a key that cannot be used is told at once.
    let signer = super::sign::signer(&args.signing, host)?;
    let output = with_pipeline(&args.store, host, &args.manifest, local, |pipeline| {
        Ok(pipeline.build_signed(&args.manifest, own.as_ref(), &args.out, signer.as_ref())?)
    })?;
    let read =
        |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let pcrs: Value =
        serde_json::from_str(&read(&output.pcrs)?).context("cannot read the measurements back")?;
    warn(&pcrs);
    if args.json {
        writeln!(out, "{pcrs:#}")?;
        return Ok(Outcome::Done);
    }
    for name in ["PCR0", "PCR1", "PCR2", "PCR8"] {
        if let Some(value) = pcrs
            .pointer(&format!("/Measurements/{name}"))
            .and_then(Value::as_str)
        {
            writeln!(out, "{name} {value}")?;
        }
    }
    let size = fs::metadata(&output.eif)?.len();
    let sha256 = pcrs.get("EifSha256").and_then(Value::as_str).unwrap_or_default();
    writeln!(out, "{}: {size} bytes, sha256 {sha256}", output.eif.display())?;
    writeln!(out, "{}: the measurements", output.pcrs.display())?;
    writeln!(
        out,
        "{}: a key policy to fill in, or use `eif-builder policy`",
        output.policy.display()
    )?;
    writeln!(
        out,
        "{}: what is in it (also .spdx.json)",
        output.cyclonedx.display()
    )?;
    writeln!(out, "{}: what it was made from", output.provenance.display())?;
    Ok(Outcome::Done)
}

/// Says loudly what the image's manifest weakens. A line that cannot be shown must not end the build.
fn warn(pcrs: &Value) {
    for key in pcrs
        .get("WeakenedTrust")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let key = key.as_str().unwrap_or_default();
        drop(writeln!(
            io::stderr(),
            "WARNING: this image weakens trust: [trust] {key} (rootfs/README.md). Do not run it in production."
        ));
    }
}

pub(super) fn recipe(args: &RecipeArgs, host: &Host, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let (path, key) = with_pipeline(&args.store, host, &args.tree, BTreeMap::new(), |pipeline| {
        let dir = pipeline.top.join(RECIPES);
        let recipes = pipeline.recipes(&dir);
        let built = match args.recipe {
            RecipeName::BuildRoot => {
                let root = recipes.build_root()?;
                return Ok((root.path, root.key));
            }
            RecipeName::Kernel => recipes.kernel(&recipes.build_root()?)?,
            RecipeName::Emulator => recipes.emulator()?,
            RecipeName::Standin => recipes.standin(pipeline.top, &recipes.build_root()?)?,
        };
        Ok((built.dir, built.key))
    })?;
    if args.json {
        writeln!(out, "{:#}", json!({"path": path, "key": key.to_string()}))?;
    } else {
        writeln!(out, "{}", path.display())?;
    }
    Ok(Outcome::Done)
}

/// Gathers what building needs and hands it to `use_it`.
pub(super) fn with_pipeline<T>(
    args: &StoreArgs,
    host: &Host,
    inside: &Path,
    local: BTreeMap<String, std::path::PathBuf>,
    use_it: impl FnOnce(&Pipeline<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let top = find_top(inside)?;
    let store = open_store(args, host)?;
    let http = Http::new(&host.http)?;
    let mirrors = Mirrors::discover(&host.mirrors, &host.etc)?;
    let progress = progress(host);
    let fetcher = Fetcher {
        http: &http,
        mirrors: &mirrors,
        local,
        parallel: DEFAULT_PARALLEL,
        retry: Retry::default(),
        progress: &*progress,
    };
    let home = host
        .cargo_home
        .clone()
        .context("no home for cargo is known: set HOME or CARGO_HOME")?;
    let cargo = HostCargo {
        program: host.cargo.clone(),
        home,
    };
    let announce = |name: &str, log: &Path| {
        // A line that cannot be shown must not end the build.
        drop(writeln!(io::stderr(), "building {name} (log: {})", log.display()));
    };
    let pipeline = Pipeline {
        workshop: Workshop {
            store: &store,
            exe: &host.exe,
            jobs: args
                .jobs
                .unwrap_or(host.cpus)
                .min(NonZeroUsize::MIN.saturating_add(1023)),
            announce: &announce,
        },
        fetcher: &fetcher,
        cargo: &cargo,
        top: &top,
    };
    use_it(&pipeline)
}
