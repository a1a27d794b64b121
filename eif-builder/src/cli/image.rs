//! Arguments of the commands about one or two images and their key policy: sign, extract, diff, policy lint.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The key that an image is signed with. Both are given or neither.
#[derive(Clone, Debug, Default, Args)]
pub struct SigningArgs {
    /// Sign with this P-384 key: a PEM file, or the ARN of a KMS key (credentials as the AWS command line finds them)
    #[arg(long, value_name = "FILE|ARN", requires = "signing_certificate")]
    pub signing_key: Option<String>,
    /// The key's certificate (PEM). PCR8 is a hash over it
    #[arg(long, value_name = "FILE", requires = "signing_key")]
    pub signing_certificate: Option<PathBuf>,
    /// Reach KMS here instead of at the region's own address
    #[arg(long, value_name = "URL", requires = "signing_key")]
    pub kms_endpoint: Option<String>,
}

/// `extract`
#[derive(Clone, Debug, Args)]
pub struct ExtractArgs {
    /// The image
    #[arg(value_name = "EIF")]
    pub image: PathBuf,
    /// The folder to make; it must not be there
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Write the sections as they are and unpack no ramdisk
    #[arg(long)]
    pub sections_only: bool,
}

/// `diff`
#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// One image
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// The other
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `sign`
#[derive(Clone, Debug, Args)]
pub struct SignArgs {
    /// The image
    #[arg(value_name = "EIF")]
    pub image: PathBuf,
    /// Write the signed image here instead of in its place
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Sign with this P-384 key: a PEM file, or the ARN of a KMS key (credentials as the AWS command line finds them)
    #[arg(long, value_name = "FILE|ARN")]
    pub signing_key: String,
    /// The key's certificate (PEM). PCR8 is a hash over it
    #[arg(long, value_name = "FILE")]
    pub signing_certificate: PathBuf,
    /// Reach KMS here instead of at the region's own address
    #[arg(long, value_name = "URL")]
    pub kms_endpoint: Option<String>,
    /// Print the measurements as JSON
    #[arg(long)]
    pub json: bool,
}

/// What else can be done with a key policy.
#[derive(Clone, Debug, Subcommand)]
pub enum PolicyCommand {
    /// Find what is weak in a key policy: why, and how to mend it.
    ///
    /// Unconditional use, wildcard principals, conditions on part of the PCRs or of the actions, a joint Deny, all-zero and
    /// stale PCRs, kms:PutKeyPolicy for many, and more. Exit code 3 when something is found or the text is no key policy,
    /// 1 when a file cannot be read.
    Lint(PolicyLintArgs),
}

/// `policy lint`
#[derive(Clone, Debug, Args)]
pub struct PolicyLintArgs {
    /// The key policy (aws kms get-key-policy --policy-name default --output text)
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    /// Measurements of an image that should be in use; give it again for each. Others in the policy are stale
    #[arg(long = "pcrs", value_name = "FILE")]
    pub pcrs: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
