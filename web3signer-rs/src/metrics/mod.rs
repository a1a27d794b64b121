//! What operators' dashboards read: counters and times, written as Prometheus text.
//!
//! The names are those of Web3Signer 26.4.2. The JVM's collectors do not exist here, and neither does
//! `signing_private_key_retrieval_time`: keys are loaded in one go, so a time for each would be made up.

pub mod process;
pub mod summary;
mod text;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use summary::Summary;
pub use text::render;

use crate::log::Log;
use crate::slashing::observe::{Observer, Operation, Outcome};

/// All counters of one server.
#[derive(Debug)]
pub struct Metrics {
    log: Log,
    /// Sign requests that could not be read.
    pub malformed: AtomicU64,
    /// Sign requests for keys that are not there.
    pub missing_identifier: AtomicU64,
    /// Time of one signature.
    pub signing: Summary,
    /// Keys that are loaded.
    pub signers_loaded: AtomicI64,
    /// Duties that slashing protection permitted.
    pub permitted: AtomicU64,
    /// Duties that it prevented.
    pub prevented: AtomicU64,
    /// Time of its decisions on blocks.
    pub block_decisions: Summary,
    /// Time of its decisions on attestations.
    pub attestation_decisions: Summary,
    /// The pool of signing threads.
    pub pool: Pool,
}

/// The pool of signing threads.
#[derive(Debug, Default)]
pub struct Pool {
    /// Signatures that were asked for.
    pub submitted: AtomicU64,
    /// Signatures that were made.
    pub completed: AtomicU64,
    /// How long they waited for a thread.
    pub queue_delay: Summary,
    /// Threads at work.
    pub busy: AtomicI64,
}

impl Metrics {
    /// All at zero. What a store does on its own goes to the log.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self {
            log,
            malformed: AtomicU64::default(),
            missing_identifier: AtomicU64::default(),
            signing: Summary::default(),
            signers_loaded: AtomicI64::default(),
            permitted: AtomicU64::default(),
            prevented: AtomicU64::default(),
            block_decisions: Summary::default(),
            attestation_decisions: Summary::default(),
            pool: Pool::default(),
        }
    }
}

/// One more.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Observer for Metrics {
    fn decided(&self, operation: Operation, outcome: Outcome, duration: Duration) {
        match outcome {
            Outcome::Permitted => count(&self.permitted),
            Outcome::Prevented => count(&self.prevented),
            Outcome::Failed => {}
        }
        match operation {
            Operation::Block => self.block_decisions.note(duration),
            Operation::Attestation => self.attestation_decisions.note(duration),
        }
    }

    fn noted(&self, text: &str) {
        self.log.info(text);
    }
}
