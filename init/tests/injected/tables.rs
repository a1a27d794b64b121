//! Service tables for the tests.

use std::collections::{BTreeMap, BTreeSet};

use services::{Clock, Kind, Limit, Resource, Restart, Seccomp, Service, Start, Stdio, Table, TmpfsMount};

pub(crate) const RESTART: Restart = Restart {
    backoff_initial_ms: 100,
    backoff_max_ms: 1000,
    max_restarts: 5,
    window_ms: 60_000,
};

/// A daemon that starts at boot.
pub(crate) fn service(name: &str) -> Service {
    Service {
        name: name.to_owned(),
        argv: vec![format!("/bin/{name}").into_bytes()],
        env: BTreeMap::from([(b"A".to_vec(), b"1".to_vec())]),
        cwd: b"/".to_vec(),
        uid: 100,
        gid: 101,
        groups: BTreeSet::from([200]),
        capabilities: 0,
        rlimits: BTreeMap::from([(Resource::Nofile, Limit { soft: 64, hard: 64 })]),
        umask: 0o077,
        start: Start::Boot,
        kind: Kind::Daemon(RESTART),
        grace_ms: 2000,
        oom_score_adj: -500,
        channel: false,
        stdio: Stdio::Console,
        seccomp: Seccomp::None,
    }
}

/// Agent at boot, provision and signer on request.
pub(crate) fn table() -> Table {
    let signer = Service {
        start: Start::OnRequest,
        stdio: Stdio::Null,
        ..service("signer")
    };
    let provision = Service {
        start: Start::OnRequest,
        kind: Kind::OneShot,
        ..service("provision")
    };
    let mount = TmpfsMount {
        size_bytes: 4096,
        mode: 0o700,
        uid: 100,
        gid: 101,
        noexec: true,
    };
    Table {
        nsm_gid: 200,
        ip_unprivileged_port_start: 443,
        clock: Clock::None,
        mounts: BTreeMap::from([(b"/run/keys".to_vec(), mount)]),
        services: vec![
            Service {
                channel: true,
                ..service("agent")
            },
            provision,
            signer,
        ],
    }
}
