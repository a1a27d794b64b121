//! A cached build step: one script, run in a build root, from named inputs to named outputs.
//!
//! The key of a part is the SHA-256 of its [`Recipe`], which lists everything that can change its bytes: the
//! root, the script, each input's digest, the environment, the form of this program's own surroundings. The
//! number of jobs is told to the script and is not in the key: outputs must not depend on it.
//!
//! ```text
//! parts/KEY/out/        the outputs
//! parts/KEY/part.json   the recipe and what came out, with digests
//! logs/NAME-KEY.log     everything that the last run of the script printed
//! ```

mod recipe;

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::enter::{self, Bind, EnterError, Job, Limits};
use crate::file::{self, FileError, failed};
use crate::listing::{Entry, Listing, ListingError};
use crate::store::{Store, StoreError, remove_tree};

pub use recipe::{Part, Recipe, Root, Source};

/// How much of a failed script's log an error shows, in bytes and lines.
const TAIL_BYTES: u64 = 8 << 10;
const TAIL_LINES: usize = 25;

/// The record of a built part.
#[derive(Serialize, Deserialize)]
struct Record {
    recipe: Recipe,
    outputs: Listing,
}

/// A part that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltPart {
    /// Its key.
    pub key: Sha256,
    /// The folder with its outputs.
    pub dir: PathBuf,
    /// What the outputs were when it was built.
    pub outputs: Listing,
}

/// One output file whose bytes were checked just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartFile {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Size in bytes.
    pub size: u64,
}

/// Why a part could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The script could not be run.
    #[error("cannot build {name}")]
    Enter {
        /// The part.
        name: String,
        /// Why.
        #[source]
        source: EnterError,
    },
    /// The script failed.
    #[error("building {name} failed with status {status}; the end of {}:\n{tail}", log.display())]
    Failed {
        /// The part.
        name: String,
        /// The script's exit status.
        status: i32,
        /// The whole log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The script made other outputs than the part declares.
    #[error("building {name} made the wrong outputs: `{path}` is {wrong}")]
    Outputs {
        /// The part.
        name: String,
        /// The output, relative to `/out`.
        path: String,
        /// `missing` or `not declared`.
        wrong: &'static str,
    },
    /// The outputs could not be listed.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// The record could not be written or read.
    #[error("{} is not the record of a part; remove its folder to build it again", path.display())]
    Record {
        /// The record.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A file of a built part is not what was built.
    #[error("{} is not as it was built; remove its part's folder to build it again", .0.display())]
    Damaged(PathBuf),
}

/// What building needs: a store, this program, and how many jobs to run.
#[expect(missing_debug_implementations, reason = "holds a function")]
#[derive(Clone, Copy)]
pub struct Workshop<'a> {
    /// Where parts are kept.
    pub store: &'a Store,
    /// A program whose `main` calls [`enter::dispatch`]: this one.
    pub exe: &'a Path,
    /// How many jobs a script may run at once.
    pub jobs: NonZeroUsize,
    /// Told the name and log of each part that is really built, before it is.
    pub announce: &'a (dyn Fn(&str, &Path) + Sync),
}

impl BuiltPart {
    /// The path of an output file, its bytes checked now against the record.
    ///
    /// # Errors
    /// [`PartError::Damaged`] when the record has no such file or the bytes have changed.
    pub fn file(&self, name: &str) -> Result<PartFile, PartError> {
        let path = self.dir.join(name);
        let Some(Entry::File { size, sha256, .. }) = self.outputs.entry(name) else {
            return Err(PartError::Damaged(path));
        };
        let read = File::open(&path).and_then(|mut file| Sha256::of_reader(&mut file));
        if read.map_err(failed("read", &path))? != (*sha256, *size) {
            return Err(PartError::Damaged(path));
        }
        Ok(PartFile {
            path,
            sha256: *sha256,
            size: *size,
        })
    }
}

impl Workshop<'_> {
    /// The part, if it has been built.
    ///
    /// # Errors
    /// [`PartError::Record`] when what is in the store is not a part.
    pub fn built(&self, part: &Part<'_>) -> Result<Option<BuiltPart>, PartError> {
        let key = part.recipe().key();
        self.store.part(key).map(|path| load(key, &path)).transpose()
    }

    /// The part, built now unless the store has it.
    ///
    /// # Errors
    /// [`PartError::Failed`] with the end of the log when the script failed; the others as they say.
    pub fn build(&self, part: &Part<'_>) -> Result<BuiltPart, PartError> {
        self.build_checked(part, |_| Ok(()))
    }

    /// The same; `check` looks at the folder of outputs before they become a part, and may refuse them.
    ///
    /// # Errors
    /// [`PartError`], or whatever `check` fails with.
    pub fn build_checked<E: From<PartError> + From<StoreError>>(
        &self,
        part: &Part<'_>,
        check: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<BuiltPart, E> {
        let recipe = part.recipe();
        let key = recipe.key();
        let path = self.store.part_or_build(key, |dir| {
            let out = dir.join("out");
            let work = self.store.scratch_path();
            let result = self.run(part, key, &work, &out);
            drop(remove_tree(&work));
            result?;
            let outputs = Listing::of_dir(&out).map_err(PartError::from)?;
            check_outputs(part, &outputs)?;
            check(&out)?;
            let path = dir.join("part.json");
            let record = serde_json::to_vec_pretty(&Record { recipe, outputs });
            let record = record.map_err(|source| PartError::Record {
                path: path.clone(),
                source,
            })?;
            Ok::<(), E>(file::write(&path, &record).map_err(PartError::from)?)
        })?;
        Ok(load(key, &path)?)
    }

    /// Runs the script; `work` is a folder to make and use, `out` one to make and fill.
    fn run(&self, part: &Part<'_>, key: Sha256, work: &Path, out: &Path) -> Result<(), PartError> {
        let (stage, build, texts) = (work.join("stage"), work.join("build"), work.join("texts"));
        let logs = self.store.root().join("logs");
        for dir in [&stage, &build, &texts, &logs, out] {
            fs::create_dir_all(dir).map_err(failed("create", dir))?;
        }
        let short: String = key.to_string().chars().take(12).collect();
        let log_path = logs.join(format!("{}-{short}.log", part.name));
        let mut log = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&log_path)
            .map_err(failed("create", &log_path))?;
        let bind = |host: &Path, inside: &str, writable| Bind {
            host: host.to_path_buf(),
            inside: inside.to_owned(),
            writable,
        };
        let mut binds = vec![bind(&build, "/build", true), bind(out, "/out", true)];
        let script = Source::Text(part.script.to_owned());
        let inputs = part
            .inputs
            .iter()
            .map(|(inside, source)| (inside.as_str(), source));
        for (n, (inside, source)) in inputs.chain([("/script", &script)]).enumerate() {
            match source {
                Source::File { host, .. } | Source::Dir { host, .. } => binds.push(bind(host, inside, false)),
                Source::Text(text) => {
                    let host = texts.join(n.to_string());
                    fs::write(&host, text).map_err(failed("write", &host))?;
                    binds.push(bind(&host, inside, false));
                }
            }
        }
        let mut held = Vec::new();
        for (inside, name) in &part.caches {
            held.push(self.store.lock(&format!("shared-{name}"))?);
            binds.push(bind(&self.store.shared_dir(name)?, inside, true));
        }
        let mut env = part.fixed_env();
        env.insert("JOBS".to_owned(), self.jobs.to_string());
        let job = Job {
            root: part.root.path.clone(),
            stage,
            binds,
            env,
            command: ["/bin/sh", "-eu", "/script"].map(str::to_owned).to_vec(),
            dir: "/build".to_owned(),
            limits: Limits::default(),
        };
        (self.announce)(part.name, &log_path);
        let result = enter::run(self.exe, &job, &log);
        drop(held);
        match result {
            Err(EnterError::Failed { status }) => Err(PartError::Failed {
                name: part.name.to_owned(),
                status,
                tail: tail(&mut log).map_err(failed("read", &log_path))?,
                log: log_path,
            }),
            other => other.map_err(|source| PartError::Enter {
                name: part.name.to_owned(),
                source,
            }),
        }
    }
}

fn load(key: Sha256, path: &Path) -> Result<BuiltPart, PartError> {
    let record = path.join("part.json");
    let bytes = fs::read(&record).map_err(failed("read", &record))?;
    let Record { outputs, .. } = serde_json::from_slice(&bytes).map_err(|source| PartError::Record {
        path: record.clone(),
        source,
    })?;
    Ok(BuiltPart {
        key,
        dir: path.join("out"),
        outputs,
    })
}

fn check_outputs(part: &Part<'_>, made: &Listing) -> Result<(), PartError> {
    let wrong = |path: &str, wrong| {
        Err(PartError::Outputs {
            name: part.name.to_owned(),
            path: path.to_owned(),
            wrong,
        })
    };
    for path in &part.outputs {
        if made.entry(path).is_none() {
            return wrong(path, "missing");
        }
    }
    let within = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    for (path, _) in made.iter() {
        let declared = |output: &String| path == output || within(path, output) || within(output, path);
        if !part.outputs.iter().any(declared) {
            return wrong(path, "not declared");
        }
    }
    Ok(())
}

/// The last lines of a log.
fn tail(log: &mut File) -> io::Result<String> {
    let length = log.metadata()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    log.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines
        .get(lines.len().saturating_sub(TAIL_LINES)..)
        .unwrap_or_default();
    Ok(last.join("\n"))
}

#[cfg(test)]
mod tests;
