//! Keys, duties, clocks and servers of the tests.

use std::ffi::OsString;
use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use web3signer_rs::duty::{Duty, Root, SlashableDuty};
use web3signer_rs::slashing::Protection;
use web3signer_rs::slashing::chain::{Chain, Clock};
use web3signer_rs::slashing::key::ValidatorKey;
use web3signer_rs::slashing::memory::{Memory, MemoryConfig};
use web3signer_rs::slashing::observe::{Observer, Operation, Outcome};
use web3signer_rs::slashing::refusal::Refusal;
use web3signer_rs::slashing::rules::Rule;

pub(crate) const GENESIS: Root = [7; 32];

pub(crate) fn key(number: u8) -> ValidatorKey {
    ValidatorKey::from_bytes([number; 48])
}

pub(crate) fn block(slot: u64, root: u8) -> SlashableDuty {
    asked(Duty::Block { slot }, [root; 32], GENESIS)
}

pub(crate) fn vote(source: u64, target: u64, root: u8) -> SlashableDuty {
    asked(Duty::Attestation { source, target }, [root; 32], GENESIS)
}

pub(crate) const fn asked(duty: Duty, signing_root: Root, genesis_validators_root: Root) -> SlashableDuty {
    SlashableDuty {
        duty,
        signing_root,
        genesis_validators_root,
    }
}

/// Whether a duty was permitted. A refusal that is not by rule fails the test.
pub(crate) async fn permitted(store: &Protection, key: &ValidatorKey, duty: &SlashableDuty) -> bool {
    match store.permit(key, duty).await {
        Ok(_) => true,
        Err(Refusal::Prevented(_)) => false,
        Err(error) => panic!("{duty:?}: {}", chain(&error)),
    }
}

/// The rule that prevents a duty.
pub(crate) async fn prevented(store: &Protection, key: &ValidatorKey, duty: &SlashableDuty) -> Rule {
    match store.permit(key, duty).await {
        Err(Refusal::Prevented(rule)) => rule,
        Ok(_) => panic!("{duty:?} was permitted"),
        Err(error) => panic!("{duty:?}: {}", chain(&error)),
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A variable that `scripts/with-stores.sh` sets.
pub(crate) fn service(name: &str) -> OsString {
    std::env::var_os(name).unwrap_or_else(|| {
        panic!("{name} is not set: run scripts/with-stores.sh cargo test --package web3signer-rs")
    })
}

/// Runs `test` on several threads, for at most two minutes.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(Duration::from_mins(2), test).await })
        .expect("the test took longer than two minutes")
}

/// A folder on a tmpfs, where journals belong; on disk every sync would take its time.
pub(crate) fn tmpfs() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// A clock that stands where it was put.
#[derive(Debug, Default)]
pub(crate) struct HandClock(pub(crate) AtomicU64);

impl Clock for HandClock {
    fn unix_seconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One second per slot, 32 slots per epoch; epoch 0 begins at second 1000.
pub(crate) const fn quick_chain(genesis_validators_root: Option<Root>) -> Chain {
    Chain {
        genesis_validators_root,
        genesis_time: 1_000,
        seconds_per_slot: 1,
        slots_per_epoch: 32,
    }
}

impl HandClock {
    pub(crate) fn at_epoch(epoch: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_000 + epoch * 32)))
    }

    pub(crate) fn go_to_epoch(&self, epoch: u64) {
        self.0.store(1_000 + epoch * 32, Ordering::Relaxed);
    }
}

/// Counts what it is told.
#[derive(Debug, Default)]
pub(crate) struct Counter(
    pub(crate) Mutex<Vec<(Operation, Outcome)>>,
    pub(crate) Mutex<Vec<String>>,
);

impl Observer for Counter {
    fn decided(&self, operation: Operation, outcome: Outcome, _: Duration) {
        self.0.lock().unwrap().push((operation, outcome));
    }

    fn noted(&self, text: &str) {
        self.1.lock().unwrap().push(text.to_owned());
    }
}

/// A journal that began before genesis, so without floors, in a world where everything has come.
pub(crate) fn memory_without_start(folder: &std::path::Path, genesis: Option<Root>) -> Protection {
    let clock = Arc::new(HandClock::default());
    let memory = Memory::open(MemoryConfig {
        journal: folder.join("journal"),
        chain: quick_chain(genesis),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
    })
    .unwrap();
    clock.go_to_epoch(1 << 40);
    Protection::memory(memory, Arc::new(Counter::default()))
}
