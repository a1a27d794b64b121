//! Everything that the page shows about one image, read within bounds and checked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use control::policy::ImagePolicy;
use eif::{EifError, EifFile, SectionKind};
use serde_json::Value;
use services::Table;

use super::materials::{self, Materials};
use crate::cpio_read::{Budget, EntryKind};
use crate::describe::{self, DescribeError, Description, Metadata};
use crate::digest::Sha256;
use crate::file::{FileError, failed};
use crate::initramfs;
use crate::pick::Picker;

/// Largest kernel configuration that is read. A full one of a distribution has 300 KiB.
const MAX_CONFIG_BYTES: u64 = 4 << 20;
/// Files of the app ramdisk that are looked at.
const PASSWD: &str = "/etc/passwd";

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FactsError {
    /// The image cannot be described.
    #[error(transparent)]
    Describe(#[from] DescribeError),
    /// The image changed while it was read.
    #[error("{} cannot be read again", path.display())]
    Image {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: EifError,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] FileError),
    /// A file that was named by hand is not of this image.
    #[error("{} cannot be shown", path.display())]
    Materials {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: materials::MaterialsError,
    },
}

/// A file or another thing that a ramdisk unpacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFact {
    /// Which ramdisk, counted from 0.
    pub ramdisk: usize,
    /// Its path, printable, with a leading `/`.
    pub path: String,
    /// Bytes of content.
    pub size: u64,
    /// Permission bits.
    pub mode: u16,
    /// User and group.
    pub owner: (u32, u32),
    /// SHA-256 of a regular file's content; else what it is instead.
    pub content: Result<Sha256, String>,
}

/// Something that was looked for in the image: absent, readable, or there and wrong.
#[derive(Clone, Debug)]
pub enum Found<T> {
    /// It is not there.
    Absent,
    /// It is there and sound.
    Is(Box<T>),
    /// It is there, but not what it should be.
    Wrong(String),
}

/// An image.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its file's name.
    pub file: String,
    /// SHA-256 of the whole file.
    pub sha256: Sha256,
    /// What its bytes say.
    pub description: Description,
    /// Everything in its ramdisks, in their order.
    pub files: Vec<FileFact>,
    /// PID 1's table.
    pub services: Found<Table>,
    /// The image policy.
    pub policy: Found<ImagePolicy>,
    /// Names of users by their ids.
    pub users: BTreeMap<u32, String>,
    /// The bill of materials.
    pub materials: Option<Materials>,
    /// The kernel's configuration: option to value.
    pub kernel: Option<BTreeMap<String, String>>,
    /// What was left out and why.
    pub notes: Vec<String>,
}

/// Files that are named by hand instead of being looked for beside the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// The `CycloneDX` document.
    pub materials: Option<PathBuf>,
    /// The kernel's configuration.
    pub kernel_config: Option<PathBuf>,
}

impl Facts {
    /// Reads the image at `path` and what lies beside it.
    ///
    /// # Errors
    /// [`FactsError`]. A file beside it that is of another image is an error only when it was named.
    pub fn read(path: &Path, beside: &Beside) -> Result<Self, FactsError> {
        let description = describe::describe(path)?;
        let (sha256, _) = File::open(path)
            .and_then(|mut file| Sha256::of_reader(&mut file))
            .map_err(failed("read", path))?;
        let inner = inner(path)?;
        let mut facts = Self {
            file: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            sha256,
            files: files(&description),
            services: parsed(inner.get(services::PATH), |bytes| {
                Table::decode(bytes).map_err(|error| error.to_string())
            }),
            policy: parsed(inner.get(control::policy::PATH), |bytes| {
                ImagePolicy::parse(bytes).map_err(|error| error.to_string())
            }),
            users: users(inner.get(PASSWD).map(Vec::as_slice).unwrap_or_default()),
            description,
            materials: None,
            kernel: None,
            notes: Vec::new(),
        };
        facts.read_materials(path, beside)?;
        facts.read_config(path, beside)?;
        Ok(facts)
    }

    fn read_materials(&mut self, image: &Path, beside: &Beside) -> Result<(), FactsError> {
        let path = beside
            .materials
            .clone()
            .unwrap_or_else(|| image.with_extension("cdx.json"));
        let Some(bytes) = read(&path, materials::MAX_BYTES, beside.materials.is_some())? else {
            self.notes
                .push("No bill of materials lies beside the image: packages are not known.".to_owned());
            return Ok(());
        };
        match materials::read(&bytes, &self.registers()) {
            Ok(materials) => self.materials = Some(materials),
            Err(source) if beside.materials.is_some() => return Err(FactsError::Materials { path, source }),
            Err(error) => self.notes.push(format!(
                "The bill of materials beside the image is not shown: {error}."
            )),
        }
        Ok(())
    }

    fn read_config(&mut self, image: &Path, beside: &Beside) -> Result<(), FactsError> {
        let path = beside
            .kernel_config
            .clone()
            .unwrap_or_else(|| image.with_extension("kernel.config"));
        let Some(bytes) = read(&path, MAX_CONFIG_BYTES, beside.kernel_config.is_some())? else {
            self.notes.push(
                "The kernel's configuration does not lie beside the image: its hardening is not known."
                    .to_owned(),
            );
            return Ok(());
        };
        let named = self
            .materials
            .as_ref()
            .and_then(|materials| materials.config_sha256.as_deref());
        let tied = named == Some(Sha256::of(&bytes).to_string().as_str());
        if tied || beside.kernel_config.is_some() {
            self.kernel = Some(options(&String::from_utf8_lossy(&bytes)));
        }
        if !tied {
            let what = if beside.kernel_config.is_some() {
                "was given by hand"
            } else {
                "is not shown"
            };
            self.notes.push(format!(
                "The kernel's configuration {what}: the bill of materials does not tie it to this image."
            ));
        }
        Ok(())
    }

    /// Name and version from the metadata, or the file's name.
    #[must_use]
    pub fn title(&self) -> String {
        let text = |key: &str| match &self.description.metadata {
            Some(Metadata::Json(json)) => json
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            _ => String::new(),
        };
        let name = text("ImageName");
        if name.is_empty() {
            return self.file.clone();
        }
        format!("{name} {}", text("ImageVersion"))
            .trim_end()
            .chars()
            .take(120)
            .collect()
    }

    /// The registers, in order.
    #[must_use]
    pub fn registers(&self) -> Vec<(&'static str, &str)> {
        let all = ["PCR0", "PCR1", "PCR2", "PCR8"];
        let value = |name| self.description.measurements.get(name).and_then(Value::as_str);
        all.into_iter()
            .filter_map(|name| Some((name, value(name)?)))
            .collect()
    }

    /// What weakens trust, by its name in the manifest.
    #[must_use]
    pub fn weakened(&self) -> Vec<&'static str> {
        match &self.policy {
            Found::Is(policy) => policy.trust.weakened(),
            Found::Absent | Found::Wrong(_) => Vec::new(),
        }
    }
}

fn files(description: &Description) -> Vec<FileFact> {
    let mut files = Vec::new();
    for (ramdisk, disk) in description.ramdisks.iter().enumerate() {
        for entry in disk.segments.iter().flat_map(|segment| &segment.entries) {
            let other = |what: &str| Err(what.to_owned());
            let content = match &entry.kind {
                EntryKind::File { sha256 } => Ok(*sha256),
                EntryKind::Directory => other("folder"),
                EntryKind::Symlink { target } => Err(format!("link to {target}")),
                EntryKind::CharDevice { major, minor } => Err(format!("character device {major}:{minor}")),
                EntryKind::BlockDevice { major, minor } => Err(format!("block device {major}:{minor}")),
                EntryKind::Fifo => other("pipe"),
                EntryKind::Socket => other("socket"),
                EntryKind::Unknown => other("nothing the kernel knows"),
            };
            files.push(FileFact {
                ramdisk,
                path: rooted(&entry.path),
                size: entry.size.into(),
                mode: entry.mode,
                owner: (entry.uid, entry.gid),
                content,
            });
        }
    }
    files
}

fn rooted(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    format!("/{}", path.trim_start_matches('/'))
}

fn parsed<T>(bytes: Option<&Vec<u8>>, parse: impl FnOnce(&[u8]) -> Result<T, String>) -> Found<T> {
    match bytes.map(|bytes| parse(bytes)) {
        None => Found::Absent,
        Some(Ok(value)) => Found::Is(Box::new(value)),
        Some(Err(reason)) => Found::Wrong(reason),
    }
}

/// Contents of the few files that the page explains, by their path in the app root.
fn inner(path: &Path) -> Result<BTreeMap<&'static str, Vec<u8>>, FactsError> {
    let fail = |source| FactsError::Image {
        path: path.to_path_buf(),
        source,
    };
    let mut image = EifFile::open(File::open(path).map_err(failed("read", path))?).map_err(fail)?;
    let mut picked = Picker::new(&[services::PATH, control::policy::PATH, PASSWD]);
    let mut budget = Budget::default();
    for index in 0..image.sections().len() {
        let kind = image.sections().get(index).map(|section| section.kind);
        if kind == Some(SectionKind::Ramdisk) {
            let mut reader = image.section_reader(index).map_err(fail)?;
            // What goes wrong in it is told by the description.
            drop(initramfs::walk(&mut reader, &mut budget, &mut picked));
        }
    }
    Ok(picked.found())
}

fn users(passwd: &[u8]) -> BTreeMap<u32, String> {
    let text = String::from_utf8_lossy(passwd);
    let line = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let id = fields.nth(1)?.parse().ok()?;
        Some((id, name))
    };
    text.lines().filter_map(line).collect()
}

/// Options of a kernel configuration. What is not set has the value `n`.
fn options(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let line = line.trim_end();
        if let Some(name) = line
            .strip_prefix("# ")
            .and_then(|line| line.strip_suffix(" is not set"))
        {
            return Some((name.to_owned(), "n".to_owned()));
        }
        let (name, value) = line.split_once('=')?;
        name.starts_with("CONFIG_")
            .then(|| (name.to_owned(), value.trim_matches('"').to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// A file beside the image; `None` when it is not there and nobody named it.
fn read(path: &Path, limit: u64, named: bool) -> Result<Option<Vec<u8>>, FactsError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !named => return Ok(None),
        other => other.map_err(failed("read", path))?,
    };
    let mut bytes = Vec::new();
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(failed("read", path))?;
    if bytes.len() as u64 > limit {
        let source = io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {limit} bytes"),
        );
        return Err(failed("read", path)(source).into());
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_configuration() {
        let options = options(
            "#\n# Automatically generated\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"x y\"\nNOISE=1\n",
        );
        let pairs: Vec<_> = options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("CONFIG_A", "y"), ("CONFIG_B", "n"), ("CONFIG_C", "x y")]);
    }

    #[test]
    fn users_of_passwd() {
        let users = users(b"root:x:0:0::/:\nbad\nagent:x:101:101::/:/x\n:::\n");
        assert_eq!(users.get(&101).map(String::as_str), Some("agent"));
        assert_eq!(users.len(), 2);
    }

    #[test]
    fn paths_get_one_root() {
        for (path, expected) in [
            ("a", "/a"),
            ("./a", "/a"),
            ("/a", "/a"),
            ("//a", "/a"),
            (".", "/."),
        ] {
            assert_eq!(rooted(path), expected);
        }
    }
}
