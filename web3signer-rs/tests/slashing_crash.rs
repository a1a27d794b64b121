//! A signer with the memory store that is killed with SIGKILL. Whatever it said, its successor does not contradict.
//!
//! In a program of its own: a child between fork and exec holds every lock of its parent, the journals of other tests too.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot be done is a failed test"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use web3signer_rs::duty::{Duty, SlashableDuty};
use web3signer_rs::slashing::Protection;
use web3signer_rs::slashing::chain::{Chain, Clock};
use web3signer_rs::slashing::key::ValidatorKey;
use web3signer_rs::slashing::memory::{Memory, MemoryConfig};
use web3signer_rs::slashing::observe::Unobserved;

/// Names the journal to the child.
const CHILD: &str = "NITRO_TEST_JOURNAL";
const KEY: ValidatorKey = ValidatorKey::from_bytes([1; 48]);
/// The first target that the child signs.
const FIRST: u64 = 11;

#[derive(Debug)]
struct Epoch(AtomicU64);

impl Clock for Epoch {
    fn unix_seconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A signer for a chain with epochs of one second; the clock says the number of the epoch.
fn open(path: &Path, epoch: u64) -> (Protection, Arc<Epoch>) {
    let clock = Arc::new(Epoch(AtomicU64::new(epoch)));
    let memory = Memory::open(MemoryConfig {
        journal: path.to_owned(),
        chain: Chain {
            genesis_validators_root: Some([7; 32]),
            genesis_time: 0,
            seconds_per_slot: 1,
            slots_per_epoch: 1,
        },
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
    })
    .unwrap();
    (Protection::memory(memory, Arc::new(Unobserved)), clock)
}

async fn permitted(store: &Protection, target: u64, root: u8) -> bool {
    let asked = SlashableDuty {
        duty: Duty::Attestation { source: 10, target },
        signing_root: [root; 32],
        genesis_validators_root: [7; 32],
    };
    store.permit(&KEY, &asked).await.is_ok()
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}

/// The child permits one vote after another and says so each time; it is killed somewhere between two words. A vote that was
/// permitted and not yet said is on record as well: the same again is permitted, another is not.
#[test]
fn a_killed_signer_keeps_its_floor() {
    if let Some(path) = std::env::var_os(CHILD) {
        return child(Path::new(&path));
    }
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    for round in 0..30 {
        let path = folder.path().join(format!("journal-{round}"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_signer_keeps_its_floor", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = 0;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            if let Some(target) = line.strip_prefix("permitted ") {
                said = target.parse().unwrap();
                if said == FIRST + round {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        assert!(said >= FIRST + round, "round {round}: the child said {said}");

        // The successor starts in the epoch before the first vote, so that the journal alone can refuse.
        let (store, clock) = open(&path, FIRST - 1);
        clock.0.store(said + 1, Ordering::Relaxed);
        run(async {
            store.register(&[KEY]).await.unwrap();
            for target in FIRST..=said {
                assert!(
                    !permitted(&store, target, 2).await,
                    "round {round}, target {target}"
                );
            }
            let exported = store.export(None).await.unwrap();
            let newest = exported.validators[&KEY].attestations[0].target;
            assert!(
                newest == said || newest == said + 1,
                "said {said}, on record {newest}"
            );
            assert!(permitted(&store, newest, 1).await, "the same again");
        });
    }
}

fn child(path: &Path) {
    let (store, clock) = open(path, FIRST - 1);
    run(async {
        store.register(&[KEY]).await.unwrap();
        let mut out = std::io::stdout();
        for target in FIRST..100_000 {
            clock.0.store(target, Ordering::Relaxed);
            assert!(permitted(&store, target, 1).await);
            writeln!(out, "permitted {target}").unwrap();
            out.flush().unwrap();
        }
    });
}
