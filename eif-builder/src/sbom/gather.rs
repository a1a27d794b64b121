//! From an image's ingredients to its inventory. Every regular file of the ramdisks, the kernel and the command line end
//! up in at least one component; what no package, program or archive explains is a component of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use eif::{EifError, EifFile};
use sha2::Digest as _;

use super::closure::Used;
use super::debian::Owners;
use super::licence::Licence;
use super::{Component, Identity, Inventory, Kind, Place, Section, copyright, jar, purl};
use crate::crates::lockfile::CargoLock;
use crate::digest::Sha256;
use crate::image::Ingredients;
use crate::lock::LockedPackage;
use crate::manifest::{Manifest, ProgramName, matches};
use crate::ramdisk::APP_ROOT;
use crate::rootfs::{self, RootfsError};
use crate::tree::{Content, Kind as NodeKind, Tree};

/// Packages of the build root whose code is linked into every program: the C library, the compiler's own library, and
/// Rust's standard library with the crates that Debian compiled into it. Their names begin like this.
const LINKED: [(&str, &str); 3] = [("libc6-dev", ""), ("libgcc-", "-dev"), ("libstd-rust-", "-dev")];
/// Folder of copyright files in an extracted root.
const DOC: &str = "usr/share/doc";

/// Why an inventory cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatherError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
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
    programs(sources, &mut all)?;
    files(sources, &root, &mut all)?;
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
        eif_sha384: sha384(eif).map_err(read_error(eif))?,
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
            component.purl = Some(deb_purl(package, sources.suite));
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

/// Our programs, and what is compiled and linked into them.
fn programs(sources: &Sources<'_>, all: &mut All) -> Result<(), GatherError> {
    let Ingredients {
        manifest,
        init,
        programs,
        ..
    } = sources.ingredients;
    let name = ProgramName {
        package: manifest.init_package.clone(),
        bin: manifest.init_package.clone(),
    };
    program(sources, &name, init, Place::boot("/init"), all)?;
    for declared in &manifest.programs {
        if let Some(path) = programs.get(&declared.name) {
            let place = Place::app(&format!("{APP_ROOT}{}", declared.path));
            program(sources, &declared.name, path, place, all)?;
        }
    }
    Ok(())
}

fn program(
    sources: &Sources<'_>,
    name: &ProgramName,
    path: &Path,
    place: Place,
    all: &mut All,
) -> Result<(), GatherError> {
    let used = sources
        .closures
        .get(&name.package)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let own = used.iter().find(|used| used.member && used.name == name.package);
    let version = own.map(|used| used.version.clone()).unwrap_or_default();
    let mut component = Component::new(Kind::Program, name.bin.clone(), version);
    component.purl = Some(purl::generic(&name.bin, &component.version));
    component.licence = own.map(Used::licence).unwrap_or_default();
    component.sha256 = Some(sha256_text(path)?);
    component.places.insert(place.clone());
    component.facts.insert("package", name.package.clone());
    for used in used {
        let part = compiled(sources.lock, used, &place)?;
        component.contains.insert(part.reference());
        all.add(part);
    }
    let (packages, root) = sources.build_root;
    for package in packages.iter().filter(|package| is_linked(&package.name)) {
        let mut part = deb(Kind::Linked, package, sources.suite, root)?;
        part.places.insert(place.clone());
        component.contains.insert(part.reference());
        all.add(part);
    }
    all.add(component);
    Ok(())
}

fn is_linked(name: &str) -> bool {
    LINKED.iter().any(|(start, end)| match *end {
        "" => name == *start,
        end => name.starts_with(start) && name.ends_with(end),
    })
}

fn compiled(lock: &CargoLock, used: &Used, place: &Place) -> Result<Component, GatherError> {
    let kind = if used.member { Kind::Member } else { Kind::Crate };
    let mut component = Component::new(kind, used.name.clone(), used.version.clone());
    component.licence = used.licence();
    component.places.insert(place.clone());
    if !used.features.is_empty() {
        component.facts.insert("features", used.features.clone());
    }
    if used.member {
        component.purl = Some(purl::generic(&used.name, &used.version));
        return Ok(component);
    }
    component.purl = Some(purl::cargo(&used.name, &used.version));
    let same = |name: &str, version: &str| name == used.name && version == used.version;
    let locked = lock
        .packages()
        .iter()
        .find(|locked| same(&locked.name, &locked.version));
    let checksum = locked.and_then(|locked| locked.checksum.clone());
    component.sha256 = Some(checksum.ok_or_else(|| GatherError::NoChecksum {
        name: used.name.clone(),
        version: used.version.clone(),
    })?);
    component.archive = true;
    Ok(component)
}

fn deb_purl(package: &LockedPackage, suite: &str) -> String {
    purl::deb(&package.name, &package.version, &package.architecture, suite)
}

fn deb(kind: Kind, package: &LockedPackage, suite: &str, root: &Path) -> Result<Component, GatherError> {
    let mut component = Component::new(kind, package.name.clone(), package.version.clone());
    component.purl = Some(deb_purl(package, suite));
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
    let file = File::open(&inside).map_err(read_error(&path))?;
    let mut bytes = Vec::new();
    let read = file.take(copyright::MAX_BYTES).read_to_end(&mut bytes);
    read.map_err(read_error(&path))?;
    Ok(copyright::licence(&String::from_utf8_lossy(&bytes)))
}

/// The files of the app ramdisk that are not programs of ours.
fn files(sources: &Sources<'_>, root: &Tree, all: &mut All) -> Result<(), GatherError> {
    let manifest = sources.ingredients.manifest;
    let packaged = sources.ingredients.packages.as_deref();
    let programs: BTreeSet<&str> = manifest
        .programs
        .iter()
        .map(|program| program.path.as_str())
        .collect();
    let mut from_packages: BTreeMap<usize, BTreeSet<Place>> = BTreeMap::new();
    for (path, node, origin) in root.iter() {
        let NodeKind::File(content) = &node.kind else {
            continue;
        };
        if programs.contains(path.as_str()) {
            continue;
        }
        let place = Place::app(&format!("{APP_ROOT}{path}"));
        let within = packaged.and_then(|packages| match content {
            Content::File { path, .. } => path.strip_prefix(packages).ok(),
            Content::Bytes(_) => None,
        });
        let is_jar = path.as_str().ends_with(".jar");
        if within.is_some() {
            let owner = sources.owners.of(path.as_str());
            let owner = owner.ok_or_else(|| GatherError::NoOwner(path.to_string()))?;
            from_packages.entry(owner).or_default().insert(place);
            continue;
        }
        for owner in joined_from(manifest, path.as_str(), sources.owners) {
            from_packages.entry(owner).or_default().insert(place.clone());
        }
        let sha256 = match content {
            Content::Bytes(bytes) => Sha256::of(bytes).to_string(),
            Content::File { path, .. } => sha256_text(path)?,
        };
        if let (true, Content::File { path: file, .. }) = (is_jar, content) {
            java(file, path.as_str(), &place, &sha256, all)?;
            continue;
        }
        let mut component = Component::new(Kind::File, path.to_string(), String::new());
        component.sha256 = Some(sha256);
        component.places.insert(place);
        component.facts.insert("origin", origin.to_owned());
        all.add(component);
    }
    let extracted = packaged.unwrap_or_else(|| Path::new(""));
    for (owner, places) in from_packages {
        if let Some(package) = sources.packages.get(owner) {
            let mut component = deb(Kind::Package, package, sources.suite, extracted)?;
            component.places = places;
            all.add(component);
        }
    }
    Ok(())
}

/// The packages that a `[[concatenation]]` at `path` took files from.
fn joined_from(manifest: &Manifest, path: &str, owners: &Owners) -> BTreeSet<usize> {
    let mut from = BTreeSet::new();
    for (target, patterns) in &manifest.concatenations {
        if target.as_str() == path {
            let taken = owners
                .iter()
                .filter(|(path, _)| patterns.iter().any(|pattern| matches(pattern, path)));
            from.extend(taken.map(|(_, owner)| owner));
        }
    }
    from
}

/// A Java archive and what is bundled in it. One that cannot be read is a component all the same.
fn java(file: &Path, path: &str, place: &Place, sha256: &str, all: &mut All) -> Result<(), GatherError> {
    let facts = jar::read(&mut open(file)?);
    let unreadable = facts.is_err();
    let facts = facts.unwrap_or_default();
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".jar");
    let own = match facts.coordinates.as_slice() {
        [only] => Some(only),
        many => many
            .iter()
            .find(|c| stem == format!("{}-{}", c.artifact, c.version)),
    };
    let manifest = |key: &str| facts.manifest.get(key).cloned();
    let mut component = match own {
        Some(own) => {
            let mut component = Component::new(Kind::Jar, own.artifact.clone(), own.version.clone());
            component.purl = Some(purl::maven(&own.group, &own.artifact, &own.version));
            component.facts.insert("group", own.group.clone());
            component
        }
        None => {
            let version = manifest("Implementation-Version").or_else(|| manifest("Bundle-Version"));
            let version = version.unwrap_or_default();
            let name = stem
                .strip_suffix(&format!("-{version}"))
                .unwrap_or(stem)
                .to_owned();
            let mut component = Component::new(Kind::Jar, name, version);
            component.purl = Some(purl::generic(&component.name, &component.version));
            component
        }
    };
    component.sha256 = Some(sha256.to_owned());
    component.places.insert(place.clone());
    if unreadable {
        component
            .facts
            .insert("problem", "not a readable archive".to_owned());
    }
    // What a manifest calls a licence is an address as often as a name, so it is shown and not believed.
    if let Some(licence) = manifest("Bundle-License") {
        component.facts.insert("bundle-license", licence);
    }
    for other in facts.coordinates.iter().filter(|other| Some(*other) != own) {
        let mut part = Component::new(Kind::Jar, other.artifact.clone(), other.version.clone());
        part.purl = Some(purl::maven(&other.group, &other.artifact, &other.version));
        part.facts.insert("group", other.group.clone());
        part.facts.insert("bundled-in", component.name.clone());
        part.places.insert(place.clone());
        component.contains.insert(part.reference());
        all.add(part);
    }
    all.add(component);
    Ok(())
}

fn open(path: &Path) -> Result<File, GatherError> {
    File::open(path).map_err(read_error(path))
}

fn sha256(path: &Path) -> Result<(Sha256, u64), GatherError> {
    Sha256::of_reader(&mut open(path)?).map_err(read_error(path))
}

fn sha256_text(path: &Path) -> Result<String, GatherError> {
    Ok(sha256(path)?.0.to_string())
}

fn read_error<'a>(path: &'a Path) -> impl FnOnce(io::Error) -> GatherError + use<'a> {
    move |source| GatherError::Read {
        path: path.to_path_buf(),
        source,
    }
}
