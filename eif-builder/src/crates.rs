//! Static programs of this workspace, compiled in the build root.
//!
//! A program's key covers the root, the reduced workspace, the part of `Cargo.lock` that it may need and the
//! flags below; so a change to one member rebuilds only the programs that contain it. All programs share one
//! target folder per root and flags, where only published crates stay compiled between builds.
//!
//! - [`workspace`]: the smallest workspace that still builds a program; [`reduced`]: that workspace
//! - [`lockfile`]: `Cargo.lock` and what of it can be reached
//! - [`vendor`]: the published crates, checked and unpacked
//! - [`elf`]: what the result must be

pub mod elf;
pub mod lockfile;
pub mod reduced;
pub mod vendor;
pub mod workspace;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::{Hasher, Sha256};
use crate::file::FileError;
use crate::part::{BuiltPart, Part, PartError, PartFile, Root, Source, Workshop};
use crate::store::{StoreError, remove_tree};
use elf::ElfError;
use reduced::Reduced;
use vendor::{HostCargo, VendorError};
use workspace::{Workspace, WorkspaceError};

/// The one target. Named, because otherwise the flags would hit build scripts and procedural macros too.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";
/// How every program is compiled, besides the workspace's release profile.
const RUSTFLAGS: &str = "-C target-feature=+crt-static";
/// Paths inside the build root. They are in programs on every machine, also where the workspace itself is there.
const FIXED_PATHS: [&str; 4] = ["/build", "/src", "/target", "/vendor"];
const SCRIPT: &str = include_str!("crates/build.sh");

/// Why a program could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrateError {
    /// The workspace cannot be read or reduced.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The member has no program.
    #[error("`{0}` has no program to build")]
    NoProgram(String),
    /// The member has other programs.
    #[error("`{package}` has no program `{bin}`, only {}; name one of them with `bin`", has.join(", "))]
    NoSuchProgram {
        /// The member.
        package: String,
        /// What was asked for.
        bin: String,
        /// What it has.
        has: Vec<String>,
    },
    /// The published crates cannot be had.
    #[error("cannot get the crates that `{package}` needs")]
    Vendor {
        /// The program's package.
        package: String,
        /// Why.
        #[source]
        source: Box<VendorError>,
    },
    /// The reduced workspace cannot be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Building failed.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The program cannot be read back.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The program is not what belongs into an image.
    #[error("the program `{bin}` of `{package}` must not go into an image")]
    NotStatic {
        /// The package.
        package: String,
        /// The program.
        bin: String,
        /// Why.
        #[source]
        source: ElfError,
    },
    /// The program holds a path of the machine that built it.
    #[error("the program `{bin}` holds the path {} of this machine", path.display())]
    LeakedPath {
        /// The program.
        bin: String,
        /// The path.
        path: PathBuf,
    },
}

/// Builds programs of one workspace in one root.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "a workshop holds a function")]
pub struct CrateShop<'a> {
    /// Builds parts.
    pub workshop: Workshop<'a>,
    /// Has the compiler.
    pub root: &'a Root,
    /// The host's cargo, which fetches published crates.
    pub cargo: &'a HostCargo,
    /// Where the workspace is.
    pub workspace_dir: &'a Path,
    /// The same, read.
    pub workspace: &'a Workspace,
}

impl CrateShop<'_> {
    /// One program of `package`, its part built now unless the store has it.
    ///
    /// # Errors
    /// [`CrateError`].
    pub fn program(&self, package: &str, bin: &str) -> Result<PartFile, CrateError> {
        let has = self.workspace.reduce(package)?.bins;
        if !has.is_empty() && !has.iter().any(|name| name == bin) {
            return Err(CrateError::NoSuchProgram {
                package: package.to_owned(),
                bin: bin.to_owned(),
                has,
            });
        }
        Ok(self.build(package)?.file(bin)?)
    }

    /// The part with the programs of `package`, built now unless the store has it. A program is an output of
    /// the name that its manifest gives it.
    ///
    /// # Errors
    /// [`CrateError`].
    pub fn build(&self, package: &str) -> Result<BuiltPart, CrateError> {
        let reduced = self.workspace.reduce(package)?;
        if reduced.bins.is_empty() {
            return Err(CrateError::NoProgram(package.to_owned()));
        }
        // Where things are is not in the key, so the empty paths do for looking.
        let looked = self.part(&reduced, Path::new(""), Path::new(""));
        if let Some(built) = self.workshop.built(&looked)? {
            return Ok(built);
        }
        let store = self.workshop.store;
        let vendored = vendor::provide(store, self.cargo, &reduced, self.workspace.lock());
        let vendored = vendored.map_err(|source| CrateError::Vendor {
            package: package.to_owned(),
            source: Box::new(source),
        })?;
        let source = store.scratch_path();
        let written = reduced.write(&source, &vendored.lock);
        let built = written
            .map_err(CrateError::from)
            .and_then(|()| self.compile(&reduced, &source, &vendored.crates));
        drop(remove_tree(&source));
        built
    }

    fn part<'a>(&'a self, reduced: &'a Reduced, source: &Path, crates: &Path) -> Part<'a> {
        let dir = |host: &Path, digest| Source::Dir {
            host: host.to_path_buf(),
            digest,
        };
        let env = [
            ("PACKAGE", reduced.package.clone()),
            ("BINS", reduced.bins.join(" ")),
            ("MEMBERS", reduced.members.join(" ")),
            ("TARGET", TARGET.to_owned()),
            ("RUSTFLAGS", RUSTFLAGS.to_owned()),
        ];
        Part {
            name: &reduced.package,
            root: self.root,
            inputs: BTreeMap::from([
                ("/src".to_owned(), dir(source, reduced.digest())),
                ("/vendor".to_owned(), dir(crates, vendor::key(reduced))),
            ]),
            caches: BTreeMap::from([("/target".to_owned(), self.target_name())]),
            script: SCRIPT,
            env: env.map(|(name, value)| (name.to_owned(), value)).into(),
            outputs: reduced.bins.clone(),
        }
    }

    /// One target folder for each root and set of flags.
    fn target_name(&self) -> String {
        let mut hasher = Hasher::new();
        hasher.field(self.root.key.as_bytes());
        hasher.field(RUSTFLAGS.as_bytes());
        format!("target-{}", hasher.finish())
    }

    fn compile(&self, reduced: &Reduced, source: &Path, crates: &Path) -> Result<BuiltPart, CrateError> {
        let part = self.part(reduced, source, crates);
        self.workshop.build_checked(&part, |out| {
            for bin in &reduced.bins {
                self.check(&reduced.package, bin, &out.join(bin))?;
            }
            Ok(())
        })
    }

    fn check(&self, package: &str, bin: &str, path: &Path) -> Result<(), CrateError> {
        let bytes = fs::read(path).map_err(|source| CrateError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        elf::check_static_pie(&bytes).map_err(|source| CrateError::NotStatic {
            package: package.to_owned(),
            bin: bin.to_owned(),
            source,
        })?;
        for host in [self.workshop.store.root(), self.workspace_dir, &self.cargo.home] {
            let needle = host.as_os_str().as_encoded_bytes();
            let fixed = FIXED_PATHS.iter().any(|path| host == Path::new(path));
            if !fixed && bytes.windows(needle.len().max(1)).any(|window| window == needle) {
                return Err(CrateError::LeakedPath {
                    bin: bin.to_owned(),
                    path: host.to_path_buf(),
                });
            }
        }
        Ok(())
    }

    /// The key of the part of `package`. Reads the workspace only.
    ///
    /// # Errors
    /// [`CrateError::Workspace`].
    pub fn key(&self, package: &str) -> Result<Sha256, CrateError> {
        let reduced = self.workspace.reduce(package)?;
        Ok(self.part(&reduced, Path::new(""), Path::new("")).recipe().key())
    }
}
