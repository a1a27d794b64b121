//! How an image came to be: an in-toto statement with SLSA's provenance, as a document without clock and signature.
//!
//! The subjects are the EIF and its registers. The dependencies are every locked input, and every file of this source tree
//! that reaches a measured byte, each with its SHA-256. The meaning of all fields is in `docs/provenance.md`.
//! Source: in-toto attestation framework v1 (Statement v1, `ResourceDescriptor` v1), SLSA v1.0 (Build Provenance v1).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::digest::Sha256;
use crate::lock::{Archive, LockedDownload, LockedPackage, LockedSource};
use crate::sbom::{Identity, purl};

/// Says how `externalParameters` and the rest are meant. Nothing can be fetched there; `docs/provenance.md` is its text.
pub const BUILD_TYPE: &str = "https://nitro-web3signer.invalid/provenance/build/v1";
/// Who ran the build. It is reproducible: whoever ran it matters less than that anybody can run it again.
pub const BUILDER: &str = "https://nitro-web3signer.invalid/provenance/eif-builder/v1";
/// The statement's own type.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// The predicate's type.
pub const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// What an input was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// A file of this repository.
    Source,
    /// Files of it are in the image.
    Image,
    /// The kernel was compiled from it.
    Kernel,
    /// It was in the root that everything was compiled in.
    BuildRoot,
    /// A published crate: compiled into a program, or run while compiling one.
    Crate,
    /// The operator's own file.
    Own,
}

impl Use {
    /// The value of the annotation `use`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Image => "image",
            Self::Kernel => "kernel",
            Self::BuildRoot => "build root",
            Self::Crate => "crate",
            Self::Own => "the operator's own",
        }
    }
}

/// One input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Material {
    /// What it was for.
    pub used: Use,
    /// A name for people: `NAME VERSION`, or a path in the repository.
    pub name: String,
    /// Its package URL, or where it is fetched from.
    pub uri: Option<String>,
    /// SHA-256 of its bytes, as 64 hex digits.
    pub sha256: String,
    /// Further facts.
    pub facts: BTreeMap<&'static str, String>,
}

impl Material {
    /// A file of this repository, by its path from the top.
    #[must_use]
    pub fn source(path: &str, sha256: Sha256) -> Self {
        Self {
            used: Use::Source,
            name: path.to_owned(),
            uri: None,
            sha256: sha256.to_string(),
            facts: BTreeMap::new(),
        }
    }

    /// A locked Debian package.
    #[must_use]
    pub fn package(used: Use, package: &LockedPackage, suite: &str) -> Self {
        let LockedPackage {
            name,
            version,
            architecture,
            ..
        } = package;
        Self {
            used,
            name: format!("{name} {version}"),
            uri: Some(purl::deb(name, version, architecture, suite)),
            sha256: package.sha256.to_string(),
            facts: pool(package.archive, &package.path),
        }
    }

    /// A file of a locked Debian source package.
    #[must_use]
    pub fn source_package(used: Use, source: &LockedSource, suite: &str) -> Self {
        Self {
            used,
            name: source.file.clone(),
            uri: Some(purl::deb_source(&source.package, &source.version, suite)),
            sha256: source.sha256.to_string(),
            facts: pool(source.archive, &source.path),
        }
    }

    /// A locked download.
    #[must_use]
    pub fn download(used: Use, download: &LockedDownload) -> Self {
        Self {
            used,
            name: download.name.clone(),
            uri: Some(download.url.clone()),
            sha256: download.sha256.to_string(),
            facts: BTreeMap::new(),
        }
    }

    /// A published crate.
    #[must_use]
    pub fn published(name: &str, version: &str, checksum: &str) -> Self {
        Self {
            used: Use::Crate,
            name: format!("{name} {version}"),
            uri: Some(purl::cargo(name, version)),
            sha256: checksum.to_owned(),
            facts: BTreeMap::new(),
        }
    }

    fn descriptor(&self) -> Value {
        let mut annotations = BTreeMap::from([("use", self.used.word().to_owned())]);
        annotations.extend(self.facts.clone());
        let mut descriptor = json!({
            "name": self.name,
            "digest": {"sha256": self.sha256},
            "annotations": annotations,
        });
        if let (Some(uri), Some(fields)) = (&self.uri, descriptor.as_object_mut()) {
            fields.insert("uri".to_owned(), uri.as_str().into());
        }
        descriptor
    }
}

fn pool(archive: Archive, path: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([("archive", archive.to_string()), ("path", path.to_owned())])
}

/// What the statement says about a build.
#[derive(Clone, Debug)]
pub struct Build<'a> {
    /// The image.
    pub image: &'a Identity,
    /// The manifest's path from the top of the repository.
    pub manifest: &'a str,
    /// An operator's own kernel took the place of ours.
    pub own_kernel: bool,
    /// Digests that stand for the steps: `build root`, `kernel`, `program agent`.
    pub steps: BTreeMap<String, Sha256>,
    /// Every input. Sorted here.
    pub materials: Vec<Material>,
}

/// The statement, ending in a newline.
#[must_use]
pub fn statement(build: &Build<'_>) -> String {
    let Build { image, .. } = build;
    let mut materials = build.materials.clone();
    materials.sort();
    materials.dedup();
    let steps: BTreeMap<&str, String> = build
        .steps
        .iter()
        .map(|(name, key)| (name.as_str(), key.to_string()))
        .collect();
    let registers: BTreeMap<String, String> = image
        .registers()
        .into_iter()
        .map(|(name, value)| (format!("nitro-{name}"), value))
        .collect();
    let statement = json!({
        "_type": STATEMENT,
        "subject": [
            {
                "name": format!("{}.eif", image.name),
                "digest": {"sha256": image.eif_sha256.to_string(), "sha384": image.eif_sha384},
            },
            {"name": format!("{} measurements", image.name), "digest": registers},
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "manifest": build.manifest,
                    "imageName": image.name,
                    "imageVersion": image.version,
                    "ownKernel": build.own_kernel,
                },
                "internalParameters": {"steps": steps},
                "resolvedDependencies": materials.iter().map(Material::descriptor).collect::<Vec<_>>(),
            },
            "runDetails": {
                "builder": {
                    "id": BUILDER,
                    "version": {env!("CARGO_PKG_NAME"): env!("CARGO_PKG_VERSION")},
                },
                "metadata": {},
            },
        },
    });
    format!("{statement:#}\n")
}
