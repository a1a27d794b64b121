//! `eif-builder verify --rebuild` and `--live`

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use ::attest::{TrustRoot, UnixMs};
use anyhow::Context as _;
use control::config::DeploymentConfig;
use control::text::{Nonce, PublicKey};
use kms_policy::measurements;
use kms_policy::request::ImagePcrs;
use serde_json::{Map, Value};

use super::build::with_pipeline;
use super::{Outcome, open_store, read_limited};
use crate::cli::{LiveArgs, StoreArgs, VerifyArgs};
use crate::fetch::http::Http;
use crate::host::Host;
use crate::live::ask::ask;
use crate::live::presented::presented;
use crate::live::{Expected, Found, judge, read_keys};
use crate::pipeline::find_top;
use crate::rebuild::{self, PUBLISHED, first_difference};
use crate::verdict::Verdict;

/// Largest file of a deployment config or a root certificate, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// Largest list of keys, in bytes: a full enclave's keys with a long comment each.
const MAX_KEYS_BYTES: u64 = 8 << 20;
/// Bytes of a nonce.
const NONCE_BYTES: usize = 32;

/// Measurements that others are held against.
struct Measured {
    json: Value,
    from: String,
}

impl Measured {
    fn read(path: &Path, from: String) -> anyhow::Result<Self> {
        let bytes = read_limited(path, measurements::MAX_BYTES as u64)?;
        let name = || format!("{} is not JSON", path.display());
        let json = serde_json::from_slice(&bytes).with_context(name)?;
        Ok(Self { json, from })
    }

    fn pcrs(&self) -> anyhow::Result<ImagePcrs> {
        Ok(measurements::read(&self.from, self.json.to_string().as_bytes())?)
    }

    /// The keys of `[trust]` that the image weakens.
    fn weakened(&self) -> Vec<String> {
        let keys = self.json.get("WeakenedTrust").and_then(Value::as_array);
        let keys = keys.into_iter().flatten().filter_map(Value::as_str);
        keys.map(str::to_owned).collect()
    }
}

pub(super) fn run(args: &VerifyArgs, host: &Host, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    if !args.rebuild.rebuild && args.live.live.is_none() {
        return super::verify::run(args, host, out);
    }
    let published = published(args)?;
    let mut verdicts = Vec::new();
    let mut measured = published;
    if args.rebuild.rebuild {
        let (verdict, rebuilt) = rebuild_image(args, &measured, host)?;
        verdicts.push(("rebuild", verdict));
        measured = rebuilt;
    }
    if let Some(place) = &args.live.live {
        let mut verdict = live(&args.live, &measured, host)?;
        verdict.facts.insert(0, ("asked".to_owned(), place.to_string()));
        verdicts.push(("live", verdict));
    }
    show(&verdicts, args.json, host, out)
}

fn show(
    verdicts: &[(&str, Verdict)],
    json: bool,
    host: &Host,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let mut object = Map::new();
    for (name, verdict) in verdicts {
        for danger in &verdict.dangers {
            let (red, plain) = if host.terminal {
                ("\x1b[1;31m", "\x1b[0m")
            } else {
                ("", "")
            };
            writeln!(io::stderr(), "{red}DANGER: {danger}{plain}")?;
        }
        if json {
            object.insert((*name).to_owned(), verdict.to_json()?);
        } else {
            write!(out, "{name}: {verdict}")?;
        }
    }
    if json {
        writeln!(out, "{:#}", Value::Object(object))?;
    }
    let good = verdicts.iter().all(|(_, verdict)| verdict.is_good());
    Ok(if good { Outcome::Done } else { Outcome::Refused })
}

/// What `--pcrs` or the source tree says.
fn published(args: &VerifyArgs) -> anyhow::Result<Measured> {
    if let Some(path) = &args.pcrs {
        return Measured::read(path, path.display().to_string());
    }
    let advice = "give the expected measurements with --pcrs FILE, or run this in the source tree";
    let name = format!("{PUBLISHED}/{}.pcrs.json", args.rebuild.name);
    let top = find_top(&args.rebuild.tree).context(advice)?;
    Measured::read(&top.join(&name), name).context(advice)
}

fn rebuild_image(
    args: &VerifyArgs,
    published: &Measured,
    host: &Host,
) -> anyhow::Result<(Verdict, Measured)> {
    let args = &args.rebuild;
    let top = find_top(&args.tree)?;
    let mut verdict = Verdict::default();
    verdict.fact("image", &args.name);
    verdict.fact("expected", &published.from);
    rebuild::judge_source(&rebuild::source(&top), args.changed_source, &mut verdict);
    let store = open_store(&args.store, host)?;
    let place = if args.reuse_parts {
        let text =
            "that the parts in the store come from this source: they were not built again (--reuse-parts)";
        verdict.not_proven.push(text.to_owned());
        store.root().to_path_buf()
    } else {
        let fresh = store.root().join(format!("rebuild-{}", std::process::id()));
        rebuild::seed_store(store.root(), &fresh)
            .with_context(|| format!("cannot make {}", fresh.display()))?;
        fresh
    };
    let out = if args.reuse_parts {
        store.scratch_path()
    } else {
        place.join("out")
    };
    let manifest = top.join("rootfs").join(&args.name).join("image.toml");
    let place_args = StoreArgs {
        store: Some(place.clone()),
        jobs: args.store.jobs,
    };
    let local = args.downloads.iter().cloned().collect();
    let output = with_pipeline(&place_args, host, &top, local, |pipeline| {
        Ok(pipeline.build(&manifest, None, &out)?)
    })
    .with_context(|| {
        format!(
            "cannot build {} again; what there is stays in {}",
            args.name,
            place.display()
        )
    })?;
    let rebuilt = Measured::read(&output.pcrs, format!("the {} image built again", args.name))?;
    rebuild::judge_measurements(&published.json, &rebuilt.json, &mut verdict);
    let earlier = top.join("out").join(format!("{}.eif", args.name));
    if earlier.is_file() {
        match first_difference(&earlier, &output.eif)? {
            None => verdict.fact("out", format!("{} has the same bytes", earlier.display())),
            Some(at) => verdict.fact("out", format!("{} differs from byte {at} on", earlier.display())),
        }
    }
    if verdict.is_good() && !args.reuse_parts {
        drop(fs::remove_dir_all(&place));
    } else if !args.reuse_parts {
        verdict.fact("kept", place.display().to_string());
    }
    Ok((verdict, rebuilt))
}

fn live(args: &LiveArgs, measured: &Measured, host: &Host) -> anyhow::Result<Verdict> {
    let place = args.live.as_ref().context("--live is not given")?;
    let pcrs = measured.pcrs()?;
    for (name, pcr) in [("PCR0", &pcrs.pcr0), ("PCR1", &pcrs.pcr1), ("PCR2", &pcrs.pcr2)] {
        let text = "every enclave in debug mode has it; use the measurements of the build";
        anyhow::ensure!(!pcr.is_zero(), "{} has an all-zero {name}: {text}", measured.from);
    }
    let config = args.config.as_deref().map(config).transpose()?;
    let keys = args.keys.as_deref().map(keys).transpose()?;
    let root = args
        .danger_root
        .as_deref()
        .map_or_else(|| Ok(TrustRoot::aws()), root)?;
    let nonce = nonce()?;
    let attestation = ask(place, &nonce, &Http::new(&host.http)?)?;
    let presented = args.tls.as_ref().map(presented).transpose()?;
    let now = UnixMs::from_duration(Duration::from_secs(host.now)).context("the clock is out of range")?;
    let expected = Expected {
        root: &root,
        pcrs: &pcrs,
        weakened: &measured.weakened(),
        config: config.as_ref(),
        keys: keys.as_deref(),
    };
    let found = Found {
        attestation: &attestation,
        presented: presented.as_ref(),
    };
    let mut verdict = judge(&nonce, &expected, &found, now);
    verdict.fact("expected", &measured.from);
    if let Some(address) = &args.tls {
        verdict.fact("TLS server", address.to_string());
    }
    Ok(verdict)
}

/// 32 bytes that no one could have known.
fn nonce() -> anyhow::Result<Nonce> {
    let mut bytes = [0; NONCE_BYTES];
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let filled = provider.secure_random.fill(&mut bytes);
    filled.map_err(|_| anyhow::anyhow!("this machine gives no random bytes"))?;
    Ok(Nonce::from_bytes(&bytes)?)
}

fn config(path: &Path) -> anyhow::Result<DeploymentConfig> {
    let bytes = read_limited(path, MAX_FILE_BYTES)?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is no deployment config", path.display()))
}

fn keys(path: &Path) -> anyhow::Result<Vec<PublicKey>> {
    let bytes = read_limited(path, MAX_KEYS_BYTES)?;
    let text = core::str::from_utf8(&bytes).with_context(|| format!("{} is not text", path.display()))?;
    read_keys(text).with_context(|| format!("{} is no list of keys", path.display()))
}

fn root(path: &Path) -> anyhow::Result<TrustRoot> {
    let bytes = read_limited(path, MAX_FILE_BYTES)?;
    let root = match core::str::from_utf8(&bytes) {
        Ok(text) => TrustRoot::from_pem(text),
        Err(_) => TrustRoot::from_der(&bytes),
    };
    root.with_context(|| format!("{} is no root certificate", path.display()))
}
