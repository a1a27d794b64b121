//! A command that runs an enclave for as long as it lives.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

use super::EnclaveError;

/// The command, and the process that runs it.
#[derive(Debug)]
pub struct Command {
    words: Vec<String>,
    child: Option<Child>,
}

impl Command {
    /// Nothing runs yet.
    #[must_use]
    pub const fn new(words: Vec<String>) -> Self {
        Self { words, child: None }
    }

    /// Whether the process is there.
    pub fn is_running(&mut self) -> bool {
        let running = self
            .child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)));
        if !running {
            self.child = None;
        }
        running
    }

    /// Starts it. Its output goes where ours goes.
    ///
    /// # Errors
    /// [`EnclaveError::Run`].
    pub fn start(&mut self) -> Result<(), EnclaveError> {
        let mut words = self.words.iter();
        let program = words.next().cloned().unwrap_or_default();
        let child = tokio::process::Command::new(&program)
            .args(words)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.child = Some(child.map_err(|source| EnclaveError::Run { program, source })?);
        Ok(())
    }

    /// Returns when the process has ended; never when there is none.
    pub async fn ended(&mut self) {
        let Some(child) = &mut self.child else {
            std::future::pending().await
        };
        // It is our own child: waiting fails only when it is gone.
        child.wait().await.ok();
        self.child = None;
    }

    /// SIGTERM; SIGKILL when that was in vain.
    pub async fn stop(&mut self, patience: Duration) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).ok();
        }
        if tokio::time::timeout(patience, child.wait()).await.is_err() {
            child.kill().await.ok();
        }
    }
}
