//! From an image's ingredients to its inventory. Every regular file of the ramdisks, the kernel and the command line end
//! up in at least one component; what no package, program or archive explains is a component of its own.

mod files;
pub(super) mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use eif::{EifError, EifFile};
use sha2::Digest as _;

use super::closure::Used;
use super::debian::Owners;
use super::licence::Licence;
use super::source::Origins;
use super::{Component, Identity, Inventory, Kind, Place, Section, copyright, purl};
use crate::crates::lockfile::CargoLock;
use crate::digest::Sha256;
use crate::file::{FileError, failed};
use crate::image::Ingredients;
use crate::lock::{LockedDownload, LockedPackage};
use crate::rootfs::{self, RootfsError};

/// Folder of copyright files in an extracted root.
const DOC: &str = "usr/share/doc";

/// Why an inventory cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatherError {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] FileError),
    /// The image is no image.
    #[error("{} is not a valid image", path.display())]
    Image {
        /// Which.
        path: PathBuf,
        /// Which rule it breaks.
        #[source]
        source: EifError,
    },
    /// The root cannot be put together again.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// A file of the packages belongs to none of them.
    #[error("{0} is in the image and comes from the packages, but no locked package has it")]
    NoOwner(String),
    /// It is not known what a Debian package was built from.
    #[error("the source package of {name} {version} was not read")]
    NoOrigin {
        /// The package.
        name: String,
        /// Its version.
        version: String,
    },
    /// A crate without a checksum in the workspace's lock.
    #[error("the crate {name} {version} is compiled in, but Cargo.lock has no checksum for it")]
    NoChecksum {
        /// The crate.
        name: String,
        /// Its version.
        version: String,
    },
}

/// The kernel that was built, or the operator's own.
#[derive(Clone, Debug)]
pub enum KernelSource<'a> {
    /// From a locked Debian package, extracted at `root`.
    Debian {
        /// The package.
        package: &'a LockedPackage,
        /// Where it was extracted.
        root: PathBuf,
        /// SHA-256 of the whole configuration.
        config: Sha256,
    },
    /// The operator's own: nothing is known about it.
    Own,
}

/// Everything that an inventory is made of.
#[derive(Debug)]
pub struct Sources<'a> {
    /// What went into the image.
    pub ingredients: &'a Ingredients<'a>,
    /// The image.
    pub eif: &'a Path,
    /// Debian's name of the release that all packages are from.
    pub suite: &'a str,
    /// The image's locked packages.
    pub packages: &'a [LockedPackage],
    /// Which of them has which file.
    pub owners: &'a Owners,
    /// What the packages were built from, those of `build_root` and `kernel` that are components among them.
    pub origins: &'a Origins,
    /// The image's locked downloads.
    pub downloads: &'a [LockedDownload],
    /// The locked packages of the build root, and where they were extracted.
    pub build_root: (&'a [LockedPackage], &'a Path),
    /// Where the kernel is from.
    pub kernel: KernelSource<'a>,
    /// The crates in the programs of each package.
    pub closures: &'a BTreeMap<String, Vec<Used>>,
    /// Has the checksums of published crates.
    pub lock: &'a CargoLock,
}

/// Makes the inventory.
///
/// # Errors
/// [`GatherError`].
pub fn gather(sources: &Sources<'_>) -> Result<Inventory, GatherError> {
    let manifest = sources.ingredients.manifest;
    let root = rootfs::build(
        manifest,
        &sources.ingredients.programs,
        sources.ingredients.packages.as_deref(),
        &sources.ingredients.tarballs,
    )?;
    let mut all = All::default();
    kernel(sources, &mut all)?;
    programs::programs(sources, &mut all)?;
    files::files(sources, &root, &mut all)?;
    Ok(Inventory {
        image: identity(sources.eif, &manifest.name, &manifest.version)?,
        components: all.components.into_values().collect(),
    })
}

/// Components by kind, name and version.
#[derive(Default)]
struct All {
    components: BTreeMap<(Kind, String, String), Component>,
}

impl All {
    /// Adds a component, or joins its places and contents with those of the one that is there.
    fn add(&mut self, component: Component) {
        let key = (component.kind, component.name.clone(), component.version.clone());
        match self.components.entry(key) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(component);
            }
            std::collections::btree_map::Entry::Occupied(mut there) => {
                let there = there.get_mut();
                there.places.extend(component.places);
                there.contains.extend(component.contains);
                there.sha256 = there.sha256.take().or(component.sha256);
                // Compiled with other features in another program: all of them are in the image.
                for (name, value) in component.facts {
                    let old = there.facts.entry(name).or_default();
                    *old = union(old, &value);
                }
            }
        }
    }
}

/// The words of two comma-separated lists.
fn union(one: &str, two: &str) -> String {
    let words = one
        .split(',')
        .chain(two.split(','))
        .filter(|word| !word.is_empty());
    let words: BTreeSet<&str> = words.collect();
    words.into_iter().collect::<Vec<_>>().join(",")
}

fn identity(eif: &Path, name: &str, version: &str) -> Result<Identity, GatherError> {
    let fail = |source| GatherError::Image {
        path: eif.to_path_buf(),
        source,
    };
    let mut image = EifFile::open(open(eif)?).map_err(fail)?;
    let measured = image.measure().map_err(fail)?;
    let (sha256, eif_size) = sha256(eif)?;
    Ok(Identity {
        name: name.to_owned(),
        version: version.to_owned(),
        eif_sha256: sha256,
        eif_sha384: sha384(eif).map_err(failed("read", eif))?,
        eif_size,
        measurements: measured.measurements,
    })
}

fn sha384(path: &Path) -> io::Result<String> {
    let mut hasher = sha2::Sha384::new();
    let mut reader = BufReader::with_capacity(64 << 10, File::open(path)?);
    loop {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(piece);
        let read = piece.len();
        reader.consume(read);
    }
}

fn kernel(sources: &Sources<'_>, all: &mut All) -> Result<(), GatherError> {
    let ingredients = sources.ingredients;
    let (sha256, _) = sha256(&ingredients.kernel)?;
    let place = |section| Place {
        section,
        path: String::new(),
    };
    let mut component = Component::new(
        Kind::Kernel,
        "linux".to_owned(),
        ingredients.kernel_version.clone(),
    );
    component.sha256 = Some(sha256.to_string());
    component.places.insert(place(Section::Kernel));
    match &sources.kernel {
        KernelSource::Debian {
            package,
            root,
            config,
        } => {
            from_debian(&mut component, package, sources)?;
            component.licence = package_licence(root, &package.name)?;
            component
                .facts
                .insert("source-package", format!("{} {}", package.name, package.version));
            component
                .facts
                .insert("source-sha256", package.sha256.to_string());
            component.facts.insert("config-sha256", config.to_string());
        }
        KernelSource::Own => {
            component.purl = None;
            component
                .facts
                .insert("origin", "the operator's own file".to_owned());
        }
    }
    all.add(component);
    let line = ingredients.manifest.command_line.as_bytes();
    let mut component = Component::new(Kind::File, "kernel command line".to_owned(), String::new());
    component.sha256 = Some(Sha256::of(line).to_string());
    component.places.insert(place(Section::CommandLine));
    component.facts.insert("origin", "the manifest".to_owned());
    all.add(component);
    if let Some(module) = &ingredients.nsm_module {
        let mut component = Component::new(Kind::File, "nsm.ko".to_owned(), String::new());
        component.sha256 = Some(sha256_text(module)?);
        component.places.insert(Place::boot("/nsm.ko"));
        component
            .facts
            .insert("origin", "the operator's own file".to_owned());
        all.add(component);
    }
    Ok(())
}

/// Package URL and source package.
fn from_debian(
    component: &mut Component,
    package: &LockedPackage,
    sources: &Sources<'_>,
) -> Result<(), GatherError> {
    let LockedPackage {
        name,
        version,
        architecture,
        ..
    } = package;
    let origin = sources.origins.of(package);
    let origin = origin.ok_or_else(|| GatherError::NoOrigin {
        name: name.clone(),
        version: version.clone(),
    })?;
    let purl = purl::deb(name, version, architecture, sources.suite);
    let other = (origin.version != *version).then_some(origin.version.as_str());
    component.purl = Some(if origin.name == *name && other.is_none() {
        purl
    } else {
        purl::built_from(&purl, &origin.name, other)
    });
    component.source = Some(origin.clone());
    Ok(())
}

fn deb(
    kind: Kind,
    package: &LockedPackage,
    sources: &Sources<'_>,
    root: &Path,
) -> Result<Component, GatherError> {
    let mut component = Component::new(kind, package.name.clone(), package.version.clone());
    from_debian(&mut component, package, sources)?;
    component.licence = package_licence(root, &package.name)?;
    component.sha256 = Some(package.sha256.to_string());
    component.archive = true;
    component
        .facts
        .insert("architecture", package.architecture.clone());
    Ok(component)
}

/// From the package's copyright file in an extracted root; unknown where there is none.
fn package_licence(root: &Path, name: &str) -> Result<Licence, GatherError> {
    let path = root.join(DOC).join(name).join("copyright");
    // Often reached through a link to a sister package's folder; one that leads out of the root is not followed.
    let inside = match (path.canonicalize(), root.canonicalize()) {
        (Ok(inside), Ok(root)) if inside.starts_with(&root) => inside,
        _ => return Ok(Licence::unknown()),
    };
    let file = File::open(&inside).map_err(failed("read", &path))?;
    let mut bytes = Vec::new();
    let read = file.take(copyright::MAX_BYTES).read_to_end(&mut bytes);
    read.map_err(failed("read", &path))?;
    Ok(copyright::licence(&String::from_utf8_lossy(&bytes)))
}

fn open(path: &Path) -> Result<File, GatherError> {
    Ok(File::open(path).map_err(failed("read", path))?)
}

fn sha256(path: &Path) -> Result<(Sha256, u64), GatherError> {
    Ok(Sha256::of_reader(&mut open(path)?).map_err(failed("read", path))?)
}

fn sha256_text(path: &Path) -> Result<String, GatherError> {
    Ok(sha256(path)?.0.to_string())
}

#[cfg(test)]
mod tests;
