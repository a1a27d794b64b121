//! The encoding of the service table: golden bytes, round trip, truncation, bit flips, every rule.
#![expect(clippy::unwrap_used, reason = "a failed assumption should fail the test")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use services::rules::{KNOWN_CAPABILITIES, MAX_GROUPS, MAX_INSTRUCTIONS, MAX_SERVICES};
use services::{
    Clock, DecodeError, EncodeError, Instruction, Kind, Limit, Resource, Restart, RuleError, Seccomp,
    Service, ServiceRule, Start, Stdio, Table, TmpfsMount,
};

const ALLOW: Instruction = Instruction {
    code: 6,
    jt: 0,
    jf: 0,
    k: 0x7fff_0000,
};

fn agent() -> Service {
    Service {
        name: "agent".to_owned(),
        argv: vec![b"/bin/agent".to_vec(), b"--x".to_vec()],
        env: BTreeMap::from([(b"A".to_vec(), b"1".to_vec())]),
        cwd: b"/".to_vec(),
        uid: 100,
        gid: 101,
        groups: BTreeSet::from([200]),
        capabilities: 0,
        rlimits: BTreeMap::from([(
            Resource::Nofile,
            Limit {
                soft: 1024,
                hard: u64::MAX,
            },
        )]),
        umask: 0o077,
        start: Start::Boot,
        kind: Kind::Daemon(Restart {
            backoff_initial_ms: 100,
            backoff_max_ms: 5000,
            max_restarts: 5,
            window_ms: 60000,
        }),
        grace_ms: 2000,
        oom_score_adj: -500,
        channel: true,
        stdio: Stdio::Console,
        seccomp: Seccomp::Filter(vec![ALLOW]),
    }
}

fn table() -> Table {
    let mount = TmpfsMount {
        size_bytes: 1 << 20,
        mode: 0o700,
        uid: 1,
        gid: 2,
        noexec: true,
    };
    Table {
        nsm_gid: 200,
        ip_unprivileged_port_start: 443,
        clock: Clock::PtpKvm {
            period_s: 60,
            step_over_ms: 50,
        },
        mounts: BTreeMap::from([(b"/run/x".to_vec(), mount)]),
        services: vec![agent()],
    }
}

#[test]
fn layout_is_fixed() {
    let expected: &[&[u8]] = &[
        b"NWST\x00\x01",
        b"\x00\x00\x00\xc8\x01\xbb",
        b"\x01\x00\x00\x00\x3c\x00\x00\x00\x32",
        b"\x00\x01\x00\x06/run/x\x00\x00\x00\x00\x00\x10\x00\x00\x01\xc0\x00\x00\x00\x01\x00\x00\x00\x02\x01",
        b"\x00\x01\x00\x05agent\x00\x02\x00\x0a/bin/agent\x00\x03--x\x00\x01\x00\x01A\x00\x011\x00\x01/",
        b"\x00\x00\x00\x64\x00\x00\x00\x65\x00\x01\x00\x00\x00\xc8\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x00\x01\x07\x00\x00\x00\x00\x00\x00\x04\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x3f",
        b"\x00\x01\x00\x00\x00\x64\x00\x00\x13\x88\x00\x05\x00\x00\xea\x60",
        b"\x00\x00\x07\xd0\xfe\x0c\x01\x01\x01\x00\x01\x06\x00\x00\x00\x00\x00\xff\x7f",
    ];
    assert_eq!(table().encode().unwrap(), expected.concat());
    assert_eq!(Table::decode(&expected.concat()).unwrap(), table());
}

#[test]
fn every_truncation_is_refused() {
    let bytes = table().encode().unwrap();
    for len in 0..bytes.len() {
        let error = Table::decode(&bytes[..len]).unwrap_err();
        assert!(matches!(error, DecodeError::Short { .. }), "{len} bytes: {error}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    let expected = DecodeError::Trailing {
        offset: bytes.len(),
        actual: 1,
    };
    assert_eq!(Table::decode(&longer), Err(expected));
}

#[test]
fn a_flipped_bit_is_refused_or_is_another_table() {
    let bytes = table().encode().unwrap();
    for at in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        if let Ok(other) = Table::decode(&flipped) {
            assert_ne!(other, table(), "bit {at}");
            assert_eq!(other.encode().unwrap(), flipped, "bit {at}");
        }
    }
}

#[test]
fn head_and_tags_are_named() {
    let bytes = table().encode().unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        Table::decode(&bytes).unwrap_err()
    };
    assert_eq!(with(0, b'X'), DecodeError::Magic(*b"XWST"));
    assert_eq!(with(5, 2), DecodeError::Version(2));
    assert_eq!(
        with(12, 9),
        DecodeError::Tag {
            field: "clock",
            offset: 12,
            value: 9
        }
    );
    assert_eq!(
        with(21, 0xff),
        DecodeError::TooMany {
            field: "mounts",
            offset: 21,
            max: 32,
            actual: 0xff01
        }
    );
    assert_eq!(
        Table::decode(&vec![0; 1024 * 1024 + 1]),
        Err(DecodeError::TooLarge(1024 * 1024 + 1))
    );
}

#[test]
fn other_orders_are_refused() {
    let mut table = table();
    table.services[0].env.insert(b"B".to_vec(), b"2".to_vec());
    let bytes = table.encode().unwrap();
    let at = bytes.windows(6).position(|w| w == b"\x00\x01A\x00\x011").unwrap();
    for second in [b"A", b"0"] {
        let mut swapped = bytes.clone();
        swapped[at + 8..=at + 8].copy_from_slice(second);
        assert!(matches!(
            Table::decode(&swapped),
            Err(DecodeError::Order { field: "env", .. })
        ));
    }
}

/// Asserts that the table, changed so, can be neither encoded nor decoded.
#[track_caller]
fn refused(change: impl FnOnce(&mut Table), expected: &RuleError) {
    let mut table = table();
    change(&mut table);
    assert_eq!(table.check().as_ref(), Err(expected));
    assert_eq!(table.encode(), Err(EncodeError::Rule(expected.clone())));
}

#[track_caller]
fn service_refused(change: impl FnOnce(&mut Service), rule: ServiceRule) {
    let mut service = agent();
    change(&mut service);
    let expected = RuleError::Service {
        index: 0,
        name: service.name.clone(),
        rule,
    };
    refused(|t| t.services = vec![service], &expected);
}

#[test]
fn output_to_the_log_needs_another_who_reads_it() {
    let speaks = Service {
        channel: false,
        stdio: Stdio::Log,
        ..agent()
    };
    refused(|t| t.services = vec![speaks], &RuleError::Output { index: 0 });
    let own = Service {
        stdio: Stdio::Log,
        ..agent()
    };
    refused(|t| t.services = vec![own], &RuleError::Output { index: 0 });
    let mut table = table();
    table.services = vec![
        Service {
            name: "signer".to_owned(),
            channel: false,
            stdio: Stdio::Log,
            ..agent()
        },
        agent(),
    ];
    assert_eq!(Table::decode(&table.encode().unwrap()), Ok(table));
}

#[test]
fn table_rules() {
    refused(
        |t| t.ip_unprivileged_port_start = 1025,
        &RuleError::PortStart(1025),
    );
    refused(
        |t| {
            t.clock = Clock::PtpKvm {
                period_s: 0,
                step_over_ms: 1,
            }
        },
        &RuleError::ClockPeriod,
    );
    refused(|t| t.nsm_gid = u32::MAX, &RuleError::NsmGroup(u32::MAX));
    refused(
        |t| t.services = vec![agent(); 17],
        &RuleError::Services(MAX_SERVICES + 1),
    );
    refused(
        |t| t.services.push(agent()),
        &RuleError::Duplicate {
            index: 1,
            name: "agent".to_owned(),
        },
    );
    let other = Service {
        name: "other".to_owned(),
        ..agent()
    };
    refused(|t| t.services.push(other), &RuleError::Channel { index: 1 });
    let good = TmpfsMount {
        size_bytes: 1,
        mode: 0o1777,
        uid: 0,
        gid: 0,
        noexec: false,
    };
    let mounts = [
        ("/", good, "path"),
        ("x", good, "path"),
        ("/a/../b", good, "path"),
        ("/a/", good, "path"),
        (
            "/a",
            TmpfsMount {
                size_bytes: 0,
                ..good
            },
            "size",
        ),
        ("/a", TmpfsMount { mode: 0o2000, ..good }, "mode"),
        (
            "/a",
            TmpfsMount {
                uid: u32::MAX,
                ..good
            },
            "owner",
        ),
    ];
    for (path, mount, what) in mounts {
        let expected = RuleError::Mount {
            path: path.to_owned(),
            what,
        };
        refused(
            |t| t.mounts = BTreeMap::from([(path.as_bytes().to_vec(), mount)]),
            &expected,
        );
    }
}

#[test]
fn service_rules() {
    for name in ["", "Agent", "0agent", "a_b", "a.b", "ä", &"a".repeat(33)] {
        service_refused(|s| s.name = name.to_owned(), ServiceRule::Name);
    }
    service_refused(|s| s.argv.clear(), ServiceRule::NoProgram);
    service_refused(|s| s.argv[0] = b"agent".to_vec(), ServiceRule::Path("program"));
    service_refused(
        |s| s.cwd = b"tmp".to_vec(),
        ServiceRule::Path("working directory"),
    );
    let text = |what, index| ServiceRule::Text { what, index };
    service_refused(|s| s.argv[1] = b"a\0b".to_vec(), text("argv", 1));
    service_refused(|s| s.argv[1] = vec![b'a'; 4096], text("argv", 1));
    for key in [&b""[..], b"A=B", b"A\0"] {
        service_refused(
            |s| s.env = BTreeMap::from([(key.to_vec(), vec![])]),
            text("env", 0),
        );
    }
    service_refused(
        |s| s.uid = 0,
        ServiceRule::Id {
            what: "uid",
            actual: 0,
        },
    );
    service_refused(
        |s| s.gid = u32::MAX,
        ServiceRule::Id {
            what: "gid",
            actual: u32::MAX,
        },
    );
    service_refused(
        |s| s.groups = [0].into(),
        ServiceRule::Id {
            what: "supplementary group",
            actual: 0,
        },
    );
    let many = ServiceRule::TooMany {
        what: "groups",
        max: MAX_GROUPS,
        actual: 33,
    };
    service_refused(|s| s.groups = (1..=33).collect(), many);
    service_refused(|s| s.capabilities = 1 << 41, ServiceRule::Capabilities(1 << 41));
    let limit = Limit { soft: 2, hard: 1 };
    service_refused(
        |s| s.rlimits = [(Resource::As, limit)].into(),
        ServiceRule::Limit(Resource::As),
    );
    let range = |what, actual| ServiceRule::Range { what, actual };
    service_refused(|s| s.umask = 0o1000, range("umask", 0o1000));
    service_refused(|s| s.oom_score_adj = 1001, range("oom_score_adj", 1001));
    service_refused(|s| s.grace_ms = 600_001, range("grace_ms", 600_001));
    let restart = Restart {
        backoff_initial_ms: 2,
        backoff_max_ms: 1,
        max_restarts: 0,
        window_ms: 1,
    };
    service_refused(|s| s.kind = Kind::Daemon(restart), range("backoff_max_ms", 1));
    let restart = Restart {
        backoff_max_ms: 2,
        window_ms: 0,
        ..restart
    };
    service_refused(|s| s.kind = Kind::Daemon(restart), range("window_ms", 0));
    service_refused(|s| s.seccomp = Seccomp::Filter(vec![]), ServiceRule::EmptyFilter);
    let many = ServiceRule::TooMany {
        what: "filter instructions",
        max: MAX_INSTRUCTIONS,
        actual: 4097,
    };
    service_refused(|s| s.seccomp = Seccomp::Filter(vec![ALLOW; 4097]), many);
}

#[test]
fn rules_hold_for_decoded_bytes_too() {
    let mut bytes = table().encode().unwrap();
    bytes[10..12].copy_from_slice(&1025_u16.to_be_bytes());
    assert_eq!(
        Table::decode(&bytes),
        Err(DecodeError::Rule(RuleError::PortStart(1025)))
    );
}

fn any_path() -> impl Strategy<Value = Vec<u8>> {
    "(/[a-z0-9_]{1,8}){1,4}".prop_map(String::into_bytes)
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    vec(1_u8.., 0..40)
}

prop_compose! {
    fn any_kind()(oneshot: bool, a in 0_u32..1000, b in 1000_u32..600_000, max_restarts: u16, window_ms in 1_u32..)
        -> Kind
    {
        if oneshot { return Kind::OneShot }
        Kind::Daemon(Restart { backoff_initial_ms: a, backoff_max_ms: b, max_restarts, window_ms })
    }
}

prop_compose! {
    fn any_seccomp()(filter in vec((any::<u16>(), any::<u8>(), any::<u8>(), any::<u32>()), 0..20)) -> Seccomp {
        if filter.is_empty() { return Seccomp::None }
        Seccomp::Filter(filter.into_iter().map(|(code, jt, jf, k)| Instruction { code, jt, jf, k }).collect())
    }
}

prop_compose! {
    fn any_service()(
        name in "[a-z][a-z0-9-]{0,27}",
        (program, args, cwd) in (any_path(), vec(any_text(), 0..5), any_path()),
        env in btree_map("[A-Z_]{1,9}".prop_map(String::into_bytes), any_text(), 0..5),
        (uid, gid, groups) in (1..u32::MAX, 1..u32::MAX, btree_set(1..u32::MAX, 0..5)),
        capabilities in 0..=KNOWN_CAPABILITIES,
        limits in btree_map(0_u8..16, (any::<u64>(), any::<u64>()), 0..16),
        (umask, oom_score_adj, grace_ms) in (0_u16..=0o777, -1000_i16..=1000, 0_u32..=600_000),
        (boot, console) in (any::<bool>(), any::<bool>()),
        kind in any_kind(),
        seccomp in any_seccomp(),
    ) -> Service {
        Service {
            name, argv: std::iter::once(program).chain(args).collect(), env, cwd, uid, gid, groups, capabilities,
            rlimits: limits.into_iter().map(|(code, (a, b))| {
                (Resource::from_code(code).unwrap(), Limit { soft: a.min(b), hard: a.max(b) })
            }).collect(),
            umask, oom_score_adj, grace_ms, kind, seccomp, channel: false,
            start: if boot { Start::Boot } else { Start::OnRequest },
            stdio: if console { Stdio::Console } else { Stdio::Null },
        }
    }
}

prop_compose! {
    fn any_mount()(size_bytes in 1_u64.., mode in 0_u16..=0o1777, uid in 0..u32::MAX, gid in 0..u32::MAX, noexec: bool)
        -> TmpfsMount
    {
        TmpfsMount { size_bytes, mode, uid, gid, noexec }
    }
}

prop_compose! {
    fn any_table()(
        nsm_gid in 0..u32::MAX,
        ip_unprivileged_port_start in 0_u16..=1024,
        clock in proptest::option::of((1_u32.., any::<u32>())),
        mounts in btree_map(any_path(), any_mount(), 0..5),
        mut services in vec(any_service(), 0..5),
        channel in 0_usize..8,
    ) -> Table {
        for (index, service) in services.iter_mut().enumerate() {
            service.name = format!("{}-{index}", service.name);
            service.channel = index == channel;
        }
        let clock = clock.map_or(Clock::None, |(period_s, step_over_ms)| Clock::PtpKvm { period_s, step_over_ms });
        Table { nsm_gid, ip_unprivileged_port_start, clock, mounts, services }
    }
}

proptest! {
    #[test]
    fn round_trip(table in any_table()) {
        let bytes = table.encode().unwrap();
        prop_assert_eq!(Table::decode(&bytes).unwrap(), table);
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(table in any_table(), at: prop::sample::Index, byte: u8) {
        let mut bytes = table.encode().unwrap();
        *at.get_mut(&mut bytes) = byte;
        if let Ok(other) = Table::decode(&bytes) {
            prop_assert_eq!(other.encode().unwrap(), bytes);
        }
    }
}
