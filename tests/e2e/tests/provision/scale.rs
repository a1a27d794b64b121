//! Ten thousand keys, and a private folder that is too small.

use std::process::Command;
use std::time::{Duration, Instant};

use control::answer::codes;
use control::provision::{Outcome, Work};

use crate::world::World;

const KEYS: u32 = 10_000;

/// A debug build on a busy machine; the limit is for what hangs, not for speed.
const PATIENCE: Duration = Duration::from_mins(10);

#[test]
fn ten_thousand_keys() {
    let world = World::new();
    let init = world.init(world.artefacts(KEYS));
    let (started, before) = (Instant::now(), peak_kib());
    let state = world.done(init);
    let (took, more) = (started.elapsed(), peak_kib() - before);
    assert_eq!(state.public_keys.len(), usize::try_from(KEYS).unwrap());
    assert!(world.kms().counts().tls_sessions <= 8);
    assert!(took < PATIENCE, "{took:?}");
    // The job and its answer are some 10 MiB; plaintexts do not pile up. The simulated KMS is in this figure too.
    assert!(more < 160 * 1024, "{more} KiB");
    let started = Instant::now();
    assert_eq!(world.done(Work::Recover), state);
    assert!(started.elapsed() < PATIENCE / 10);
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Set for the part of the test that is in a mount namespace of its own.
const INSIDE: &str = "NITRO_TEST_SMALL_FOLDER";

/// Runs itself again where it may mount: the second time the private folder is a memory file system of a few pages.
#[test]
fn a_full_folder_changes_nothing() {
    let inside = std::env::var_os(INSIDE).is_some();
    if inside {
        return small_folder();
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "scale::a_full_folder_changes_nothing", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = e2e::said(&output);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn small_folder() {
    let world = World::new();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=96k,mode=700", "none"])
        .arg(world.signer())
        .output()
        .unwrap();
    assert!(mounted.status.success(), "{}", e2e::said(&mounted));
    let refused = |work| match world.run(work) {
        Outcome::Refused { refusal } => refusal,
        Outcome::Done { .. } => panic!("it fits"),
    };
    let refusal = refused(world.init(world.artefacts(1000)));
    assert_eq!(refusal.code(), codes::FILES_FAILED);
    assert!(refusal.error.contains("No space left"), "{}", refusal.error);
    assert_eq!(world.files(), []);
    world.done(world.init(world.artefacts(50)));
    let before = world.files();
    let many = (1000..1600).map(|n| world.compact(n.into(), n)).collect();
    assert_eq!(refused(world.add(many)).code(), codes::FILES_FAILED);
    assert_eq!(world.files(), before);
    assert_eq!(world.done(Work::Recover).public_keys.len(), 50);
    Command::new("umount").arg(world.signer()).status().unwrap();
}
