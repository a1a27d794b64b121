//! The command line: types only. `nitro-operator help COMMAND` is made from the texts below.

#![expect(clippy::doc_markdown, reason = "the texts are shown as they are by --help")]

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use control::text::{PublicKey, StackId};

use crate::exit::HELP;

/// The key ceremony for nitro-web3signer, on a trusted machine.
///
/// Encrypts validator keys, TLS keys, client lists and the slashing store's credential under the deployment's KMS key and
/// writes them where the parent instance reads them. Refuses to run on an enclave's parent or in an enclave. Credentials of
/// AWS come from where its own tools take them: environment, profile, SSO. Every command may be repeated.
#[derive(Clone, Debug, Parser)]
#[command(name = "nitro-operator", version, propagate_version = true, max_term_width = 110, after_help = HELP)]
pub struct Cli {
    /// Where and with what.
    #[command(flatten)]
    pub aws: AwsArgs,
    /// Print the result as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command that talks to AWS needs.
#[derive(Clone, Debug, Args)]
pub struct AwsArgs {
    /// The deployment config (JSON, the one that the enclave measures into PCR16): names key, stacks, region and slashing table
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The stack that artefacts are for; needed when the config names several
    #[arg(long, global = true, value_name = "UUID")]
    pub stack: Option<StackId>,
    /// Profile of the AWS configuration files
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Another endpoint of KMS: https://HOST:PORT, or http:// on the loopback interface
    #[arg(long, global = true, value_name = "URL")]
    pub kms_endpoint: Option<String>,
    /// Another endpoint of DynamoDB, in the same forms
    #[arg(long, global = true, value_name = "URL")]
    pub dynamodb_endpoint: Option<String>,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Validator keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// The signer's TLS key and certificate.
    #[command(subcommand)]
    Tls(TlsCommand),
    /// Who may use the signer.
    #[command(subcommand)]
    Clients(ClientsCommand),
    /// Records of slashing protection in DynamoDB, and the credential to reach them.
    #[command(subcommand)]
    Slashing(SlashingCommand),
    /// The deployment config.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The KMS key's policy.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Print a script that completes this program's command line in your shell.
    Completions(manual::Completions),
    /// Write this program's man pages, one for each command.
    Man(manual::Man),
}

/// `keys`
#[derive(Clone, Debug, Subcommand)]
pub enum KeysCommand {
    /// Verify keystores, encrypt them and write them into the validator table.
    ///
    /// Every keystore is opened with its password and its key compared with its public key before anything is written.
    /// What the table has already, active or not, is left as it is; so the command can be cut off at any time and run
    /// again. Files that are no keystores, or a key twice, stop the run before it begins; a wrong password stops it before
    /// the batch of 25 that it is in is written. --skip-bad goes on instead.
    Load(LoadArgs),
    /// Show the keys of the stack in the validator table.
    List(TableArgs),
    /// Let the parent load these keys again, at its next start or reload.
    Activate(ChangeArgs),
    /// Keep the parent from loading these keys at its next start. A running enclave keeps them until they are removed there.
    Deactivate(ChangeArgs),
}

/// The validator table.
#[derive(Clone, Debug, Args)]
pub struct TableArgs {
    /// Name of the validator table
    #[arg(long = "table", value_name = "NAME")]
    pub table: String,
}

/// `keys activate`, `keys deactivate`
#[derive(Clone, Debug, Args)]
pub struct ChangeArgs {
    /// Where they are.
    #[command(flatten)]
    pub table: TableArgs,
    /// Public keys
    #[arg(value_name = "PUBKEY", required = true)]
    pub keys: Vec<PublicKey>,
}

/// `keys load`
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("password").args(["password_file", "password_dir", "password_fd"])))]
pub struct LoadArgs {
    /// Where they go.
    #[command(flatten)]
    pub table: TableArgs,
    /// Keystore files, or folders of them (the output of staking-deposit-cli: its deposit data are stored, too)
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// One password for all keystores, in a file
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// For every NAME.json a password in DIR/NAME.txt [default: beside the keystore, else one for all is asked for]
    #[arg(long, value_name = "DIR")]
    pub password_dir: Option<PathBuf>,
    /// One password for all keystores, from an open file descriptor
    #[arg(long, value_name = "N")]
    pub password_fd: Option<u32>,
    /// Store {"secret_key"} instead of keystore and password: KMS protects both alike, and the enclave starts without a
    /// second of scrypt for each key
    #[arg(long)]
    pub compact: bool,
    /// Write what is good although some keystores are not
    #[arg(long)]
    pub skip_bad: bool,
    /// Verify everything and say what would be done; call KMS for nothing and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Keystores that are opened at once; each scrypt takes 256 MiB
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub jobs: usize,
    /// Name in the column `chain` [default: the config's network]
    #[arg(long, value_name = "NAME")]
    pub chain: Option<String>,
}

/// The item of the TLS table.
#[derive(Clone, Debug, Args)]
pub struct TlsTableArgs {
    /// Name of the TLS table
    #[arg(long = "table", value_name = "NAME")]
    pub table: String,
    /// Its item
    #[arg(long, value_name = "ID", default_value = "1")]
    pub key_id: String,
    /// Version of what is written [default: one above the highest known]. An enclave refuses versions below those that it
    /// has seen
    #[arg(long, value_name = "N")]
    pub artefact_version: Option<u64>,
    /// Check everything and say what would be done; write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `tls`
#[derive(Clone, Debug, Subcommand)]
pub enum TlsCommand {
    /// Make a P-256 key and a certificate, and write them into the TLS table. The key exists in memory only.
    Create(CreateArgs),
    /// Make a P-256 key and a request for a certificate (CSR), for an authority to sign; then `tls import` takes both.
    Request(RequestArgs),
    /// Take a PKCS#12 file, or a private key with its certificate chain.
    Import(ImportArgs),
}

/// `tls request`
#[derive(Clone, Debug, Args)]
pub struct RequestArgs {
    /// Host name that clients connect to: the common name, and the first alternative name
    #[arg(long, value_name = "NAME")]
    pub host: String,
    /// More alternative names: host names or IP addresses
    #[arg(long = "san", value_name = "NAME")]
    pub sans: Vec<String>,
    /// File to make for the private key (PKCS#8 in PEM, mode 0600). Remove it after the import
    #[arg(long, value_name = "FILE")]
    pub key_out: PathBuf,
    /// File to make for the request (PEM)
    #[arg(long, value_name = "FILE")]
    pub csr_out: PathBuf,
}

/// `tls create`
#[derive(Clone, Debug, Args)]
pub struct CreateArgs {
    /// Where it goes.
    #[command(flatten)]
    pub table: TlsTableArgs,
    /// Host name that clients connect to: the certificate's common name, and its first alternative name
    #[arg(long, value_name = "NAME")]
    pub host: String,
    /// More alternative names: host names or IP addresses
    #[arg(long = "san", value_name = "NAME")]
    pub sans: Vec<String>,
    /// Validity in days
    #[arg(long, value_name = "DAYS", default_value_t = 397, value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub days: u32,
    /// Also write the certificate (PEM), for clients to trust
    #[arg(long, value_name = "FILE")]
    pub cert_out: Option<PathBuf>,
}

/// `tls import`
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("source").args(["pkcs12", "key"]).required(true)))]
pub struct ImportArgs {
    /// Where it goes.
    #[command(flatten)]
    pub table: TlsTableArgs,
    /// Host name that the certificate must be for
    #[arg(long, value_name = "NAME")]
    pub host: String,
    /// A PKCS#12 file with one key and its chain
    #[arg(long, value_name = "FILE")]
    pub pkcs12: Option<PathBuf>,
    /// Its password, in a file [default: asked for]
    #[arg(long, value_name = "FILE", requires = "pkcs12")]
    pub password_file: Option<PathBuf>,
    /// A private key (PKCS#8 in PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Its certificate chain (PEM), the server's own first
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
}

/// `clients`
#[derive(Clone, Debug, Subcommand)]
pub enum ClientsCommand {
    /// Say anew who may use the signer. The list is written whole: who is not named is out.
    Set(SetClientsArgs),
}

/// `clients set`
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("who").args(["clients", "ca"]).required(true).multiple(true)))]
pub struct SetClientsArgs {
    /// Where it goes.
    #[command(flatten)]
    pub table: TlsTableArgs,
    /// Certificates of clients (PEM); each is known by common name and SHA-256
    #[arg(long = "client", value_name = "FILE")]
    pub clients: Vec<PathBuf>,
    /// Certificate of the authority of clients (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// `slashing`
#[derive(Clone, Debug, Subcommand)]
pub enum SlashingCommand {
    /// Make the records without which nothing is signed, from interchange files (EIP-3076). Numbers only ever rise.
    Init(InitArgs),
    /// Write the newest duties of all validators as an interchange file.
    Export(ExportArgs),
    /// The credential by which the signer reaches its slashing store.
    #[command(subcommand)]
    Credential(CredentialCommand),
}

/// What names the chain.
#[derive(Clone, Debug, Args)]
pub struct ChainArgs {
    /// Genesis validators root, 0x and 64 hex digits [default: that of the config's network, where it is known]
    #[arg(long, value_name = "ROOT")]
    pub genesis_validators_root: Option<String>,
}

/// `slashing init`
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// Which chain.
    #[command(flatten)]
    pub chain: ChainArgs,
    /// Interchange files of the signers that used the keys before
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A key that never signed anything, anywhere: gets a record without history
    #[arg(long = "never-signed", value_name = "PUBKEY")]
    pub never_signed: Vec<PublicKey>,
    /// Check the files and say what they hold; write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `slashing export`
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// Which chain.
    #[command(flatten)]
    pub chain: ChainArgs,
    /// File to make; it must not exist [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `slashing credential`
#[derive(Clone, Debug, Subcommand)]
pub enum CredentialCommand {
    /// Encrypt the credential and write it beside the TLS key.
    Set(SetCredentialArgs),
}

/// `slashing credential set`
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("from").args(["file", "fd"]).required(true)))]
pub struct SetCredentialArgs {
    /// Where it goes.
    #[command(flatten)]
    pub table: TlsTableArgs,
    /// The credential (JSON): the output of `aws iam create-access-key`, or the signer's own form; for PostgreSQL an object of
    /// username, password and ca_pem
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The same from an open file descriptor
    #[arg(long, value_name = "N")]
    pub fd: Option<u32>,
}

/// `config`
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the canonical text that is measured.
    Show,
    /// Print its SHA-384 and the PCR16 that results.
    Hash,
}

/// `policy`
#[derive(Clone, Debug, Subcommand)]
pub enum PolicyCommand {
    /// Look for weaknesses, and compare with the images that should be in use.
    Check(CheckArgs),
}

/// `policy check`
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// A policy in a file [default: that of the config's key, asked of KMS]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Measurements of an image that must be admitted (out/NAME.pcrs.json)
    #[arg(long = "pcrs", value_name = "FILE")]
    pub pcrs: Vec<PathBuf>,
}
