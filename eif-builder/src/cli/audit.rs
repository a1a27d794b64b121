//! The flags of `eif-builder verify --rebuild` and `--live`, and of `doctor`, as types.

use std::path::PathBuf;

use clap::Args;

use super::StoreArgs;
use crate::doctor::Purpose;
use crate::live::ask::Place;
use crate::live::presented::Address;

/// The flags of `verify --rebuild`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Rebuild")]
pub struct RebuildArgs {
    /// Build the image again, all of it, in a store of its own, and compare (10 minutes)
    #[arg(long)]
    pub rebuild: bool,
    /// The image's name: its manifest is rootfs/NAME/image.toml
    #[arg(id = "image_name", long = "image", value_name = "NAME", default_value = "native", value_parser = image_name)]
    pub name: String,
    /// A folder in the source tree
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub tree: PathBuf,
    /// Take parts that this machine built before; quick, and as good as whoever could write to the store
    #[arg(long, requires = "rebuild")]
    pub reuse_parts: bool,
    /// Judge a source tree whose files differ from its commit
    #[arg(long, requires = "rebuild")]
    pub changed_source: bool,
    /// Take this file for a locked download instead of fetching it; its SHA-256 is checked all the same
    #[arg(long = "download", value_name = "NAME=FILE", value_parser = super::named_file, requires = "rebuild")]
    pub downloads: Vec<(String, PathBuf)>,
    /// Where things are kept.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// The flags of `verify --live`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Live enclave")]
pub struct LiveArgs {
    /// Ask a running enclave for an attestation document with a fresh nonce: http://HOST:PORT of the parent's attest address,
    /// vsock:CID:PORT, unix:PATH or unix:PATH:PORT of the agent. What it says is held against --pcrs, or the rebuilt image
    #[arg(long, value_name = "PLACE")]
    pub live: Option<Place>,
    /// Demand this deployment config (JSON) in PCR16
    #[arg(long, value_name = "FILE", requires = "live")]
    pub config: Option<PathBuf>,
    /// Demand that this TLS server presents the enclave's certificate and has its key
    #[arg(long, value_name = "HOST:PORT", requires = "live")]
    pub tls: Option<Address>,
    /// Demand exactly these validator keys: one public key a line, # begins a comment
    #[arg(long, value_name = "FILE", requires = "live")]
    pub keys: Option<PathBuf>,
    /// Trust this root certificate instead of AWS's: for tests; whoever has its key can forge any enclave
    #[arg(long, value_name = "FILE", requires = "live")]
    pub danger_root: Option<PathBuf>,
}

/// `doctor`
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// What the exit code is about: 0 when nothing is lacking for it, else 3
    #[arg(long = "for", value_name = "PURPOSE", value_enum, default_value = "build")]
    pub purpose: Purpose,
    /// Cache of inputs and built parts, as for `build`
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A name, not a path: it is joined to folders of the tree.
fn image_name(text: &str) -> Result<String, &'static str> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.chars().all(good) {
        Ok(text.to_owned())
    } else {
        Err("expected letters, digits, - and _")
    }
}
