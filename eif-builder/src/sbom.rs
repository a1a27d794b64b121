//! What an image is made of, as data: each thing that is measured, with version, licence, digests and its places.
//!
//! An [`Inventory`] is made once per image by [`gather`] and written in two forms, [`cyclonedx`] and [`spdx`]. It knows no
//! clock and no random number: the same image gives the same bytes.
//!
//! - [`gather`]: from an image's ingredients to its inventory
//! - [`closure`]: the crates that are really compiled into a program
//! - [`debian`]: which package a file came from; [`source`]: which source package that was built from;
//!   [`copyright`]: what its licences are
//! - [`licence`]: licence expressions; [`purl`]: names that other tools look things up by
//! - [`jar`]: what a Java archive says about itself
//! - [`evidence`]: all papers of an image as one part of the store

pub mod closure;
pub mod copyright;
pub mod cyclonedx;
pub mod debian;
pub mod evidence;
pub mod gather;
pub mod jar;
pub mod licence;
pub mod purl;
pub mod source;
pub mod spdx;

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use eif::Measurements;

use crate::digest::Sha256;
use licence::Licence;
use source::SourcePackage;

/// Prefix of the names of our own properties in CycloneDX documents.
pub const PROPERTY: &str = "nitro-web3signer";

/// A part of the image that bytes are measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// The kernel: PCR0 and PCR1.
    Kernel,
    /// The kernel's command line: PCR0 and PCR1.
    CommandLine,
    /// Ramdisk 0, with PID 1: PCR0 and PCR1.
    Boot,
    /// Ramdisk 1, with everything else: PCR0 and PCR2.
    App,
}

impl Section {
    /// The registers that cover it.
    #[must_use]
    pub const fn registers(self) -> &'static str {
        match self {
            Self::Kernel | Self::CommandLine | Self::Boot => "PCR0,PCR1",
            Self::App => "PCR0,PCR2",
        }
    }
}

/// Where something is in an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// In which part.
    pub section: Section,
    /// Path in a ramdisk, with its leading `/`; empty for the kernel and its command line.
    pub path: String,
}

impl Place {
    /// A path in the boot ramdisk.
    #[must_use]
    pub fn boot(path: &str) -> Self {
        let path = path.to_owned();
        let section = Section::Boot;
        Self { section, path }
    }

    /// A path in the app ramdisk.
    #[must_use]
    pub fn app(path: &str) -> Self {
        let path = path.to_owned();
        let section = Section::App;
        Self { section, path }
    }
}

impl fmt::Display for Place {
    /// `kernel`, `cmdline`, `ramdisk0:/init`, `ramdisk1:/rootfs/usr/bin/agent`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.section {
            Section::Kernel => f.write_str("kernel"),
            Section::CommandLine => f.write_str("cmdline"),
            Section::Boot => write!(f, "ramdisk0:{}", self.path),
            Section::App => write!(f, "ramdisk1:{}", self.path),
        }
    }
}

/// What kind of thing a component is. The order is that of the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The kernel.
    Kernel,
    /// A static program of this repository.
    Program,
    /// A member of this repository's workspace that a program contains.
    Member,
    /// A published crate that a program contains.
    Crate,
    /// A library of the build root that is linked into every program: the C library and Rust's own.
    Linked,
    /// A Debian package of which files are in the image.
    Package,
    /// A release of another project, of which files are in the image.
    Release,
    /// A Java archive.
    Jar,
    /// A file that belongs to none of the others: declared in the manifest, or made from it.
    File,
}

impl Kind {
    /// A short word for people and references.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Program => "program",
            Self::Member => "member",
            Self::Crate => "crate",
            Self::Linked => "linked",
            Self::Package => "deb",
            Self::Release => "release",
            Self::Jar => "jar",
            Self::File => "file",
        }
    }
}

/// One thing that is in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its version; empty for files.
    pub version: String,
    /// How other tools name it.
    pub purl: Option<String>,
    /// What it was built from, for what comes from Debian.
    pub source: Option<SourcePackage>,
    /// Under which licence, as far as it is known.
    pub licence: Licence,
    /// SHA-256, as 64 hex digits, of the file itself or of the archive that it was published in.
    pub sha256: Option<String>,
    /// The digest is that of the archive (`.deb`, `.crate`), not of bytes in the image.
    pub archive: bool,
    /// Where it is, sorted. A crate is where the programs are that contain it.
    pub places: BTreeSet<Place>,
    /// References of the components that it contains or is linked with.
    pub contains: BTreeSet<String>,
    /// Further facts by name.
    pub facts: BTreeMap<&'static str, String>,
}

impl Component {
    /// A component without licence, digest, places and facts.
    #[must_use]
    pub const fn new(kind: Kind, name: String, version: String) -> Self {
        Self {
            kind,
            name,
            version,
            purl: None,
            source: None,
            licence: Licence::unknown(),
            sha256: None,
            archive: false,
            places: BTreeSet::new(),
            contains: BTreeSet::new(),
            facts: BTreeMap::new(),
        }
    }

    /// Names it within a document: `crate:serde@1.0.0`.
    #[must_use]
    pub fn reference(&self) -> String {
        let Self {
            kind, name, version, ..
        } = self;
        let word = kind.word();
        if version.is_empty() {
            format!("{word}:{name}")
        } else {
            format!("{word}:{name}@{version}")
        }
    }
}

/// The image as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// From the manifest.
    pub name: String,
    /// From the manifest.
    pub version: String,
    /// Of the EIF.
    pub eif_sha256: Sha256,
    /// Of the EIF, as 96 hex digits.
    pub eif_sha384: String,
    /// Size of the EIF in bytes.
    pub eif_size: u64,
    /// Its registers.
    pub measurements: Measurements,
}

impl Identity {
    /// Register names and values as hex digits, in order.
    #[must_use]
    pub fn registers(&self) -> Vec<(&'static str, String)> {
        let Measurements {
            pcr0,
            pcr1,
            pcr2,
            pcr8,
        } = &self.measurements;
        let always = [("pcr0", pcr0), ("pcr1", pcr1), ("pcr2", pcr2)];
        let all = always.into_iter().chain(pcr8.as_ref().map(|pcr| ("pcr8", pcr)));
        all.map(|(name, pcr)| (name, pcr.to_string())).collect()
    }

    /// A UUID (version 8 of RFC 9562: made as its maker likes) from the first bytes of the EIF's SHA-256.
    #[must_use]
    pub fn uuid(&self) -> String {
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(self.eif_sha256.as_bytes()) {
            *to = *from;
        }
        let mut number = u128::from_be_bytes(bytes);
        number &= !(0xf << 76 | 0x3 << 62);
        number |= 0x8 << 76 | 0x2 << 62;
        let hex = format!("{number:032x}");
        let cut = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        [cut(0, 8), cut(8, 12), cut(12, 16), cut(16, 20), cut(20, 32)].join("-")
    }
}

/// Everything that is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// The image.
    pub image: Identity,
    /// Sorted by kind, name and version; each reference once.
    pub components: Vec<Component>,
}

#[cfg(test)]
mod tests;
