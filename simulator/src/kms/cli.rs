//! The command lines of `simulator kms` and `simulator kms-control`, as types.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kms_policy::arn::AccountId;

use super::fault::{Fault, Kind};
use super::operation::Operation;

/// `simulator kms`.
#[derive(Args, Debug)]
#[command(after_help = "\
Inside the folder of --state:
  env           shell lines: `. DIR/env` makes the AWS CLI and boto3 talk to this KMS
  ca.pem        the test CA, for whoever shall trust this KMS
  credentials   the principals in the AWS CLI's form, one profile each
  principals.toml, keys/, aliases.json, ca.key
                what is kept from one start to the next
  control.sock  for `simulator kms-control`

An enclave of `simulator run --dir DIR` reaches it as port 8000 of CID 3 with --unix DIR/vsock_8000.

Exit codes:
  0  stopped with Ctrl-C
  1  failure
  2  wrong usage
")]
pub struct Serve {
    /// Folder for the CA, the keys and the rest [default: a private temporary one, which is printed].
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,

    /// Listen on this TCP address; port 0 takes a free one [default: 127.0.0.1:0, unless --unix is given].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// Listen on this Unix socket.
    #[arg(long, value_name = "PATH")]
    pub unix: Option<PathBuf>,

    /// Also take a --listen address that other machines can reach.
    #[arg(long)]
    pub allow_non_loopback: bool,

    /// Whose attestation documents are believed: `aws`; a PEM file; or `danger-unsigned-simulator`, which believes what
    /// QEMU makes and so anyone who can connect.
    #[arg(
        long,
        value_name = "aws|FILE|danger-unsigned-simulator",
        default_value = "aws"
    )]
    pub root: String,

    /// Region of the keys and of signatures.
    #[arg(long, default_value = "us-east-1", value_parser = region)]
    pub region: String,

    /// Account of the keys.
    #[arg(long, default_value = "111122223333")]
    pub account: AccountId,

    /// Who may call, in TOML [default: DIR/principals.toml, made with a user `admin` and a role `enclave`].
    #[arg(long, value_name = "FILE")]
    pub principals: Option<PathBuf>,

    /// Key policy of the key `alias/simulator`, which is made if it is absent; its policy is replaced if not.
    #[arg(long, value_name = "FILE")]
    pub key_policy: Option<PathBuf>,

    /// Certificate chain to show instead of one of the test CA, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// How answers to enclaves carry their content. AWS sends both forms.
    #[arg(long, value_enum, default_value_t = Form::Constructed)]
    pub content_form: Form,

    /// Print one JSON object a line; the first has `"kind":"ready"`.
    #[arg(long)]
    pub json: bool,
}

/// See [`super::envelope::ContentForm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// One OCTET STRING in an indefinite length.
    Constructed,
    /// A definite length.
    Primitive,
}

fn region(text: &str) -> Result<String, &'static str> {
    let form = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=32).contains(&text.len()) && text.bytes().all(form) {
        Ok(text.to_owned())
    } else {
        Err("a region has lower-case letters, digits and hyphens, at most 32")
    }
}

/// `simulator kms-control`.
#[derive(Args, Debug)]
pub struct Control {
    /// The --state folder of the running KMS.
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,

    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What `simulator kms-control` does.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Print what was called and answered so far, as JSON.
    Counts,
    /// Let the next calls go wrong.
    Fault(FaultFlags),
    /// Let no call go wrong any more.
    Clear,
}

/// `simulator kms-control fault`.
#[derive(Args, Debug)]
pub struct FaultFlags {
    /// throttle, internal, unavailable, slow, reset, short-read, garbage, wrong-key-id, another-recipient.
    pub kind: String,

    /// Only calls of this operation, such as Decrypt.
    #[arg(long, value_parser = operation)]
    pub operation: Option<Operation>,

    /// So many calls go wrong.
    #[arg(long, default_value_t = 1)]
    pub count: u32,

    /// So many calls pass before.
    #[arg(long, default_value_t = 0)]
    pub skip: u32,

    /// With `slow`: milliseconds.
    #[arg(long)]
    pub ms: Option<u64>,
}

fn operation(name: &str) -> Result<Operation, String> {
    Operation::named(name).ok_or_else(|| {
        let known: Vec<&str> = Operation::ALL.iter().map(|operation| operation.name()).collect();
        format!("expected one of {}", known.join(", "))
    })
}

impl FaultFlags {
    /// The fault; `None` when there is no such kind, or `--ms` does not go with it.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        Some(Fault {
            operation: self.operation,
            kind: Kind::named(&self.kind, self.ms)?,
            skip: self.skip,
            count: self.count,
        })
    }
}
