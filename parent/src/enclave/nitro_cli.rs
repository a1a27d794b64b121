//! `nitro-cli`, spoken to in JSON.
//!
//! Source: aws-nitro-enclaves-cli, `docs/` and `src/common/json_output.rs` (`EnclaveRunInfo`, `EnclaveDescribeInfo`,
//! `EnclaveTerminateInfo`). Answers are on standard output, remarks on standard error. Fields that are not needed are ignored.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::EnclaveError;
use crate::config::Times;
use crate::journal::{Journal, chain};

/// Pause between two looks whether the enclave runs.
const LOOK: Duration = Duration::from_secs(5);
/// Time for a look.
const LOOK_TIME: Duration = Duration::from_secs(30);
/// Characters of standard error that an error repeats.
const MAX_QUOTED: usize = 1000;

/// What is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The image file.
    pub image: PathBuf,
    /// Processors.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Debug mode.
    pub debug: bool,
    /// Context id.
    pub cid: u32,
}

/// Answer of `run-enclave`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Started {
    #[serde(rename = "EnclaveID")]
    enclave_id: String,
    #[serde(rename = "EnclaveCID")]
    enclave_cid: u32,
}

/// An entry of the answer of `describe-enclaves`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    #[serde(rename = "EnclaveID")]
    enclave_id: String,
    #[serde(rename = "EnclaveCID")]
    enclave_cid: u32,
    state: String,
}

/// Answer of `terminate-enclave`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Terminated {
    terminated: bool,
}

/// The tool, and the enclave that it runs.
#[derive(Debug)]
pub struct NitroCli {
    program: PathBuf,
    run: Run,
    times: Times,
    id: Option<String>,
    /// When the list last showed the enclave.
    seen: Instant,
    journal: Journal,
}

impl NitroCli {
    /// No enclave is known yet.
    #[must_use]
    pub fn new(program: PathBuf, run: Run, times: Times, journal: Journal) -> Self {
        Self {
            program,
            run,
            times,
            id: None,
            seen: Instant::now(),
            journal,
        }
    }

    /// Takes over an enclave with our context id.
    ///
    /// # Errors
    /// [`EnclaveError`].
    pub async fn find(&mut self) -> Result<bool, EnclaveError> {
        let running = self.describe().await?;
        self.id = running
            .into_iter()
            .find(|found| found.enclave_cid == self.run.cid)
            .map(|found| found.enclave_id);
        Ok(self.id.is_some())
    }

    /// Starts an enclave; it has answered the heartbeat when this returns.
    ///
    /// # Errors
    /// [`EnclaveError`].
    pub async fn start(&mut self) -> Result<(), EnclaveError> {
        let run = &self.run;
        let mut arguments = vec![
            "--cpu-count".into(),
            run.cpus.to_string().into(),
            "--memory".into(),
            run.memory_mib.to_string().into(),
            "--enclave-cid".into(),
            run.cid.to_string().into(),
            "--eif-path".into(),
            run.image.clone().into_os_string(),
        ];
        if run.debug {
            arguments.push("--debug-mode".into());
        }
        let started: Started = self.ask("run-enclave", &arguments, self.times.boot).await?;
        self.id = Some(started.enclave_id);
        self.seen = Instant::now();
        if started.enclave_cid != self.run.cid {
            // It would not be found again, and the next start would leave it behind.
            self.stop().await?;
            return Err(EnclaveError::Cid {
                expected: self.run.cid,
                actual: started.enclave_cid,
            });
        }
        Ok(())
    }

    /// Returns when the enclave is not listed any more. A look that fails says nothing. May be dropped and called again at
    /// any time: looks go on at their pace.
    pub async fn ended(&mut self) {
        loop {
            tokio::time::sleep_until(self.seen + LOOK).await;
            let Some(id) = self.id.clone() else {
                std::future::pending().await
            };
            match self.describe().await {
                Ok(running) if running.iter().any(|found| found.enclave_id == id) => {
                    self.seen = Instant::now();
                }
                Ok(_) => {
                    self.id = None;
                    return;
                }
                Err(error) => {
                    self.seen = Instant::now();
                    self.journal.warn("describe-failed", &[("error", &chain(&error))]);
                }
            }
        }
    }

    /// Ends the enclave.
    ///
    /// # Errors
    /// [`EnclaveError`].
    pub async fn stop(&mut self) -> Result<(), EnclaveError> {
        // A start that was broken off may have left one.
        if self.id.is_none() {
            self.find().await?;
        }
        let Some(id) = self.id.take() else { return Ok(()) };
        let arguments = ["--enclave-id".into(), id.clone().into()];
        let stopped = self
            .ask::<Terminated>("terminate-enclave", &arguments, self.times.stop)
            .await;
        if matches!(stopped, Ok(Terminated { terminated: true })) {
            return Ok(());
        }
        // It may have ended by itself.
        if self.describe().await?.iter().all(|found| found.enclave_id != id) {
            return Ok(());
        }
        self.id = Some(id);
        stopped.map(|_| ())
    }

    async fn describe(&self) -> Result<Vec<Described>, EnclaveError> {
        let mut listed: Vec<Described> = self.ask("describe-enclaves", &[], LOOK_TIME).await?;
        listed.retain(|found| found.state == "RUNNING");
        Ok(listed)
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        verb: &'static str,
        arguments: &[std::ffi::OsString],
        patience: Duration,
    ) -> Result<A, EnclaveError> {
        let program = || self.program.display().to_string();
        let output = tokio::process::Command::new(&self.program)
            .arg(verb)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(patience, output).await;
        let output = output.map_err(|_| EnclaveError::Late {
            program: program(),
            verb,
            patience,
        })?;
        let output = output.map_err(|source| EnclaveError::Run {
            program: program(),
            source,
        })?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let text = text.trim();
            let skip = text.chars().count().saturating_sub(MAX_QUOTED);
            return Err(EnclaveError::Failed {
                program: program(),
                verb,
                status: output.status.to_string(),
                text: text.chars().skip(skip).collect(),
            });
        }
        serde_json::from_slice(&output.stdout).map_err(|source| EnclaveError::Form {
            program: program(),
            verb,
            source,
        })
    }
}
