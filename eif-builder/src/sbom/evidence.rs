//! The papers of an image: both bills of materials, the provenance and the kernel's configuration, as one part of the store
//! that is made once for an image and its inputs.
//!
//! The key covers everything that they tell. So an unchanged build finds them, and a change that leaves the image alone (a
//! package of the build root that reached no byte) still gives new papers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::closure::{self, ClosureError, Used};
use super::debian::{Owners, OwnersError};
use super::gather::{self, GatherError, KernelSource, Sources, programs};
use super::source::{OriginError, Origins};
use super::{cyclonedx, spdx};
use crate::crates::CrateShop;
use crate::crates::workspace::WorkspaceError;
use crate::digest::{Hasher, Sha256};
use crate::fetch::{FetchError, Fetcher};
use crate::file::{self, FileError, failed};
use crate::image::{EIF_FILE, Ingredients};
use crate::lock::{Input, Locked, LockedPackage};
use crate::lock_cmd::{self, LockCmdError};
use crate::part::{BuiltPart, PartError};
use crate::provenance::{self, Build, Material, Use};
use crate::root::{self, RootError, Rules};
use crate::store::StoreError;

/// Form of this part. Changes when the same key would give other files.
const FORM: &[u8] = b"nitro-web3signer papers, form 2";

/// The `CycloneDX` document within the part's folder.
pub const CYCLONEDX_FILE: &str = "cdx.json";
/// The SPDX document.
pub const SPDX_FILE: &str = "spdx.json";
/// The provenance.
pub const PROVENANCE_FILE: &str = "provenance.json";
/// The whole configuration of the kernel; empty for an operator's own.
pub const KERNEL_CONFIG_FILE: &str = "kernel.config";

/// Files of `reproducible/` that reach a measured byte.
const RECIPES: [&str; 6] = [
    "buildroot/root.lock",
    "buildroot/root.toml",
    "kernel/build.sh",
    "kernel/config",
    "kernel/kernel.lock",
    "kernel/kernel.toml",
];

/// Why there are no papers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The image cannot be taken apart.
    #[error("cannot make the bill of materials")]
    Gather(#[from] GatherError),
    /// The crates of a program cannot be said.
    #[error(transparent)]
    Closure(#[from] ClosureError),
    /// The owners of packaged files cannot be said.
    #[error("cannot read the lists of the image's packages")]
    Owners(#[from] OwnersError),
    /// The source packages of what is from Debian cannot be said.
    #[error("cannot read what a package was built from")]
    Origin(#[from] OriginError),
    /// A lock of `reproducible/` does not match.
    #[error(transparent)]
    Lock(#[from] LockCmdError),
    /// The workspace cannot be read.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// An input cannot be had again.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The kernel's source cannot be had.
    #[error("cannot get the kernel's source")]
    Kernel(#[from] RootError),
    /// A built file is not as it was built.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An image that was built, and what it was built from.
#[expect(missing_debug_implementations, reason = "a shop holds a function")]
#[derive(Clone, Copy)]
pub struct Paperwork<'a> {
    /// Compiled the programs.
    pub shop: CrateShop<'a>,
    /// Has the locked inputs.
    pub fetcher: &'a Fetcher<'a>,
    /// The folder of recipes.
    pub recipes: &'a Path,
    /// What went into the image.
    pub ingredients: &'a Ingredients<'a>,
    /// The image's own lock.
    pub locked: &'a Locked,
    /// The kernel's part, unless the kernel is the operator's own.
    pub kernel: Option<&'a BuiltPart>,
    /// Key and folder of the image.
    pub image: (Sha256, &'a Path),
}

impl Paperwork<'_> {
    /// The folder with the papers: found in the store, or made.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn provide(&self) -> Result<PathBuf, EvidenceError> {
        let key = self.key()?;
        self.shop.workshop.store.part_or_build(key, |dir| self.make(dir))
    }

    fn key(&self) -> Result<Sha256, EvidenceError> {
        let mut key = Hasher::new();
        key.field(FORM);
        key.field(self.image.0.as_bytes());
        key.field(self.shop.root.key.as_bytes());
        key.field(self.kernel.map_or(&[][..], |kernel| kernel.key.as_bytes()));
        for package in self.packages() {
            let reduced = self.shop.workspace.reduce(package)?;
            key.field(package.as_bytes());
            key.field(reduced.digest().as_bytes());
        }
        for path in self.plain_sources() {
            key.field(path.as_os_str().as_encoded_bytes());
            key.field(file::digest(&path)?.as_bytes());
        }
        Ok(key.finish())
    }

    /// The workspace members whose programs are in the image.
    fn packages(&self) -> BTreeSet<&str> {
        let manifest = self.ingredients.manifest;
        let programs = manifest
            .programs
            .iter()
            .map(|program| program.name.package.as_str());
        programs.chain([manifest.init_package.as_str()]).collect()
    }

    /// Files of the repository that are used as they are, apart from the programs' sources.
    fn plain_sources(&self) -> BTreeSet<PathBuf> {
        let manifest = &self.ingredients.manifest.path;
        let top = self.shop.workspace_dir;
        let mut all = BTreeSet::from([
            manifest.clone(),
            self.ingredients.manifest.lock_path(),
            top.join("Cargo.toml"),
            top.join("Cargo.lock"),
        ]);
        let ours = RECIPES
            .iter()
            .filter(|recipe| self.kernel.is_some() || !recipe.starts_with("kernel/"));
        all.extend(ours.map(|recipe| self.recipes.join(recipe)));
        all.extend(self.ingredients.manifest.sources.iter().cloned());
        all
    }

    fn make(&self, dir: &Path) -> Result<(), EvidenceError> {
        let mut closures: BTreeMap<String, Vec<Used>> = BTreeMap::new();
        for package in self.packages() {
            closures.insert(package.to_owned(), closure::of(&self.shop, package)?);
        }
        let store = self.shop.workshop.store;
        let packages = self.locked.packages();
        let blobs = self.fetcher.fetch(store, packages.iter().map(Input::Package))?;
        let owners = Owners::read(packages, &blobs)?;
        let build_root = lock_cmd::check(&self.recipes.join("buildroot/root.toml"))?;
        let kernel_lock = lock_cmd::check(&self.recipes.join("kernel/kernel.toml"))?;
        let config = self.kernel.map(|kernel| kernel.file("config")).transpose()?;
        let kernel = match (&config, kernel_lock.packages().first()) {
            (Some(config), Some(package)) => KernelSource::Debian {
                package,
                root: root::provide(store, &kernel_lock, &Rules::default(), self.fetcher)?.path,
                config: config.sha256,
            },
            _ => KernelSource::Own,
        };
        let origins = self.origins(&build_root, &kernel_lock)?;
        let inventory = gather::gather(&Sources {
            ingredients: self.ingredients,
            eif: &self.image.1.join(EIF_FILE),
            suite: self.ingredients.manifest.inputs.suite(),
            packages,
            downloads: self.locked.downloads(),
            owners: &owners,
            origins: &origins,
            build_root: (build_root.packages(), &self.shop.root.path),
            kernel,
            closures: &closures,
            lock: self.shop.workspace.lock(),
        })?;
        let write = |file: &str, text: &str| -> Result<(), EvidenceError> {
            let path = dir.join(file);
            Ok(fs::write(&path, text).map_err(failed("write", &path))?)
        };
        write(CYCLONEDX_FILE, &cyclonedx::document(&inventory))?;
        write(SPDX_FILE, &spdx::document(&inventory))?;
        let manifest = self.name(&self.ingredients.manifest.path)?;
        let statement = provenance::statement(&Build {
            image: &inventory.image,
            manifest: &manifest,
            own_kernel: self.kernel.is_none(),
            steps: self.steps()?,
            materials: self.materials(&build_root, &kernel_lock)?,
        });
        write(PROVENANCE_FILE, &statement)?;
        let text = match &config {
            Some(config) => fs::read_to_string(&config.path).map_err(failed("read", &config.path))?,
            None => String::new(),
        };
        write(KERNEL_CONFIG_FILE, &text)
    }

    /// Of the packages that become components: the image's, those that are linked into programs, and the kernel's.
    fn origins(&self, build_root: &Locked, kernel: &Locked) -> Result<Origins, EvidenceError> {
        let linked = build_root.packages().iter();
        let linked = linked.filter(|package| programs::is_linked(&package.name));
        let kernel = kernel.packages().iter().filter(|_| self.kernel.is_some());
        let all: Vec<&LockedPackage> = self
            .locked
            .packages()
            .iter()
            .chain(linked)
            .chain(kernel)
            .collect();
        let inputs = all.iter().map(|package| Input::Package(package));
        let blobs = self.fetcher.fetch(self.shop.workshop.store, inputs)?;
        Ok(Origins::read(all, &blobs)?)
    }

    fn steps(&self) -> Result<BTreeMap<String, Sha256>, EvidenceError> {
        let mut steps = BTreeMap::from([("build root".to_owned(), self.shop.root.key)]);
        steps.extend(self.kernel.map(|kernel| ("kernel".to_owned(), kernel.key)));
        for package in self.packages() {
            let key = self.shop.key(package).map_err(ClosureError::from)?;
            steps.insert(format!("programs of {package}"), key);
        }
        Ok(steps)
    }

    fn materials(&self, build_root: &Locked, kernel: &Locked) -> Result<Vec<Material>, EvidenceError> {
        let suite = self.ingredients.manifest.inputs.suite();
        let mut all = Vec::new();
        let mut locked = |used: Use, lock: &Locked| {
            all.extend(lock.packages().iter().map(|p| Material::package(used, p, suite)));
            all.extend(
                lock.sources()
                    .iter()
                    .map(|s| Material::source_package(used, s, suite)),
            );
            all.extend(lock.downloads().iter().map(|d| Material::download(used, d)));
        };
        locked(Use::Image, self.locked);
        locked(Use::BuildRoot, build_root);
        if self.kernel.is_some() {
            locked(Use::Kernel, kernel);
        } else {
            let own = [
                Some(&self.ingredients.kernel),
                self.ingredients.nsm_module.as_ref(),
            ];
            for path in own.into_iter().flatten() {
                all.push(Material {
                    used: Use::Own,
                    name: path
                        .file_name()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned(),
                    uri: None,
                    sha256: file::digest(path)?.to_string(),
                    facts: BTreeMap::new(),
                });
            }
        }
        let mut sources = self.plain_sources();
        for package in self.packages() {
            let reduced = self.shop.workspace.reduce(package)?;
            sources.extend(
                reduced
                    .files
                    .keys()
                    .map(|file| self.shop.workspace_dir.join(file)),
            );
            for package in reduced.lock.packages() {
                // Members have no checksum; their files are sources.
                if let Some(checksum) = &package.checksum {
                    all.push(Material::published(&package.name, &package.version, checksum));
                }
            }
        }
        for path in sources {
            all.push(Material::source(&self.name(&path)?, file::digest(&path)?));
        }
        Ok(all)
    }

    /// A file's path from the top of the repository, or as it was given when it is elsewhere.
    fn name(&self, path: &Path) -> Result<String, EvidenceError> {
        let absolute = path.canonicalize().map_err(failed("find", path))?;
        let below = absolute.strip_prefix(self.shop.workspace_dir);
        let name = below.ok().or_else(|| path.file_name().map(Path::new));
        Ok(name.unwrap_or(path).to_string_lossy().into_owned())
    }
}
