//! From the manifest's services to the table that PID 1 reads.

use std::collections::BTreeMap;
use std::path::Path;

use seccompiler::BpfProgram;
use services::{
    Clock, Instruction, Kind, Limit, Resource, Restart, Seccomp, Service, Start, Stdio, Table, TmpfsMount,
};

use super::accounts::Accounts;
use super::raw::{RawClock, RawKind, RawManifest, RawOutput, RawService, RawStart, RawTmpfs};
use super::{Fault, octal, read_bounded, source_path, tree_path, value};

/// `CAP_IPC_LOCK` of `linux/capability.h`: lets the signer lock its keys in memory.
const CAP_IPC_LOCK: u64 = 1 << 14;

/// Makes the table and checks it against every rule that PID 1 has.
pub(super) fn build(raw: &RawManifest, accounts: &Accounts, folder: &Path) -> Result<Table, Fault> {
    let mut mounts = BTreeMap::new();
    for mount in &raw.tmpfs {
        let path = tree_path("tmpfs.path", &mount.path)?;
        let path = path.as_str().as_bytes().to_vec();
        if mounts.insert(path, tmpfs(mount, accounts)?).is_some() {
            return Err(value(
                "tmpfs.path",
                &mount.path,
                "a path that no other [[tmpfs]] has",
            ));
        }
    }
    let mut services = Vec::new();
    for service in &raw.services {
        services.push(build_service(service, accounts, folder)?);
    }
    let clock = match raw.init.clock {
        RawClock::None => Clock::None,
        RawClock::PtpKvm {
            period_s,
            step_over_ms,
        } => Clock::PtpKvm {
            period_s,
            step_over_ms,
        },
    };
    let table = Table {
        nsm_gid: accounts.group("init.nsm_group", &raw.init.nsm_group)?,
        ip_unprivileged_port_start: raw.init.unprivileged_ports_from,
        clock,
        mounts,
        services,
    };
    table.check()?;
    Ok(table)
}

fn tmpfs(raw: &RawTmpfs, accounts: &Accounts) -> Result<TmpfsMount, Fault> {
    let (uid, gid) = accounts.owner("tmpfs", raw.user.as_deref(), raw.group.as_deref())?;
    let size = raw.size_mib.checked_mul(1024 * 1024);
    let size_bytes = size.ok_or_else(|| {
        value(
            "tmpfs.size_mib",
            &raw.size_mib.to_string(),
            "a size below 2^64 bytes",
        )
    })?;
    let mode = octal("tmpfs.mode", &raw.mode, 0o1777)?;
    Ok(TmpfsMount {
        size_bytes,
        mode,
        uid,
        gid,
        noexec: !raw.exec,
    })
}

fn build_service(raw: &RawService, accounts: &Accounts, folder: &Path) -> Result<Service, Fault> {
    let key = |field: &str| format!("service {}: {field}", raw.name);
    let user = accounts.user(&key("user"), &raw.user)?;
    let mut rlimits = BTreeMap::from([(Resource::Core, Limit { soft: 0, hard: 0 })]);
    for (name, most) in &raw.limits {
        let resource = resource(name).ok_or_else(|| value(&key("limits"), name, RESOURCE_NAMES))?;
        rlimits.insert(
            resource,
            Limit {
                soft: *most,
                hard: *most,
            },
        );
    }
    let mut capabilities = 0;
    for name in &raw.capabilities {
        if name != "ipc_lock" {
            return Err(value(&key("capabilities"), name, "`ipc_lock`, or nothing"));
        }
        capabilities |= CAP_IPC_LOCK;
    }
    let filter_path = folder.join(source_path(&key("seccomp"), &raw.seccomp)?);
    let text = |t: &String| t.clone().into_bytes();
    Ok(Service {
        name: raw.name.clone(),
        argv: raw.exec.iter().map(text).collect(),
        env: raw.environment.iter().map(|(k, v)| (text(k), text(v))).collect(),
        cwd: raw.directory.as_deref().unwrap_or("/").as_bytes().to_vec(),
        uid: user.id,
        gid: user.id,
        groups: user.groups.clone(),
        capabilities,
        rlimits,
        umask: octal(&key("umask"), raw.umask.as_deref().unwrap_or("0077"), 0o777)?,
        start: match raw.start {
            RawStart::Boot => Start::Boot,
            RawStart::OnRequest => Start::OnRequest,
        },
        kind: kind(raw)?,
        grace_ms: raw.grace_ms,
        oom_score_adj: raw.oom_score_adjust,
        channel: raw.channel,
        stdio: match raw.output {
            RawOutput::Console => Stdio::Console,
            RawOutput::Log => Stdio::Log,
            RawOutput::Null => Stdio::Null,
        },
        seccomp: seccomp(&filter_path)?,
    })
}

fn kind(raw: &RawService) -> Result<Kind, Fault> {
    match (raw.kind, raw.restart) {
        (RawKind::Daemon, Some(restart)) => Ok(Kind::Daemon(Restart {
            backoff_initial_ms: restart.first_wait_ms,
            backoff_max_ms: restart.longest_wait_ms,
            max_restarts: restart.most,
            window_ms: restart.window_ms,
        })),
        (RawKind::OneShot, None) => Ok(Kind::OneShot),
        (RawKind::Daemon, None) => Err(value("service.kind", "daemon", "`restart` beside it")),
        (RawKind::OneShot, Some(_)) => Err(value("service.kind", "one-shot", "no `restart` beside it")),
    }
}

const RESOURCE_NAMES: &str = "as, cpu, data, fsize, memlock, nofile, nproc, sigpending or stack";

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "memlock" => Resource::Memlock,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}

/// Compiles a filter. The file must hold exactly one filter, named `main`.
fn seccomp(path: &Path) -> Result<Seccomp, Fault> {
    let refuse = |reason: String| Fault::Seccomp {
        path: path.to_path_buf(),
        reason,
    };
    let text = read_bounded(path)?;
    let arch = seccompiler::TargetArch::x86_64;
    let mut filters =
        seccompiler::compile_from_json(text.as_bytes(), arch).map_err(|error| refuse(error.to_string()))?;
    let program: BpfProgram = filters
        .remove("main")
        .ok_or_else(|| refuse("has no filter named `main`".to_owned()))?;
    if let Some(other) = filters.keys().next() {
        return Err(refuse(format!("has a second filter, `{other}`")));
    }
    let instruction = |i: &seccompiler::sock_filter| Instruction {
        code: i.code,
        jt: i.jt,
        jf: i.jf,
        k: i.k,
    };
    Ok(Seccomp::Filter(program.iter().map(instruction).collect()))
}
