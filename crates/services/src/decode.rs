//! Bytes to a table. The layout is drawn in [`crate::codec`]; the bytes are measured, yet nothing in them is believed.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{MAGIC, MAX_TABLE_BYTES, VERSION};
use crate::reader::Reader;
use crate::rules::{
    MAX_ARGS, MAX_ENV, MAX_GROUPS, MAX_INSTRUCTIONS, MAX_MOUNTS, MAX_NAME_BYTES, MAX_SERVICES,
    MAX_TEXT_BYTES, RuleError,
};
use crate::table::{
    Clock, Instruction, Kind, Limit, Resource, Restart, Seccomp, Service, Start, Stdio, Table, TmpfsMount,
};

/// Why bytes are not a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Longer than [`MAX_TABLE_BYTES`].
    #[error("service table has {0} bytes, expected at most {MAX_TABLE_BYTES}")]
    TooLarge(usize),
    /// Not [`MAGIC`].
    #[error("service table starts with {0:02x?}, expected {MAGIC:02x?}")]
    Magic([u8; 4]),
    /// Not [`VERSION`].
    #[error("service table has version {0}, expected {VERSION}")]
    Version(u16),
    /// The bytes end within a field.
    #[error("service table ends in {field} at byte {offset}: expected {expected} bytes, {actual} are left")]
    Short {
        /// The field.
        field: &'static str,
        /// Where it starts.
        offset: usize,
        /// Its length.
        expected: usize,
        /// What is left.
        actual: usize,
    },
    /// Bytes after the last service.
    #[error("service table has {actual} bytes after its end at byte {offset}")]
    Trailing {
        /// Where the table ends.
        offset: usize,
        /// How many bytes follow.
        actual: usize,
    },
    /// A number that the field does not have.
    #[error("service table has value {value} for {field} at byte {offset}")]
    Tag {
        /// The field.
        field: &'static str,
        /// Where it is.
        offset: usize,
        /// The value.
        value: u8,
    },
    /// A count or length above its limit.
    #[error("service table has {actual} for the length of {field} at byte {offset}, expected at most {max}")]
    TooMany {
        /// The field.
        field: &'static str,
        /// Where its length is.
        offset: usize,
        /// The limit.
        max: usize,
        /// The length.
        actual: usize,
    },
    /// Not in strictly ascending order.
    #[error("service table has {field} out of order or repeated before byte {offset}")]
    Order {
        /// The list.
        field: &'static str,
        /// The end of the offending item's key.
        offset: usize,
    },
    /// A name that is not ASCII.
    #[error("service table has a name that is not ASCII before byte {offset}")]
    NotAscii {
        /// The end of the name.
        offset: usize,
    },
    /// Well formed, but against a rule.
    #[error("service table breaks a rule")]
    Rule(#[from] RuleError),
}

impl Table {
    /// Reads a table and checks every rule.
    ///
    /// # Errors
    /// [`DecodeError`] names the first byte or rule that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_TABLE_BYTES {
            return Err(DecodeError::TooLarge(bytes.len()));
        }
        let mut reader = Reader::new(bytes);
        let magic = reader.array("magic")?;
        if magic != MAGIC {
            return Err(DecodeError::Magic(magic));
        }
        let version = reader.u16("version")?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let nsm_gid = reader.u32("nsm_gid")?;
        let ip_unprivileged_port_start = reader.u16("port start")?;
        let clock = read_clock(&mut reader)?;
        let mut mounts = BTreeMap::new();
        for _ in 0..reader.count("mounts", MAX_MOUNTS)? {
            let path = reader.bytes("mount path", MAX_TEXT_BYTES)?.to_vec();
            ascending(
                mounts.last_key_value().map(|(last, _)| last),
                &path,
                "mounts",
                &reader,
            )?;
            mounts.insert(path, read_mount(&mut reader)?);
        }
        let mut services = Vec::new();
        for _ in 0..reader.count("services", MAX_SERVICES)? {
            services.push(read_service(&mut reader)?);
        }
        reader.end()?;
        let table = Self {
            nsm_gid,
            ip_unprivileged_port_start,
            clock,
            mounts,
            services,
        };
        table.check()?;
        Ok(table)
    }
}

/// Reads a one-byte choice.
fn read_tag(reader: &mut Reader<'_>, field: &'static str, values: u8) -> Result<u8, DecodeError> {
    let offset = reader.offset();
    let value = reader.u8(field)?;
    if value >= values {
        return Err(DecodeError::Tag { field, offset, value });
    }
    Ok(value)
}

fn ascending<T: Ord>(
    last: Option<&T>,
    next: &T,
    field: &'static str,
    reader: &Reader<'_>,
) -> Result<(), DecodeError> {
    if last.is_some_and(|last| last >= next) {
        return Err(DecodeError::Order {
            field,
            offset: reader.offset(),
        });
    }
    Ok(())
}

fn read_clock(reader: &mut Reader<'_>) -> Result<Clock, DecodeError> {
    if read_tag(reader, "clock", 2)? == 0 {
        return Ok(Clock::None);
    }
    Ok(Clock::PtpKvm {
        period_s: reader.u32("clock period")?,
        step_over_ms: reader.u32("clock step")?,
    })
}

fn read_mount(reader: &mut Reader<'_>) -> Result<TmpfsMount, DecodeError> {
    Ok(TmpfsMount {
        size_bytes: reader.u64("mount size")?,
        mode: reader.u16("mount mode")?,
        uid: reader.u32("mount uid")?,
        gid: reader.u32("mount gid")?,
        noexec: reader.bool("mount noexec")?,
    })
}

fn read_service(reader: &mut Reader<'_>) -> Result<Service, DecodeError> {
    Ok(Service {
        name: read_name(reader)?,
        argv: read_args(reader)?,
        env: read_env(reader)?,
        cwd: reader.bytes("cwd", MAX_TEXT_BYTES)?.to_vec(),
        uid: reader.u32("uid")?,
        gid: reader.u32("gid")?,
        groups: read_groups(reader)?,
        capabilities: reader.u64("capabilities")?,
        rlimits: read_rlimits(reader)?,
        umask: reader.u16("umask")?,
        start: if read_tag(reader, "start", 2)? == 0 {
            Start::Boot
        } else {
            Start::OnRequest
        },
        kind: read_kind(reader)?,
        grace_ms: reader.u32("grace_ms")?,
        oom_score_adj: reader.i16("oom_score_adj")?,
        channel: reader.bool("channel")?,
        stdio: match read_tag(reader, "stdio", 3)? {
            0 => Stdio::Null,
            1 => Stdio::Console,
            _ => Stdio::Log,
        },
        seccomp: read_seccomp(reader)?,
    })
}

fn read_name(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    let name = reader.bytes("name", MAX_NAME_BYTES)?;
    if !name.is_ascii() {
        return Err(DecodeError::NotAscii {
            offset: reader.offset(),
        });
    }
    Ok(name.iter().copied().map(char::from).collect())
}

fn read_args(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, DecodeError> {
    let mut argv = Vec::new();
    for _ in 0..reader.count("argv", MAX_ARGS)? {
        argv.push(reader.bytes("argument", MAX_TEXT_BYTES)?.to_vec());
    }
    Ok(argv)
}

fn read_env(reader: &mut Reader<'_>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, DecodeError> {
    let mut env = BTreeMap::new();
    for _ in 0..reader.count("env", MAX_ENV)? {
        let key = reader.bytes("env name", MAX_TEXT_BYTES)?.to_vec();
        ascending(env.last_key_value().map(|(last, _)| last), &key, "env", reader)?;
        env.insert(key, reader.bytes("env value", MAX_TEXT_BYTES)?.to_vec());
    }
    Ok(env)
}

fn read_groups(reader: &mut Reader<'_>) -> Result<BTreeSet<u32>, DecodeError> {
    let mut groups = BTreeSet::new();
    for _ in 0..reader.count("groups", MAX_GROUPS)? {
        let gid = reader.u32("group")?;
        ascending(groups.last(), &gid, "groups", reader)?;
        groups.insert(gid);
    }
    Ok(groups)
}

fn read_rlimits(reader: &mut Reader<'_>) -> Result<BTreeMap<Resource, Limit>, DecodeError> {
    let mut rlimits = BTreeMap::new();
    for _ in 0..reader.count("rlimits", Resource::ALL.len())? {
        let offset = reader.offset();
        let value = reader.u8("resource")?;
        let resource = Resource::from_code(value).ok_or(DecodeError::Tag {
            field: "resource",
            offset,
            value,
        })?;
        ascending(
            rlimits.last_key_value().map(|(last, _)| last),
            &resource,
            "rlimits",
            reader,
        )?;
        rlimits.insert(
            resource,
            Limit {
                soft: reader.u64("soft limit")?,
                hard: reader.u64("hard limit")?,
            },
        );
    }
    Ok(rlimits)
}

fn read_kind(reader: &mut Reader<'_>) -> Result<Kind, DecodeError> {
    if read_tag(reader, "kind", 2)? == 0 {
        return Ok(Kind::OneShot);
    }
    Ok(Kind::Daemon(Restart {
        backoff_initial_ms: reader.u32("backoff_initial_ms")?,
        backoff_max_ms: reader.u32("backoff_max_ms")?,
        max_restarts: reader.u16("max_restarts")?,
        window_ms: reader.u32("window_ms")?,
    }))
}

fn read_seccomp(reader: &mut Reader<'_>) -> Result<Seccomp, DecodeError> {
    if read_tag(reader, "seccomp", 2)? == 0 {
        return Ok(Seccomp::None);
    }
    let mut program = Vec::new();
    for _ in 0..reader.count("filter", MAX_INSTRUCTIONS)? {
        program.push(Instruction::from_bytes(reader.array("instruction")?));
    }
    Ok(Seccomp::Filter(program))
}
