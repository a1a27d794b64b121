//! The wall clock: when it is read, when it is set, where that is told.

use abi::events::CLOCK_FILE;
use init::run::run;
use init::system::Errno;
use services::{Clock, Table};

use crate::fake::Machine;
use crate::story::over;
use crate::tables::table;

fn clocked(offsets_ns: &[Result<Option<i64>, Errno>]) -> Machine {
    let clock = Clock::PtpKvm {
        period_s: 60,
        step_over_ms: 50,
    };
    let mut machine = Machine::new(&Table { clock, ..table() });
    machine.offsets_ns = offsets_ns.iter().copied().collect();
    machine
}

#[test]
fn the_clock_is_stepped_only_when_it_is_far_off() {
    let mut machine = clocked(&[
        Ok(Some(-3_000_000_000)),
        Ok(Some(50_000_000)),
        Ok(Some(50_000_001)),
        Ok(None),
    ]);
    run(&mut machine);
    let lines: Vec<_> = machine
        .console
        .iter()
        .filter(|line| line.contains("event=clock"))
        .collect();
    let expected = [
        "nitro-init uptime_ms=0 stage=services event=clock source=ptp-kvm offset_us=-3000000 stepped=yes",
        // The second reading, at 60 s, is within the limit: only the clock file tells.
        "nitro-init uptime_ms=120000 stage=running event=clock source=ptp-kvm offset_us=50000 stepped=yes",
    ];
    assert_eq!(lines, expected);
    let steps: Vec<_> = machine
        .calls()
        .into_iter()
        .filter(|call| call.starts_with("step-clock"))
        .collect();
    assert_eq!(steps, ["step-clock -3000000000", "step-clock 50000001"]);
    let latest = machine.files.get(CLOCK_FILE).unwrap();
    assert_eq!(
        latest,
        b"nitro-init uptime_ms=180000 stage=running event=clock source=absent\n"
    );
}

#[test]
fn an_absent_or_unwanted_clock_is_said_and_not_looked_for_again() {
    let mut machine = clocked(&[Ok(None)]);
    assert_eq!(run(&mut machine), over());
    assert_eq!(
        machine
            .calls()
            .iter()
            .filter(|call| *call == "clock-offset")
            .count(),
        1
    );
    assert!(
        machine
            .console
            .iter()
            .any(|line| line.ends_with("event=clock source=absent"))
    );
    let mut machine = Machine::new(&table());
    assert_eq!(run(&mut machine), over());
    assert!(
        machine
            .console
            .iter()
            .any(|line| line.ends_with("event=clock source=none"))
    );
    assert!(!machine.calls().contains(&"clock-offset".to_owned()));
}

#[test]
fn a_clock_that_cannot_be_read_is_tried_again() {
    let mut machine = clocked(&[Err(Errno(5)), Ok(Some(0)), Ok(None)]);
    assert_eq!(run(&mut machine), over());
    assert_eq!(
        machine
            .calls()
            .iter()
            .filter(|call| *call == "clock-offset")
            .count(),
        3
    );
    assert!(
        machine
            .console
            .iter()
            .any(|line| line.ends_with("source=ptp-kvm errno=5 stepped=no"))
    );
}
