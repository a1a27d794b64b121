//! The description for reading: facts first, then each ramdisk like a long file listing.

use std::fmt;

use serde_json::Value;

use super::{Description, Metadata, Ramdisk, SignatureFacts};
use crate::cpio_read::{Entry, EntryKind, printable};
use crate::initramfs::Segment;

impl Description {
    /// The description as text, ending in a newline. Nothing in it can control a terminal.
    #[must_use]
    pub fn to_text(&self) -> String {
        Text(self).to_string()
    }
}

struct Text<'a>(&'a Description);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = self.0;
        let ok = if facts.crc.ok { "ok" } else { "WRONG" };
        writeln!(
            f,
            "image         {} bytes, version {}, {}",
            facts.size, facts.version, facts.architecture
        )?;
        writeln!(
            f,
            "asks for      {} bytes of memory, {} CPUs",
            facts.default_mem, facts.default_cpus
        )?;
        writeln!(
            f,
            "crc           {ok} (stored {}, computed {})",
            facts.crc.stored, facts.crc.computed
        )?;
        for register in ["PCR0", "PCR1", "PCR2", "PCR8"] {
            if let Some(Value::String(value)) = facts.measurements.get(register) {
                writeln!(f, "{register}          {value}")?;
            }
        }
        signature(f, facts.signature.as_ref())?;
        writeln!(f, "command line  {}", facts.cmdline)?;
        metadata(f, facts.metadata.as_ref())?;
        writeln!(f, "\n  # section         offset         size  sha384")?;
        for (index, section) in facts.sections.iter().enumerate() {
            let (kind, offset, size) = (section.kind, section.offset, section.size);
            writeln!(
                f,
                "{index:>3} {kind:<9} {offset:>12} {size:>12}  {}",
                section.sha384
            )?;
        }
        for (index, disk) in facts.ramdisks.iter().enumerate() {
            ramdisk(f, index, disk)?;
        }
        Ok(())
    }
}

fn signature(f: &mut fmt::Formatter<'_>, facts: Option<&SignatureFacts>) -> fmt::Result {
    let Some(facts) = facts else {
        return writeln!(f, "signature     none");
    };
    writeln!(
        f,
        "signature     {}, not verified; certificate {} bytes, sha256 {}",
        facts.count, facts.certificate_size, facts.certificate_sha256
    )
}

fn metadata(f: &mut fmt::Formatter<'_>, facts: Option<&Metadata>) -> fmt::Result {
    match facts {
        None => writeln!(f, "metadata      none"),
        Some(Metadata::Invalid(reason)) => {
            writeln!(f, "metadata      INVALID: {}", printable(reason.as_bytes()))
        }
        // JSON escapes C0 controls itself; the others are left to `plain`.
        Some(Metadata::Json(value)) => writeln!(f, "metadata      {}", plain(&value.to_string())),
    }
}

/// JSON text with the control characters that it may hold unescaped (DEL and C1) replaced by their JSON escapes.
fn plain(json: &str) -> String {
    let escape = |character: char| format!("\\u{:04x}", u32::from(character));
    let pieces = json
        .split_inclusive(char::is_control)
        .map(|piece| match piece.chars().next_back() {
            Some(last) if last.is_control() => piece.trim_end_matches(last).to_owned() + &escape(last),
            _ => piece.to_owned(),
        });
    pieces.collect()
}

fn ramdisk(f: &mut fmt::Formatter<'_>, index: usize, disk: &Ramdisk) -> fmt::Result {
    writeln!(f, "\nramdisk {index} (section {})", disk.section)?;
    for segment in &disk.segments {
        let Segment {
            offset,
            compression,
            unpacked,
            entries,
        } = segment;
        let count = entries.len();
        writeln!(
            f,
            "  byte {offset}: {}, {unpacked} bytes unpacked, {count} entries",
            compression.name()
        )?;
        for entry in entries {
            writeln!(f, "  {}", line(entry))?;
        }
    }
    match &disk.problem {
        Some(problem) => writeln!(f, "  PROBLEM: {}", printable(problem.as_bytes())),
        None => Ok(()),
    }
}

/// `-rwxr-xr-x uid gid size mtime sha256 path`, or the link's target or device's numbers for the hash.
fn line(entry: &Entry) -> String {
    let (letter, detail) = match &entry.kind {
        EntryKind::File { sha256 } => ('-', sha256.to_string()),
        EntryKind::Directory => ('d', "-".to_owned()),
        EntryKind::Symlink { target } => ('l', format!("-> {target}")),
        EntryKind::CharDevice { major, minor } => ('c', format!("device {major}:{minor}")),
        EntryKind::BlockDevice { major, minor } => ('b', format!("device {major}:{minor}")),
        EntryKind::Fifo => ('p', "-".to_owned()),
        EntryKind::Socket => ('s', "-".to_owned()),
        EntryKind::Unknown => ('?', "-".to_owned()),
    };
    let Entry {
        path,
        uid,
        gid,
        size,
        mtime,
        ..
    } = entry;
    format!(
        "{letter}{} {uid:>5} {gid:>5} {size:>10} {mtime:>10} {detail:<64} {path}",
        permissions(entry.mode)
    )
}

/// Like `ls -l`: `rwxr-x--t`.
fn permissions(mode: u16) -> String {
    let bits = |shift: u32, special: bool, letters: [char; 2]| {
        let set = mode >> shift & 7;
        let execute = match (special, set & 1 == 1) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, true) => letters[0],
            (true, false) => letters[1],
        };
        let read = if set & 4 == 0 { '-' } else { 'r' };
        let write = if set & 2 == 0 { '-' } else { 'w' };
        format!("{read}{write}{execute}")
    };
    let user = bits(6, mode & 0o4000 != 0, ['s', 'S']);
    let group = bits(3, mode & 0o2000 != 0, ['s', 'S']);
    let other = bits(0, mode & 0o1000 != 0, ['t', 'T']);
    user + &group + &other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_as_ls_shows_them() {
        let cases = [
            (0o755, "rwxr-xr-x"),
            (0o640, "rw-r-----"),
            (0o4755, "rwsr-xr-x"),
            (0o2644, "rw-r-Sr--"),
            (0o1777, "rwxrwxrwt"),
            (0o1776, "rwxrwxrwT"),
            (0, "---------"),
        ];
        for (mode, text) in cases {
            assert_eq!(permissions(mode), text);
        }
    }

    #[test]
    fn json_keeps_its_meaning_without_controls() {
        let value = Value::from("a\u{1b}[2J\u{7f}\u{9b}é");
        let shown = plain(&value.to_string());
        assert_eq!(shown, "\"a\\u001b[2J\\u007f\\u009bé\"");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }
}
