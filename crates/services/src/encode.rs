//! A table to its bytes. The layout is drawn in [`crate::codec`].

use crate::codec::{MAGIC, MAX_TABLE_BYTES, VERSION};
use crate::rules::RuleError;
use crate::table::{Clock, Kind, Seccomp, Service, Start, Stdio, Table};

/// Why a table cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It breaks a rule.
    #[error("service table breaks a rule")]
    Rule(#[from] RuleError),
    /// It would be longer than [`MAX_TABLE_BYTES`].
    #[error("service table would have {0} bytes, expected at most {MAX_TABLE_BYTES}")]
    TooLarge(usize),
}

impl Table {
    /// The one encoding of this table.
    ///
    /// # Errors
    /// [`EncodeError::Rule`] when the table breaks a rule, [`EncodeError::TooLarge`] when it is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        self.check()?;
        let mut out = Writer(Vec::new());
        out.raw(&MAGIC);
        out.raw(&VERSION.to_be_bytes());
        out.raw(&self.nsm_gid.to_be_bytes());
        out.raw(&self.ip_unprivileged_port_start.to_be_bytes());
        match self.clock {
            Clock::None => out.raw(&[0]),
            Clock::PtpKvm {
                period_s,
                step_over_ms,
            } => {
                out.raw(&[1]);
                out.raw(&period_s.to_be_bytes());
                out.raw(&step_over_ms.to_be_bytes());
            }
        }
        out.count(self.mounts.len());
        for (path, mount) in &self.mounts {
            out.bytes(path);
            out.raw(&mount.size_bytes.to_be_bytes());
            out.raw(&mount.mode.to_be_bytes());
            out.raw(&mount.uid.to_be_bytes());
            out.raw(&mount.gid.to_be_bytes());
            out.raw(&[u8::from(mount.noexec)]);
        }
        out.count(self.services.len());
        for service in &self.services {
            out.service(service);
        }
        if out.0.len() > MAX_TABLE_BYTES {
            return Err(EncodeError::TooLarge(out.0.len()));
        }
        Ok(out.0)
    }
}

/// Appends fields. Lengths fit their 16 bits because [`Table::check`] ran before.
struct Writer(Vec<u8>);

impl Writer {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn count(&mut self, count: usize) {
        // Every limit of `rules` is below 65536, so the conversion cannot fail on a checked table;
        // were it to, the decoder would refuse the count.
        self.raw(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    fn service(&mut self, service: &Service) {
        self.bytes(service.name.as_bytes());
        self.count(service.argv.len());
        for arg in &service.argv {
            self.bytes(arg);
        }
        self.count(service.env.len());
        for (key, value) in &service.env {
            self.bytes(key);
            self.bytes(value);
        }
        self.bytes(&service.cwd);
        self.raw(&service.uid.to_be_bytes());
        self.raw(&service.gid.to_be_bytes());
        self.count(service.groups.len());
        for gid in &service.groups {
            self.raw(&gid.to_be_bytes());
        }
        self.raw(&service.capabilities.to_be_bytes());
        self.count(service.rlimits.len());
        for (resource, limit) in &service.rlimits {
            self.raw(&[resource.code()]);
            self.raw(&limit.soft.to_be_bytes());
            self.raw(&limit.hard.to_be_bytes());
        }
        self.raw(&service.umask.to_be_bytes());
        self.raw(&[match service.start {
            Start::Boot => 0,
            Start::OnRequest => 1,
        }]);
        self.kind(service.kind);
        self.raw(&service.grace_ms.to_be_bytes());
        self.raw(&service.oom_score_adj.to_be_bytes());
        self.raw(&[u8::from(service.channel)]);
        self.raw(&[match service.stdio {
            Stdio::Null => 0,
            Stdio::Console => 1,
            Stdio::Log => 2,
        }]);
        match &service.seccomp {
            Seccomp::None => self.raw(&[0]),
            Seccomp::Filter(program) => {
                self.raw(&[1]);
                self.count(program.len());
                for instruction in program {
                    self.raw(&instruction.to_bytes());
                }
            }
        }
    }

    fn kind(&mut self, kind: Kind) {
        match kind {
            Kind::OneShot => self.raw(&[0]),
            Kind::Daemon(restart) => {
                self.raw(&[1]);
                self.raw(&restart.backoff_initial_ms.to_be_bytes());
                self.raw(&restart.backoff_max_ms.to_be_bytes());
                self.raw(&restart.max_restarts.to_be_bytes());
                self.raw(&restart.window_ms.to_be_bytes());
            }
        }
    }
}
