//! The command line: types only. `eif-builder help COMMAND` is made from the texts below.

#![expect(clippy::doc_markdown, reason = "the texts are shown as they are by --help")]

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod audit;
mod image;

pub use audit::{DoctorArgs, LiveArgs, RebuildArgs};
pub use image::{DiffArgs, ExtractArgs, PolicyCommand, PolicyLintArgs, SignArgs, SigningArgs};

/// Builds, measures and explains AWS Nitro Enclave images (EIF).
///
/// Exit codes: 0 done; 1 it failed; 2 the command line is wrong; 3 a check failed (a lock that does not match its
/// manifest, an image that is damaged or not as published, images that differ, a key policy that is weak, a document that
/// does not verify); 4 a locked input could not be fetched and was not given (the text names the file, its size and its
/// SHA-256).
#[derive(Clone, Debug, Parser)]
#[command(name = "eif-builder", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Build an image from its manifest and lock, and print its PCRs.
    ///
    /// Fetches what the lock names and the store lacks, compiles in the build root (no root rights, no network),
    /// and writes OUT/NAME.eif, .pcrs.json, .kms-key-policy.json, .cdx.json and .spdx.json (bills of materials),
    /// .provenance.json, .kernel.config and .weights.json (bytes of each part). With nothing changed it is done in a moment.
    Build(BuildArgs),
    /// Resolve the inputs of manifests from the signed Debian index and write their locks.
    Lock(LockArgs),
    /// Build a recipe of reproducible/ and print where its result is.
    Recipe(RecipeArgs),
    /// Put an image together from your own parts, with the flags of AWS's eif_build.
    Assemble(AssembleArgs),
    /// Show everything that is in an image: sections, hashes, PCRs, command line, files.
    Describe(DescribeArgs),
    /// Take an image apart: its sections, and what its ramdisks unpack to.
    ///
    /// Needs no root rights: owners, devices and set-id bits are in a listing beside each tree. Nothing is verified. Exit
    /// code 3 when the image is malformed or would write outside of DIR; DIR is whole or not there.
    Extract(ExtractArgs),
    /// Explain why two images differ: section, ramdisk, path, mode, owner, time, content.
    ///
    /// Text is shown as a unified diff, programs by section, zip and jar by member, a kernel by option where it carries its
    /// configuration, the table of services by value. Works on images of any tool. Exit code 0 when every byte is the same,
    /// 3 when not, 1 when a file cannot be read or is no image.
    Diff(DiffArgs),
    /// Print what an image is made of (CycloneDX, SPDX) or what it was made from (in-toto, SLSA).
    ///
    /// `build` writes the same beside the image. Builds what the store lacks; the documents depend on nothing but the
    /// image and its inputs, so anybody can make them again and compare.
    Sbom(SbomArgs),
    /// Sign an image, or sign it anew: PCR8 is then the certificate's.
    ///
    /// Only the header and the signature section change. The image is signed or stays as it was: a key that is not the
    /// certificate's, a certificate that is not valid now, or a KMS that does not answer is exit code 1.
    Sign(SignArgs),
    /// Judge an image from its bytes alone, and compare it with published measurements.
    ///
    /// Computes CRC, sections, PCR0, PCR1, PCR2 and PCR8 anew, checks the signature and its certificate's dates, that the
    /// kernel is for the machine, that there is a first program, and that the memory asked for is enough; says what the
    /// image's own policy weakens. Exit code 3 when anything does not hold, 2 when an argument makes no sense, 1 when the
    /// files cannot be read.
    ///
    /// In place of an image: --rebuild builds it again from a clean checkout and compares bytes and PCRs with the published ones;
    /// --live asks a running enclave to prove that it is that image, with the operator's deployment config, TLS key and
    /// validator keys. Both together are the whole way from a source tag to a live signer.
    Verify(Box<VerifyArgs>),
    /// Make one self-contained page about an image, to look at rather than to read.
    ///
    /// Everything is read from the image, apart from packages and kernel options: these come from NAME.cdx.json and
    /// NAME.kernel.config beside it, when they name its registers.
    Report(ReportArgs),
    /// Print an AWS KMS key policy that admits only enclaves with the given measurements.
    Policy(PolicyArgs),
    /// Verify or show an attestation document.
    #[command(subcommand)]
    Attest(AttestCommand),
    /// Tell what this host lacks to build, run, test and measure, why, and how to mend it. Changes nothing.
    Doctor(DoctorArgs),
    /// Print a script that completes this program's command line in your shell.
    Completions(manual::Completions),
    /// Write this program's man pages, one for each command.
    Man(manual::Man),
}

/// Where things are kept, and how much of the machine to use.
#[derive(Clone, Debug, Args)]
pub struct StoreArgs {
    /// Cache of inputs and built parts [default: $XDG_CACHE_HOME/nitro-web3signer or ~/.cache/nitro-web3signer]
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Compile with this many jobs [default: one per CPU]. Changes no byte of the result
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
}

/// `build`
#[derive(Clone, Debug, Args)]
pub struct BuildArgs {
    /// The image's manifest, for example rootfs/native/image.toml
    #[arg(value_name = "MANIFEST")]
    pub manifest: PathBuf,
    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
    /// Use this kernel (a bzImage) instead of the recipe's: other PCRs, and yours to vouch for
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// With --kernel: its nsm.ko, when the NSM driver is a module
    #[arg(long, value_name = "FILE", requires = "kernel")]
    pub nsm_module: Option<PathBuf>,
    /// Take this file for a locked download instead of fetching it; its SHA-256 is checked all the same
    #[arg(long = "download", value_name = "NAME=FILE", value_parser = named_file)]
    pub downloads: Vec<(String, PathBuf)>,
    /// Sign the image.
    #[command(flatten)]
    pub signing: SigningArgs,
    /// Print the measurements as JSON
    #[arg(long)]
    pub json: bool,
    /// Where things are kept.
    #[command(flatten)]
    pub store: StoreArgs,
}

fn named_file(text: &str) -> Result<(String, PathBuf), &'static str> {
    let (name, file) = text.split_once('=').ok_or("expected NAME=FILE")?;
    Ok((name.to_owned(), PathBuf::from(file)))
}

/// `lock`
#[derive(Clone, Debug, Args)]
pub struct LockArgs {
    /// Manifests with an `inputs` table
    #[arg(value_name = "MANIFEST", required = true)]
    pub manifests: Vec<PathBuf>,
    /// Only check that each lock matches its manifest; touches neither network nor files
    #[arg(long)]
    pub check: bool,
    /// Where things are kept.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// What `reproducible/` describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RecipeName {
    /// The root that everything measured is compiled in
    BuildRoot,
    /// The kernel: bzImage, config, version
    Kernel,
    /// QEMU with the Nitro Enclave machine, for the simulator
    Emulator,
    /// The stand-in for Web3Signer in the tests: web3signer-standin.tar.gz
    Standin,
}

/// `recipe`
#[derive(Clone, Debug, Args)]
pub struct RecipeArgs {
    /// Which one
    #[arg(value_enum)]
    pub recipe: RecipeName,
    /// A folder in the source tree
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub tree: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Where things are kept.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// The machine an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    /// 64-bit x86
    #[value(name = "x86_64")]
    X86_64,
    /// 64-bit Arm
    #[value(name = "aarch64")]
    Aarch64,
}

/// `assemble`
#[derive(Clone, Debug, Args)]
pub struct AssembleArgs {
    /// A bzImage (x86_64) or Image (aarch64)
    #[arg(long, value_name = "FILE")]
    pub kernel: PathBuf,
    /// The kernel's command line
    #[arg(long, value_name = "TEXT")]
    pub cmdline: String,
    /// A ramdisk; give it again for each, in order. The first must hold /init
    #[arg(long = "ramdisk", value_name = "FILE", required = true)]
    pub ramdisks: Vec<PathBuf>,
    /// Where to write the image
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// The machine it is for
    #[arg(long, value_enum, default_value = "x86_64")]
    pub arch: Arch,
    /// Name for the metadata
    #[arg(long, value_name = "TEXT", default_value = "image")]
    pub name: String,
    /// Version for the metadata
    #[arg(long = "image-version", value_name = "TEXT", default_value = "0")]
    pub image_version: String,
    /// A JSON file of at most 4096 bytes for the metadata
    #[arg(long, value_name = "FILE")]
    pub metadata: Option<PathBuf>,
    /// Memory that the image asks for, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    pub default_mem: u64,
    /// CPUs that the image asks for
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub default_cpus: u64,
    /// Sign the image.
    #[command(flatten)]
    pub signing: SigningArgs,
    /// Print the measurements as JSON
    #[arg(long)]
    pub json: bool,
}

/// `describe`
#[derive(Clone, Debug, Args)]
pub struct DescribeArgs {
    /// The image
    #[arg(value_name = "EIF")]
    pub image: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `verify`
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// The image
    #[arg(value_name = "EIF", required_unless_present_any = ["rebuild", "live"], conflicts_with_all = ["rebuild", "live"])]
    pub image: Option<PathBuf>,
    /// Expect these measurements (out/NAME.pcrs.json, or what nitro-cli prints), and EifSha256 if it is there. With --rebuild or
    /// --live, the source tree's reproducible/published/NAME.pcrs.json when not given; never take them from the host that is
    /// checked
    #[arg(long, value_name = "FILE")]
    pub pcrs: Option<PathBuf>,
    /// Judge the signing certificate at this time (2026-01-31T23:59:59Z) instead of now
    #[arg(long, value_name = "TIME", conflicts_with_all = ["rebuild", "live"])]
    pub at: Option<String>,
    /// Print JSON; of a live enclave with its document, for another program to check
    #[arg(long)]
    pub json: bool,
    /// Build it again.
    #[command(flatten)]
    pub rebuild: RebuildArgs,
    /// Ask a running one.
    #[command(flatten)]
    pub live: LiveArgs,
}

/// A document about an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Paper {
    /// The bill of materials as CycloneDX 1.6
    Cyclonedx,
    /// The bill of materials as SPDX 2.3
    Spdx,
    /// The provenance: an in-toto statement with SLSA's predicate
    Provenance,
}

/// `sbom`
#[derive(Clone, Debug, Args)]
pub struct SbomArgs {
    /// The image's manifest, for example rootfs/native/image.toml
    #[arg(value_name = "MANIFEST")]
    pub manifest: PathBuf,
    /// Which document
    #[arg(long, value_enum, default_value = "cyclonedx")]
    pub format: Paper,
    /// Write here instead of printing
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Take this file for a locked download instead of fetching it; its SHA-256 is checked all the same
    #[arg(long = "download", value_name = "NAME=FILE", value_parser = named_file)]
    pub downloads: Vec<(String, PathBuf)>,
    /// Where things are kept.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `report`
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// The image
    #[arg(value_name = "EIF")]
    pub image: PathBuf,
    /// Where to write the page
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Show what changed since this image
    #[arg(long, value_name = "EIF")]
    pub against: Option<PathBuf>,
    /// Take this CycloneDX document instead of the one beside the image
    #[arg(long, value_name = "FILE")]
    pub sbom: Option<PathBuf>,
    /// Take this kernel configuration instead of the one beside the image
    #[arg(long, value_name = "FILE")]
    pub kernel_config: Option<PathBuf>,
}

/// `policy`
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct PolicyArgs {
    /// Instead of printing one.
    #[command(subcommand)]
    pub command: Option<PolicyCommand>,
    /// Measurements of an image to admit (out/NAME.pcrs.json); give it again for each image of a rollout
    #[arg(long = "pcrs", value_name = "FILE", required = true)]
    pub pcrs: Vec<PathBuf>,
    /// The 12-digit account that owns the key. Without any name a template is printed that KMS refuses
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
    /// aws, aws-cn or aws-us-gov [default: aws]
    #[arg(long, value_name = "NAME")]
    pub partition: Option<String>,
    /// ARN of a role or user that administers the key and never uses it
    #[arg(long = "admin", value_name = "ARN")]
    pub admins: Vec<String>,
    /// ARN of the parent instance's role
    #[arg(long, value_name = "ARN")]
    pub instance_role: Option<String>,
    /// ARN of a role of the key ceremony: may encrypt, never decrypt
    #[arg(long = "loader-role", value_name = "ARN")]
    pub loader_roles: Vec<String>,
    /// Demand PCR3: the enclave's parent has this role
    #[arg(long, value_name = "ARN")]
    pub pcr3_role: Option<String>,
    /// Demand PCR4: the parent is this instance; give it again for each
    #[arg(long = "pcr4-instance", value_name = "ID")]
    pub pcr4_instances: Vec<String>,
    /// Demand PCR8: the image is signed by the certificate in its measurements
    #[arg(long)]
    pub pcr8: bool,
    /// Demand PCR16: this deployment config, 96 hex digits; give it again for each
    #[arg(long, value_name = "HEX")]
    pub pcr16: Vec<String>,
    /// Admit debug-mode enclaves (all-zero PCRs): the parent can read their console. For a key that protects nothing
    #[arg(long)]
    pub danger_admit_debug: bool,
    /// Write here instead of printing
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `attest`
#[derive(Clone, Debug, Subcommand)]
pub enum AttestCommand {
    /// Check a document: form, certificates, signature, time, nonce, PCRs.
    Verify(AttestVerifyArgs),
    /// Show what a document says, without believing it.
    Show(AttestShowArgs),
}

/// `attest verify`
#[derive(Clone, Debug, Args)]
pub struct AttestVerifyArgs {
    /// The document (CBOR bytes, or base64 text), `-` for standard input
    #[arg(value_name = "DOC")]
    pub document: String,
    /// Trust this root certificate (PEM) instead of AWS's: for tests; whoever has its key can forge any enclave
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
    /// Expect these measurements (out/NAME.pcrs.json)
    #[arg(long, value_name = "FILE")]
    pub pcrs: Option<PathBuf>,
    /// Expect this nonce
    #[arg(long, value_name = "HEX")]
    pub nonce: Option<String>,
    /// Check at this time (2026-01-31T23:59:59Z, or milliseconds since 1970), or with the word `document` at the document's
    /// own, instead of now
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Refuse documents older than this, for example 90s, 5m, 2h
    #[arg(long, value_name = "DURATION")]
    pub max_age: Option<String>,
    /// Accept an enclave in debug mode (all-zero PCRs), whose console its parent can read
    #[arg(long)]
    pub danger_admit_debug: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `attest show`
#[derive(Clone, Debug, Args)]
pub struct AttestShowArgs {
    /// The document (CBOR bytes, or base64 text), `-` for standard input
    #[arg(value_name = "DOC")]
    pub document: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
