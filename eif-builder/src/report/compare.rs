//! What changed since another image: registers, sections, files and components, by name and digest.
//!
//! It tells which, not why; `eif-builder diff` looks into the files.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Facts, FileFact};
use super::html::{Html, size};
use super::materials::Material;

/// Most lines of one list.
const MAX_LINES: usize = 300;

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only in the new image.
    Added,
    /// Only in the old one.
    Removed,
    /// In both, and different.
    Changed,
}

impl Change {
    const fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// One line of the comparison.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// What.
    pub what: String,
    /// How.
    pub change: Change,
    /// Before and after, in a few words.
    pub details: String,
}

/// Compares two maps.
fn changes<K: Ord + Clone, V: PartialEq>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    line: impl Fn(&K, Option<&V>, Option<&V>) -> (String, String),
) -> Vec<Line> {
    let keys: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
    let mut lines = Vec::new();
    for key in keys {
        let (before, after) = (old.get(key), new.get(key));
        let change = match (before, after) {
            (None, Some(_)) => Change::Added,
            (Some(_), None) => Change::Removed,
            (Some(before), Some(after)) if before != after => Change::Changed,
            _ => continue,
        };
        let (what, details) = line(key, before, after);
        lines.push(Line {
            what,
            change,
            details,
        });
    }
    lines
}

/// Files that differ in content, size, mode, owner or kind.
#[must_use]
pub fn files(old: &Facts, new: &Facts) -> Vec<Line> {
    let index = |facts: &Facts| -> BTreeMap<(usize, String), FileFact> {
        let files = facts.files.iter();
        files
            .map(|file| ((file.ramdisk, file.path.clone()), file.clone()))
            .collect()
    };
    changes(&index(old), &index(new), |(ramdisk, path), before, after| {
        let details = match (before, after) {
            (Some(before), Some(after)) => between(before, after),
            (one, other) => one.or(other).map_or_else(String::new, kind),
        };
        (format!("ramdisk {ramdisk}: {path}"), details)
    })
}

/// A file's size, or what is there instead of a file.
fn kind(file: &FileFact) -> String {
    file.content
        .as_ref()
        .map_or_else(Clone::clone, |_| size(file.size))
}

fn between(before: &FileFact, after: &FileFact) -> String {
    let mut told = Vec::new();
    if before.content.is_ok() && after.content.is_ok() && before.size != after.size {
        told.push(format!("{} to {}", size(before.size), size(after.size)));
    }
    match (&before.content, &after.content) {
        (one, other) if one == other => {}
        (Ok(_), Ok(_)) => told.push("other content".to_owned()),
        _ => told.push(format!("{} to {}", kind(before), kind(after))),
    }
    if before.mode != after.mode {
        told.push(format!("mode {:04o} to {:04o}", before.mode, after.mode));
    }
    if before.owner != after.owner {
        told.push(format!(
            "owner {}:{} to {}:{}",
            before.owner.0, before.owner.1, after.owner.0, after.owner.1
        ));
    }
    told.join(", ")
}

/// Components with other versions. `None` when one of the images has no bill of materials.
#[must_use]
pub fn components(old: &Facts, new: &Facts) -> Option<Vec<Line>> {
    let index = |all: &[Material]| -> BTreeMap<(String, String), BTreeSet<String>> {
        let mut versions: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for one in all.iter().filter(|one| one.kind != "file") {
            let key = (one.kind.clone(), one.name.clone());
            versions.entry(key).or_default().insert(one.version.clone());
        }
        versions
    };
    let (old, new) = (old.materials.as_ref()?, new.materials.as_ref()?);
    let join =
        |versions: &BTreeSet<String>| versions.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    Some(changes(
        &index(&old.all),
        &index(&new.all),
        |(kind, name), before, after| {
            let details = match (before, after) {
                (Some(before), Some(after)) => format!("{} to {}", join(before), join(after)),
                (one, other) => one.or(other).map(join).unwrap_or_default(),
            };
            (format!("{kind} {name}"), details)
        },
    ))
}

/// Sections whose bytes differ, by their place in the file.
#[must_use]
pub fn sections(old: &Facts, new: &Facts) -> Vec<Line> {
    let index = |facts: &Facts| -> BTreeMap<usize, (&'static str, u64, String)> {
        let sections = facts.description.sections.iter().enumerate();
        sections
            .map(|(at, section)| (at, (section.kind, section.size, section.sha384.clone())))
            .collect()
    };
    changes(&index(old), &index(new), |at, before, after| {
        let kind = after.or(before).map_or("", |section| section.0);
        let details = match (before, after) {
            (Some(before), Some(after)) => format!("{} to {}", size(before.1), size(after.1)),
            (one, other) => one.or(other).map_or_else(String::new, |section| size(section.1)),
        };
        (format!("{kind} (section {at})"), details)
    })
}

pub(super) fn section(html: &mut Html, old: &Facts, new: &Facts) {
    html.raw("<section aria-labelledby=\"changes\"><h2 id=\"changes\">Changes since ")
        .text(old.title())
        .raw("</h2>");
    if old.sha256 == new.sha256 {
        html.raw("<p>None: both files have the same bytes.</p></section>");
        return;
    }
    html.raw("<table class=\"cards of-registers\">")
        .columns(&["Register", "State", "Before"])
        .raw("<tbody>");
    let before: BTreeMap<&str, &str> = old.registers().into_iter().collect();
    for (name, value) in new.registers() {
        let same = before.get(name) == Some(&value);
        html.raw(if same { "<tr>" } else { "<tr class=\"moved\">" })
            .cell("Register", |html| {
                html.text(name);
            })
            .cell("State", |html| {
                html.raw(if same { "same" } else { "<strong>moved</strong>" });
            })
            .cell("Before", |html| match before.get(name) {
                Some(_) if same => {
                    html.raw("\u{2013}");
                }
                Some(value) => {
                    html.hex(value);
                }
                None => {
                    html.raw("not there");
                }
            })
            .raw("</tr>");
    }
    html.raw("</tbody></table>");
    list(html, "Sections", &sections(old, new));
    if let Some(lines) = components(old, new) {
        list(html, "Components", &lines);
    }
    list(html, "Files", &files(old, new));
    html.raw("</section>");
}

fn list(html: &mut Html, title: &'static str, lines: &[Line]) {
    html.raw("<h3>")
        .raw(title)
        .raw(" <span class=\"count\">")
        .text(lines.len())
        .raw("</span></h3>");
    if lines.is_empty() {
        html.raw("<p>No change.</p>");
        return;
    }
    html.raw("<table class=\"cards compact brief of-lines\">")
        .columns(&["What", "Change", "Details"])
        .raw("<tbody>");
    for line in lines.iter().take(MAX_LINES) {
        html.raw("<tr>")
            .cell("What", |html| {
                html.path(&line.what);
            })
            .cell("Change", |html| {
                html.raw(line.change.word());
            })
            .cell("Details", |html| {
                html.text(&line.details);
            })
            .raw("</tr>");
    }
    html.raw("</tbody></table>");
    if lines.len() > MAX_LINES {
        html.raw("<p>And ")
            .text(lines.len() - MAX_LINES)
            .raw(" more.</p>");
    }
}
