//! What a table must obey beyond its types. Both [`crate::encode`] and [`crate::decode`] end here, so a decoded table
//! has been checked and a table that breaks a rule cannot be encoded.

use std::collections::BTreeSet;

use crate::table::{Clock, Kind, Seccomp, Service, Stdio, Table, TmpfsMount};

/// Most services in a table.
pub const MAX_SERVICES: usize = 16;
/// Most memory file systems in a table.
pub const MAX_MOUNTS: usize = 32;
/// Longest service name, bytes.
pub const MAX_NAME_BYTES: usize = 32;
/// Most arguments of a service.
pub const MAX_ARGS: usize = 128;
/// Most environment entries of a service.
pub const MAX_ENV: usize = 128;
/// Longest path, argument, or environment name or value, bytes.
pub const MAX_TEXT_BYTES: usize = 4095;
/// Most supplementary groups of a service.
pub const MAX_GROUPS: usize = 32;
/// Most instructions of a filter: `BPF_MAXINSNS` of `linux/bpf_common.h`.
pub const MAX_INSTRUCTIONS: usize = 4096;
/// Longest grace time and longest back-off, milliseconds: 10 minutes.
pub const MAX_WAIT_MS: u32 = 600_000;
/// Capabilities that exist up to Linux 6.12 (`CAP_LAST_CAP` is 40).
pub const KNOWN_CAPABILITIES: u64 = (1 << 41) - 1;

/// The rule that a table breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// More services than [`MAX_SERVICES`].
    #[error("service table has {0} services, expected at most {MAX_SERVICES}")]
    Services(usize),
    /// More memory file systems than [`MAX_MOUNTS`].
    #[error("service table has {0} mounts, expected at most {MAX_MOUNTS}")]
    Mounts(usize),
    /// A port start above 1024.
    #[error("ip_unprivileged_port_start is {0}, expected at most 1024")]
    PortStart(u16),
    /// A clock period of 0.
    #[error("clock is read every 0 s, expected 1 or more")]
    ClockPeriod,
    /// The group of `/dev/nsm` is the number that means "unchanged".
    #[error("nsm_gid is {0}, which is no group")]
    NsmGroup(u32),
    /// A mount's path, size, mode or owner.
    #[error("mount {path:?}: its {what} is not allowed")]
    Mount {
        /// The mount point, lossily decoded.
        path: String,
        /// Which of its parts.
        what: &'static str,
    },
    /// Two services have the same name.
    #[error("service {index}: name {name:?} is taken by an earlier service")]
    Duplicate {
        /// Number of the second one.
        index: usize,
        /// The name.
        name: String,
    },
    /// Two services would get the request socket.
    #[error("service {index} wants the request channel, which an earlier service has")]
    Channel {
        /// Number of the second one.
        index: usize,
    },
    /// A service's output goes to the log, and there is nobody else to read it.
    #[error(
        "service {index} says its output to the log, which needs another service with the request channel"
    )]
    Output {
        /// Number of the service.
        index: usize,
    },
    /// A rule within one service.
    #[error("service {index} ({name:?}) breaks a rule")]
    Service {
        /// Number of the service.
        index: usize,
        /// Its name.
        name: String,
        /// Which rule.
        #[source]
        rule: ServiceRule,
    },
}

/// The rule that a service breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceRule {
    /// Not 1 to 32 bytes of `[a-z0-9-]` starting with a letter.
    #[error("its name is not 1 to {MAX_NAME_BYTES} bytes of [a-z0-9-] starting with a letter")]
    Name,
    /// Too many items of a list.
    #[error("it has {actual} {what}, expected at most {max}")]
    TooMany {
        /// Which list.
        what: &'static str,
        /// The limit.
        max: usize,
        /// The count.
        actual: usize,
    },
    /// No argument at all.
    #[error("it has no argument 0")]
    NoProgram,
    /// Not an absolute, plain path (no NUL, no empty part, no `.` or `..`).
    #[error("its {0} is not an absolute path without empty, `.` or `..` parts")]
    Path(&'static str),
    /// Too long, or with a NUL, or a bad environment name.
    #[error("item {index} of its {what} is too long, holds a NUL or has a bad name")]
    Text {
        /// `argv` or `env`.
        what: &'static str,
        /// Which item.
        index: usize,
    },
    /// Root, or the number that means "unchanged".
    #[error("its {what} is {actual}, expected neither 0 nor 4294967295")]
    Id {
        /// Which id.
        what: &'static str,
        /// The number.
        actual: u32,
    },
    /// Capabilities that Linux does not have.
    #[error("it keeps unknown capabilities {0:#x}")]
    Capabilities(u64),
    /// A soft limit above its hard limit.
    #[error("its soft limit of {0:?} is above the hard limit")]
    Limit(crate::table::Resource),
    /// Out of its range: umask, OOM score, grace time or restart policy.
    #[error("its {what} is {actual}, out of range")]
    Range {
        /// Which number.
        what: &'static str,
        /// The number.
        actual: i64,
    },
    /// A filter without an instruction; no filter at all is said with `Seccomp::None`.
    #[error("its seccomp filter is empty")]
    EmptyFilter,
}

impl Table {
    /// Checks every rule.
    ///
    /// # Errors
    /// [`RuleError`] names the first rule that is broken.
    pub fn check(&self) -> Result<(), RuleError> {
        if self.services.len() > MAX_SERVICES {
            return Err(RuleError::Services(self.services.len()));
        }
        if self.mounts.len() > MAX_MOUNTS {
            return Err(RuleError::Mounts(self.mounts.len()));
        }
        if self.ip_unprivileged_port_start > 1024 {
            return Err(RuleError::PortStart(self.ip_unprivileged_port_start));
        }
        if matches!(self.clock, Clock::PtpKvm { period_s: 0, .. }) {
            return Err(RuleError::ClockPeriod);
        }
        if self.nsm_gid == u32::MAX {
            return Err(RuleError::NsmGroup(self.nsm_gid));
        }
        for (path, mount) in &self.mounts {
            if let Some(what) = mount_fault(path, mount) {
                return Err(RuleError::Mount {
                    path: String::from_utf8_lossy(path).into_owned(),
                    what,
                });
            }
        }
        let mut names = BTreeSet::new();
        let mut channel = false;
        for (index, service) in self.services.iter().enumerate() {
            let name = || service.name.clone();
            check_service(service).map_err(|rule| RuleError::Service {
                index,
                name: name(),
                rule,
            })?;
            if !names.insert(service.name.as_str()) {
                return Err(RuleError::Duplicate { index, name: name() });
            }
            if service.channel && channel {
                return Err(RuleError::Channel { index });
            }
            channel |= service.channel;
        }
        let unheard = |service: &Service| service.stdio == Stdio::Log && (service.channel || !channel);
        match self.services.iter().position(unheard) {
            Some(index) => Err(RuleError::Output { index }),
            None => Ok(()),
        }
    }
}

fn mount_fault(path: &[u8], mount: &TmpfsMount) -> Option<&'static str> {
    if !is_plain_path(path) || path == b"/" {
        return Some("path");
    }
    if mount.size_bytes == 0 {
        return Some("size");
    }
    if mount.mode > 0o1777 {
        return Some("mode");
    }
    (mount.uid == u32::MAX || mount.gid == u32::MAX).then_some("owner")
}

fn check_service(service: &Service) -> Result<(), ServiceRule> {
    if !is_name(&service.name) {
        return Err(ServiceRule::Name);
    }
    at_most("arguments", MAX_ARGS, service.argv.len())?;
    at_most("environment entries", MAX_ENV, service.env.len())?;
    at_most("groups", MAX_GROUPS, service.groups.len())?;
    let program = service.argv.first().ok_or(ServiceRule::NoProgram)?;
    if !is_plain_path(program) {
        return Err(ServiceRule::Path("program"));
    }
    if !is_plain_path(&service.cwd) {
        return Err(ServiceRule::Path("working directory"));
    }
    if let Some(index) = service.argv.iter().position(|arg| !is_text(arg)) {
        return Err(ServiceRule::Text { what: "argv", index });
    }
    let bad_entry =
        |(k, v): (&Vec<u8>, &Vec<u8>)| k.is_empty() || k.contains(&b'=') || !is_text(k) || !is_text(v);
    if let Some(index) = service.env.iter().position(bad_entry) {
        return Err(ServiceRule::Text { what: "env", index });
    }
    check_id("uid", service.uid)?;
    check_id("gid", service.gid)?;
    for &gid in &service.groups {
        check_id("supplementary group", gid)?;
    }
    if service.capabilities & !KNOWN_CAPABILITIES != 0 {
        return Err(ServiceRule::Capabilities(
            service.capabilities & !KNOWN_CAPABILITIES,
        ));
    }
    if let Some((&resource, _)) = service.rlimits.iter().find(|(_, limit)| limit.soft > limit.hard) {
        return Err(ServiceRule::Limit(resource));
    }
    in_range("umask", service.umask.into(), 0, 0o777)?;
    in_range("oom_score_adj", service.oom_score_adj.into(), -1000, 1000)?;
    in_range("grace_ms", service.grace_ms.into(), 0, MAX_WAIT_MS.into())?;
    if let Kind::Daemon(restart) = service.kind {
        let initial = i64::from(restart.backoff_initial_ms);
        in_range(
            "backoff_max_ms",
            restart.backoff_max_ms.into(),
            initial,
            MAX_WAIT_MS.into(),
        )?;
        in_range("window_ms", restart.window_ms.into(), 1, u32::MAX.into())?;
    }
    if let Seccomp::Filter(program) = &service.seccomp {
        if program.is_empty() {
            return Err(ServiceRule::EmptyFilter);
        }
        at_most("filter instructions", MAX_INSTRUCTIONS, program.len())?;
    }
    Ok(())
}

const fn at_most(what: &'static str, max: usize, actual: usize) -> Result<(), ServiceRule> {
    if actual > max {
        return Err(ServiceRule::TooMany { what, max, actual });
    }
    Ok(())
}

const fn in_range(what: &'static str, actual: i64, min: i64, max: i64) -> Result<(), ServiceRule> {
    if actual < min || actual > max {
        return Err(ServiceRule::Range { what, actual });
    }
    Ok(())
}

const fn check_id(what: &'static str, actual: u32) -> Result<(), ServiceRule> {
    if actual == 0 || actual == u32::MAX {
        return Err(ServiceRule::Id { what, actual });
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_text(text: &[u8]) -> bool {
    text.len() <= MAX_TEXT_BYTES && !text.contains(&0)
}

fn is_plain_path(path: &[u8]) -> bool {
    let Some(tail) = path.strip_prefix(b"/") else {
        return false;
    };
    is_text(path)
        && (tail.is_empty()
            || tail
                .split(|&b| b == b'/')
                .all(|part| !matches!(part, b"" | b"." | b"..")))
}
