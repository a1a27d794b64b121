//! What a service of the enclave sees and may do, asked from inside, and what happens when it dies too often.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use abi::boot::{FatalCode, Stage};
use abi::events::{Event, Kind};
use e2e::{Booted, PATIENCE, boot, build_image, top};
use simulator::record::Milestone;

const EPERM: &str = "errno 1";
const ENOENT: &str = "errno 2";
const EACCES: &str = "errno 13";
const EROFS: &str = "errno 30";

#[test]
fn a_service_is_confined_and_a_crash_loop_ends_the_enclave() {
    let out = build_image(&top().join("rootfs/e2e/image.toml"));
    let booted = boot(&out.join("e2e.eif"));
    the_process_has_nothing(&booted);
    the_file_systems_are_closed(&booted);
    the_kernel_is_closed(&booted);
    a_crash_loop_is_fatal(booted);
}

fn status_field(booted: &Booted, name: &str) -> String {
    let text = booted.probe("read /proc/self/status");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
        .trim()
        .to_owned()
}

fn the_process_has_nothing(booted: &Booted) {
    assert_eq!(status_field(booted, "Uid"), "150\t150\t150\t150");
    assert_eq!(status_field(booted, "Gid"), "150\t150\t150\t150");
    assert_eq!(status_field(booted, "Groups"), "");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status_field(booted, set), "0000000000000000", "{set}");
    }
    assert_eq!(status_field(booted, "NoNewPrivs"), "1");
    assert_eq!(status_field(booted, "Seccomp"), "2", "a filter is loaded");
    let limits = booted.probe("read /proc/self/limits");
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().rev().nth(1).unwrap().to_owned()
    };
    assert_eq!(limit("Max open files"), "32");
    assert_eq!(limit("Max core file size"), "0");
    for question in ["setuid", "clock", "chown /run/probe"] {
        assert_eq!(booted.probe(question), EPERM, "{question}");
    }
    assert_eq!(booted.probe("bind 80"), EACCES);
    assert_eq!(booted.probe("bind 8080"), "ok ");
}

fn the_file_systems_are_closed(booted: &Booted) {
    let mounts = booted.probe("read /proc/self/mounts");
    let options = |point: &str| {
        let line = mounts.lines().map(|l| l.strip_prefix("ok ").unwrap_or(l));
        let mut found = line.filter(|l| l.split(' ').nth(1) == Some(point));
        let last = found
            .next_back()
            .unwrap_or_else(|| panic!("{point} is not mounted:\n{mounts}"));
        last.split(' ')
            .nth(3)
            .unwrap()
            .split(',')
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for (point, wanted) in [
        ("/", &["ro", "nosuid", "nodev"][..]),
        ("/proc", &["nosuid", "nodev", "noexec"]),
        ("/sys", &["ro", "nosuid", "nodev", "noexec"]),
        ("/tmp", &["nosuid", "nodev", "noexec"]),
        ("/run", &["nosuid", "nodev", "noexec"]),
        ("/run/probe", &["nosuid", "nodev", "noexec"]),
    ] {
        let options = options(point);
        for option in wanted {
            assert!(
                options.iter().any(|o| o == option),
                "{point} lacks {option}: {options:?}"
            );
        }
    }
    assert!(
        options("/proc").iter().any(|o| o.starts_with("hidepid=")),
        "{mounts}"
    );
    assert_eq!(booted.probe("create /new"), EROFS);
    assert_eq!(booted.probe("create /usr/bin/new"), EROFS);
    assert_eq!(booted.probe("create /run/probe/new"), "ok ");
    assert_eq!(booted.probe("read /etc/test/secret"), EACCES);
    assert_eq!(booted.probe("meta /etc/test/secret"), "ok 100400 101 101");
    assert_eq!(
        booted.probe("read /init"),
        ENOENT,
        "the boot ramdisk is out of sight"
    );
    assert_eq!(
        booted.probe("meta /proc/1"),
        ENOENT,
        "other users' processes are hidden"
    );
    assert_eq!(booted.probe("open /dev/nsm"), EACCES, "for the group nsm only");
    assert!(booted.probe("meta /dev/nsm").starts_with("ok 20660 0 200"));
}

fn the_kernel_is_closed(booted: &Booted) {
    for (path, value) in [
        ("/proc/sys/kernel/kptr_restrict", "2"),
        ("/proc/sys/kernel/dmesg_restrict", "1"),
        ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "1024"),
        ("/sys/class/misc/hw_random/rng_current", "nsm-hwrng"),
    ] {
        assert_eq!(
            booted.probe(&format!("read {path}")).trim_end(),
            format!("ok {value}"),
            "{path}"
        );
    }
    for absent in ["/proc/modules", "/proc/kcore", "/dev/mem", "/proc/config.gz"] {
        assert_eq!(booted.probe(&format!("meta {absent}")), ENOENT, "{absent}");
    }
    let interfaces = booted.probe("read /proc/net/dev");
    assert_eq!(
        interfaces.lines().filter(|l| l.contains(':')).count(),
        1,
        "loopback only: {interfaces}"
    );
}

fn a_crash_loop_is_fatal(booted: Booted) {
    for _ in 0..3 {
        assert_eq!(booted.probe("exit 7"), "ok");
    }
    booted.enclave.wait_for(Milestone::Ended, PATIENCE).unwrap();
    let report = booted.enclave.record().fatal_report().unwrap();
    assert_eq!(report.code, FatalCode::CrashLoop);
    assert_eq!(report.detail, 1, "the second service of the table");
    assert_eq!(report.stage, Stage::Running);
    let lines = booted.enclave.record().console_lines();
    let events: Vec<Event> = lines.iter().filter_map(|line| Event::parse(line).ok()).collect();
    let count = |kind| events.iter().filter(|e| e.kind == kind).count();
    assert_eq!(count(Kind::Restart), 2, "two restarts are allowed");
    assert_eq!(count(Kind::Fatal), 1, "last words");
    booted.enclave.stop().unwrap();
}
