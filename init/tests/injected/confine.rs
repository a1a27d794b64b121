//! `/init exec N`: the exact steps in their order, then each of them failing in turn.

use std::collections::{BTreeMap, BTreeSet};

use init::child::{Confine, Failure, exec};
use init::system::{Errno, Result};
use services::{Instruction, Limit, Resource, Seccomp, Service, Table};

use crate::fake::BROKEN;
use crate::tables::{service, table};

/// Notes every step and can fail one.
struct Recorder {
    table: Option<Vec<u8>>,
    calls: Vec<String>,
    fail_at: Option<usize>,
    said: Vec<String>,
}

impl Recorder {
    fn new(table: &Table) -> Self {
        Self {
            table: Some(table.encode().unwrap()),
            calls: vec![],
            fail_at: None,
            said: vec![],
        }
    }

    fn call(&mut self, call: String) -> Result<()> {
        let fails = self.fail_at == Some(self.calls.len());
        self.calls.push(call);
        if fails { Err(BROKEN) } else { Ok(()) }
    }
}

impl Confine for Recorder {
    fn uptime_ms(&self) -> u64 {
        9
    }
    fn say(&mut self, line: &str) {
        self.said.push(line.to_owned());
    }
    fn read_file(&mut self, path: &str, _max: usize) -> Result<Vec<u8>> {
        self.call(format!("read {path}"))?;
        self.table.clone().ok_or(Errno::NOT_FOUND)
    }
    fn null_stdin(&mut self) -> Result<()> {
        self.call("null-stdin".to_owned())
    }
    fn check_descriptors(&mut self) -> Result<()> {
        self.call("check-descriptors".to_owned())
    }
    fn unblock_signals(&mut self) -> Result<()> {
        self.call("unblock-signals".to_owned())
    }
    fn set_oom_score_adj(&mut self, value: i16) -> Result<()> {
        self.call(format!("oom {value}"))
    }
    fn set_limit(&mut self, resource: Resource, limit: Limit) -> Result<()> {
        self.call(format!("limit {resource:?} {}/{}", limit.soft, limit.hard))
    }
    fn set_umask(&mut self, mask: u16) {
        self.calls.push(format!("umask {mask:o}"));
    }
    fn set_groups(&mut self, groups: &BTreeSet<u32>) -> Result<()> {
        self.call(format!("groups {groups:?}"))
    }
    fn set_gid(&mut self, gid: u32) -> Result<()> {
        self.call(format!("gid {gid}"))
    }
    fn bound_capabilities(&mut self, keep: u64) -> Result<()> {
        self.call(format!("bound {keep:#x}"))
    }
    fn lock_secure_bits(&mut self, ambient: bool) -> Result<()> {
        self.call(format!("secure-bits ambient={ambient}"))
    }
    fn set_uid(&mut self, uid: u32) -> Result<()> {
        self.call(format!("uid {uid}"))
    }
    fn set_capabilities(&mut self, keep: u64) -> Result<()> {
        self.call(format!("capabilities {keep:#x}"))
    }
    fn change_dir(&mut self, path: &[u8]) -> Result<()> {
        self.call(format!("chdir {}", String::from_utf8_lossy(path)))
    }
    fn forbid_new_privileges(&mut self) -> Result<()> {
        self.call("no-new-privs".to_owned())
    }
    fn load_filter(&mut self, program: &[Instruction]) -> Result<()> {
        self.call(format!("filter {}", program.len()))
    }
    fn exec(&mut self, argv: &[Vec<u8>], env: &BTreeMap<Vec<u8>, Vec<u8>>) -> Errno {
        self.calls
            .push(format!("exec {} args {} env", argv.len(), env.len()));
        Errno::NOT_FOUND
    }
}

/// A table whose service 1 uses everything.
fn full() -> Table {
    let instruction = Instruction {
        code: 6,
        jt: 0,
        jf: 0,
        k: 0x7fff_0000,
    };
    let used = Service {
        channel: true,
        capabilities: 1 << 10,
        rlimits: BTreeMap::from([
            (Resource::As, Limit { soft: 1, hard: 2 }),
            (Resource::Core, Limit { soft: 8, hard: 8 }),
        ]),
        seccomp: Seccomp::Filter(vec![instruction; 3]),
        ..service("used")
    };
    Table {
        services: vec![service("other"), used],
        ..table()
    }
}

const STEPS: &[(&str, &str)] = &[
    ("read /etc/nitro/services", "read-table"),
    ("check-descriptors", "descriptors"),
    ("unblock-signals", "signals"),
    ("oom -500", "oom-score-adj"),
    ("limit Core 8/8", "limits"),
    ("limit As 1/2", "limits"),
    ("limit Core 0/0", "limits"),
    ("umask 77", ""),
    ("groups {200}", "groups"),
    ("gid 101", "gid"),
    ("bound 0x400", "bounding-set"),
    ("secure-bits ambient=true", "secure-bits"),
    ("uid 100", "uid"),
    ("capabilities 0x400", "capabilities"),
    ("chdir /", "cwd"),
    ("no-new-privs", "no-new-privs"),
    ("filter 3", "seccomp"),
    ("exec 1 args 1 env", "exec"),
];

#[test]
fn a_service_is_confined_in_this_order() {
    let mut recorder = Recorder::new(&full());
    let failure = exec(&mut recorder, "1");
    let expected: Vec<_> = STEPS.iter().map(|(call, _)| *call).collect();
    assert_eq!(recorder.calls, expected);
    assert_eq!(
        failure,
        Failure {
            step: "exec",
            errno: Errno::NOT_FOUND
        }
    );
    let said = "nitro-init uptime_ms=9 stage=services event=failed service=used target=exec errno=2";
    assert_eq!(recorder.said, [said]);
}

#[test]
fn each_step_failing_in_turn_stops_there() {
    let fallible = STEPS
        .iter()
        .enumerate()
        .filter(|(_, (_, step))| !matches!(*step, "" | "exec"));
    for (at, (call, step)) in fallible {
        let mut recorder = Recorder {
            fail_at: Some(at),
            ..Recorder::new(&full())
        };
        assert_eq!(
            exec(&mut recorder, "1"),
            Failure { step, errno: BROKEN },
            "{call}"
        );
        assert_eq!(recorder.calls.len(), at + 1, "{call}");
        assert_eq!(recorder.calls.last().unwrap(), call);
        assert_eq!(recorder.said.len(), 1);
    }
}

#[test]
fn a_plain_service_has_no_channel_and_no_filter() {
    let mut recorder = Recorder::new(&full());
    exec(&mut recorder, "0");
    let with = |start: &str| recorder.calls.iter().find(|call| call.starts_with(start));
    assert_eq!(with("null-stdin").unwrap(), "null-stdin");
    assert_eq!(with("filter"), None);
    assert_eq!(with("secure-bits").unwrap(), "secure-bits ambient=false");
    assert_eq!(with("no-new-privs").unwrap(), "no-new-privs");
}

#[test]
fn bad_numbers_and_tables_are_refused_before_any_step() {
    for number in ["", "2", "-1", "x", "18446744073709551616", "1 "] {
        let mut recorder = Recorder::new(&full());
        assert_eq!(
            exec(&mut recorder, number),
            Failure {
                step: "service-number",
                errno: Errno::NONE
            }
        );
        assert_eq!(recorder.calls.len(), 1, "{number:?}");
    }
    let mut recorder = Recorder::new(&full());
    recorder.table = Some(b"NWST".to_vec());
    assert_eq!(
        exec(&mut recorder, "0"),
        Failure {
            step: "decode-table",
            errno: Errno::NONE
        }
    );
}
