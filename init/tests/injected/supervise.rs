//! The supervision on a clock of its own: restarts, back-off, crash loop, orphans, the boot file's limit.

use Status::{Exited, Signaled};
use Step::{End, Request as Ask};
use abi::boot::{FatalCode, Stage};
use abi::events::Event;
use abi::request::Request;
use init::fatal::Fatal;
use init::run::run;
use init::system::Status;
use services::{Kind, Restart, Service, Start, Table};

use crate::fake::{Machine, Step};
use crate::story::{follow, only, over, signals, told};
use crate::tables::{RESTART, service, table};

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
    // What follows is in the other file: the latest lines, whole, up to the last.
    let more = machine.files.get(abi::events::MORE_FILE).unwrap();
    assert!(more.len() <= abi::events::MAX_BOOT_FILE_BYTES);
    let text = String::from_utf8(more.clone()).unwrap();
    let lines: Vec<_> = text.lines().map(|line| Event::parse(line).unwrap()).collect();
    assert!(lines.is_sorted_by_key(|event| event.uptime_ms));
    assert!(lines.last().unwrap().uptime_ms >= 3999);
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
