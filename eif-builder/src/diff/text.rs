//! The differences for reading: registers first, then section by section down to the line. Nothing in it can control a
//! terminal.

use std::fmt;

use super::anatomy::{Content, MemberChange};
use super::kernel::KernelDifference;
use super::ramdisk::{FileDifference, RamdiskDifference};
use super::{Change, Detail, Difference, SectionDifference};
use crate::cpio_read::Entry;

/// Most lines of one list; the JSON has them all.
const MAX_LINES: usize = 200;

struct Text<'a>(&'a Difference);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)
    }
}

impl Difference {
    /// The differences as text, ending in a newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        Text(self).to_string()
    }

    fn write(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.same {
            return writeln!(out, "the same, byte for byte");
        }
        for register in &self.registers {
            let name = register.name;
            if register.same {
                writeln!(out, "{name}  same     {}", register.a)?;
            } else {
                writeln!(
                    out,
                    "{name}  DIFFERS  {}\n      {:9}{}",
                    register.a, "", register.b
                )?;
            }
        }
        if self.registers.iter().all(|register| register.same) {
            writeln!(
                out,
                "No register differs: what runs is the same; the files are not."
            )?;
        }
        changes(out, "", &self.header)?;
        for section in &self.sections {
            write_section(out, section)?;
        }
        Ok(())
    }
}

fn write_section(out: &mut fmt::Formatter<'_>, section: &SectionDifference) -> fmt::Result {
    let name = &section.name;
    match (&section.a, &section.b) {
        (Some(a), Some(b)) if a == b => writeln!(out, "\n{name}: same, {} bytes", a.size),
        (Some(a), Some(b)) => {
            writeln!(out, "\n{name}: differs, {} -> {} bytes", a.size, b.size)?;
            match &section.detail {
                Some(Detail::Values(values)) => changes(out, "  ", values),
                Some(Detail::Kernel(found)) => kernel(out, found),
                Some(Detail::Ramdisk(found)) => ramdisk(out, "  ", found),
                None => Ok(()),
            }
        }
        (Some(a), None) => writeln!(out, "\n{name}: only in the first, {} bytes", a.size),
        (None, Some(b)) => writeln!(out, "\n{name}: only in the second, {} bytes", b.size),
        (None, None) => Ok(()),
    }
}

fn changes(out: &mut fmt::Formatter<'_>, indent: &str, changes: &[Change]) -> fmt::Result {
    for change in changes.iter().take(MAX_LINES) {
        writeln!(out, "{indent}{}: {} -> {}", change.what, change.a, change.b)?;
    }
    more(out, indent, changes.len())
}

fn more(out: &mut fmt::Formatter<'_>, indent: &str, count: usize) -> fmt::Result {
    match count.checked_sub(MAX_LINES) {
        None | Some(0) => Ok(()),
        Some(left) => writeln!(out, "{indent}... and {left} more; --json has them all"),
    }
}

fn kernel(out: &mut fmt::Formatter<'_>, found: &KernelDifference) -> fmt::Result {
    changes(out, "  ", &found.changes)?;
    match &found.options {
        Some(options) if options.is_empty() => writeln!(out, "  the same configuration")?,
        Some(options) => changes(out, "  ", options)?,
        None => {}
    }
    if let Some(sections) = &found.sections {
        members(out, "  ", "section", sections)?;
    }
    for note in &found.notes {
        writeln!(out, "  note: {note}")?;
    }
    Ok(())
}

fn members(out: &mut fmt::Formatter<'_>, indent: &str, what: &str, found: &[MemberChange]) -> fmt::Result {
    if found.is_empty() {
        return writeln!(out, "{indent}no {what} differs: only what lies between them");
    }
    for member in found.iter().take(MAX_LINES) {
        writeln!(out, "{indent}{what} {}: {}", member.name, member.words())?;
    }
    more(out, indent, found.len())
}

fn ramdisk(out: &mut fmt::Formatter<'_>, indent: &str, found: &RamdiskDifference) -> fmt::Result {
    changes(out, indent, &found.form)?;
    for note in &found.notes {
        writeln!(out, "{indent}note: {note}")?;
    }
    writeln!(out, "{indent}{} paths are the same", found.equal)?;
    only(out, indent, '-', &found.only_a)?;
    only(out, indent, '+', &found.only_b)?;
    for file in found.changed.iter().take(MAX_LINES) {
        write_file(out, indent, file)?;
    }
    more(out, indent, found.changed.len())
}

fn only(out: &mut fmt::Formatter<'_>, indent: &str, sign: char, entries: &[Entry]) -> fmt::Result {
    for entry in entries.iter().take(MAX_LINES) {
        let Entry {
            path,
            mode,
            uid,
            gid,
            size,
            ..
        } = entry;
        writeln!(
            out,
            "{indent}{sign} {path} ({mode:04o} {uid}:{gid}, {size} bytes)"
        )?;
    }
    more(out, indent, entries.len())
}

fn write_file(out: &mut fmt::Formatter<'_>, indent: &str, file: &FileDifference) -> fmt::Result {
    let words = file.changes.iter().map(|change| match change.what.as_str() {
        "content" => "content".to_owned(),
        what => format!("{what} {} -> {}", change.a, change.b),
    });
    let words = words.collect::<Vec<_>>().join(", ");
    writeln!(out, "{indent}~ {}: {words}", file.path)?;
    let below = format!("{indent}    ");
    match &file.content {
        None => Ok(()),
        Some(Content::Text { shown, unified, cut }) => {
            if let Some(form) = shown {
                writeln!(out, "{below}({form})")?;
            }
            for line in unified.lines() {
                writeln!(out, "{below}{line}")?;
            }
            if *cut {
                writeln!(out, "{below}... cut here")?;
            }
            Ok(())
        }
        Some(Content::Elf(sections)) => members(out, &below, "section", sections),
        Some(Content::Zip(found)) => members(out, &below, "member", found),
        Some(Content::Archive(found)) => ramdisk(out, &below, found),
        Some(Content::Bytes(reason)) => writeln!(out, "{below}{reason}"),
    }
}
