//! The agent's system call filter: it is what it should be, and requests are served under it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::time::Duration;

use seccompiler::{BpfProgram, TargetArch, compile_from_json};
use serde_json::{Value, json};
use support::{AMPLE, Deadlines, TestAgent, TestNsm};

#[expect(dead_code, reason = "this file asks little of the agent")]
mod support;

const FILTER: &str = include_str!("../../rootfs/seccomp/agent.json");

fn program() -> BpfProgram {
    compile_from_json(FILTER.as_bytes(), TargetArch::x86_64)
        .unwrap()
        .remove("main")
        .unwrap()
}

#[test]
fn requests_are_served_under_the_filter() {
    // The filter holds for the agent's thread and those that it starts. A call that is missing kills this test.
    let deadlines = Deadlines {
        receive: Duration::from_secs(5),
        ..AMPLE
    };
    let agent = TestAgent::start_after(TestNsm::default(), deadlines, || {
        seccompiler::apply_filter(&program()).unwrap();
    });
    let status = r#"{"operation":"status"}"#;
    let attest = r#"{"operation":"attest","nonce":"00ff"}"#;
    // More than the boot file ever holds, so that buffers grow to their largest.
    let line = std::fs::read_to_string(agent.path("boot"))
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned()
        + "\n";
    agent.write(
        "boot",
        &line.repeat(abi::events::MAX_BOOT_FILE_BYTES / line.len()),
    );
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                for (message, expected) in [(status, 200), (attest, 200), ("{}", 400), ("\u{16}", 400)] {
                    assert_eq!(agent.ask(message)["status"], json!(expected));
                }
            });
        }
    });
    assert_eq!(agent.ask(&" ".repeat(5000))["status"], json!(413));
    let slow = agent.connect();
    assert_eq!(support::answer(slow)["status"], json!(408));
    agent.write("boot", "");
    assert_eq!(agent.ask(status)["status"], json!(200));
    std::fs::remove_file(agent.path("boot")).unwrap();
    assert_eq!(agent.ask(status)["status"], json!(500));
}

#[test]
fn everything_else_ends_the_agent() {
    let filter: Value = serde_json::from_str(FILTER).unwrap();
    assert_eq!(filter.as_object().unwrap().len(), 1);
    assert_eq!(filter["main"]["mismatch_action"], json!("kill_process"));
    assert_eq!(filter["main"]["match_action"], json!("allow"));
    let rules = filter["main"]["filter"].as_array().unwrap();
    let allowed: BTreeSet<&str> = rules
        .iter()
        .map(|rule| rule["syscall"].as_str().unwrap())
        .collect();
    for denied in [
        "bpf",
        "chmod",
        "chown",
        "clone",
        "connect",
        "execveat",
        "fork",
        "io_uring_setup",
        "kill",
        "mount",
        "open",
        "open_by_handle_at",
        "pidfd_getfd",
        "process_vm_readv",
        "ptrace",
        "rename",
        "sendmsg",
        "setns",
        "setuid",
        "unlink",
        "unshare",
        "userfaultfd",
        "vfork",
    ] {
        assert!(!allowed.contains(denied), "{denied}");
    }
    for held in [
        "ioctl",
        "mmap",
        "mprotect",
        "openat",
        "prctl",
        "prlimit64",
        "socket",
        "tgkill",
    ] {
        let free = rules
            .iter()
            .any(|rule| rule["syscall"] == held && rule.get("args").is_none());
        assert!(!free, "{held} is allowed with any argument");
    }
    assert!(
        rules
            .iter()
            .all(|rule| rule["comment"].as_str().is_some_and(|c| !c.is_empty()))
    );
}
