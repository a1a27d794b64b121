//! The command line, as types. What it does is in [`crate::run`].

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::DEFAULT_PATH;
use crate::journal::Format;

/// The parent instance's side of a signing enclave.
///
/// It carries bytes and starts the enclave; it never sees a key, and nothing depends on its honesty but availability.
#[derive(Debug, Parser)]
#[command(name = "parent", version, arg_required_else_help = true, after_help = crate::exit::HELP)]
pub struct Cli {
    /// The configuration file. deploy/systemd/parent.toml is a commented example.
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub config: PathBuf,

    /// How lines of the log look [default: log.format of the file].
    #[arg(long, global = true, value_name = "text|json", value_parser = format)]
    pub log_format: Option<Format>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the enclave, give it its artefacts, watch the service, start it again when it must.
    ///
    /// Reads the TLS and validator tables with the instance role's credentials. Tells systemd READY when the signer serves.
    /// SIGHUP: read the tables again; keys and clients that changed are sent to the running signer.
    /// Ends the enclave on SIGTERM or SIGINT, unless `watchdog.keep_enclave` is true.
    Watchdog,
    /// Carry TLS connections of clients to the enclave. Whatever is not TLS is dropped before it gets there.
    HttpsProxy(HttpsProxy),
    /// Carry the enclave's connections to the servers of the configuration, and to no others.
    VsockProxy,
    /// Show how the enclave and the service are.
    ///
    /// Asks the enclave for its status; then, when service.address is set, /upcheck and the public keys over TLS.
    Status(Status),
    /// Check the configuration file and say nothing more.
    CheckConfig,
    /// Print a script that completes this program's command line in your shell.
    Completions(manual::Completions),
    /// Write this program's man pages, one for each command.
    Man(manual::Man),
}

/// `parent https-proxy`.
#[derive(Args, Debug)]
pub struct HttpsProxy {
    /// Listen here in place of `https_proxy.listen`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
}

/// `parent status`.
#[derive(Args, Debug)]
pub struct Status {
    /// One JSON object in place of text.
    #[arg(long)]
    pub json: bool,
}

fn format(text: &str) -> Result<Format, &'static str> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err("expected text or json"),
    }
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
        let read = |line: &str| Cli::try_parse_from(line.split_whitespace());
        let cli = read("parent status --json --config /x --log-format json").unwrap();
        assert_eq!((cli.config, cli.log_format), ("/x".into(), Some(Format::Json)));
        assert!(matches!(cli.command, Command::Status(Status { json: true })));
        assert_eq!(
            read("parent watchdog").unwrap().config,
            PathBuf::from(DEFAULT_PATH)
        );
        for bad in [
            "parent",
            "parent fly",
            "parent watchdog --log-format xml",
            "parent https-proxy --listen x",
        ] {
            assert_eq!(read(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
    }
}
