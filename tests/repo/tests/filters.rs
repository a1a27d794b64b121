//! The system call filters of the images: each ends a process that does something else, says why it allows what it allows, and
//! of what could help an attacker allows exactly what is written here. That everything needed is in them is shown where the
//! programs are, under their filters.

use std::collections::BTreeSet;
use std::fs;

use repo::{files, top};
use serde_json::{Value, json};

/// Calls that start programs, reach into other processes, change who one is or what is mounted, bring code into the kernel, open
/// ways to the outside, or make files what they were not.
const RISKY: [&str; 44] = [
    "accept4",
    "add_key",
    "bind",
    "bpf",
    "chmod",
    "chown",
    "chroot",
    "clock_settime",
    "clone",
    "clone3",
    "execve",
    "execveat",
    "finit_module",
    "fork",
    "init_module",
    "io_uring_setup",
    "kexec_load",
    "keyctl",
    "kill",
    "link",
    "listen",
    "mkdir",
    "mknod",
    "mount",
    "open",
    "open_by_handle_at",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "reboot",
    "rename",
    "sendmsg",
    "setgid",
    "setns",
    "setresuid",
    "setuid",
    "symlink",
    "umount2",
    "unshare",
    "userfaultfd",
    "vfork",
];
/// Calls that do many things, or anything to any file: allowed with certain arguments only.
const BROAD: [&str; 16] = [
    "chmod",
    "fchmod",
    "fcntl",
    "getsockopt",
    "ioctl",
    "mkdir",
    "mlockall",
    "mmap",
    "mprotect",
    "openat",
    "prctl",
    "prlimit64",
    "setsockopt",
    "socket",
    "socketpair",
    "tgkill",
];
/// The request of `ioctl` that asks the NSM: `_IOWR(0x0A, 0, 32 bytes)`.
const NSM: u64 = 0xC020_0A00;

struct Filter {
    name: &'static str,
    /// Of [`RISKY`], what it allows. PID 1 loads a filter before it starts the program, so `execve` is in all.
    may: &'static [&'static str],
    /// Of [`BROAD`], what it allows with any argument.
    free: &'static [&'static str],
    /// It may ask the NSM.
    nsm: bool,
}

const FILTERS: [Filter; 4] = [
    Filter {
        name: "agent",
        may: &["accept4", "bind", "chmod", "clone3", "execve", "listen"],
        free: &[],
        nsm: true,
    },
    Filter {
        name: "provision",
        may: &["execve", "mkdir", "rename", "symlink"],
        free: &[],
        nsm: true,
    },
    // The signer's user may open /dev/nsm, as provision must: what can be asked there is not for the signer.
    Filter {
        name: "signer-jvm",
        may: &[
            "accept4", "bind", "chmod", "clone3", "execve", "listen", "mkdir", "rename", "sendmsg",
        ],
        free: &[
            "chmod",
            "fchmod",
            "getsockopt",
            "mkdir",
            "mmap",
            "mprotect",
            "openat",
            "setsockopt",
            "tgkill",
        ],
        nsm: false,
    },
    Filter {
        name: "signer-native",
        may: &["accept4", "bind", "clone3", "execve", "listen", "rename"],
        free: &[],
        nsm: false,
    },
];

#[test]
fn everything_else_ends_the_process() {
    for filter in &FILTERS {
        let name = filter.name;
        let text = fs::read(top().join(format!("rootfs/seccomp/{name}.json"))).unwrap();
        let file: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(file.as_object().unwrap().len(), 1, "{name}: one thread");
        let main = &file["main"];
        let actions = (&main["mismatch_action"], &main["match_action"]);
        assert_eq!(actions, (&json!("kill_process"), &json!("allow")), "{name}");
        let rules = main["filter"].as_array().unwrap();
        let of = |rule: &Value| rule["syscall"].as_str().unwrap().to_owned();
        let allowed: BTreeSet<String> = rules.iter().map(of).collect();
        let free = rules.iter().filter(|rule| rule.get("args").is_none());
        let free: BTreeSet<String> = free.map(of).collect();
        let among = |names: &[&'static str], set: &BTreeSet<String>| -> Vec<&'static str> {
            let among = names.iter().filter(|name| set.contains(**name));
            among.copied().collect()
        };
        assert_eq!(among(&RISKY, &allowed), filter.may, "{name}");
        assert_eq!(among(&BROAD, &free), filter.free, "{name}");
        let asks = |rule: &Value| rule["syscall"] == "ioctl" && rule["args"][0]["val"] == NSM;
        assert_eq!(rules.iter().any(asks), filter.nsm, "{name}: a request to the NSM");
        let explained = |rule: &Value| rule["comment"].as_str().is_some_and(|why| !why.is_empty());
        for rule in rules {
            assert!(explained(rule), "{name}: why is {} allowed?", rule["syscall"]);
        }
    }
}

#[test]
fn every_filter_is_in_the_table() {
    let there = files()
        .into_iter()
        .filter(|file| file.starts_with("rootfs/seccomp"));
    let there = there.filter(|file| file.extension().is_some_and(|end| end == "json"));
    let there: Vec<String> = there
        .map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(there, FILTERS.map(|filter| filter.name));
}
