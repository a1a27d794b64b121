//! What a file is made of, as far as a difference can be told: lines, sections of a program, members of an archive.
//!
//! Each side is reduced to this before the other is looked at, so a file of either image is in memory alone.

use std::collections::BTreeMap;

use object::read::elf::{ElfFile32, ElfFile64};
use object::{Endianness, ObjectSection as _};
use serde::Serialize;
use similar::TextDiff;

use super::ramdisk::{RamdiskDifference, Seen, nested};
use super::{Change, legible, zip};
use crate::cpio_read::printable;
use crate::digest::Sha256;

/// Largest file that is taken apart; a larger one is compared by its hash.
pub(super) const MAX_FILE_BYTES: u32 = 32 << 20;
/// Longest text that is compared line by line.
const MAX_TEXT_BYTES: usize = 512 << 10;
/// Most lines that are compared: the work may grow with their square.
pub(super) const MAX_LINES: usize = 5000;
/// Longest unified diff that is kept of one file.
const MAX_DIFF_BYTES: usize = 32 << 10;
/// Most members and sections that are listed of one file.
const MAX_CHANGES: usize = 500;
/// Most sections of a program.
const MAX_SECTIONS: usize = 4096;

/// A section of a program or a member of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its name, safe to show.
    pub name: String,
    /// Bytes of content.
    pub size: u64,
    /// Of the content.
    pub hash: String,
    /// What else is told of it: times, packing, address.
    pub form: String,
}

/// A member that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberChange {
    /// Its name.
    pub name: String,
    /// In the first, unless it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<Member>,
    /// In the second, unless it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<Member>,
}

/// How the content of a file differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Two texts, or what is told as text.
    Text {
        /// In what form the lines show the content, if it is not the content's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        shown: Option<&'static str>,
        /// The unified diff.
        unified: String,
        /// Whether its end is missing.
        cut: bool,
    },
    /// Two programs or libraries, by section.
    Elf(Vec<MemberChange>),
    /// Two zips or jars, by member.
    Zip(Vec<MemberChange>),
    /// Two cpio archives, packed or not.
    Archive(Box<RamdiskDifference>),
    /// Something else; the reason why no more can be said.
    Bytes(String),
}

/// One side.
#[derive(Debug)]
pub(super) enum Anatomy {
    Text(String),
    /// A table of services, as lines.
    Services(String),
    Elf(Vec<Member>),
    Zip(Vec<Member>),
    Archive(Seen),
    Bytes(&'static str),
}

impl Anatomy {
    pub(super) fn of(bytes: &[u8], depth: usize) -> Self {
        if let Some(sections) = elf(bytes) {
            return Self::Elf(sections);
        }
        if let Some(members) = zip::members(bytes) {
            return Self::Zip(members);
        }
        if let Some(seen) = nested(bytes, depth) {
            return Self::Archive(seen);
        }
        if let Some(lines) = legible::services(bytes).filter(|text| text.lines().count() <= MAX_LINES) {
            return Self::Services(lines);
        }
        let is_text =
            |text: &str| !text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
        match str::from_utf8(bytes) {
            Ok(text) if !is_text(text) => Self::Bytes("no known kind of file"),
            Ok(_) if bytes.len() > MAX_TEXT_BYTES => Self::Bytes("a text too long to compare"),
            Ok(text) if text.lines().count() > MAX_LINES => {
                Self::Bytes("a text of too many lines to compare")
            }
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes("no known kind of file"),
        }
    }

    /// Bytes that it keeps in memory, roughly.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Text(text) | Self::Services(text) => text.len(),
            Self::Elf(members) | Self::Zip(members) => members.len() * 256,
            Self::Archive(seen) => seen.weight(),
            Self::Bytes(_) => 0,
        }
    }
}

/// Two sides of the file at `path`.
pub(super) fn compare(path: &str, a: Anatomy, b: Anatomy) -> Content {
    match (a, b) {
        (Anatomy::Text(a), Anatomy::Text(b)) => texts(path, &a, &b),
        (Anatomy::Services(a), Anatomy::Services(b)) => {
            unified(path, &a, &b, Some("the table of services, value by value"))
        }
        (Anatomy::Elf(a), Anatomy::Elf(b)) => Content::Elf(members(&a, &b)),
        (Anatomy::Zip(a), Anatomy::Zip(b)) => Content::Zip(members(&a, &b)),
        (Anatomy::Archive(a), Anatomy::Archive(b)) => Content::Archive(Box::new(a.compare(&b))),
        (Anatomy::Bytes(reason), _) | (_, Anatomy::Bytes(reason)) => Content::Bytes(reason.to_owned()),
        _ => Content::Bytes("two different kinds of file".to_owned()),
    }
}

fn texts(path: &str, a: &str, b: &str) -> Content {
    match (legible::indented(a), legible::indented(b)) {
        (Some(a), Some(b)) => unified(path, &a, &b, Some("JSON on one line, indented here")),
        _ => unified(path, a, b, None),
    }
}

fn unified(path: &str, a: &str, b: &str, shown: Option<&'static str>) -> Content {
    let diff = TextDiff::from_lines(a, b);
    let text = diff
        .unified_diff()
        .context_radius(3)
        .header(&format!("a/{path}"), &format!("b/{path}"))
        .to_string();
    // A carriage return alone would let a line hide itself on a terminal.
    let lines = text.split_inclusive('\n').map(|line| {
        let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
        body.split('\t')
            .map(printable_text)
            .collect::<Vec<_>>()
            .join("\t")
            + end
    });
    let mut unified = String::new();
    let mut cut = false;
    for line in lines {
        if unified.len() + line.len() > MAX_DIFF_BYTES {
            cut = true;
            break;
        }
        unified.push_str(&line);
    }
    Content::Text { shown, unified, cut }
}

/// As [`printable`], but a backslash stays: this is a text, not a name.
fn printable_text(text: &str) -> String {
    text.split('\\')
        .map(|part| printable(part.as_bytes()))
        .collect::<Vec<_>>()
        .join("\\")
}

/// Sections of a program with their hashes; `None` for whatever is no ELF file.
pub(super) fn elf(bytes: &[u8]) -> Option<Vec<Member>> {
    match bytes.get(..5)? {
        [0x7f, b'E', b'L', b'F', 2] => sections(&ElfFile64::<Endianness>::parse(bytes).ok()?),
        [0x7f, b'E', b'L', b'F', 1] => sections(&ElfFile32::<Endianness>::parse(bytes).ok()?),
        _ => None,
    }
}

fn sections<'a>(file: &impl object::Object<'a>) -> Option<Vec<Member>> {
    let mut members = Vec::new();
    // Sections of a hostile file may overlap; what is hashed in all is bounded.
    let mut left = 4 * u64::from(MAX_FILE_BYTES);
    for section in file.sections() {
        let data = section.data().ok()?;
        left = left.checked_sub(data.len() as u64)?;
        if members.len() >= MAX_SECTIONS {
            return None;
        }
        members.push(Member {
            name: printable(section.name_bytes().ok()?),
            size: section.size(),
            hash: format!("sha256 {}", Sha256::of(data)),
            form: format!("address {:#x}, align {}", section.address(), section.align()),
        });
    }
    Some(members)
}

/// Members that only one has, or that differ. Of a name that is there twice, the n-th is compared with the n-th.
pub(super) fn members(a: &[Member], b: &[Member]) -> Vec<MemberChange> {
    let number = |members: &[Member]| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut by_name = BTreeMap::new();
        for member in members {
            let count = counts.entry(member.name.clone()).or_default();
            by_name.insert((member.name.clone(), *count), member.clone());
            *count += 1;
        }
        by_name
    };
    let (of_a, mut of_b) = (number(a), number(b));
    let mut changes = Vec::new();
    for (key, member) in of_a {
        let other = of_b.remove(&key);
        if other.as_ref() != Some(&member) {
            changes.push(MemberChange {
                name: key.0,
                a: Some(member),
                b: other,
            });
        }
    }
    changes.extend(of_b.into_iter().map(|((name, _), member)| MemberChange {
        name,
        a: None,
        b: Some(member),
    }));
    changes.truncate(MAX_CHANGES);
    changes
}

impl MemberChange {
    /// What differs, in a few words.
    #[must_use]
    pub fn words(&self) -> String {
        match (&self.a, &self.b) {
            (Some(a), Some(b)) => {
                let changes = [
                    Change::of("size", a.size, b.size)
                        .map(|change| format!("size {} -> {}", change.a, change.b)),
                    (a.hash != b.hash).then(|| "content".to_owned()),
                    Change::of("form", &a.form, &b.form)
                        .map(|change| format!("{} -> {}", change.a, change.b)),
                ];
                changes.into_iter().flatten().collect::<Vec<_>>().join(", ")
            }
            (Some(a), None) => format!("only in the first, {} bytes", a.size),
            (None, Some(b)) => format!("only in the second, {} bytes", b.size),
            (None, None) => String::new(),
        }
    }
}
