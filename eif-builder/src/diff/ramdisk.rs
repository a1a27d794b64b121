//! Two ramdisks, path by path: first what each entry says with a hash of its content, then the content that differs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use serde::Serialize;

use super::anatomy::{self, Anatomy, Content, MAX_FILE_BYTES};
use super::{Change, DiffError, Side, both};
use crate::cpio_read::{Budget, Entry, EntryKind, Head, HeadKind, Visitor, printable};
use crate::digest::Hasher;
use crate::initramfs::{Run, walk};

/// Most bytes of taken-apart files that are kept of each image.
const MAX_ANATOMY_BYTES: usize = 32 << 20;
/// Most files whose content is explained.
const MAX_CONTENTS: usize = 2000;
/// How deep archives inside archives are looked into.
pub(super) const MAX_DEPTH: usize = 2;

/// How two ramdisks differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RamdiskDifference {
    /// Packing and number of archives, where they differ.
    pub form: Vec<Change>,
    /// Entries that only the first has.
    pub only_a: Vec<Entry>,
    /// Entries that only the second has.
    pub only_b: Vec<Entry>,
    /// Paths that both have, with differences.
    pub changed: Vec<FileDifference>,
    /// Paths that are the same in both.
    pub equal: usize,
    /// What else is to be said: order, inode numbers, packing, what could not be read.
    pub notes: Vec<String>,
}

/// A path that both ramdisks have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileDifference {
    /// The path below the root.
    pub path: String,
    /// Type, mode, owner, time, size, target, links, number of entries.
    pub changes: Vec<Change>,
    /// How the content differs, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

/// What was seen of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    entry: Entry,
    /// How many entries there are of this path; the last counts.
    count: usize,
    ino: u32,
    /// Place in the order of the archive.
    order: usize,
}

/// What was seen of one ramdisk.
#[derive(Debug, Default)]
pub(super) struct Seen {
    places: BTreeMap<String, Place>,
    runs: Vec<Run>,
    problem: Option<String>,
    content: Hasher,
    count: usize,
}

impl Visitor for Seen {
    fn begin(&mut self, _head: &Head) -> io::Result<()> {
        self.content = Hasher::new();
        Ok(())
    }

    fn content(&mut self, piece: &[u8]) -> io::Result<()> {
        self.content.update(piece);
        Ok(())
    }

    fn end(&mut self, head: &Head) -> io::Result<()> {
        let entry = Entry::new(head, std::mem::take(&mut self.content).finish());
        let path = normal(&head.name);
        let count = self.places.get(&path).map_or(0, |place| place.count) + 1;
        let place = Place {
            entry,
            count,
            ino: head.ino,
            order: self.count,
        };
        self.count += 1;
        self.places.insert(path, place);
        Ok(())
    }
}

/// `./a`, `/a` and `a` are one path to the kernel.
fn normal(name: &[u8]) -> String {
    let parts = name
        .split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."));
    let path = parts.map(printable).collect::<Vec<_>>().join("/");
    if path.is_empty() { ".".to_owned() } else { path }
}

impl Seen {
    fn of(source: &mut dyn Read, budget: &mut Budget) -> Self {
        let mut seen = Self::default();
        let walk = walk(source, budget, &mut seen);
        seen.runs = walk.runs;
        seen.problem = walk.problem.map(|problem| causes(&problem));
        seen
    }

    /// Bytes that it keeps in memory, roughly.
    pub(super) fn weight(&self) -> usize {
        self.places.len() * 512
    }

    /// Differences without content.
    pub(super) fn compare(&self, other: &Self) -> RamdiskDifference {
        let mut found = RamdiskDifference::default();
        let form = |seen: &Self| {
            let runs = seen.runs.iter().map(|run| run.compression.name());
            runs.collect::<Vec<_>>().join(" + ")
        };
        found
            .form
            .extend(Change::of("packing of its archives", form(self), form(other)));
        for (path, place) in &self.places {
            let Some(there) = other.places.get(path) else {
                found.only_a.push(place.entry.clone());
                continue;
            };
            let changes = changes(place, there);
            if changes.is_empty() {
                found.equal += 1;
            } else {
                found.changed.push(FileDifference {
                    path: path.clone(),
                    changes,
                    content: None,
                });
            }
        }
        let only_b = other
            .places
            .iter()
            .filter(|(path, _)| !self.places.contains_key(*path));
        found.only_b.extend(only_b.map(|(_, place)| place.entry.clone()));
        for (side, seen) in [("the first", self), ("the second", other)] {
            if let Some(problem) = &seen.problem {
                found
                    .notes
                    .push(format!("{side} cannot be read to its end: {problem}"));
            }
        }
        found.note_order(self, other);
        found
    }
}

impl RamdiskDifference {
    /// What differs beside the entries themselves, which alone can make other bytes.
    fn note_order(&mut self, a: &Seen, b: &Seen) {
        let order = |seen: &Seen, other: &Seen| {
            let shared = seen
                .places
                .iter()
                .filter(|(path, _)| other.places.contains_key(*path));
            let mut order: Vec<_> = shared.map(|(path, place)| (place.order, path.clone())).collect();
            order.sort();
            order.into_iter().map(|(_, path)| path).collect::<Vec<_>>()
        };
        if order(a, b) != order(b, a) {
            self.notes.push("the entries are in another order".to_owned());
        }
        let inodes = a
            .places
            .iter()
            .filter(|(path, place)| b.places.get(*path).is_some_and(|there| there.ino != place.ino));
        match inodes.count() {
            0 => {}
            count => self
                .notes
                .push(format!("the inode numbers of {count} entries differ")),
        }
        if self.is_alike() {
            let why = "every entry is the same: only the packing, the padding, or header fields that unpack to nothing differ";
            self.notes.push(why.to_owned());
        }
    }

    /// Whether both unpack to the same.
    fn is_alike(&self) -> bool {
        self.only_a.is_empty() && self.only_b.is_empty() && self.changed.is_empty() && self.notes.is_empty()
    }
}

fn changes(a: &Place, b: &Place) -> Vec<Change> {
    let (of_a, of_b) = (&a.entry, &b.entry);
    let mode = |entry: &Entry| format!("{:04o}", entry.mode);
    let owner = |entry: &Entry| format!("{}:{}", entry.uid, entry.gid);
    let mut changes: Vec<_> = [
        Change::of("type", kind(&of_a.kind), kind(&of_b.kind)),
        Change::of("mode", mode(of_a), mode(of_b)),
        Change::of("owner", owner(of_a), owner(of_b)),
        Change::of("time", of_a.mtime, of_b.mtime),
        Change::of("size", of_a.size, of_b.size),
        Change::of("links", of_a.nlink, of_b.nlink),
        Change::of("written as", &of_a.path, &of_b.path),
        Change::of("entries of this path", a.count, b.count),
    ]
    .into_iter()
    .flatten()
    .collect();
    let detail = |kind: &EntryKind| match kind {
        EntryKind::File { sha256 } => Some(("content", sha256.to_string())),
        EntryKind::Symlink { target } => Some(("target", target.clone())),
        EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } => {
            Some(("device", format!("{major}:{minor}")))
        }
        _ => None,
    };
    if let (Some((what, a)), Some((other, b))) = (detail(&of_a.kind), detail(&of_b.kind))
        && what == other
    {
        changes.extend(Change::of(what, a, b));
    }
    changes
}

const fn kind(kind: &EntryKind) -> &'static str {
    match kind {
        EntryKind::File { .. } => "file",
        EntryKind::Directory => "folder",
        EntryKind::Symlink { .. } => "link",
        EntryKind::CharDevice { .. } => "character device",
        EntryKind::BlockDevice { .. } => "block device",
        EntryKind::Fifo => "pipe",
        EntryKind::Socket => "socket",
        EntryKind::Unknown => "unknown",
    }
}

/// Takes wanted files apart as they come.
struct Anatomist<'a> {
    wanted: &'a BTreeSet<String>,
    depth: usize,
    found: BTreeMap<String, Anatomy>,
    left: usize,
    open: Option<(String, Vec<u8>)>,
}

impl Visitor for Anatomist<'_> {
    fn begin(&mut self, head: &Head) -> io::Result<()> {
        self.open = None;
        if head.kind == HeadKind::File {
            let path = normal(&head.name);
            if self.wanted.contains(&path) {
                self.open = Some((path, Vec::new()));
            }
        }
        Ok(())
    }

    fn content(&mut self, piece: &[u8]) -> io::Result<()> {
        if let Some((_, bytes)) = &mut self.open
            && bytes.len() <= usize::try_from(MAX_FILE_BYTES).unwrap_or_default()
        {
            bytes.extend(piece);
        }
        Ok(())
    }

    fn end(&mut self, head: &Head) -> io::Result<()> {
        let Some((path, bytes)) = self.open.take() else {
            return Ok(());
        };
        let anatomy = if head.size > MAX_FILE_BYTES {
            Anatomy::Bytes("a file too large to take apart")
        } else {
            Anatomy::of(&bytes, self.depth)
        };
        let left = self.left.checked_sub(anatomy.weight());
        let anatomy = if left.is_some() {
            anatomy
        } else {
            Anatomy::Bytes("too much differs to take all of it apart")
        };
        self.left = left.unwrap_or(self.left);
        // A later entry of the path replaces an earlier one.
        self.found.insert(path, anatomy);
        Ok(())
    }
}

/// The archives in a file of a ramdisk, packed or not; `None` for whatever is none.
pub(super) fn nested(bytes: &[u8], depth: usize) -> Option<Seen> {
    let packed = |magic: &[u8]| bytes.starts_with(magic);
    let plain = packed(b"070701") || packed(b"070702");
    if depth == 0 || !(plain || packed(&[0x1f, 0x8b]) || packed(&[0x28, 0xb5, 0x2f]) || packed(&[0xfd, 0x37]))
    {
        return None;
    }
    let mut budget = Budget {
        bytes: 512 << 20,
        entries: 50_000,
    };
    let mut source = bytes;
    let seen = Seen::of(&mut source, &mut budget);
    (seen.problem.is_none() && !seen.places.is_empty()).then_some(seen)
}

pub(super) fn compare(
    a: &mut Side<'_>,
    at_a: usize,
    b: &mut Side<'_>,
    at_b: usize,
    budgets: &mut [Budget; 2],
) -> Result<RamdiskDifference, DiffError> {
    let [budget_a, budget_b] = budgets;
    // What the second reading takes is what the first took.
    let again = (*budget_a, *budget_b);
    let (seen_a, seen_b) = both(|| seen(a, at_a, budget_a), || seen(b, at_b, budget_b));
    let (seen_a, seen_b) = (seen_a?, seen_b?);
    let mut found = seen_a.compare(&seen_b);
    drop((seen_a, seen_b));
    let differs = |file: &&FileDifference| file.changes.iter().any(|change| change.what == "content");
    let wanted: BTreeSet<_> = found
        .changed
        .iter()
        .filter(differs)
        .map(|file| file.path.clone())
        .take(MAX_CONTENTS)
        .collect();
    if wanted.is_empty() {
        return Ok(found);
    }
    let (of_a, of_b) = both(
        || anatomies(a, at_a, again.0, &wanted),
        || anatomies(b, at_b, again.1, &wanted),
    );
    let (mut of_a, mut of_b) = (of_a?, of_b?);
    for file in &mut found.changed {
        if let (Some(a), Some(b)) = (of_a.remove(&file.path), of_b.remove(&file.path)) {
            file.content = Some(anatomy::compare(&file.path, a, b));
        }
    }
    Ok(found)
}

fn seen(side: &mut Side<'_>, index: usize, budget: &mut Budget) -> Result<Seen, DiffError> {
    let path = side.path;
    match side.image.section_reader(index) {
        Ok(mut source) => Ok(Seen::of(&mut source, budget)),
        Err(source) => Err(DiffError::Image {
            path: path.to_owned(),
            source,
        }),
    }
}

fn anatomies(
    side: &mut Side<'_>,
    index: usize,
    mut budget: Budget,
    wanted: &BTreeSet<String>,
) -> Result<BTreeMap<String, Anatomy>, DiffError> {
    let path = side.path;
    let mut source = side
        .image
        .section_reader(index)
        .map_err(|source| DiffError::Image {
            path: path.to_owned(),
            source,
        })?;
    let mut anatomist = Anatomist {
        wanted,
        depth: MAX_DEPTH,
        found: BTreeMap::new(),
        left: MAX_ANATOMY_BYTES,
        open: None,
    };
    // A problem was noted at the first reading.
    walk(&mut source, &mut budget, &mut anatomist);
    Ok(anatomist.found)
}

/// An error and its causes in one line.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
