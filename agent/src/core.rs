//! What all connections share: the module, PID 1, `provision`, the phase, the signer.
//!
//! Locks are held for a moment only and never across a wait, but `change`: that is held for the whole of a change, so that
//! there is one at a time.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control::policy::ImagePolicy;
use control::provision::State;
use control::request::Credential;
use nsm::Nsm;
use tokio::sync::Semaphore;

use crate::budget::{Budget, TOTAL_BYTES};
use crate::counters::Counters;
use crate::dial::Dial;
use crate::handover::Handover;
use crate::outbound;
use crate::phase::Machine;
use crate::pid1::Pid1;
use crate::ring::Ring;
use crate::sources::Sources;
use crate::supervise::Book;

/// The module as the agent holds it.
///
/// [`Nsm`] has no way to put a public key into a document, so no code of the agent can.
pub type SharedNsm = Arc<dyn Nsm + Send + Sync>;

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// An answer of the module, waiting for its turn included. It answers in milliseconds; its driver gives up after 120 s.
    pub module: Duration,
    /// A job of `provision`. A standard keystore costs its scrypt, and there may be many.
    pub job: Duration,
    /// The signer from its start to its first good health check; of the image policy.
    pub signer: Duration,
    /// The signer from SIGTERM to its end, its grace time included.
    pub stop: Duration,
}

impl Patience {
    /// That of an image.
    #[must_use]
    pub fn of(policy: &ImagePolicy) -> Self {
        Self {
            module: Duration::from_secs(10),
            job: Duration::from_mins(15),
            signer: Duration::from_secs(policy.signer.start_within_s.into()),
            stop: Duration::from_secs(30),
        }
    }
}

/// What the agent is made of. Tests put their own parts in.
pub struct Parts {
    /// The module.
    pub nsm: SharedNsm,
    /// PID 1.
    pub pid1: Pid1,
    /// `provision`; `None` in an image without a signer.
    pub handover: Option<Handover>,
    /// The image policy.
    pub policy: ImagePolicy,
    /// Files of PID 1 and the kernel.
    pub sources: Sources,
    /// The log.
    pub ring: Ring,
    /// Connections to the parent.
    pub dial: Arc<dyn Dial>,
    /// Where the signer listens.
    pub signer: SocketAddr,
    /// The file that `/etc/hosts` leads to.
    pub hosts: PathBuf,
    /// How long things may take.
    pub patience: Patience,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// What is shared.
pub struct Core {
    pub(crate) parts: Parts,
    pub(crate) machine: Mutex<Machine>,
    pub(crate) held: Mutex<Held>,
    pub(crate) book: Book,
    pub(crate) change: Arc<tokio::sync::Mutex<()>>,
    /// One place: the module is asked one thing at a time.
    pub(crate) turn: Arc<Semaphore>,
    pub(crate) budget: Budget,
    pub(crate) counters: Counters,
    pub(crate) outbound: Arc<outbound::Counters>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("machine", &self.machine)
            .field("book", &self.book)
            .finish_non_exhaustive()
    }
}

/// What `init` left.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// What the signer was started with, as `provision` says.
    pub(crate) state: Option<Box<State>>,
    /// For the next call of KMS.
    pub(crate) credential: Option<Credential>,
    /// Tunnels listen.
    pub(crate) tunnels: bool,
}

impl Core {
    /// An agent that starts with this machine.
    #[must_use]
    pub fn new(parts: Parts, machine: Machine) -> Self {
        Self {
            parts,
            machine: Mutex::new(machine),
            held: Mutex::new(Held::default()),
            book: Book::default(),
            change: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
            budget: Budget::new(TOTAL_BYTES),
            counters: Counters::default(),
            outbound: Arc::default(),
        }
    }

    /// The signer's health, for whoever follows PID 1's events.
    #[must_use]
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// PID 1.
    #[must_use]
    pub const fn pid1(&self) -> &Pid1 {
        &self.parts.pid1
    }

    /// The log.
    #[must_use]
    pub const fn ring(&self) -> &Ring {
        &self.parts.ring
    }

    /// Where the signer listens.
    #[must_use]
    pub const fn signer_address(&self) -> SocketAddr {
        self.parts.signer
    }

    /// The connections to the parent.
    #[must_use]
    pub fn dial(&self) -> Arc<dyn Dial> {
        Arc::clone(&self.parts.dial)
    }

    pub(crate) fn with_machine<T>(&self, use_it: impl FnOnce(&mut Machine) -> T) -> T {
        use_it(&mut self.machine.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn with_held<T>(&self, use_it: impl FnOnce(&mut Held) -> T) -> T {
        use_it(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
