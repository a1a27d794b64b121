//! A real guest kernel in QEMU against the backend: boot, addresses, refusals, bulk, crowds, fairness.
//!
//! `make e2e` runs these; see `support` for what they need.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step is a failed test"
)]

mod command;
mod load;
#[path = "../../../tests/vsock-guest/src/pattern.rs"]
mod pattern;
mod support;

use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

use abi::boot::{FatalCode, Stage};
use simulator::enclave::{Enclave, EnclaveError};
use simulator::record::Milestone;
use support::{PATIENCE, boot, command, config, number};

#[test]
fn boots_in_order_and_stops_clean() {
    let (dir, config) = config("serve");
    let enclave = boot(&config);
    let milestones: Vec<_> = enclave.record().milestones().iter().map(|(m, _)| *m).collect();
    let init = |stage| Milestone::Init(stage);
    let want = [
        Milestone::Spawned,
        Milestone::Kernel,
        init(Stage::Mounts),
        Milestone::Heartbeat,
        init(Stage::Heartbeat),
        init(Stage::Running),
    ];
    assert_eq!(milestones, want);
    assert_eq!(command(&enclave, "off"), "");
    enclave.record().wait_for(Milestone::Ended, PATIENCE).unwrap();
    let (_, vsock) = enclave.stop().unwrap();
    assert_eq!((vsock.malformed, vsock.wrong_cid), (0, 0));
    assert!(!dir.path().join("vsock.sock").exists());
}

#[test]
fn addresses_and_refusals_are_those_of_nitro() {
    let (_dir, mut config) = config("serve");
    config.limits.connect_time = PATIENCE;
    let enclave = boot(&config);
    for cid in [3, 2] {
        let listener = enclave.listen(7000).unwrap();
        let waiting = thread::spawn(move || drop(listener.accept().unwrap()));
        assert_eq!(command(&enclave, &format!("peer {cid} 7000")), cid.to_string());
        waiting.join().unwrap();
    }
    // A socket without a listener is left behind, which must be refused as nothing is. A call that is not answered at
    // once is no refusal to the guest: after 2 s it ends as a time-out.
    for port in [7000, 7001] {
        let answer = command(&enclave, &format!("dial {port} 50"));
        assert_eq!(
            (number(&answer, "refused"), number(&answer, "other")),
            (50, 0),
            "{answer}"
        );
    }
    let start = Instant::now();
    let error = enclave.connect(4999).unwrap_err();
    assert!(
        matches!(&error, EnclaveError::Connect { source, .. } if source.kind() == ErrorKind::UnexpectedEof)
    );
    assert!(start.elapsed() < PATIENCE, "refused, not given up");
    enclave.stop().unwrap();
}

#[test]
fn a_wrong_heartbeat_is_e36() {
    let (_dir, config) = config("wrong-heartbeat");
    let error = Enclave::boot(&config, |_| {}).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("init:mounts") && text.contains("E36") && text.contains("0x17"),
        "{text}"
    );
}

#[test]
fn a_fatal_report_names_the_stage() {
    let (_dir, config) = config("fatal");
    let error = Enclave::boot(&config, |_| {}).unwrap_err();
    let EnclaveError::Boot {
        last,
        report: Some(report),
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(*last, Milestone::Init(Stage::Mounts));
    assert_eq!(
        (report.code, report.stage, report.errno),
        (FatalCode::NsmAbsent, Stage::Nsm, 2)
    );
}

#[test]
fn a_boot_without_heartbeat_ends_in_time() {
    let (_dir, mut config) = config("no-heartbeat");
    let enclave = Enclave::spawn(&config).unwrap();
    enclave
        .wait_for(Milestone::Init(Stage::Running), PATIENCE)
        .unwrap();
    let error = enclave
        .wait_for(Milestone::Heartbeat, Duration::from_secs(2))
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("after init:running") && text.contains("heartbeat did not come within 2 s"),
        "{text}"
    );
    enclave.stop().unwrap();
    config.heartbeat_time = Duration::ZERO;
    let text = Enclave::boot(&config, |_| {}).unwrap_err().to_string();
    assert!(text.contains("heartbeat did not come within 0 s"), "{text}");
}
