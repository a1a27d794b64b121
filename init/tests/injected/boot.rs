//! The boot: the exact calls in their order, then each of them failing in turn.

use crate::fake::{BROKEN, Machine};
use crate::tables::table;
use abi::boot::{FatalCode, FatalReport, Stage};
use abi::events::{BOOT_FILE, Event, Key, Kind};
use init::fatal::{self, Fatal};
use init::plan;
use init::run::run;
use init::system::Errno;
use nsm::Pcr;

/// What the failure of a call means.
#[derive(Clone, Copy, Debug, PartialEq)]
enum If {
    /// Fatal, with the call's error number.
    Fatal(Stage, FatalCode),
    /// Fatal, and the cause has no error number.
    Silent(Stage, FatalCode),
    /// Tried again.
    Retried,
    /// A line that the boot file lacks.
    Lost,
}

/// A line that goes to the boot file.
const LINE: (&str, If) = ("append /run/nitro/boot", If::Lost);

/// The same meaning for several calls.
fn all<'a>(meaning: If, calls: &'a [&'a str]) -> impl Iterator<Item = (String, If)> + 'a {
    calls.iter().map(move |call| ((*call).to_owned(), meaning))
}

fn stage_mounts(calls: &mut Vec<(String, If)>) {
    let meaning = If::Fatal(Stage::Mounts, FatalCode::Mount);
    let first = [
        "forbid-core-dumps",
        "ignore-ctrl-alt-del",
        "make-dir /dev",
        "mount devtmpfs /dev nosuid,noexec mode=0755",
        "make-dir /proc",
        "mount proc /proc nosuid,nodev,noexec hidepid=2",
        "make-dir /sys",
        "mount sysfs /sys ro,nosuid,nodev,noexec ",
        "make-dir /run",
        "mount tmpfs /run nosuid,nodev,noexec mode=0755,size=16m",
        "make-dir /tmp",
        "mount tmpfs /tmp nosuid,nodev,noexec mode=1777,size=64m",
        "link /dev/fd /proc/self/fd",
        "link /dev/stdin /proc/self/fd/0",
        "link /dev/stdout /proc/self/fd/1",
        "link /dev/stderr /proc/self/fd/2",
        "open-console",
    ];
    calls.extend(all(meaning, &first));
    for setting in plan::SETTINGS {
        calls.push((format!("set {} {}", setting.path, setting.value), meaning));
    }
    calls.extend(all(meaning, &["make-dir /run/nitro", "replace /run/nitro/boot"]));
}

fn stages_up_to_heartbeat(calls: &mut Vec<(String, If)>) {
    use If::{Fatal, Retried, Silent};
    let line = || all(LINE.1, &[LINE.0]);
    calls.extend(line());
    calls.extend(all(
        Fatal(Stage::Modules, FatalCode::Module),
        &["load-module /nsm.ko"],
    ));
    let modules = ["set /proc/sys/kernel/modules_disabled 1"];
    calls.extend(all(Fatal(Stage::Modules, FatalCode::Mount), &modules));
    calls.extend(line());
    calls.extend(all(Fatal(Stage::Nsm, FatalCode::NsmAbsent), &["open-nsm"]));
    let nsm = ["nsm DescribeNSM", "nsm DescribePCR"];
    calls.extend(all(Silent(Stage::Nsm, FatalCode::NsmAbsent), &nsm));
    let rng = ["read /sys/class/misc/hw_random/rng_current"];
    calls.extend(all(Fatal(Stage::Nsm, FatalCode::RngNotNsm), &rng));
    calls.extend(line());
    calls.extend(all(Fatal(Stage::Entropy, FatalCode::Entropy), &["open-pool"]));
    for _ in 0..4 {
        calls.extend(all(
            Silent(Stage::Entropy, FatalCode::Entropy),
            &["nsm GetRandom"],
        ));
        calls.extend(all(Fatal(Stage::Entropy, FatalCode::Entropy), &["pool add 256"]));
    }
    calls.extend(line());
    calls.extend(all(Fatal(Stage::Loopback, FatalCode::Loopback), &["loopback-up"]));
    calls.extend(line());
    calls.extend(all(Retried, &["exchange 9000 0xb7"]));
    calls.extend(line());
}

fn stages_root_and_services(calls: &mut Vec<(String, If)>) {
    use If::{Fatal, Lost, Silent};
    let line = || all(LINE.1, &[LINE.0]);
    let root = Fatal(Stage::Root, FatalCode::Root);
    calls.extend(all(root, &["bind /rootfs"]));
    for path in ["/dev", "/proc", "/sys", "/run", "/tmp"] {
        calls.push((format!("make-dir /rootfs{path}"), root));
        calls.push((format!("move-mount {path} /rootfs{path}"), root));
    }
    let switch = [
        "remount-bind /rootfs ro,nosuid,nodev",
        "change-dir /rootfs",
        "move-mount . /",
        "change-root .",
        "change-dir /",
    ];
    calls.extend(all(root, &switch));
    calls.extend(line());
    let table = ["read /etc/nitro/services"];
    calls.extend(all(Fatal(Stage::Services, FatalCode::ServiceTable), &table));
    let from_table = [
        "set /proc/sys/net/ipv4/ip_unprivileged_port_start 443",
        "set-access /dev/nsm 0:200 660",
        "make-dir /run/keys",
        "mount tmpfs /run/keys nosuid,nodev,noexec size=4096,mode=700,uid=100,gid=101",
    ];
    calls.extend(all(Fatal(Stage::Services, FatalCode::Mount), &from_table));
    calls.extend(line());
    calls.extend(all(Lost, &["replace /run/nitro/clock"]));
    calls.extend(all(
        Fatal(Stage::Services, FatalCode::Internal),
        &["watch-children"],
    ));
    calls.extend(all(
        Silent(Stage::Services, FatalCode::ServiceStart),
        &["spawn 0 channel=true Console"],
    ));
    calls.extend(line().chain(line()));
    calls.extend(all(Fatal(Stage::Running, FatalCode::Internal), &["wait -1"]));
}

/// Every call of a good boot, in order, up to the first wait.
fn good_boot() -> Vec<(String, If)> {
    let mut calls = Vec::new();
    stage_mounts(&mut calls);
    stages_up_to_heartbeat(&mut calls);
    stages_root_and_services(&mut calls);
    calls
}

fn event(machine: &Machine, stage: Stage) -> Event {
    let events = machine.console.iter().map(|line| Event::parse(line).unwrap());
    events
        .into_iter()
        .find(|event| event.stage == stage && event.kind == Kind::Ok)
        .unwrap()
}

#[test]
fn good_boot_makes_these_calls_in_this_order() {
    let mut machine = Machine::new(&table());
    let end = run(&mut machine);
    let expected: Vec<_> = good_boot().into_iter().map(|(call, _)| call).collect();
    assert_eq!(machine.calls(), expected);
    // The script ends where an enclave would wait for ever.
    assert_eq!(
        end,
        Fatal::new(Stage::Running, FatalCode::Internal).on("wait", Errno::NONE)
    );
    let passed = machine.console.iter().map(|line| Event::parse(line).unwrap());
    let passed: Vec<_> = passed
        .filter(|e| matches!(e.kind, Kind::Ok | Kind::Skipped))
        .map(|e| e.stage)
        .collect();
    let stages = [
        Stage::Start,
        Stage::Mounts,
        Stage::Modules,
        Stage::Nsm,
        Stage::Entropy,
        Stage::Loopback,
        Stage::Heartbeat,
        Stage::Root,
        Stage::Running,
    ];
    assert_eq!(passed, stages);
    let nsm = event(&machine, Stage::Nsm);
    assert_eq!(nsm.field(Key::Rng), Some("nsm-hwrng"));
    assert_eq!(nsm.field(Key::Debug), Some("no"));
    assert_eq!(nsm.field(Key::Module), Some("i-1-enc2"));
    assert_eq!(event(&machine, Stage::Entropy).field(Key::Bytes), Some("1024"));
}

#[test]
fn boot_file_tells_what_the_console_told() {
    let mut machine = Machine::new(&table());
    run(&mut machine);
    let file = String::from_utf8(machine.files.get(BOOT_FILE).unwrap().clone()).unwrap();
    assert_eq!(file.lines().collect::<Vec<_>>(), machine.console);
    assert!(file.ends_with('\n'));
}

#[test]
fn each_call_failing_in_turn() {
    for (at, (call, meaning)) in good_boot().into_iter().enumerate() {
        let mut machine = Machine::new(&table());
        machine.record.borrow_mut().fail.insert(at);
        let end = run(&mut machine);
        let calls = machine.calls();
        assert_eq!(calls.get(at), Some(&call));
        let (stage, code, errno) = match meaning {
            If::Fatal(stage, code) => (stage, code, BROKEN),
            If::Silent(stage, code) => (stage, code, Errno::NONE),
            If::Retried | If::Lost => (Stage::Running, FatalCode::Internal, Errno::NONE),
        };
        assert_eq!((end.stage, end.code, end.errno), (stage, code, errno), "{call}");
        if matches!(meaning, If::Fatal(..) | If::Silent(..)) {
            let after = calls.get(at + 1..).unwrap();
            // Nothing follows a fatal failure but the line about a service that did not start.
            let allowed = usize::from(code == FatalCode::ServiceStart);
            assert_eq!(after.len(), allowed, "{call}: {after:?}");
        }
    }
}

#[test]
fn settings_that_the_kernel_lacks() {
    for setting in plan::SETTINGS.iter().chain([&plan::NO_MORE_MODULES]) {
        let mut machine = Machine::new(&table());
        machine.missing.insert(setting.path.to_owned());
        let end = run(&mut machine);
        match setting.need {
            plan::Need::IfPresent => assert_eq!(end.stage, Stage::Running, "{}", setting.path),
            plan::Need::Required => {
                let expected = Fatal::new(Stage::Mounts, FatalCode::Mount).on(setting.path, Errno::NOT_FOUND);
                assert_eq!(end, expected);
            }
        }
    }
}

#[test]
fn a_module_is_loaded_and_removed() {
    let mut machine = Machine::new(&table());
    machine.files.insert("/nsm.ko".to_owned(), vec![]);
    run(&mut machine);
    let calls = machine.calls();
    let at = calls
        .iter()
        .position(|call| call == "load-module /nsm.ko")
        .unwrap();
    let expected = ["remove /nsm.ko", "set /proc/sys/kernel/modules_disabled 1"];
    assert_eq!(calls.get(at + 1..at + 3).unwrap(), expected);
    assert_eq!(event(&machine, Stage::Modules).kind, Kind::Ok);
}

#[test]
fn another_generator_is_refused() {
    for current in ["none", "tpm-rng-0", "", "nsm-hwrng2", "xnsm-hwrng"] {
        let mut machine = Machine::new(&table());
        machine.files.insert(plan::RNG_CURRENT.to_owned(), current.into());
        let end = run(&mut machine);
        assert_eq!(
            (end.stage, end.code),
            (Stage::Nsm, FatalCode::RngNotNsm),
            "{current}"
        );
        assert!(!machine.calls().iter().any(|call| call.starts_with("exchange")));
    }
}

#[test]
fn debug_mode_is_said() {
    let mut machine = Machine::new(&table());
    machine.pcr0 = Pcr::ZERO;
    run(&mut machine);
    assert_eq!(event(&machine, Stage::Nsm).field(Key::Debug), Some("yes"));
}

#[test]
fn heartbeat_is_tried_again_but_not_for_ever() {
    let mut machine = Machine::new(&table());
    machine.heartbeat = [Err(Errno(104)), Err(Errno(110)), Ok(0xB7)].into();
    run(&mut machine);
    assert_eq!(event(&machine, Stage::Heartbeat).field(Key::Attempt), Some("3"));
    let retries: Vec<_> = machine
        .console
        .iter()
        .filter(|line| line.contains("event=retry"))
        .collect();
    let expected = [
        "nitro-init uptime_ms=0 stage=heartbeat event=retry attempt=1 errno=104 wait_ms=50",
        "nitro-init uptime_ms=50 stage=heartbeat event=retry attempt=2 errno=110 wait_ms=100",
    ];
    assert_eq!(retries, expected);

    let mut machine = Machine::new(&table());
    machine.heartbeat = [Err(Errno(104))].into();
    let end = run(&mut machine);
    assert_eq!(
        end,
        Fatal::new(Stage::Heartbeat, FatalCode::Heartbeat).on("vsock:3:9000", Errno(104))
    );
    let attempts = machine
        .calls()
        .iter()
        .filter(|call| call.starts_with("exchange"))
        .count();
    assert_eq!(attempts, usize::try_from(init::heartbeat::ATTEMPTS).unwrap());
    assert_eq!(machine.now_ms, 50 + 100 + 200 + 400 + 800 + 14 * 1000);
}

#[test]
fn another_heartbeat_byte_is_fatal_at_once() {
    let mut machine = Machine::new(&table());
    machine.heartbeat = [Ok(0xB6)].into();
    let end = run(&mut machine);
    let expected = Fatal::new(Stage::Heartbeat, FatalCode::Heartbeat).on("vsock:3:9000", Errno::PROTOCOL);
    assert_eq!(end, expected.detail(0xB6));
    assert_eq!(
        machine
            .calls()
            .iter()
            .filter(|call| call.starts_with("exchange"))
            .count(),
        1
    );
}

#[test]
fn a_bad_table_is_refused() {
    let good = table().encode().unwrap();
    let bad = [
        &b""[..],
        b"NWST",
        good.get(1..).unwrap(),
        good.get(..good.len() - 1).unwrap(),
    ];
    for bytes in bad {
        let mut machine = Machine::new(&table());
        machine.files.insert(services::PATH.to_owned(), bytes.to_vec());
        let end = run(&mut machine);
        assert_eq!((end.stage, end.code), (Stage::Services, FatalCode::ServiceTable));
        assert!(!machine.calls().iter().any(|call| call.starts_with("spawn")));
    }
}

#[test]
fn last_words_then_report_then_power_off() {
    for heard in [true, false] {
        let mut machine = Machine::new(&table());
        machine.now_ms = 77;
        if !heard {
            machine.record.borrow_mut().fail.insert(0);
        }
        let cause = Fatal::new(Stage::Root, FatalCode::Root)
            .on("/rootfs", Errno(2))
            .detail(3);
        fatal::end(&mut machine, &cause);
        let report = FatalReport {
            stage: Stage::Root,
            code: FatalCode::Root,
            errno: 2,
            uptime_ms: 77,
            detail: 3,
        };
        assert_eq!(
            machine.calls(),
            [format!("tell 9001 {:?}", report.encode()), "power-off".to_owned()]
        );
        let words =
            "nitro-init uptime_ms=77 stage=root event=fatal code=root-failed errno=2 detail=3 target=/rootfs";
        assert_eq!(machine.console.first().unwrap(), words);
        assert_eq!(machine.console.len(), if heard { 1 } else { 2 });
    }
}

#[test]
fn a_service_that_speaks_to_the_log_gets_a_pipe_of_the_agents() {
    let mut table = table();
    for service in &mut table.services {
        if service.name == "signer" {
            service.stdio = services::Stdio::Log;
        }
    }
    let pipe = "make-pipe 2 /run/nitro/output/signer gid=101";
    let mut machine = Machine::new(&table);
    run(&mut machine);
    let calls = machine.calls();
    let at = calls.iter().position(|call| call == pipe).unwrap();
    assert_eq!(calls.get(at - 1).unwrap(), "make-dir /run/nitro/output");
    assert!(calls.iter().take(at).all(|call| !call.starts_with("spawn")));
    for call in [pipe, "make-dir /run/nitro/output"] {
        let mut machine = Machine::new(&table);
        let at = calls.iter().position(|made| made == call).unwrap();
        machine.record.borrow_mut().fail.insert(at);
        let end = run(&mut machine);
        assert_eq!(
            (end.code, end.stage),
            (FatalCode::Mount, Stage::Services),
            "{call}"
        );
    }
}
