//! Differences of files that have no lines are told in lines.

use std::collections::{BTreeMap, BTreeSet};

use eif_builder::diff::{Content, contents};
use services::{
    Clock, Instruction, Kind, Limit, Resource, Restart, Seccomp, Service, Start, Stdio, Table, TmpfsMount,
};

fn table() -> Table {
    let mount = TmpfsMount {
        size_bytes: 1 << 20,
        mode: 0o1777,
        uid: 0,
        gid: 0,
        noexec: true,
    };
    // Allow everything: a return of SECCOMP_RET_ALLOW.
    let allow = Instruction {
        code: 6,
        jt: 0,
        jf: 0,
        k: 0x7fff_0000,
    };
    let signer = Service {
        name: "signer".to_owned(),
        argv: vec![b"/usr/bin/signer".to_vec()],
        env: BTreeMap::new(),
        cwd: b"/".to_vec(),
        uid: 102,
        gid: 102,
        groups: BTreeSet::new(),
        capabilities: 0,
        rlimits: BTreeMap::from([(Resource::Nofile, Limit { soft: 64, hard: 64 })]),
        umask: 0o077,
        start: Start::Boot,
        kind: Kind::Daemon(Restart {
            backoff_initial_ms: 100,
            backoff_max_ms: 1000,
            max_restarts: 5,
            window_ms: 60_000,
        }),
        grace_ms: 5000,
        oom_score_adj: 0,
        channel: false,
        stdio: Stdio::Null,
        seccomp: Seccomp::Filter(vec![allow]),
    };
    Table {
        nsm_gid: 100,
        ip_unprivileged_port_start: 1024,
        clock: Clock::None,
        mounts: BTreeMap::from([(b"/tmp".to_vec(), mount)]),
        services: vec![signer],
    }
}

fn one(table: &mut Table) -> &mut Service {
    table.services.first_mut().unwrap()
}

/// Lines that only one of the two has, with their sign.
fn changed(content: &Content) -> (Vec<&str>, Option<&'static str>) {
    let Content::Text { shown, unified, cut } = content else {
        panic!("{content:?}");
    };
    assert!(!cut);
    let lines = unified.lines().skip(2);
    (
        lines.filter(|line| line.starts_with(['+', '-'])).collect(),
        *shown,
    )
}

type Change = fn(&mut Table);

/// Each value of the table by itself, and the lines that tell it.
const CHANGES: &[(Change, &[&str])] = &[
    (
        |t| t.nsm_gid = 101,
        &["-group of /dev/nsm: 100", "+group of /dev/nsm: 101"],
    ),
    (
        |t| t.ip_unprivileged_port_start = 80,
        &["-ports for everybody: from 1024", "+ports for everybody: from 80"],
    ),
    (
        |t| {
            t.clock = Clock::PtpKvm {
                period_s: 60,
                step_over_ms: 9,
            }
        },
        &[
            "-clock: as the kernel found it",
            "+clock: of the KVM host every 60 s, set when off by more than 9 ms",
        ],
    ),
    (
        |t| t.mounts.get_mut(&b"/tmp"[..]).unwrap().noexec = false,
        &[
            "-tmpfs /tmp: 1048576 bytes, 1777 0:0, noexec",
            "+tmpfs /tmp: 1048576 bytes, 1777 0:0, exec",
        ],
    ),
    (
        |t| t.mounts.get_mut(&b"/tmp"[..]).unwrap().uid = 7,
        &[
            "-tmpfs /tmp: 1048576 bytes, 1777 0:0, noexec",
            "+tmpfs /tmp: 1048576 bytes, 1777 7:0, noexec",
        ],
    ),
    (
        |t| t.mounts.get_mut(&b"/tmp"[..]).unwrap().gid = 7,
        &[
            "-tmpfs /tmp: 1048576 bytes, 1777 0:0, noexec",
            "+tmpfs /tmp: 1048576 bytes, 1777 0:7, noexec",
        ],
    ),
    (
        |t| one(t).argv.push(b"--x\x1b".to_vec()),
        &["+signer: argument --x\\x1b"],
    ),
    (
        |t| one(t).env.extend([(b"A".to_vec(), b"b".to_vec())]),
        &["+signer: environment A=b"],
    ),
    (
        |t| one(t).cwd = b"/tmp".to_vec(),
        &["-signer: folder /", "+signer: folder /tmp"],
    ),
    (|t| one(t).uid = 103, &["-signer: user 102", "+signer: user 103"]),
    (
        |t| one(t).gid = 103,
        &["-signer: group 102", "+signer: group 103"],
    ),
    (|t| one(t).groups.extend([9]), &["+signer: further group 9"]),
    (
        |t| one(t).capabilities = 1 << 10,
        &["-signer: capabilities 0x0", "+signer: capabilities 0x400"],
    ),
    (
        |t| {
            let limit = Limit {
                soft: 64,
                hard: u64::MAX,
            };
            one(t).rlimits.extend([(Resource::Nofile, limit)]);
        },
        &["-signer: limit Nofile 64 64", "+signer: limit Nofile 64 none"],
    ),
    (
        |t| one(t).umask = 0o022,
        &["-signer: umask 0077", "+signer: umask 0022"],
    ),
    (
        |t| one(t).start = Start::OnRequest,
        &["-signer: start Boot", "+signer: start OnRequest"],
    ),
    (
        |t| one(t).kind = Kind::OneShot,
        &[
            "-signer: restarted after 100 to 1000 ms, at most 5 times in 60000 ms",
            "+signer: runs once",
        ],
    ),
    (
        |t| one(t).grace_ms = 1,
        &["-signer: grace 5000 ms", "+signer: grace 1 ms"],
    ),
    (
        |t| one(t).oom_score_adj = -5,
        &["-signer: oom_score_adj 0", "+signer: oom_score_adj -5"],
    ),
    (
        |t| one(t).channel = true,
        &["-signer: may ask PID 1: false", "+signer: may ask PID 1: true"],
    ),
    (
        |t| one(t).stdio = Stdio::Console,
        &["-signer: output Null", "+signer: output Console"],
    ),
    (
        |t| one(t).seccomp = Seccomp::None,
        &[
            "-signer: filter 0x0006 0 0 0x7fff0000",
            "+signer: no system call filter",
        ],
    ),
    (
        |t| {
            let Seccomp::Filter(program) = &mut one(t).seccomp else {
                panic!()
            };
            program.first_mut().unwrap().k = 0x7ffc_0000;
        },
        &[
            "-signer: filter 0x0006 0 0 0x7fff0000",
            "+signer: filter 0x0006 0 0 0x7ffc0000",
        ],
    ),
    (
        |t| t.mounts.get_mut(&b"/tmp"[..]).unwrap().mode = 0o700,
        &[
            "-tmpfs /tmp: 1048576 bytes, 1777 0:0, noexec",
            "+tmpfs /tmp: 1048576 bytes, 0700 0:0, noexec",
        ],
    ),
    (
        |t| t.mounts.get_mut(&b"/tmp"[..]).unwrap().size_bytes = 4096,
        &[
            "-tmpfs /tmp: 1048576 bytes, 1777 0:0, noexec",
            "+tmpfs /tmp: 4096 bytes, 1777 0:0, noexec",
        ],
    ),
];

#[test]
fn each_value_of_the_table_of_services() {
    let encoded = table().encode().unwrap();
    for (change, expected) in CHANGES {
        let mut other = table();
        change(&mut other);
        let found = contents("etc/nitro/services", &encoded, &other.encode().unwrap());
        assert_eq!(
            changed(&found),
            (expected.to_vec(), Some("the table of services, value by value"))
        );
    }
}

#[test]
fn a_damaged_table_is_only_bytes() {
    let good = table().encode().unwrap();
    for length in 0..good.len() {
        let cut = contents("etc/nitro/services", &good, &good[..length]);
        assert!(!matches!(cut, Content::Text { .. }), "{length}: {cut:?}");
    }
}

#[test]
fn json_on_one_line_by_key() {
    let (a, b) = (
        br#"{"trust":{"allow_any_client":false,"memory_slashing":false},"users":[1,2]}"#,
        br#"{"trust":{"allow_any_client":false,"memory_slashing":true},"users":[1,2]}"#,
    );
    let shown = Some("JSON on one line, indented here");
    let found = contents("etc/nitro/policy.json", a, b);
    assert_eq!(
        changed(&found),
        (
            vec![
                r#"-    "memory_slashing":false"#,
                r#"+    "memory_slashing":true"#
            ],
            shown
        )
    );
    // A key that is there twice is not lost, nor is a space.
    let found = contents("x", br#"{"a":1}"#, br#"{"a":1, "a":1}"#);
    assert_eq!(changed(&found).0, [r#"-  "a":1"#, r#"+  "a":1,"#, r#"+   "a":1"#]);
    // One of them has lines: both are shown as they are.
    let found = contents("x", br#"{"a":1}"#, b"{\"a\":\n1}");
    assert_eq!(changed(&found).1, None);
}
