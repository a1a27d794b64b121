//! The recipes: the build root, the kernel and the emulator of `reproducible/` and the stand-in of the tests, from their locks to parts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::fetch::{FetchError, Fetcher};
use crate::lock::{Input, LockError, Locked};
use crate::lock_cmd::{self, LockCmdError};
use crate::part::{BuiltPart, Part, PartError, Root, Source, Workshop};
use crate::request::RequestError;
use crate::root::{self, RootError, RootManifest, Rules};

/// Why something of `reproducible/` could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// A file of the recipe cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The manifest is not valid.
    #[error("{}", path.display())]
    Manifest {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: RequestError,
    },
    /// The lock is missing or does not match.
    #[error(transparent)]
    LockFile(#[from] LockCmdError),
    /// The lock lacks what the recipe needs.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A root cannot be had.
    #[error("cannot make the {name} root")]
    Root {
        /// Which.
        name: &'static str,
        /// Why.
        #[source]
        source: Box<RootError>,
    },
    /// A source cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Building failed.
    #[error(transparent)]
    Part(#[from] PartError),
}

/// What the stand-in is made of, below `tests/standin`.
const STANDIN_SOURCES: [&str; 7] = [
    "blst.c",
    "src/supranational/blst/StandinLibrary.java",
    "src/tech/pegasys/web3signer/Bls.java",
    "src/tech/pegasys/web3signer/Clients.java",
    "src/tech/pegasys/web3signer/Keys.java",
    "src/tech/pegasys/web3signer/Options.java",
    "src/tech/pegasys/web3signer/Web3SignerApp.java",
];

/// Makes what the folder `reproducible/` describes.
#[expect(missing_debug_implementations, reason = "a workshop holds a function")]
#[derive(Clone, Copy)]
pub struct Recipes<'a> {
    /// Builds parts.
    pub workshop: Workshop<'a>,
    /// Gets locked inputs.
    pub fetcher: &'a Fetcher<'a>,
    /// The folder `reproducible/`.
    pub dir: &'a Path,
}

impl Recipes<'_> {
    /// The root in which everything measured is compiled.
    ///
    /// # Errors
    /// [`RecipeError`].
    pub fn build_root(&self) -> Result<Root, RecipeError> {
        self.root("build", "buildroot/root.toml").map(|(root, _)| root)
    }

    /// The kernel, compiled in the build root: `bzImage`, its whole `config`, and `version`.
    ///
    /// # Errors
    /// [`RecipeError`].
    pub fn kernel(&self, build_root: &Root) -> Result<BuiltPart, RecipeError> {
        let locked = lock_cmd::check(&self.dir.join("kernel/kernel.toml"))?;
        let source = self.provide("kernel source", &locked, &Rules::default())?;
        let script = self.text("kernel/build.sh")?;
        let source = Source::Dir {
            host: source.path,
            digest: source.key,
        };
        Ok(self.workshop.build(&Part {
            name: "kernel",
            root: build_root,
            inputs: BTreeMap::from([
                ("/src".to_owned(), source),
                (
                    "/recipe/config".to_owned(),
                    Source::Text(self.text("kernel/config")?),
                ),
            ]),
            caches: BTreeMap::new(),
            script: &script,
            env: BTreeMap::new(),
            outputs: ["bzImage", "config", "version"].map(str::to_owned).to_vec(),
        })?)
    }

    /// The emulator, in a form that runs anywhere: `bin/qemu-system-x86_64`, the libraries and the loader
    /// that it needs in `lib`, its firmware in `share`.
    ///
    /// # Errors
    /// [`RecipeError`].
    pub fn emulator(&self) -> Result<BuiltPart, RecipeError> {
        let (root, locked) = self.root("emulator", "emulator/root.toml")?;
        let source = locked.source("qemu_*.orig.tar.xz")?;
        let script = self.text("emulator/build.sh")?;
        let patch = Source::Text(self.text("emulator/nsm-late-notification.patch")?);
        let part = |host: PathBuf| Part {
            name: "emulator",
            root: &root,
            inputs: BTreeMap::from([
                ("/recipe/nsm-late-notification.patch".to_owned(), patch.clone()),
                (
                    "/source.tar.xz".to_owned(),
                    Source::File {
                        host,
                        sha256: source.sha256,
                    },
                ),
            ]),
            caches: BTreeMap::new(),
            script: &script,
            env: BTreeMap::new(),
            outputs: ["bin", "lib", "share"].map(str::to_owned).to_vec(),
        };
        // Where the tarball is does not enter the key.
        if let Some(built) = self.workshop.built(&part(PathBuf::new()))? {
            return Ok(built);
        }
        let blobs = self.fetcher.fetch(self.workshop.store, [Input::Source(source)])?;
        Ok(self
            .workshop
            .build(&part(blobs.get(source.sha256)?.path().to_path_buf()))?)
    }

    /// The stand-in for Web3Signer in the tests (`tests/standin`), compiled by the Java of the image `web3signer`:
    /// `web3signer-standin.tar.gz`. `top` is the top of the source tree.
    ///
    /// # Errors
    /// [`RecipeError`].
    pub fn standin(&self, top: &Path, build_root: &Root) -> Result<BuiltPart, RecipeError> {
        let locked = lock_cmd::check(&top.join("rootfs/web3signer/image.toml"))?;
        let java = self.provide("web3signer", &locked, &Rules::default())?;
        let folder = top.join("tests/standin");
        let mut inputs = BTreeMap::from([(
            "/java".to_owned(),
            Source::Dir {
                host: java.path,
                digest: java.key,
            },
        )]);
        for file in STANDIN_SOURCES {
            inputs.insert(format!("/src/{file}"), Source::Text(read(&folder.join(file))?));
        }
        Ok(self.workshop.build(&Part {
            name: "standin",
            root: build_root,
            inputs,
            caches: BTreeMap::new(),
            script: &read(&folder.join("build.sh"))?,
            env: BTreeMap::new(),
            outputs: vec!["web3signer-standin.tar.gz".to_owned()],
        })?)
    }

    fn root(&self, name: &'static str, manifest: &str) -> Result<(Root, Locked), RecipeError> {
        let path = self.dir.join(manifest);
        let locked = lock_cmd::check(&path)?;
        let rules = RootManifest::parse(&self.text(manifest)?);
        let rules = rules
            .map_err(|source| RecipeError::Manifest { path, source })?
            .rules;
        Ok((self.provide(name, &locked, &rules)?, locked))
    }

    fn provide(&self, name: &'static str, locked: &Locked, rules: &Rules) -> Result<Root, RecipeError> {
        let root = root::provide(self.workshop.store, locked, rules, self.fetcher);
        root.map_err(|source| RecipeError::Root {
            name,
            source: Box::new(source),
        })
    }

    fn text(&self, file: &str) -> Result<String, RecipeError> {
        read(&self.dir.join(file))
    }
}

fn read(path: &Path) -> Result<String, RecipeError> {
    fs::read_to_string(path).map_err(|source| RecipeError::Read {
        path: path.to_path_buf(),
        source,
    })
}
