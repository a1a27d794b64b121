//! The command line, as types. What it does is in [`crate::run`].

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::forward::{Forward, Listen};

/// A Nitro Enclave on this machine: boots an EIF in QEMU's nitro-enclave machine, and a KMS for it.
///
/// For tests and trials. It measures as AWS does, but protects nothing, and its attestation documents carry no
/// signature of AWS.
#[derive(Debug, Parser)]
#[command(name = "simulator", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boot an EIF, show its console and boot stages until Ctrl-C.
    Run(Box<Run>),
    /// A KMS that judges signatures, key policies and attestation as AWS does, until Ctrl-C.
    ///
    /// Its keys lie in clear in the state folder: it is for tests and trials, not for secrets.
    Kms(Box<crate::kms::cli::Serve>),
    /// Ask or upset a running `simulator kms`.
    KmsControl(crate::kms::cli::Control),
    /// Print a script that completes this program's command line in your shell.
    Completions(manual::Completions),
    /// Write this program's man pages, one for each command.
    Man(manual::Man),
    /// Become the program that follows, tied to the parent's life. For this program's own use.
    #[command(name = crate::guard::LAUNCH, hide = true)]
    Launch {
        /// The parent's process number, the program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<std::ffi::OsString>,
    },
}

/// `simulator run`.
#[derive(Args, Debug)]
#[command(after_help = "\
Inside the folder of --dir:
  vsock_PORT   Unix socket of a program that the enclave reaches as port PORT of CID 3 (or 2)
  vsock.sock   write \"CONNECT PORT\\n\", read \"OK <port>\\n\", and be connected to port PORT of the enclave

Exit codes:
  0  the enclave ended by itself after its boot, or was stopped with Ctrl-C
  1  failure of the simulator
  2  wrong usage
  3  the enclave did not boot; the last line names how far it came
")]
pub struct Run {
    /// The enclave image file.
    pub image: PathBuf,

    /// Folder of an emulator bundle [default: qemu-system-x86_64 in PATH, if it has the machine].
    #[arg(long, value_name = "DIR")]
    pub emulator: Option<PathBuf>,

    /// Folder for the sockets [default: a private temporary one, which is printed].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// Memory, in MiB [default: what the image asks for].
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(64..))]
    pub memory: Option<u32>,

    /// Number of processors [default: what the image asks for].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub cpus: Option<u32>,

    /// The enclave's context id; 0 to 3 are taken.
    #[arg(long, default_value_t = abi::vsock::ENCLAVE_CID, value_parser = clap::value_parser!(u32).range(4..))]
    pub cid: u32,

    /// Connections of the enclave to vsock port PORT go to this TCP address or Unix socket.
    #[arg(long, value_name = "PORT=ADDRESS:PORT|PORT=unix:PATH", value_parser = str::parse::<Forward>)]
    pub forward: Vec<Forward>,

    /// Connections to this TCP address go to vsock port PORT of the enclave.
    #[arg(long, value_name = "ADDRESS:PORT=PORT", value_parser = str::parse::<Listen>)]
    pub listen: Vec<Listen>,

    /// Also take addresses that other machines can reach.
    #[arg(long)]
    pub allow_non_loopback: bool,

    /// Wait so many seconds for the heartbeat [default: as long as nitro-cli, 180 or more].
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub timeout: Option<Duration>,

    /// Print one JSON object a line, with `kind`, `text` and mostly `at_ms`.
    #[arg(long)]
    pub json: bool,
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_are_read() {
        let line = "simulator run a.eif --forward 8000=127.0.0.1:1 --forward 1=unix:/x --listen 127.0.0.1:8443=5000 \
                    --timeout 9 --cid 4";
        let Command::Run(run) = Cli::try_parse_from(line.split_whitespace()).unwrap().command else {
            panic!()
        };
        assert_eq!((run.forward.len(), run.listen.len(), run.cid), (2, 1, 4));
        assert_eq!(run.timeout, Some(Duration::from_secs(9)));
        for bad in [
            "run a --cid 3",
            "run a --cpus 0",
            "run a --memory 1",
            "run a --forward x",
            "run",
            "walk",
            "kms --region A",
            "kms --account 1",
            "kms --tls-cert a",
            "kms-control counts",
            "kms-control --state a fault throttle --operation decrypt",
        ] {
            let words = std::iter::once("simulator").chain(bad.split_whitespace());
            assert_eq!(Cli::try_parse_from(words).unwrap_err().exit_code(), 2, "{bad}");
        }
    }
}
