//! Several SHA-384 values over overlapping parts of one stream of sections, without hashing a byte twice in vain.
//!
//! As long as two values have seen the same bytes they share one state; it is cloned where they part. In an image
//! of two ramdisks the second, large one is hashed for the image and for "application and section", not three times.
//! Those two are hashed side by side where the CPU can ([`Pairs`]).

use crate::measure::Digest;
use crate::pair::Pairs;
use crate::section::SectionKind;
use crate::sha384::Sha384;

/// A set of values that the bytes of a section count for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Targets(u8);

impl Targets {
    const NONE: Self = Self(0);
    /// Kernel, command line, all ramdisks: becomes PCR0.
    pub(crate) const IMAGE: Self = Self(1);
    /// Kernel, command line, first ramdisk: becomes PCR1.
    pub(crate) const BOOT: Self = Self(2);
    /// The other ramdisks: becomes PCR2.
    pub(crate) const APP: Self = Self(4);
    /// This section alone.
    pub(crate) const SECTION: Self = Self(8);
    /// All of these.
    pub(crate) const ALL: Self = Self(15);

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What a section counts for; `ramdisks` is the number of ramdisks before it.
    pub(crate) const fn of(kind: SectionKind, ramdisks: usize) -> Self {
        match kind {
            SectionKind::Kernel | SectionKind::Cmdline => Self::IMAGE.and(Self::BOOT),
            SectionKind::Ramdisk if ramdisks == 0 => Self::IMAGE.and(Self::BOOT),
            SectionKind::Ramdisk => Self::IMAGE.and(Self::APP),
            SectionKind::Signature | SectionKind::Metadata => Self::NONE,
        }
        .and(Self::SECTION)
    }
}

#[derive(Clone, Debug)]
struct Stream {
    targets: Targets,
    state: Sha384,
}

/// The values in progress.
#[derive(Clone, Debug)]
pub(crate) struct Hashes {
    pairs: Option<Pairs>,
    watched: Targets,
    current: Targets,
    streams: Vec<Stream>,
    /// One per finished section, when sections are watched.
    pub(crate) sections: Vec<Digest>,
}

impl Hashes {
    /// Computes the values in `watched` only; without `pairs` one after the other.
    pub(crate) fn new(watched: Targets, pairs: Option<Pairs>) -> Self {
        let mut hashes = Self {
            pairs,
            watched,
            current: Targets::NONE,
            streams: Vec::new(),
            sections: Vec::new(),
        };
        hashes.add_empty(watched.without(Targets::SECTION));
        hashes
    }

    /// Starts a section whose bytes count for `targets`.
    pub(crate) fn begin(&mut self, targets: Targets) {
        self.current = targets.common(self.watched);
        if self.watched.common(Targets::SECTION).is_empty() {
            self.part();
            return;
        }
        match self.streams.iter_mut().find(|stream| stream.state.is_empty()) {
            Some(stream) => stream.targets = stream.targets.and(Targets::SECTION),
            None => self.add_empty(Targets::SECTION),
        }
        self.part();
    }

    /// Adds bytes of the section.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let streams = self.streams.iter_mut();
        let mut busy = streams.filter(|stream| !stream.targets.common(self.current).is_empty());
        while let Some(one) = busy.next() {
            match self.pairs.and_then(|pairs| Some((pairs, busy.next()?))) {
                Some((pairs, other)) => {
                    Sha384::update_both(pairs, [&mut one.state, &mut other.state], bytes);
                }
                None => one.state.update(bytes),
            }
        }
    }

    /// Ends the section.
    pub(crate) fn end(&mut self) {
        if let Some(digest) = self.value(Targets::SECTION) {
            self.sections.push(digest);
        }
        for stream in &mut self.streams {
            stream.targets = stream.targets.without(Targets::SECTION);
        }
        self.streams.retain(|stream| !stream.targets.is_empty());
    }

    /// The value of a single target over everything so far; `None` if it is not watched.
    pub(crate) fn value(&self, target: Targets) -> Option<Digest> {
        let mut streams = self.streams.iter();
        let stream = streams.find(|stream| !stream.targets.common(target).is_empty())?;
        Some(Digest::from_bytes(stream.state.clone().finish()))
    }

    /// Clones each state that only part of its targets goes on with.
    fn part(&mut self) {
        let mut parted = Vec::new();
        for stream in &mut self.streams {
            let staying = stream.targets.without(self.current);
            let going = stream.targets.common(self.current);
            if !staying.is_empty() && !going.is_empty() {
                parted.push(Stream {
                    targets: staying,
                    ..stream.clone()
                });
                stream.targets = going;
            }
        }
        self.streams.append(&mut parted);
    }

    fn add_empty(&mut self, targets: Targets) {
        self.streams.push(Stream {
            targets,
            state: Sha384::new(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_hashing_each_concatenation() {
        for pairs in [None, Pairs::detect()] {
            check_concatenations(pairs);
        }
    }

    fn check_concatenations(pairs: Option<Pairs>) {
        use SectionKind::{Cmdline, Kernel, Metadata, Ramdisk, Signature};
        let orders: [&[(SectionKind, &str)]; 5] = [
            &[(Kernel, "kk"), (Cmdline, "c"), (Metadata, "m"), (Ramdisk, "r0")],
            &[
                (Kernel, "kk"),
                (Cmdline, "c"),
                (Metadata, "m"),
                (Ramdisk, "r0"),
                (Ramdisk, "r1"),
                (Ramdisk, "r2"),
            ],
            &[
                (Kernel, "kk"),
                (Ramdisk, "r0"),
                (Ramdisk, "r1"),
                (Cmdline, "c"),
                (Metadata, "m"),
                (Signature, "s"),
            ],
            &[
                (Metadata, ""),
                (Kernel, ""),
                (Cmdline, ""),
                (Ramdisk, ""),
                (Ramdisk, ""),
                (Ramdisk, "r2"),
            ],
            &[],
        ];
        for order in orders {
            let (mut image, mut boot, mut app) = (String::new(), String::new(), String::new());
            let mut hashes = Hashes::new(Targets::ALL, pairs);
            let mut ramdisks = 0;
            for &(kind, data) in order {
                hashes.begin(Targets::of(kind, ramdisks));
                hashes.update(data.as_bytes());
                hashes.end();
                match kind {
                    Kernel | Cmdline => [&mut image, &mut boot].map(|text| text.push_str(data)),
                    Ramdisk if ramdisks == 0 => [&mut image, &mut boot].map(|text| text.push_str(data)),
                    Ramdisk => [&mut image, &mut app].map(|text| text.push_str(data)),
                    Signature | Metadata => [(); 2],
                };
                ramdisks += usize::from(kind == Ramdisk);
            }
            let of = |text: &str| Some(Digest::of(text.as_bytes()));
            assert_eq!(hashes.value(Targets::IMAGE), of(&image));
            assert_eq!(hashes.value(Targets::BOOT), of(&boot));
            assert_eq!(hashes.value(Targets::APP), of(&app));
            let sections: Vec<_> = order
                .iter()
                .map(|(_, data)| Digest::of(data.as_bytes()))
                .collect();
            assert_eq!(hashes.sections, sections);
        }
    }

    #[test]
    fn no_byte_is_hashed_more_often_than_needed() {
        let mut hashes = Hashes::new(Targets::ALL, None);
        let mut busy = Vec::new();
        for (kind, ramdisks) in [
            (SectionKind::Kernel, 0),
            (SectionKind::Cmdline, 0),
            (SectionKind::Metadata, 0),
            (SectionKind::Ramdisk, 0),
            (SectionKind::Ramdisk, 1),
            (SectionKind::Ramdisk, 2),
        ] {
            hashes.begin(Targets::of(kind, ramdisks));
            hashes.update(b"x");
            let current = hashes.current;
            let at_work = hashes.streams.iter();
            busy.push(
                at_work
                    .filter(|stream| !stream.targets.common(current).is_empty())
                    .count(),
            );
            hashes.end();
        }
        assert_eq!(busy, [1, 2, 1, 2, 2, 3]);
    }

    #[test]
    fn only_what_is_watched() {
        let mut hashes = Hashes::new(Targets::APP, None);
        hashes.begin(Targets::of(SectionKind::Kernel, 0));
        hashes.update(b"kernel");
        hashes.end();
        assert_eq!(hashes.value(Targets::IMAGE), None);
        assert_eq!(hashes.value(Targets::APP), Some(Digest::of(b"")));
        assert!(hashes.sections.is_empty());
    }
}
