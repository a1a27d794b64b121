//! From built parts to an image: ramdisks, EIF, measurements and the key policy, in one folder.
//!
//! Nothing here fetches or compiles; what goes in is named by [`Ingredients`].

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use eif::{Architecture, BuildInfo, EifWriter, Metadata, Part, Parts, WriteError, Written};
use kms_policy::measurements::{self, MeasurementsError};
use serde_json::{Value, json};

use crate::digest::Sha256;
use crate::file::{self, FileError, failed};
use crate::manifest::{Manifest, ProgramName};
use crate::policy::{self, PolicyError, PolicyParameters};
use crate::ramdisk::{self, RamdiskError};
use crate::rootfs::{self, RootfsError};
use crate::tree::{Content, Node, Tree};

/// The image within its folder.
pub const EIF_FILE: &str = "image.eif";
/// Its measurements, as nitro-cli prints them, with the EIF's SHA-256 beside.
pub const PCRS_FILE: &str = "pcrs.json";
/// A key policy for it; a template unless names are given later (`eif-builder policy`).
pub const POLICY_FILE: &str = "kms-key-policy.json";
/// What each part weighs.
pub const WEIGHTS_FILE: &str = "weights.json";

/// `BuildTime` of the EIF's metadata. Not a time: a build must not know one.
pub const BUILD_TIME: &str = "1970-01-01T00:00:00+00:00";

/// Everything that goes into an image.
#[derive(Debug)]
pub struct Ingredients<'a> {
    /// What to make.
    pub manifest: &'a Manifest,
    /// A bzImage.
    pub kernel: PathBuf,
    /// Its version, for the metadata.
    pub kernel_version: String,
    /// `nsm.ko` of an operator's own kernel.
    pub nsm_module: Option<PathBuf>,
    /// The static binary that becomes `/init`.
    pub init: PathBuf,
    /// Static binaries.
    pub programs: BTreeMap<ProgramName, PathBuf>,
    /// Where the locked packages were extracted, if there are any.
    pub packages: Option<PathBuf>,
    /// Where each release was unpacked, by the name of its download.
    pub tarballs: BTreeMap<String, PathBuf>,
}

/// Why no image was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The root could not be put together.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// A ramdisk could not be made.
    #[error(transparent)]
    Ramdisk(#[from] RamdiskError),
    /// The EIF could not be written.
    #[error(transparent)]
    Eif(#[from] WriteError),
    /// The key policy could not be made.
    #[error("cannot make the key policy")]
    Policy(#[from] PolicyError),
    /// The measurements that were written cannot be read.
    #[error(transparent)]
    Measurements(#[from] MeasurementsError),
}

/// Makes the image in the (empty) folder `dir`: [`EIF_FILE`], [`PCRS_FILE`], [`POLICY_FILE`], [`WEIGHTS_FILE`].
///
/// # Errors
/// [`ImageError`]; `dir` then holds part of an image and must not be used.
pub fn make(ingredients: &Ingredients<'_>, dir: &Path) -> Result<Written, ImageError> {
    let manifest = ingredients.manifest;
    let root = rootfs::build(
        manifest,
        &ingredients.programs,
        ingredients.packages.as_deref(),
        &ingredients.tarballs,
    )?;
    let boot = ramdisk::boot_tree(
        program(&ingredients.init, 0o500)?,
        ingredients
            .nsm_module
            .as_deref()
            .map(|module| program(module, 0o400))
            .transpose()?,
    )?;
    let app = ramdisk::app_tree(&root)?;
    ramdisk::check_app_tree(&app)?;
    let ramdisks = [("boot", &boot), ("app", &app)];
    let mut paths = Vec::new();
    let mut weights = BTreeMap::new();
    for (name, tree) in ramdisks {
        let path = dir.join(format!("{name}.cpio.zst"));
        let unpacked_bytes = write_ramdisk(tree, manifest.zstd_level, &path)?;
        let packed_bytes = size_of(&path)?;
        weights.insert(
            name,
            json!({"packed_bytes": packed_bytes, "unpacked_bytes": unpacked_bytes, "files": files(tree)}),
        );
        paths.push(path);
    }
    let written = write_eif(ingredients, &paths, &dir.join(EIF_FILE))?;
    for path in &paths {
        fs::remove_file(path).map_err(failed("remove", path))?;
    }
    weights.insert("kernel", json!({"packed_bytes": size_of(&ingredients.kernel)?}));
    weights.insert("image", json!({"packed_bytes": written.size}));
    write_json(&dir.join(WEIGHTS_FILE), &json!(weights))?;
    write_descriptions(manifest, &written, dir)?;
    Ok(written)
}

/// Files of a tree with their sizes.
fn files(tree: &Tree) -> BTreeMap<&str, u64> {
    let size = |node: &Node| match &node.kind {
        crate::tree::Kind::File(content) => Some(content.size()),
        _ => None,
    };
    tree.iter()
        .filter_map(|(path, node, _)| Some((path.as_str(), size(node)?)))
        .collect()
}

fn program(path: &Path, mode: u16) -> Result<Node, ImageError> {
    Ok(Node::file(
        Content::File {
            path: path.to_path_buf(),
            size: size_of(path)?,
        },
        mode,
    ))
}

fn size_of(path: &Path) -> Result<u64, ImageError> {
    Ok(fs::metadata(path).map_err(failed("read", path))?.len())
}

fn write_ramdisk(tree: &Tree, level: i32, path: &Path) -> Result<u64, ImageError> {
    let mut out = BufWriter::new(File::create_new(path).map_err(failed("create", path))?);
    let size = ramdisk::write(tree, level, &mut out)?;
    out.flush().map_err(failed("write", path))?;
    Ok(size)
}

fn write_eif(
    ingredients: &Ingredients<'_>,
    ramdisks: &[PathBuf],
    path: &Path,
) -> Result<Written, ImageError> {
    let manifest = ingredients.manifest;
    let metadata = Metadata {
        image_name: manifest.name.clone(),
        image_version: manifest.version.clone(),
        build: BuildInfo {
            build_time: BUILD_TIME.to_owned(),
            build_tool: env!("CARGO_PKG_NAME").to_owned(),
            build_tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            operating_system: "Linux".to_owned(),
            kernel_version: ingredients.kernel_version.clone(),
        },
        docker_info: Value::Null,
        custom: Value::Null,
    };
    let open = |path: &Path| -> Result<(File, u64), ImageError> {
        let file = File::open(path).map_err(failed("open", path))?;
        Ok((file, size_of(path)?))
    };
    let (mut kernel, kernel_size) = open(&ingredients.kernel)?;
    let mut opened = ramdisks
        .iter()
        .map(|path| open(path))
        .collect::<Result<Vec<_>, _>>()?;
    let writer = EifWriter {
        architecture: Architecture::X86_64,
        default_mem: manifest.memory_bytes,
        default_cpus: manifest.cpus,
    };
    let parts = Parts {
        kernel: Part {
            source: &mut kernel,
            size: kernel_size,
        },
        cmdline: manifest.command_line.as_bytes(),
        metadata: &metadata.to_bytes(),
        ramdisks: opened
            .iter_mut()
            .map(|(file, size)| Part {
                source: file,
                size: *size,
            })
            .collect(),
        signature: None,
    };
    let mut out = File::create_new(path).map_err(failed("create", path))?;
    let written = writer.write(parts, &mut out)?;
    out.sync_all().map_err(failed("write", path))?;
    Ok(written)
}

fn write_descriptions(manifest: &Manifest, written: &Written, dir: &Path) -> Result<(), ImageError> {
    let eif = dir.join(EIF_FILE);
    let mut file = File::open(&eif).map_err(failed("open", &eif))?;
    let (sha256, _) = Sha256::of_reader(&mut file).map_err(failed("read", &eif))?;
    let mut pcrs = serde_json::Map::from_iter([
        ("Measurements".to_owned(), written.measurements.to_json()),
        ("EifSha256".to_owned(), json!(sha256.to_string())),
    ]);
    let weakened = manifest.policy.iter().flat_map(|policy| policy.trust.weakened());
    let weakened: Vec<&str> = weakened.collect();
    if !weakened.is_empty() {
        pcrs.insert("WeakenedTrust".to_owned(), json!(weakened));
    }
    let pcrs = Value::Object(pcrs);
    write_json(&dir.join(PCRS_FILE), &pcrs)?;
    let text = pcrs.to_string();
    let images = vec![measurements::read(&manifest.name, text.as_bytes())?];
    let policy = policy::policy_text(images, &PolicyParameters::default())?;
    let path = dir.join(POLICY_FILE);
    Ok(file::write(&path, policy.as_str().as_bytes())?)
}

fn write_json(path: &Path, value: &Value) -> Result<(), ImageError> {
    let text = format!("{value:#}\n");
    Ok(file::write(path, text.as_bytes())?)
}
