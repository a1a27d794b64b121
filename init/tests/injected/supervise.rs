//! The supervision on a clock of its own: restarts, back-off, crash loop, requests, orphans, the wall clock.

use abi::boot::{FatalCode, Stage};
use abi::events::CLOCK_FILE;
use abi::request::{Reply, Request};
use init::fatal::Fatal;
use init::run::run;
use init::system::{Errno, Status};
use services::{Clock, Kind, Restart, Service, Start, Table};

use crate::fake::{Machine, RESTART, Step, service, table};

use Status::{Exited, Signaled};
use Step::{End, Request as Ask};

/// Boots with this table, follows the script to its end, and returns the machine and the cause of its end.
fn follow(table: &Table, script: &[(u64, Step)]) -> (Machine, Fatal) {
    let mut machine = Machine::new(table);
    machine.script = script.iter().copied().collect();
    let end = run(&mut machine);
    assert!(
        machine.script.is_empty() || end.code != FatalCode::Internal,
        "script not followed: {machine:?}"
    );
    (machine, end)
}

/// Lines after the boot, without the words that all have.
fn told(machine: &Machine) -> Vec<String> {
    let lines = machine.story_from("stage=running event=ok").into_iter().skip(1);
    lines
        .map(|line| line.replace("uptime_ms=", "").replace("stage=running event=", ""))
        .collect()
}

/// The fake's way to say that its script is over.
fn over() -> Fatal {
    Fatal::new(Stage::Running, FatalCode::Internal).on("wait", Errno::NONE)
}

fn only(service: Service) -> Table {
    Table {
        services: vec![service],
        ..table()
    }
}

/// Delivered signals, in order.
fn signals(machine: &Machine) -> Vec<String> {
    let calls = machine.calls();
    calls
        .iter()
        .filter_map(|call| call.strip_prefix("signal-group "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_daemon_is_started_again_after_a_wait_that_doubles() {
    let script = [
        (10, End(100, Exited(1))),
        (200, End(101, Signaled(11))),
        (500, End(102, Exited(0))),
        (1000, End(103, Exited(0))),
        (2000, End(104, Exited(0))),
    ];
    let (machine, end) = follow(&only(service("agent")), &script);
    let expected = [
        "10 ended service=agent pid=100 status=exit:1",
        "10 restart service=agent wait_ms=100",
        "110 started service=agent pid=101",
        "200 ended service=agent pid=101 status=signal:11",
        "200 restart service=agent wait_ms=200",
        "400 started service=agent pid=102",
        "500 ended service=agent pid=102 status=exit:0",
        "500 restart service=agent wait_ms=400",
        "900 started service=agent pid=103",
        "1000 ended service=agent pid=103 status=exit:0",
        "1000 restart service=agent wait_ms=800",
        "1800 started service=agent pid=104",
        "2000 ended service=agent pid=104 status=exit:0",
        // Doubled it would be 1600: the table's longest wait is 1000.
        "2000 restart service=agent wait_ms=1000",
        "3000 started service=agent pid=105",
    ];
    assert_eq!(told(&machine), expected);
    assert_eq!(end, over());
    // What a service left behind goes with it.
    assert_eq!(
        signals(&machine),
        ["100 Kill", "101 Kill", "102 Kill", "103 Kill", "104 Kill"]
    );
}

#[test]
fn too_many_ends_within_the_window_are_a_crash_loop() {
    let ends: Vec<_> = (0..6)
        .map(|n| (u64::from(n) * 2000, End(100 + n, Exited(1))))
        .collect();
    let services = vec![service("first"), service("agent")];
    let (_, end) = follow(&only(service("agent")), &ends);
    assert_eq!(end, Fatal::new(Stage::Running, FatalCode::CrashLoop));
    // The index of the service is the report's detail.
    // Numbers 100 and 101 are the two of the boot; the second ends, then each that follows it.
    let ends: Vec<_> = (0..6)
        .map(|n| (u64::from(n) * 2000, End(101 + n, Exited(1))))
        .collect();
    let (_, end) = follow(&Table { services, ..table() }, &ends);
    assert_eq!(end, Fatal::new(Stage::Running, FatalCode::CrashLoop).detail(1));
}

#[test]
fn ends_outside_the_window_are_forgotten() {
    let ends: Vec<_> = (0..20)
        .map(|n| (u64::from(n + 1) * 61_000, End(100 + n, Exited(1))))
        .collect();
    let (machine, end) = follow(&only(service("agent")), &ends);
    assert_eq!(end, over());
    // A run as long as the window also sets the wait back.
    let waits: Vec<_> = told(&machine)
        .into_iter()
        .filter(|line| line.contains("restart"))
        .collect();
    assert_eq!(waits.len(), 20);
    assert!(
        waits
            .iter()
            .skip(1)
            .all(|line| line.ends_with("wait_ms=100") || line.ends_with("wait_ms=200"))
    );
}

#[test]
fn without_restarts_the_first_end_is_fatal() {
    let kind = Kind::Daemon(Restart {
        max_restarts: 0,
        ..RESTART
    });
    let (_, end) = follow(
        &only(Service {
            kind,
            ..service("agent")
        }),
        &[(5, End(100, Exited(0)))],
    );
    assert_eq!(end.code, FatalCode::CrashLoop);
}

#[test]
fn a_service_that_could_not_be_confined_is_fatal() {
    let (_, end) = follow(&table(), &[(5, End(100, Exited(init::child::SETUP_FAILED)))]);
    assert_eq!(end, Fatal::new(Stage::Running, FatalCode::ServiceStart));
}

#[test]
fn a_restart_that_fails_counts_as_an_end() {
    let mut machine = Machine::new(&only(service("agent")));
    machine.script = [(10, End(100, Exited(1)))].into();
    // The first call that starts the service again, and the one after it.
    let good = {
        let mut machine = Machine::new(&only(service("agent")));
        machine.script = [(10, End(100, Exited(1)))].into();
        run(&mut machine);
        machine.calls()
    };
    let again = good.iter().rposition(|call| call.starts_with("spawn")).unwrap();
    machine.record.borrow_mut().fail.insert(again);
    let end = run(&mut machine);
    let expected = [
        "10 ended service=agent pid=100 status=exit:1",
        "10 restart service=agent wait_ms=100",
        "110 failed service=agent target=spawn errno=5",
        "110 restart service=agent wait_ms=200",
        "310 started service=agent pid=101",
    ];
    assert_eq!(told(&machine), expected);
    assert_eq!(end, over());
}

#[test]
fn orphans_are_reaped_and_nothing_else() {
    let (machine, end) = follow(
        &table(),
        &[(1, End(4000, Exited(0))), (1, End(4001, Signaled(9)))],
    );
    assert_eq!(told(&machine), [""; 0]);
    assert_eq!(signals(&machine), [""; 0]);
    assert_eq!(end, over());
    assert!(machine.calls().iter().filter(|call| *call == "reap").count() >= 3);
}

#[test]
fn one_shot_of_the_boot() {
    let setup = Service {
        kind: Kind::OneShot,
        ..service("setup")
    };
    let (machine, end) = follow(&only(setup.clone()), &[(5, End(100, Exited(0)))]);
    assert_eq!(told(&machine), ["5 ended service=setup pid=100 status=exit:0"]);
    assert_eq!(end, over());
    for status in [Exited(1), Signaled(9)] {
        let (_, end) = follow(&only(setup.clone()), &[(5, End(100, status))]);
        assert_eq!(end, Fatal::new(Stage::Running, FatalCode::ServiceStart));
    }
}

#[test]
fn one_shot_on_request_may_fail_and_be_asked_for_again() {
    let start = Ask(Request::StartProvision as u8);
    let script = [(5, start), (6, start), (7, End(101, Exited(3))), (8, start)];
    let (machine, end) = follow(&table(), &script);
    let expected = [
        "5 started service=provision pid=101",
        "5 request request=1 reply=0",
        "6 request request=1 reply=2",
        "7 ended service=provision pid=101 status=exit:3",
        "8 started service=provision pid=102",
        "8 request request=1 reply=0",
    ];
    assert_eq!(told(&machine), expected);
    assert_eq!(
        machine.replies,
        [Reply::Accepted as u8, Reply::Already as u8, Reply::Accepted as u8]
    );
    assert_eq!(end, over());
    assert!(
        machine
            .calls()
            .contains(&"spawn 1 channel=false Console".to_owned())
    );
}

#[test]
fn signer_is_started_reloaded_and_stopped() {
    let [start, stop, reload] =
        [Request::StartSigner, Request::StopSigner, Request::ReloadSigner].map(|r| Ask(r as u8));
    let script = [
        (1, stop),
        (1, reload),
        (2, start),
        (3, start),
        (4, reload),
        (5, stop),
        (6, stop),
        (7, End(101, Signaled(15))),
        (8, stop),
    ];
    let (machine, end) = follow(&table(), &script);
    let [ok, already, failed] = [Reply::Accepted, Reply::Already, Reply::Failed].map(|r| r as u8);
    assert_eq!(
        machine.replies,
        [already, failed, ok, already, ok, ok, already, already]
    );
    assert_eq!(signals(&machine), ["101 Hup", "101 Term", "101 Kill"]);
    assert_eq!(end, over());
    assert!(!told(&machine).iter().any(|line| line.contains("restart")));
}

#[test]
fn a_service_that_does_not_stop_is_killed_after_its_grace_time() {
    let [start, stop] = [Request::StartSigner, Request::StopSigner].map(|r| Ask(r as u8));
    let (machine, _) = follow(
        &table(),
        &[(10, start), (20, stop), (3000, End(101, Signaled(9)))],
    );
    let expected = [
        "10 started service=signer pid=101",
        "10 request request=2 reply=0",
        "20 stopping service=signer pid=101",
        "20 request request=3 reply=0",
        "2020 stopping service=signer pid=101",
        "3000 ended service=signer pid=101 status=signal:9",
    ];
    assert_eq!(told(&machine), expected);
    assert_eq!(signals(&machine), ["101 Term", "101 Kill", "101 Kill"]);
}

#[test]
fn a_start_while_stopping_starts_again_and_a_stop_takes_it_back() {
    let [start, stop] = [Request::StartSigner, Request::StopSigner].map(|r| Ask(r as u8));
    let script = [
        (1, start),
        (2, stop),
        (3, start),
        (4, start),
        (5, End(101, Exited(0))),
    ];
    let (machine, _) = follow(&table(), &script);
    assert_eq!(told(&machine).last().unwrap(), "5 started service=signer pid=102");
    assert_eq!(machine.replies, [0, 0, 0, 2]);
    let script = [
        (1, start),
        (2, stop),
        (3, start),
        (4, stop),
        (5, End(101, Exited(0))),
    ];
    let (machine, _) = follow(&table(), &script);
    assert_eq!(
        told(&machine).last().unwrap(),
        "5 ended service=signer pid=101 status=exit:0"
    );
    assert_eq!(machine.replies, [0, 0, 0, 0]);
}

#[test]
fn a_stop_while_waiting_ends_the_waiting() {
    let [start, stop] = [Request::StartSigner, Request::StopSigner].map(|r| Ask(r as u8));
    let (machine, end) = follow(&table(), &[(1, start), (2, End(101, Exited(1))), (3, stop)]);
    assert_eq!(told(&machine).last().unwrap(), "3 request request=3 reply=0");
    assert_eq!(end, over());
}

#[test]
fn unknown_and_absent_requests_change_nothing() {
    let mut table = table();
    table.services.truncate(1);
    let script: Vec<_> = [0, 1, 2, 3, 4, 6, 255]
        .into_iter()
        .map(|byte| (1, Ask(byte)))
        .collect();
    let (machine, end) = follow(&table, &script);
    let [absent, unknown] = [Reply::Absent, Reply::Unknown].map(|r| r as u8);
    assert_eq!(
        machine.replies,
        [unknown, absent, absent, absent, absent, unknown, unknown]
    );
    assert_eq!(end, over());
}

#[test]
fn the_agent_can_end_the_enclave_with_a_code() {
    let (machine, end) = follow(&table(), &[(1, Ask(Request::Fatal as u8)), (9, Ask(42))]);
    assert_eq!(
        end,
        Fatal::new(Stage::Running, FatalCode::AgentRequest).detail(42)
    );
    assert_eq!(machine.replies, [0; 0]);
}

#[test]
fn half_a_fatal_request_dies_with_its_agent() {
    let script = [
        (1, Ask(Request::Fatal as u8)),
        (2, End(100, Exited(1))),
        (500, Ask(9)),
    ];
    let (machine, end) = follow(&table(), &script);
    assert_eq!(machine.replies, [Reply::Unknown as u8]);
    assert_eq!(end, over());
}

#[test]
fn a_flood_of_requests_does_not_keep_the_rest_from_happening() {
    let mut script: Vec<_> = (0..100).map(|_| (1, Ask(99))).collect();
    script.push((1, End(100, Exited(1))));
    let (machine, _) = follow(&table(), &script);
    assert_eq!(machine.replies.len(), 100);
    let waits = machine
        .calls()
        .iter()
        .filter(|call| call.starts_with("wait"))
        .count();
    assert!(waits >= 4, "{waits}");
}

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

#[test]
fn the_boot_file_stops_growing() {
    let [start, stop] = [Request::StartProvision as u8, Request::StopSigner as u8].map(Ask);
    let script: Vec<_> = (0..4000)
        .map(|n| (n, if n % 2 == 0 { start } else { stop }))
        .collect();
    let (machine, _) = follow(
        &Table {
            services: vec![],
            ..table()
        },
        &script,
    );
    let file = machine.files.get(abi::events::BOOT_FILE).unwrap();
    assert!(file.len() <= abi::events::MAX_BOOT_FILE_BYTES);
    assert!(file.len() > abi::events::MAX_BOOT_FILE_BYTES - abi::events::MAX_LINE_BYTES);
    assert!(file.ends_with(b"\n"));
    assert!(machine.console.len() > 4000);
}

#[test]
fn services_on_request_are_not_started_at_boot() {
    let (machine, _) = follow(&table(), &[]);
    let starts: Vec<_> = machine
        .calls()
        .into_iter()
        .filter(|call| call.starts_with("spawn"))
        .collect();
    assert_eq!(starts, ["spawn 0 channel=true Console"]);
    assert!(
        table()
            .services
            .iter()
            .skip(1)
            .all(|service| service.start == Start::OnRequest)
    );
}
