//! How the signer is, as far as the agent can say: from PID 1's events and from its own health checks.
//!
//! PID 1 starts it, starts it again, and powers off when it ends too often. The agent looks, and tells.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use abi::events::{Event, Key, Kind};
use control::status::{Signer, SignerState};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::upcheck::Upcheck;

/// Name of the signer in PID 1's table.
pub const SIGNER: &str = "signer";

/// What is known.
#[derive(Debug)]
pub struct Book {
    inner: Mutex<Known>,
    /// Something is to be looked at now.
    look: Notify,
    /// Something was learnt.
    learnt: Notify,
}

#[derive(Debug, Default)]
struct Known {
    /// Starts that PID 1 told of, and ends.
    starts: u64,
    ends: u64,
    restarts: u64,
    /// Of the last event.
    runs: bool,
    waits: bool,
    /// Health checks that were not good.
    failures: u64,
    checks: u64,
    last_good: Option<Instant>,
    /// The last check was good.
    good: bool,
    upcheck: Option<Upcheck>,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            inner: Mutex::new(Known::default()),
            look: Notify::new(),
            learnt: Notify::new(),
        }
    }
}

/// Numbers for `metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Health checks.
    pub checks: u64,
    /// Those that were not good.
    pub failures: u64,
    /// How often PID 1 started the signer again.
    pub restarts: u64,
    /// How often it ended.
    pub ends: u64,
}

impl Book {
    fn with<T>(&self, use_it: impl FnOnce(&mut Known) -> T) -> T {
        use_it(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes note of an event of PID 1.
    pub fn event(&self, event: &Event) {
        if event.field(Key::Service) != Some(SIGNER) {
            return;
        }
        self.with(|known| match event.kind {
            Kind::Started => {
                known.starts += 1;
                known.restarts += u64::from(known.waits);
                (known.runs, known.waits, known.good) = (true, false, false);
            }
            Kind::Ended => {
                known.ends += 1;
                (known.runs, known.good) = (false, false);
            }
            Kind::Restart => known.waits = true,
            _ => {}
        });
        self.learnt.notify_waiters();
    }

    /// From now on the signer is asked this way; `None`: no more.
    pub fn watch(&self, upcheck: Option<Upcheck>) {
        self.with(|known| {
            known.upcheck = upcheck;
            known.good = false;
            known.last_good = None;
        });
        self.look.notify_one();
    }

    /// How often the signer has ended so far.
    #[must_use]
    pub fn ends(&self) -> u64 {
        self.with(|known| known.ends)
    }

    /// Whether PID 1's last word is that it runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.with(|known| known.runs)
    }

    /// For `metrics`.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.with(|known| Numbers {
            checks: known.checks,
            failures: known.failures,
            restarts: known.restarts,
            ends: known.ends,
        })
    }

    /// For `status`.
    #[must_use]
    pub fn signer(&self) -> Signer {
        self.with(|known| {
            let state = match known {
                Known { upcheck: None, .. } => SignerState::Absent,
                Known { good: true, .. } => SignerState::Healthy,
                Known { waits: true, .. } => SignerState::Restarting,
                Known { last_good: None, .. } => SignerState::Starting,
                _ => SignerState::Unhealthy,
            };
            let ago = known.last_good.map(|good| good.elapsed().as_millis());
            Signer {
                state,
                restarts: known.restarts,
                healthy_ms_ago: ago.and_then(|ago| ago.try_into().ok()),
            }
        })
    }

    /// Asks the signer for ever: `every` so often when it is healthy, more often when it is not.
    pub async fn keep_looking(&self, every: Duration) {
        loop {
            let upcheck = self.with(|known| known.upcheck.clone());
            let pause = match upcheck {
                Some(upcheck) => {
                    let good = upcheck.ask().await.is_ok();
                    self.with(|known| {
                        known.checks += 1;
                        known.failures += u64::from(!good);
                        known.good = good;
                        if good {
                            known.last_good = Some(Instant::now());
                        }
                    });
                    self.learnt.notify_waiters();
                    if good { every } else { every.min(IMPATIENT) }
                }
                None => every,
            };
            drop(tokio::time::timeout(pause, self.look.notified()).await);
        }
    }

    /// Waits until the signer is healthy.
    ///
    /// # Errors
    /// [`NotHealthy`] when it is not in time, or ended once more than `ends` times.
    pub async fn healthy(&self, within: Duration, ends: u64) -> Result<(), NotHealthy> {
        let wait = self.until(|known| {
            if known.good {
                Some(Ok(()))
            } else {
                (known.ends > ends).then_some(Err(NotHealthy::Ended))
            }
        });
        let waited = tokio::time::timeout(within, wait).await;
        waited.unwrap_or(Err(NotHealthy::Late(within)))
    }

    /// Waits until PID 1 says that the signer has ended, but no longer than this.
    pub async fn stopped(&self, within: Duration) {
        let wait = self.until(|known| (!known.runs).then_some(()));
        drop(tokio::time::timeout(within, wait).await);
    }

    async fn until<T>(&self, done: impl Fn(&Known) -> Option<T>) -> T {
        loop {
            let learnt = self.learnt.notified();
            if let Some(value) = self.with(|known| done(known)) {
                return value;
            }
            learnt.await;
        }
    }
}

/// Pause between health checks of a signer that is not healthy.
const IMPATIENT: Duration = Duration::from_millis(250);

/// Why the signer is not taken for started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotHealthy {
    /// It ended.
    #[error("the signer ended before it was healthy")]
    Ended,
    /// It takes too long.
    #[error("the signer was not healthy within {} s", .0.as_secs())]
    Late(Duration),
}

/// A book that several tasks share.
pub type SharedBook = Arc<Book>;
