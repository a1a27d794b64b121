//! Command line, environment and configuration file into values by option name.
//!
//! The layers, each using only those after it: what to do ([`read`]), values ([`values`]), configuration file
//! ([`mod@file`]), words ([`parse`]), usage texts ([`help`]), tables ([`table`]), rows ([`option`]).
//! What the values mean together is decided in [`crate::config`].

pub mod error;
pub mod file;
pub mod help;
pub mod option;
pub mod parse;
mod similar;
pub mod table;
mod table_eth2;
pub mod values;

use std::collections::BTreeMap;
use std::path::Path;

use error::{Show, UsageError};
use option::Level;
use parse::Ask;
use values::Values;

/// The version that `--version` prints. The first part is what clients of Web3Signer look for; it tells the release
/// whose behaviour this is, then what really runs.
pub const VERSION: &str = concat!(
    "web3signer/v26.4.2/linux-x86_64/web3signer-rs-",
    env!("CARGO_PKG_VERSION")
);

/// What a command line asks for.
#[derive(Debug, Clone)]
pub enum Request {
    /// Print this text on standard output and stop with status 0.
    Print(String),
    /// Run this command with these values.
    Run(Level, Box<Values>),
}

/// Largest configuration file, in bytes.
const FILE_LIMIT: usize = 1 << 20;

/// Reads a command line. `read_file` gives the bytes of the configuration file.
///
/// # Errors
/// Anything that cannot be used; see [`report`].
pub fn read(
    words: &[String],
    environment: &BTreeMap<String, String>,
    read_file: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<Request, UsageError> {
    let line = parse::parse(words)?;
    match line.ask {
        Some(Ask::Help(level)) => return Ok(Request::Print(help::usage(level))),
        Some(Ask::Version) => return Ok(Request::Print(format!("{VERSION}\n"))),
        None => {}
    }
    let named = line.given.get("--config-file").and_then(|values| values.first());
    let file = match named {
        None => BTreeMap::new(),
        Some(name) => configuration(line.level(), name, read_file)?,
    };
    let values = values::gather(&line, environment, &file)?;
    Ok(Request::Run(line.level(), Box::new(values)))
}

fn configuration(
    level: Level,
    name: &str,
    read_file: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<BTreeMap<String, String>, UsageError> {
    let bytes = read_file(Path::new(name)).map_err(|e| {
        let reason = if e.kind() == std::io::ErrorKind::NotFound {
            format!("Unable to read yaml configuration. File not found: {name}")
        } else {
            format!("Unexpected IO error while reading yaml configuration file [{name}]: {e}")
        };
        UsageError::new(level, reason)
    })?;
    if bytes.len() > FILE_LIMIT {
        let reason = format!(
            "Unable to read yaml configuration. [{name}] has {} bytes; at most {FILE_LIMIT} are read",
            bytes.len()
        );
        return Err(UsageError::new(level, reason));
    }
    file::read(name, &bytes).map_err(|e| UsageError::new(level, e.to_string()))
}

/// What to print for an error: standard error, standard output.
#[must_use]
pub fn report(error: &UsageError) -> (String, String) {
    let stdout = match &error.show {
        Show::Usage => help::usage(error.level),
        Show::Suggestions(names) if names.iter().all(|name| name.starts_with('-')) => {
            format!("Possible solutions: {}\n", names.join(", "))
        }
        Show::Suggestions(names) => format!("Did you mean: {}?\n", names.join(" or ")),
        Show::Nothing => String::new(),
    };
    (format!("Error parsing parameters: {}\n", error.reason), stdout)
}

#[cfg(test)]
mod tests;
