//! The real [`Confine`]: what `/init exec N` does to itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::SigSet;
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::process::Rlimit;
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};
use seccompiler::sock_filter;
use services::{Instruction, Limit, Resource};

use super::{files, time};
use crate::child::Confine;
use crate::system::{Errno, Result};

/// `O_CLOEXEC` in the flags that `/proc/self/fdinfo` shows (octal).
const CLOEXEC: u32 = 0o2_000_000;
/// "Bad file descriptor".
const BAD_DESCRIPTOR: Errno = Errno(9);
/// "Operation not permitted".
const NOT_PERMITTED: Errno = Errno(1);

/// The calling process.
#[derive(Clone, Copy, Debug)]
pub struct Process;

impl Confine for Process {
    fn uptime_ms(&self) -> u64 {
        time::uptime_ms()
    }

    fn say(&mut self, line: &str) {
        files::say(rustix::stdio::stderr(), line);
    }

    fn read_file(&mut self, path: &str, max: usize) -> Result<Vec<u8>> {
        files::read(path, max)
    }

    fn null_stdin(&mut self) -> Result<()> {
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        Ok(rustix::stdio::dup2_stdin(&null)?)
    }

    fn check_descriptors(&mut self) -> Result<()> {
        if open_across_exec()? == [0, 1, 2].into() {
            Ok(())
        } else {
            Err(BAD_DESCRIPTOR)
        }
    }

    fn unblock_signals(&mut self) -> Result<()> {
        Ok(SigSet::empty().thread_set_mask()?)
    }

    fn set_oom_score_adj(&mut self, value: i16) -> Result<()> {
        files::write_setting("/proc/self/oom_score_adj", &value.to_string())
    }

    fn set_limit(&mut self, resource: Resource, limit: Limit) -> Result<()> {
        let bound = |value: u64| (value != u64::MAX).then_some(value);
        let limit = Rlimit {
            current: bound(limit.soft),
            maximum: bound(limit.hard),
        };
        Ok(rustix::process::setrlimit(resource_of(resource), limit)?)
    }

    fn set_umask(&mut self, mask: u16) {
        rustix::process::umask(Mode::from_raw_mode(mask.into()));
    }

    fn set_groups(&mut self, groups: &BTreeSet<u32>) -> Result<()> {
        let groups: Vec<_> = groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
        Ok(rustix::thread::set_thread_groups(&groups)?)
    }

    fn set_gid(&mut self, gid: u32) -> Result<()> {
        let gid = Gid::from_raw(gid);
        Ok(rustix::thread::set_thread_res_gid(gid, gid, gid)?)
    }

    fn bound_capabilities(&mut self, keep: u64) -> Result<()> {
        for bit in 0..u64::BITS {
            let capability = CapabilitySet::from_bits_retain(1 << bit);
            match rustix::thread::capability_is_in_bounding_set(capability) {
                Ok(true) if keep & (1 << bit) == 0 => {
                    rustix::thread::remove_capability_from_bounding_set(capability)?;
                }
                Ok(_) => {}
                // Past the last capability that this kernel has.
                Err(rustix::io::Errno::INVAL) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn lock_secure_bits(&mut self, ambient: bool) -> Result<()> {
        let mut bits = CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
            | CapabilitiesSecureBits::KEEP_CAPS_LOCKED;
        if !ambient {
            bits |= CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
                | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
        }
        Ok(rustix::thread::set_capabilities_secure_bits(bits)?)
    }

    fn set_uid(&mut self, uid: u32) -> Result<()> {
        let uid = Uid::from_raw(uid);
        Ok(rustix::thread::set_thread_res_uid(uid, uid, uid)?)
    }

    fn set_capabilities(&mut self, keep: u64) -> Result<()> {
        let set = CapabilitySet::from_bits_retain(keep);
        let sets = CapabilitySets {
            effective: set,
            permitted: set,
            inheritable: set,
        };
        rustix::thread::set_capabilities(None, sets)?;
        rustix::thread::clear_ambient_capability_set()?;
        for bit in (0..u64::BITS).filter(|bit| keep & (1 << bit) != 0) {
            let capability = CapabilitySet::from_bits_retain(1 << bit);
            rustix::thread::configure_capability_in_ambient_set(capability, true)?;
        }
        // A confinement that did not take is the worst of all faults, so it is not assumed.
        if rustix::thread::capabilities(None)? == sets {
            Ok(())
        } else {
            Err(NOT_PERMITTED)
        }
    }

    fn change_dir(&mut self, path: &[u8]) -> Result<()> {
        Ok(rustix::process::chdir(path)?)
    }

    fn forbid_new_privileges(&mut self) -> Result<()> {
        Ok(rustix::thread::set_no_new_privs(true)?)
    }

    fn load_filter(&mut self, program: &[Instruction]) -> Result<()> {
        let program: Vec<_> = program
            .iter()
            .map(|&Instruction { code, jt, jf, k }| sock_filter { code, jt, jf, k })
            .collect();
        seccompiler::apply_filter(&program).map_err(|error| match error {
            seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error.into(),
            _ => Errno::NONE,
        })
    }

    fn exec(&mut self, argv: &[Vec<u8>], env: &BTreeMap<Vec<u8>, Vec<u8>>) -> Errno {
        let Some((program, rest)) = argv.split_first() else {
            return Errno::NOT_FOUND;
        };
        let text = |bytes: &'_ Vec<u8>| OsStr::from_bytes(bytes).to_owned();
        let env = env.iter().map(|(key, value)| (text(key), text(value)));
        Command::new(text(program))
            .args(rest.iter().map(text))
            .env_clear()
            .envs(env)
            .exec()
            .into()
    }
}

/// The descriptors of this process that exec does not close.
fn open_across_exec() -> Result<BTreeSet<i32>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "collected into a set, so the order does not matter"
    )]
    let entries = std::fs::read_dir("/proc/self/fd")?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: BTreeSet<String> = names.collect::<Result<_>>()?;
    let mut open = BTreeSet::new();
    for name in names {
        let info = match files::read(&format!("/proc/self/fdinfo/{name}"), 64 * 1024) {
            // The descriptor of the listing itself.
            Err(Errno::NOT_FOUND) => continue,
            result => result?,
        };
        let info = String::from_utf8_lossy(&info);
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
        if flags.ok_or(Errno::PROTOCOL)? & CLOEXEC == 0 {
            open.insert(name.parse().map_err(|_| Errno::PROTOCOL)?);
        }
    }
    Ok(open)
}

const fn resource_of(resource: Resource) -> rustix::process::Resource {
    use rustix::process::Resource as R;
    match resource {
        Resource::Cpu => R::Cpu,
        Resource::Fsize => R::Fsize,
        Resource::Data => R::Data,
        Resource::Stack => R::Stack,
        Resource::Core => R::Core,
        Resource::Rss => R::Rss,
        Resource::Nproc => R::Nproc,
        Resource::Nofile => R::Nofile,
        Resource::Memlock => R::Memlock,
        Resource::As => R::As,
        Resource::Locks => R::Locks,
        Resource::Sigpending => R::Sigpending,
        Resource::Msgqueue => R::Msgqueue,
        Resource::Nice => R::Nice,
        Resource::Rtprio => R::Rtprio,
        Resource::Rttime => R::Rttime,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn only_what_survives_exec_is_listed() {
        let closed = File::open("/dev/null").unwrap();
        let kept = rustix::io::dup(&closed).unwrap();
        let open = open_across_exec().unwrap();
        assert!(
            open.is_superset(&BTreeSet::from([0, 1, 2, kept.as_raw_fd()])),
            "{open:?}"
        );
        assert!(!open.contains(&closed.as_raw_fd()), "{open:?}");
        assert_eq!(Process.check_descriptors(), Err(BAD_DESCRIPTOR));
    }
}
