//! Starts, finds and ends the enclave: through `nitro-cli`, or through a command that runs one.

pub mod command;
pub mod nitro_cli;

use std::io;
use std::time::Duration;

use crate::config;
use crate::journal::Journal;

/// Why the enclave could not be started, found or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnclaveError {
    /// The program cannot be run.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// It did not end in time.
    #[error("{program} {verb} did not end within {} s", patience.as_secs())]
    Late {
        /// The program.
        program: String,
        /// What it was asked.
        verb: &'static str,
        /// How long it had.
        patience: Duration,
    },
    /// It failed. The text is its own, cut.
    #[error("{program} {verb} failed with {status}: {text}")]
    Failed {
        /// The program.
        program: String,
        /// What it was asked.
        verb: &'static str,
        /// How it ended.
        status: String,
        /// The end of what it wrote to standard error.
        text: String,
    },
    /// It answered with something else.
    #[error("the answer of {program} {verb} is not the expected JSON")]
    Form {
        /// The program.
        program: String,
        /// What it was asked.
        verb: &'static str,
        /// Where it is wrong.
        source: serde_json::Error,
    },
    /// Another enclave has the context id.
    #[error("the new enclave has context id {actual}, expected {expected}")]
    Cid {
        /// What was asked for.
        expected: u32,
        /// What it got.
        actual: u32,
    },
    /// The command ended at once.
    #[error("the enclave's command ended with {status}")]
    Ended {
        /// How it ended.
        status: String,
    },
}

/// The enclave of this instance.
#[derive(Debug)]
pub enum Enclave {
    /// Under Nitro.
    NitroCli(nitro_cli::NitroCli),
    /// Under a command.
    Command(command::Command),
}

impl Enclave {
    /// None is known yet.
    #[must_use]
    pub fn new(config: &config::Enclave, cid: u32, times: config::Times, journal: &Journal) -> Self {
        match config {
            config::Enclave::NitroCli {
                program,
                image,
                cpus,
                memory_mib,
                debug,
            } => Self::NitroCli(nitro_cli::NitroCli::new(
                program.clone(),
                nitro_cli::Run {
                    image: image.clone(),
                    cpus: *cpus,
                    memory_mib: *memory_mib,
                    debug: *debug,
                    cid,
                },
                times,
                journal.clone(),
            )),
            config::Enclave::Command { words } => Self::Command(command::Command::new(words.clone())),
        }
    }

    /// Whether one is running already; it is taken over.
    ///
    /// # Errors
    /// [`EnclaveError`].
    pub async fn find(&mut self) -> Result<bool, EnclaveError> {
        match self {
            Self::NitroCli(cli) => cli.find().await,
            Self::Command(command) => Ok(command.is_running()),
        }
    }

    /// Starts one. With `nitro-cli` its heartbeat has been answered then.
    ///
    /// # Errors
    /// [`EnclaveError`].
    pub async fn start(&mut self) -> Result<(), EnclaveError> {
        match self {
            Self::NitroCli(cli) => cli.start().await,
            Self::Command(command) => command.start(),
        }
    }

    /// Returns when the running one has ended; never when there is none.
    pub async fn ended(&mut self) {
        match self {
            Self::NitroCli(cli) => cli.ended().await,
            Self::Command(command) => command.ended().await,
        }
    }

    /// Ends it, if there is one.
    ///
    /// # Errors
    /// [`EnclaveError`].
    pub async fn stop(&mut self, patience: Duration) -> Result<(), EnclaveError> {
        match self {
            Self::NitroCli(cli) => cli.stop().await,
            Self::Command(command) => {
                command.stop(patience).await;
                Ok(())
            }
        }
    }
}
