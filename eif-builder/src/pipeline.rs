//! The order of the stages, from a manifest and its lock to files in the output folder. Nothing else knows it.
//!
//! ```text
//! manifest + lock -> build root -> kernel, programs -> packages -> image part -> papers -> OUT/NAME.eif, .pcrs.json, …
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::crates::vendor::HostCargo;
use crate::crates::workspace::{Workspace, WorkspaceError};
use crate::crates::{CrateError, CrateShop};
use crate::digest::Hasher;
use crate::fetch::Fetcher;
use crate::file::{self, FileError, failed};
use crate::image::{self, EIF_FILE, ImageError, Ingredients, PCRS_FILE, POLICY_FILE, WEIGHTS_FILE};
use crate::lock::Locked;
use crate::lock_cmd::{self, LockCmdError};
use crate::manifest::{DeclaredNode, Manifest, ManifestError, Program, ProgramName};
use crate::part::{BuiltPart, PartError, Root, Workshop};
use crate::partial::PartialError;
use crate::recipes::{RecipeError, Recipes};
use crate::root::{self, RootError, Rules};
use crate::sbom::evidence::{
    CYCLONEDX_FILE, EvidenceError, KERNEL_CONFIG_FILE, PROVENANCE_FILE, Paperwork, SPDX_FILE,
};
use crate::sign::{SignError, Signer};
use crate::store::StoreError;
use crate::upstream::{self, UpstreamError};

mod signed;

use signed::SignedImage;

/// Form of image parts. Changes when the same key would give other files.
const FORM: &[u8] = b"nitro-web3signer image, form 1";

/// Folder of the recipes, from the top of the source tree.
pub const RECIPES: &str = "reproducible";

/// Why no image was built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// No source tree around the manifest.
    #[error("{} is not in a source tree: no folder above it has both Cargo.lock and {RECIPES}/", .0.display())]
    NoTop(PathBuf),
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The lock is missing, malformed, or does not match.
    #[error(transparent)]
    Lock(#[from] LockCmdError),
    /// The build root, the kernel or the emulator could not be had.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The image's packages could not be had.
    #[error("cannot get the packages of the image")]
    Packages(#[from] RootError),
    /// A file was given under a name that is no download of the image.
    #[error("a file was given for `{name}`, which is no download of the image: expected {expected}")]
    NoDownload {
        /// The name.
        name: String,
        /// What the image has.
        expected: String,
    },
    /// A release of another project could not be had.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The workspace could not be read.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// A program could not be built.
    #[error(transparent)]
    Program(#[from] CrateError),
    /// A built file is not as it was built.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The image could not be put together.
    #[error("cannot put the image together")]
    Image(#[from] ImageError),
    /// The bills of materials and the provenance could not be made.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The image was not signed.
    #[error("the image is built, but cannot be signed; nothing was written")]
    Sign(#[from] SignError),
    /// A file beside the output could not be made.
    #[error(transparent)]
    Partial(#[from] PartialError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An operator's own kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnKernel {
    /// A bzImage.
    pub kernel: PathBuf,
    /// Its `nsm.ko`, when the driver is a module.
    pub nsm_module: Option<PathBuf>,
}

/// An image as it lies in the output folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The image.
    pub eif: PathBuf,
    /// Its measurements.
    pub pcrs: PathBuf,
    /// Its key policy.
    pub policy: PathBuf,
    /// What each part weighs.
    pub weights: PathBuf,
    /// Its bill of materials, as `CycloneDX`.
    pub cyclonedx: PathBuf,
    /// The same as SPDX.
    pub spdx: PathBuf,
    /// What it was made from.
    pub provenance: PathBuf,
}

/// An image as it lies in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The manifest's name for it.
    pub name: String,
    /// The folder with the image and its measurements.
    pub image: PathBuf,
    /// The folder with its bills of materials and its provenance.
    pub papers: PathBuf,
}

/// Builds images.
#[expect(missing_debug_implementations, reason = "a workshop holds a function")]
#[derive(Clone, Copy)]
pub struct Pipeline<'a> {
    /// Builds parts.
    pub workshop: Workshop<'a>,
    /// Gets locked inputs.
    pub fetcher: &'a Fetcher<'a>,
    /// The host's cargo.
    pub cargo: &'a HostCargo,
    /// The top of the source tree.
    pub top: &'a Path,
}

/// The top of the source tree that `path` is in: the nearest folder above it with `Cargo.lock` and [`RECIPES`].
///
/// # Errors
/// [`PipelineError::NoTop`], or [`PipelineError::File`] when `path` does not exist.
pub fn find_top(path: &Path) -> Result<PathBuf, PipelineError> {
    let absolute = path.canonicalize().map_err(failed("find", path))?;
    let top = |dir: &&Path| dir.join("Cargo.lock").is_file() && dir.join(RECIPES).is_dir();
    let found = absolute.ancestors().find(top).map(Path::to_path_buf);
    found.ok_or_else(|| PipelineError::NoTop(path.to_path_buf()))
}

impl Pipeline<'_> {
    /// The recipes of the source tree. `dir` is [`RECIPES`] below the top.
    #[must_use]
    pub const fn recipes<'b>(&'b self, dir: &'b Path) -> Recipes<'b> {
        Recipes {
            workshop: self.workshop,
            fetcher: self.fetcher,
            dir,
        }
    }

    /// Builds the image of a manifest and puts it into `out`.
    ///
    /// # Errors
    /// [`PipelineError`]; files in `out` are then as they were, each whole.
    pub fn build(
        &self,
        manifest: &Path,
        own: Option<&OwnKernel>,
        out: &Path,
    ) -> Result<Output, PipelineError> {
        self.build_signed(manifest, own, out, None)
    }

    /// As [`Pipeline::build`]; with a signer the image is signed, or there is none. Its papers are those of the image without
    /// the signature, whose PCR0, PCR1 and PCR2 are the same.
    ///
    /// # Errors
    /// [`PipelineError`]; files in `out` are then as they were, each whole.
    pub fn build_signed(
        &self,
        manifest: &Path,
        own: Option<&OwnKernel>,
        out: &Path,
        signer: Option<&Signer>,
    ) -> Result<Output, PipelineError> {
        let made = self.make(manifest, own)?;
        match signer {
            None => publish(&made.image, &made.image, &made.papers, &made.name, out),
            Some(signer) => {
                let copy = SignedImage::make(&made.image, &made.name, out, signer)?;
                publish(&made.image, &copy.dir, &made.papers, &made.name, out)
            }
        }
    }

    /// Builds the image of a manifest and its papers in the store.
    ///
    /// # Errors
    /// [`PipelineError`].
    pub fn make(&self, manifest: &Path, own: Option<&OwnKernel>) -> Result<Made, PipelineError> {
        let manifest = Manifest::load(manifest)?;
        let locked = lock_cmd::check(&manifest.path)?;
        check_given(self.fetcher, &locked)?;
        let recipes_dir = self.top.join(RECIPES);
        let recipes = self.recipes(&recipes_dir);
        let build_root = recipes.build_root()?;
        let mut key = Hasher::new();
        key.field(FORM);
        key.field(file::digest(self.workshop.exe)?.as_bytes());
        key.field(file::digest(&manifest.path)?.as_bytes());
        hash_manifest_files(&manifest, &mut key)?;

        let (kernel_part, kernel) = kernel(&recipes, &build_root, own, &mut key)?;
        let workspace = Workspace::open(self.top)?;
        let shop = CrateShop {
            workshop: self.workshop,
            root: &build_root,
            cargo: self.cargo,
            workspace_dir: self.top,
            workspace: &workspace,
        };
        let (init, programs) = programs(&shop, &manifest, &mut key)?;
        let packages = if locked.packages().is_empty() {
            None
        } else {
            let root = root::provide(self.workshop.store, &locked, &Rules::default(), self.fetcher)?;
            key.field(root.key.as_bytes());
            Some(root.path)
        };
        let mut tarballs = BTreeMap::new();
        for tarball in &manifest.tarballs {
            let unpacked = upstream::provide(self.workshop.store, &locked, tarball, self.fetcher)?;
            key.field(tarball.download.as_bytes());
            key.field(unpacked.key.as_bytes());
            tarballs.insert(tarball.download.clone(), unpacked.path);
        }
        let ingredients = Ingredients {
            manifest: &manifest,
            kernel: kernel.path,
            kernel_version: kernel.version,
            nsm_module: kernel.nsm_module,
            init,
            programs,
            packages,
            tarballs,
        };
        let key = key.finish();
        let part = self.workshop.store.part_or_build(key, |dir| {
            image::make(&ingredients, dir)?;
            Ok::<_, PipelineError>(())
        })?;
        let papers = Paperwork {
            shop,
            fetcher: self.fetcher,
            recipes: &recipes_dir,
            ingredients: &ingredients,
            locked: &locked,
            kernel: kernel_part.as_ref(),
            image: (key, &part),
        };
        Ok(Made {
            papers: papers.provide()?,
            image: part,
            name: manifest.name,
        })
    }
}

fn programs(
    shop: &CrateShop<'_>,
    manifest: &Manifest,
    key: &mut Hasher,
) -> Result<(PathBuf, BTreeMap<ProgramName, PathBuf>), PipelineError> {
    let mut build = |package: &str, bin: &str| -> Result<PathBuf, PipelineError> {
        let file = shop.program(package, bin)?;
        for field in [package.as_bytes(), bin.as_bytes(), file.sha256.as_bytes()] {
            key.field(field);
        }
        Ok(file.path)
    };
    let init = build(&manifest.init_package, &manifest.init_package)?;
    let mut programs = BTreeMap::new();
    for Program { name, .. } in &manifest.programs {
        programs.insert(name.clone(), build(&name.package, &name.bin)?);
    }
    Ok((init, programs))
}

/// A file that the user gave is meant for something: a wrong name must not end in a download.
fn check_given(fetcher: &Fetcher<'_>, locked: &Locked) -> Result<(), PipelineError> {
    let names = || locked.downloads().iter().map(|d| d.name.as_str());
    match fetcher.local.keys().find(|name| !names().any(|n| n == *name)) {
        None => Ok(()),
        Some(name) => Err(PipelineError::NoDownload {
            name: name.clone(),
            expected: names()
                .next()
                .map_or_else(|| "none".to_owned(), |_| names().collect::<Vec<_>>().join(" or ")),
        }),
    }
}

/// Files that the manifest names, and what it compiled into PID 1's table.
fn hash_manifest_files(manifest: &Manifest, key: &mut Hasher) -> Result<(), PipelineError> {
    let table = manifest
        .table
        .encode()
        .map_err(|e| ImageError::from(crate::rootfs::RootfsError::from(e)))?;
    key.field(&table);
    // Made of the manifest, which is hashed, and of files that it names.
    if let Some(policy) = &manifest.policy {
        let text = policy.canonical();
        key.field(
            text.map_err(|e| ImageError::from(crate::rootfs::RootfsError::from(e)))?
                .as_bytes(),
        );
    }
    for (path, node) in &manifest.nodes {
        if let DeclaredNode::Source { path: source, .. } = node {
            key.field(path.as_str().as_bytes());
            key.field(file::digest(source)?.as_bytes());
        }
    }
    Ok(())
}

/// The kernel's files, and its part unless it is the operator's own.
struct KernelFiles {
    path: PathBuf,
    version: String,
    nsm_module: Option<PathBuf>,
}

fn kernel(
    recipes: &Recipes<'_>,
    build_root: &Root,
    own: Option<&OwnKernel>,
    key: &mut Hasher,
) -> Result<(Option<BuiltPart>, KernelFiles), PipelineError> {
    if let Some(own) = own {
        key.field(b"own kernel");
        key.field(file::digest(&own.kernel)?.as_bytes());
        if let Some(module) = &own.nsm_module {
            key.field(file::digest(module)?.as_bytes());
        }
        let files = KernelFiles {
            path: own.kernel.clone(),
            version: "the operator's own".to_owned(),
            nsm_module: own.nsm_module.clone(),
        };
        return Ok((None, files));
    }
    let built = recipes.kernel(build_root)?;
    let kernel = built.file("bzImage")?;
    key.field(kernel.sha256.as_bytes());
    let version = built.file("version")?.path;
    let version = fs::read_to_string(&version).map_err(failed("read", &version))?;
    let files = KernelFiles {
        path: kernel.path,
        version: version.trim().to_owned(),
        nsm_module: None,
    };
    Ok((Some(built), files))
}

/// Copies the image and its papers into the output folder, each file whole or not at all. The EIF comes last but one: a
/// measurement never describes an image that is not there.
///
/// `image` is where the EIF and its measurements are: the part itself, or a signed copy.
fn publish(
    part: &Path,
    image: &Path,
    papers: &Path,
    name: &str,
    out: &Path,
) -> Result<Output, PipelineError> {
    fs::create_dir_all(out).map_err(failed("create", out))?;
    let copy = |from: &Path, file: &str, suffix: &str| -> Result<PathBuf, PipelineError> {
        let (from, to) = (from.join(file), out.join(format!("{name}.{suffix}")));
        let partial = out.join(format!(".{name}.{suffix}.{}", std::process::id()));
        let done = fs::copy(&from, &partial).and_then(|_| fs::rename(&partial, &to));
        if done.is_err() {
            drop(fs::remove_file(&partial));
        }
        done.map_err(failed("write", &to))?;
        Ok(to)
    };
    let paper = |file: &str| copy(papers, file, file);
    paper(KERNEL_CONFIG_FILE)?;
    Ok(Output {
        cyclonedx: paper(CYCLONEDX_FILE)?,
        spdx: paper(SPDX_FILE)?,
        provenance: paper(PROVENANCE_FILE)?,
        policy: copy(part, POLICY_FILE, "kms-key-policy.json")?,
        weights: copy(part, WEIGHTS_FILE, "weights.json")?,
        eif: copy(image, EIF_FILE, "eif")?,
        pcrs: copy(image, PCRS_FILE, "pcrs.json")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_is_the_nearest_folder_with_lock_and_recipes() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let image = dir.join("rootfs/x");
        fs::create_dir_all(&image).unwrap();
        let error = find_top(&image).unwrap_err().to_string();
        assert!(error.contains("Cargo.lock"), "{error}");
        fs::create_dir(dir.join(RECIPES)).unwrap();
        fs::write(dir.join("Cargo.lock"), "").unwrap();
        assert_eq!(find_top(&image).unwrap(), dir);
        assert!(matches!(
            find_top(&dir.join("absent")),
            Err(PipelineError::File(_))
        ));
    }

    #[test]
    fn what_is_published_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (part, out) = (dir.path().join("part"), dir.path().join("out"));
        fs::create_dir(&part).unwrap();
        let papers = [CYCLONEDX_FILE, SPDX_FILE, PROVENANCE_FILE, KERNEL_CONFIG_FILE];
        for file in [EIF_FILE, PCRS_FILE, POLICY_FILE].into_iter().chain(papers) {
            fs::write(part.join(file), file).unwrap();
        }
        let error = publish(&part, &part, &part, "n", &out).unwrap_err();
        assert!(error.to_string().ends_with("n.weights.json"), "{error}");
        fs::write(part.join(WEIGHTS_FILE), "{}").unwrap();
        let output = publish(&part, &part, &part, "n", &out).unwrap();
        assert_eq!(fs::read(&output.eif).unwrap(), EIF_FILE.as_bytes());
        assert_eq!(output.pcrs, out.join("n.pcrs.json"));
        #[expect(clippy::disallowed_methods, reason = "only counted")]
        let count = fs::read_dir(&out).unwrap().count();
        assert_eq!(count, 8, "no partial file is left");
    }
}
