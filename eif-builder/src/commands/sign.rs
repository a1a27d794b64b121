//! `eif-builder sign`, and the key of `build` and `assemble`

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use attest::UnixMs;
use serde_json::json;

use super::{Outcome, read_limited};
use crate::cli::{SignArgs, SigningArgs};
use crate::host::Host;
use crate::sign::key::SigningKey;
use crate::sign::kms::{KmsKey, region_of};
use crate::sign::pem::PemKey;
use crate::sign::{Signed, Signer, sign_image};

/// Largest certificate file, in bytes. More does not fit into an image.
const MAX_CERTIFICATE_BYTES: u64 = 32 * 1024;

pub(super) fn run(args: &SignArgs, host: &Host, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let endpoint = args.kms_endpoint.as_deref();
    let signer = load(&args.signing_key, &args.signing_certificate, endpoint, host)?;
    let output = args.output.as_ref().unwrap_or(&args.image);
    let done = sign_image(&args.image, output, &signer)
        .with_context(|| format!("{} is not signed", args.image.display()))?;
    print(&done, output, args.json, out)
}

/// The signer that was asked for, if one was.
pub(super) fn signer(args: &SigningArgs, host: &Host) -> anyhow::Result<Option<Signer>> {
    let (Some(key), Some(certificate)) = (&args.signing_key, &args.signing_certificate) else {
        return Ok(None);
    };
    load(key, certificate, args.kms_endpoint.as_deref(), host).map(Some)
}

pub(super) fn print(
    signed: &Signed,
    output: &Path,
    as_json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    if as_json {
        let measurements = signed.measurements.to_json();
        writeln!(out, "{:#}", json!({"Measurements": measurements}))?;
    } else {
        super::print_pcrs(&signed.measurements, out)?;
        writeln!(out, "{}: {} bytes, signed", output.display(), signed.size)?;
    }
    Ok(Outcome::Done)
}

fn load(key: &str, certificate: &Path, endpoint: Option<&str>, host: &Host) -> anyhow::Result<Signer> {
    let pem = read_limited(certificate, MAX_CERTIFICATE_BYTES)?;
    let unusable = || format!("the signing key {key} cannot be used");
    // Whatever looks like an ARN is none of a file's name.
    let key: Box<dyn SigningKey> = if region_of(key).is_some() || key.starts_with("arn:") {
        Box::new(KmsKey::new(key, endpoint).with_context(unusable)?)
    } else {
        Box::new(PemKey::open(Path::new(key)).with_context(unusable)?)
    };
    let now = UnixMs::from_duration(Duration::from_secs(host.now)).context("the clock is out of range")?;
    Signer::new(&pem, key, now).with_context(|| format!("cannot sign under {}", certificate.display()))
}
