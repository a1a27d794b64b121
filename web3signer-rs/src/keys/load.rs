//! Reading every source once. What has not changed since the last time is taken over as it is, so that a reload does not
//! decrypt ten thousand keystores again. Nothing is published here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::bulk::{self, Pair};
use super::config_file;
use super::decrypt::{self, Kitchen, Made, PasswordForm};
use super::document::Definition;
use super::entry::{LoadedKey, Origin};
use super::file::{self, Stamp};
use super::pool;
use super::report::{Problem, Progress, SourceCount, SourceError};
use super::settings::{Bulk, ConfigFolder, Effort};

/// A file that was used: its keys, and what it looked like then.
#[derive(Debug, Clone)]
pub(super) struct UsedFile {
    pub(super) keys: Vec<Arc<LoadedKey>>,
    /// The file itself and every file that it led to.
    pub(super) stamps: Vec<(Arc<Path>, Stamp)>,
}

impl UsedFile {
    fn is_unchanged(&self) -> bool {
        self.stamps
            .iter()
            .all(|(path, stamp)| Stamp::now(path) == Some(*stamp))
    }
}

/// The files of one source that gave keys, by path.
pub(super) type Files = BTreeMap<Arc<Path>, UsedFile>;

/// What one source gave.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) files: Files,
    pub(super) problems: Vec<Problem>,
    pub(super) unchanged: usize,
}

impl Source {
    fn unusable(path: &Path, error: SourceError) -> Self {
        Self {
            problems: vec![Problem {
                path: path.to_owned(),
                error,
            }],
            ..Self::default()
        }
    }

    pub(super) fn count(&self) -> SourceCount {
        let mut keys: Vec<_> = self
            .files
            .values()
            .flat_map(|file| &file.keys)
            .map(|key| key.public_key())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        SourceCount {
            keys_loaded: keys.len(),
            error_count: self.problems.len(),
        }
    }
}

/// How a load runs.
#[derive(Clone, Copy)]
pub(super) struct Loader<'a> {
    pub(super) effort: &'a Effort,
    pub(super) kitchen: Kitchen<'a>,
    pub(super) progress: &'a Counter<'a>,
}

/// Counts finished work and tells someone.
pub(super) struct Counter<'a> {
    done: AtomicUsize,
    total: AtomicUsize,
    tell: &'a (dyn Fn(Progress) + Sync),
}

impl<'a> Counter<'a> {
    pub(super) fn new(tell: &'a (dyn Fn(Progress) + Sync)) -> Self {
        Self {
            done: AtomicUsize::new(0),
            total: AtomicUsize::new(0),
            tell,
        }
    }

    fn expect(&self, more: usize) {
        self.total.fetch_add(more, Ordering::Relaxed);
    }

    fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        (self.tell)(Progress {
            done,
            total: self.total.load(Ordering::Relaxed),
        });
    }
}

/// A configuration file that was read, and what it asks for.
struct ReadFile {
    path: Arc<Path>,
    stamp: Stamp,
    definitions: Vec<(usize, Definition)>,
}

impl Loader<'_> {
    fn map<T: Sync, R: Send>(self, items: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
        self.progress.expect(items.len());
        pool::map(items, self.effort.threads, |item| {
            let result = each(item);
            self.progress.step();
            result
        })
    }

    /// The folder of key configuration files.
    pub(super) fn config(self, folder: &ConfigFolder, before: &Files) -> Source {
        let wanted = |name: &str| !name.starts_with('.') && bulk::has_extension(name, &["yaml", "yml"]);
        let paths = match file::list(&folder.path, wanted) {
            Ok(paths) => paths,
            Err(error) => return Source::unusable(&folder.path, error.into()),
        };
        let (mut source, paths) = unchanged(paths, |path| path, before);
        let read = self.map(&paths, |path| read_config(path, folder));
        let mut files = Vec::with_capacity(read.len());
        for (path, result) in paths.iter().zip(read) {
            match result {
                Ok(file) => files.push(file),
                Err(error) => source.problems.push(Problem {
                    path: path.clone(),
                    error,
                }),
            }
        }
        // One flat list, so that one file with ten thousand keys and ten thousand files with one each go the same way.
        let work: Vec<(usize, usize, &Definition)> = files
            .iter()
            .enumerate()
            .flat_map(|(file, read)| {
                read.definitions
                    .iter()
                    .map(move |(document, what)| (file, *document, what))
            })
            .collect();
        let made = self.map(&work, |(_, _, definition)| {
            decrypt::define(definition, self.kitchen)
        });
        let mut outcomes: Vec<Result<UsedFile, SourceError>> = files
            .iter()
            .map(|read| {
                Ok(UsedFile {
                    keys: Vec::new(),
                    stamps: vec![(Arc::clone(&read.path), read.stamp)],
                })
            })
            .collect();
        for ((file, document, definition), result) in work.iter().zip(made) {
            let Some(outcome) = outcomes.get_mut(*file) else {
                continue;
            };
            let Ok(used) = outcome else { continue };
            match result {
                Ok(made) => used.add(made, definition),
                Err(source) => {
                    *outcome = Err(SourceError::Document {
                        document: *document,
                        source,
                    });
                }
            }
        }
        for (read, outcome) in files.iter().zip(outcomes) {
            source.add(&read.path, outcome);
        }
        source.problems.sort_by(|a, b| a.path.cmp(&b.path));
        source
    }

    /// The folder of keystores.
    pub(super) fn bulk(self, bulk: &Bulk, before: &Files) -> Source {
        let pairs = match bulk::pairs(bulk) {
            Ok(pairs) => pairs,
            Err(error) => return Source::unusable(&bulk.keystores, error),
        };
        // One password for all that cannot be read is one fault, not ten thousand.
        if let Some(super::BulkPasswords::File(path)) = &bulk.passwords
            && let Err(error) = decrypt::read_password(path, PasswordForm::WholeFile)
        {
            return Source::unusable(path, error.into());
        }
        let (mut source, pairs) = unchanged(pairs, |pair| &pair.keystore, before);
        let made = self.map(&pairs, |pair| self.pair(pair));
        for (pair, result) in pairs.iter().zip(made) {
            source.add(&Arc::from(pair.keystore.as_path()), result);
        }
        source
    }

    fn pair(self, pair: &Pair) -> Result<UsedFile, SourceError> {
        let (password, password_stamp) = decrypt::read_password(&pair.password, PasswordForm::WholeFile)?;
        let Made { key, stamps } = decrypt::open_file(&pair.keystore, &password, Origin::Bulk, self.kitchen)?;
        let path: Arc<Path> = Arc::from(pair.keystore.as_path());
        let mut stamps: Vec<_> = stamps
            .into_iter()
            .map(|stamp| (Arc::clone(&path), stamp))
            .collect();
        stamps.push((Arc::from(pair.password.as_path()), password_stamp));
        Ok(UsedFile {
            keys: vec![Arc::new(key.with_file(Some(path)))],
            stamps,
        })
    }
}

impl UsedFile {
    fn add(&mut self, made: Made, definition: &Definition) {
        if let Definition::Keystore { keystore, password } = definition {
            let paths = [keystore, password].map(|path| Arc::from(path.as_path()));
            self.stamps.extend(paths.into_iter().zip(made.stamps));
        }
        let file = self.stamps.first().map(|(path, _)| Arc::clone(path));
        self.keys.push(Arc::new(made.key.with_file(file)));
    }
}

impl Source {
    fn add(&mut self, path: &Arc<Path>, outcome: Result<UsedFile, SourceError>) {
        match outcome {
            Ok(used) => {
                self.files.insert(Arc::clone(path), used);
            }
            Err(error) => self.problems.push(Problem {
                path: path.to_path_buf(),
                error,
            }),
        }
    }
}

/// Takes over what has not changed; hands back the rest.
fn unchanged<T>(items: Vec<T>, path: impl Fn(&T) -> &PathBuf, before: &Files) -> (Source, Vec<T>) {
    let mut source = Source::default();
    let mut rest = Vec::new();
    for item in items {
        match before.get_key_value(path(&item).as_path()) {
            Some((path, used)) if used.is_unchanged() => {
                source.files.insert(Arc::clone(path), used.clone());
                source.unchanged = source.unchanged.saturating_add(1);
            }
            _ => rest.push(item),
        }
    }
    (source, rest)
}

fn read_config(path: &Path, folder: &ConfigFolder) -> Result<ReadFile, SourceError> {
    let (yaml, stamp) = file::read(path, folder.max_file_bytes)?;
    let definitions = config_file::parse(&yaml, &folder.path)?;
    Ok(ReadFile {
        path: Arc::from(path),
        stamp,
        definitions,
    })
}
