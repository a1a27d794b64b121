//! Documents per second: `crates/attest` against the crate `attestation-doc-validation`, on the same genuine samples.
//!
//! That crate judges certificates by the system's clock only, and the samples have expired. So each sample is measured in
//! a child process for which `libfaketime` (a Debian package) sets the clock to the sample's own time; both verifiers run
//! there, one round each in turn. Without that library there is no comparison, and this program fails and says so.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use attest::{Moment, Policy, TrustRoot, UnixMs, UnverifiedDoc, verify};
use attestation_doc_validation::validate_and_parse_attestation_doc;

/// Genuine documents of 2021 to 2026, with definite and indefinite maps, with and without optionals.
const SAMPLES: [&str; 4] = [
    "anjuna_prod_2021_rsa2048_pubkey",
    "anjuna_debug_2024_all_optionals",
    "sparsity_debug_2024",
    "basevalidator_prod_2026_indefinite_map",
];

/// Time that each verifier gets for a sample; rounds alternate, so that both see the same load of the machine.
const TIME_PER_VERIFIER: Duration = Duration::from_secs(3);
/// Documents in a round.
const ROUND: u32 = 20;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (None, None) => all(),
        (Some(sample), None) => one(Path::new(&sample)),
        _ => bail!("usage: bench-attest [SAMPLE], with SAMPLE only for the child processes"),
    }
}

/// Measures every sample in a child process that lives at that sample's time.
fn all() -> Result<()> {
    let library = faketime()?;
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/attest/tests/data/nitro/valid");
    println!(
        "{:<40} {:>12} {:>12} {:>7}",
        "documents per second, one thread", "attest", "other", "ratio"
    );
    for name in SAMPLES {
        let path = samples.join(name).with_extension("cbor");
        let document = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let made = UnverifiedDoc::parse(&document)?.unverified_claims().timestamp;
        let clock = made.to_string().replace('T', " ");
        let status = Command::new(std::env::current_exe()?)
            .arg(&path)
            .env("LD_PRELOAD", &library)
            .env("TZ", "UTC")
            .env(
                "FAKETIME",
                format!("@{}", clock.split('.').next().unwrap_or_default()),
            )
            .status()
            .context("start the child process")?;
        ensure!(status.success(), "{name}: the child process failed");
    }
    Ok(())
}

fn faketime() -> Result<PathBuf> {
    ["x86_64", "aarch64"]
        .iter()
        .map(|arch| PathBuf::from(format!("/usr/lib/{arch}-linux-gnu/faketime/libfaketime.so.1")))
        .find(|path| path.is_file())
        .context("not run: libfaketime is not installed (Debian: apt install libfaketime)")
}

/// Measures one sample with both verifiers, which must both accept it.
fn one(path: &Path) -> Result<()> {
    let document = std::fs::read(path)?;
    let root = TrustRoot::aws();
    let policy = Policy::new().allow_debug();
    let now = UnixMs::from_duration(since_1970()?).context("the clock is beyond all bounds")?;
    let ours = || verify(black_box(&document), &root, Moment::Now(now), &policy).is_ok();
    let theirs = || validate_and_parse_attestation_doc(black_box(&document)).is_ok();
    ensure!(ours(), "crates/attest refuses {}", path.display());
    ensure!(theirs(), "attestation-doc-validation refuses {}", path.display());

    let (mut our_time, mut their_time, mut rounds) = (Duration::ZERO, Duration::ZERO, 0_u32);
    let (mut our_rounds, mut their_rounds) = (0_u32, 0_u32);
    while our_time < TIME_PER_VERIFIER || their_time < TIME_PER_VERIFIER {
        rounds += 1;
        if rounds.is_multiple_of(2) && our_time < TIME_PER_VERIFIER {
            our_time += round(ours)?;
            our_rounds += 1;
        } else if their_time < TIME_PER_VERIFIER {
            their_time += round(theirs)?;
            their_rounds += 1;
        }
    }
    let per_second = |rounds: u32, time: Duration| f64::from(rounds * ROUND) / time.as_secs_f64();
    let (ours, theirs) = (
        per_second(our_rounds, our_time),
        per_second(their_rounds, their_time),
    );
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    println!("{name:<40} {ours:>12.0} {theirs:>12.0} {:>7.2}", ours / theirs);
    Ok(())
}

fn round(verifies: impl Fn() -> bool) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..ROUND {
        ensure!(verifies(), "a verifier changed its mind");
    }
    Ok(start.elapsed())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one reading of the clock, which libfaketime sets"
)]
fn since_1970() -> Result<Duration> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?)
}
