//! The image manifest, checked: what is in an image and how it starts.
//!
//! [`raw`] is the file's schema, [`Tarball`]s are releases of other projects, [`accounts`] resolves users and groups, [`policy`] makes the image policy, [`table`] makes PID 1's service table.
//! A [`Manifest`] is only made by [`Manifest::load`], so holding one means that every key was known, every path
//! normal, every account defined and every service allowed.

pub mod accounts;
pub mod policy;
pub mod raw;
mod release;
pub mod table;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glob::Pattern;

use crate::ramdisk::ZSTD_LEVELS;
use crate::request::Request;
use crate::tree::{BadPath, Node, TreePath};
use accounts::Accounts;
use raw::{RawFile, RawManifest};

pub use release::{Member, Tarball};

/// The schema version that this builder reads.
pub const SCHEMA: u32 = 1;

/// Largest manifest, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct ManifestError {
    /// The manifest.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub fault: Fault,
}

/// What is wrong in a manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It, or a file that it names, cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// Not TOML, an unknown key, a missing key or a wrong type; the text names line and key.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// Written for another version of the schema.
    #[error("schema is {actual}, this eif-builder reads {SCHEMA}")]
    Schema {
        /// What the manifest says.
        actual: u32,
    },
    /// A value is not allowed.
    #[error("{key} is `{actual}`: expected {expected}")]
    Value {
        /// Which key.
        key: String,
        /// Its value, shortened.
        actual: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A user or group that the manifest does not define.
    #[error("{key} names `{name}`, which no [[{table}]] defines")]
    NoAccount {
        /// Which key.
        key: String,
        /// The name.
        name: String,
        /// `user` or `group`.
        table: &'static str,
    },
    /// A path in the image is malformed.
    #[error("{key}: {source}")]
    Path {
        /// Which key.
        key: String,
        /// Which rule it breaks.
        source: BadPath,
    },
    /// The service table breaks a rule of PID 1's.
    #[error(transparent)]
    Table(#[from] services::RuleError),
    /// `[deployment]` is no deployment config.
    #[error("[deployment]: {0}")]
    Deployment(#[from] control::config::ConfigError),
    /// The image policy breaks a rule.
    #[error(transparent)]
    Policy(#[from] control::policy::PolicyError),
    /// A seccomp filter cannot be compiled.
    #[error("seccomp filter {}: {reason}", path.display())]
    Seccomp {
        /// Which file.
        path: PathBuf,
        /// The compiler's reason.
        reason: String,
    },
}

/// A checked manifest.
#[derive(Debug)]
pub struct Manifest {
    /// The file it came from.
    pub path: PathBuf,
    /// Names the output files; lower-case letters, digits and `-`.
    pub name: String,
    /// Free text.
    pub version: String,
    /// Bytes of memory for the EIF header.
    pub memory_bytes: u64,
    /// CPUs for the EIF header.
    pub cpus: u64,
    /// The kernel's command line.
    pub command_line: String,
    /// Level for the ramdisks, within [`ZSTD_LEVELS`].
    pub zstd_level: i32,
    /// What the lock beside the manifest must answer.
    pub inputs: Request,
    /// Which packaged files enter.
    pub filter: Filter,
    /// The workspace member that becomes `/init`.
    pub init_package: String,
    /// Programs of this workspace.
    pub programs: Vec<Program>,
    /// Users and groups.
    pub accounts: Accounts,
    /// Declared folders, files and links, checked but not yet read.
    pub nodes: Vec<(TreePath, DeclaredNode)>,
    /// Files joined from packaged files.
    pub concatenations: Vec<(TreePath, Vec<Pattern>)>,
    /// Releases of other projects.
    pub tarballs: Vec<Tarball>,
    /// Files out of archives of the image.
    pub members: Vec<Member>,
    /// Argument files with Java's class path: where, and the patterns of what is in it.
    pub classpaths: Vec<(TreePath, Vec<Pattern>)>,
    /// PID 1's table.
    pub table: services::Table,
    /// Every file that it names, whatever for.
    pub sources: BTreeSet<PathBuf>,
    /// What the agent and `provision` read; `None` in an image without an agent.
    pub policy: Option<control::policy::ImagePolicy>,
}

/// A program of this workspace in the image.
#[derive(Clone, Debug)]
pub struct Program {
    /// Which.
    pub name: ProgramName,
    /// Where it goes.
    pub path: TreePath,
}

/// A program of this workspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProgramName {
    /// The workspace member.
    pub package: String,
    /// The binary of it.
    pub bin: String,
}

/// A folder, file or link of the manifest.
#[derive(Debug)]
pub enum DeclaredNode {
    /// Complete as it is.
    Here(Node),
    /// A file whose bytes are read when the tree is made.
    Source {
        /// Where the bytes are.
        path: PathBuf,
        /// Permission bits, user id, group id.
        mode_and_owner: (u16, u32, u32),
    },
}

/// Which packaged files enter the image.
#[derive(Debug)]
pub struct Filter {
    keep: Option<Vec<Pattern>>,
    drop: Vec<Pattern>,
}

impl Filter {
    fn new(table: &str, keep: Option<&[String]>, drop: &[String]) -> Result<Self, Fault> {
        let keep = keep.map(|keep| patterns(&format!("{table}.keep"), keep));
        Ok(Self {
            keep: keep.transpose()?,
            drop: patterns(&format!("{table}.drop"), drop)?,
        })
    }

    /// Whether the file or link at this path (with its leading `/`) enters. Folders enter when something in them does.
    #[must_use]
    pub fn admits(&self, path: &str) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|p| matches(p, path));
        self.keep.as_deref().is_none_or(any) && !any(&self.drop)
    }
}

/// Whether a path matches: `*` and `?` stay within one component, `**` does not.
#[must_use]
pub fn matches(pattern: &Pattern, path: &str) -> bool {
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: false,
    };
    pattern.matches_with(path, options)
}

impl Manifest {
    /// Reads and checks the manifest at `path`.
    ///
    /// # Errors
    /// [`ManifestError`] with the first [`Fault`].
    pub fn load(path: &Path) -> Result<Self, ManifestError> {
        let load = || {
            let text = read_bounded(path)?;
            let raw: RawManifest = toml::from_str(&text)?;
            check(path, raw)
        };
        load().map_err(|fault| ManifestError {
            path: path.to_path_buf(),
            fault,
        })
    }

    /// The lock beside the manifest: the same name with the extension `lock`.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        self.path.with_extension("lock")
    }
}

fn read_bounded(path: &Path) -> Result<String, Fault> {
    let fail = |source| Fault::Read {
        path: path.to_path_buf(),
        source,
    };
    let size = fs::metadata(path).map_err(fail)?.len();
    if size > MAX_BYTES {
        return Err(fail(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{size} bytes, at most {MAX_BYTES}"),
        )));
    }
    fs::read_to_string(path).map_err(fail)
}

fn check(path: &Path, raw: RawManifest) -> Result<Manifest, Fault> {
    if raw.schema != SCHEMA {
        return Err(Fault::Schema { actual: raw.schema });
    }
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let accounts = Accounts::new(&raw.groups, &raw.users)?;
    let image = check_image(&raw)?;
    let table = table::build(&raw, &accounts, folder)?;
    let policy = policy::build(&raw, &table, folder)?;
    let nodes = check_nodes(&raw, &accounts, folder)?;
    let mut programs = Vec::new();
    for program in &raw.programs {
        let package = program.package.clone();
        let bin = program.bin.clone().unwrap_or_else(|| package.clone());
        programs.push(Program {
            name: ProgramName { package, bin },
            path: tree_path("program.path", &program.path)?,
        });
    }
    let mut concatenations = Vec::new();
    for entry in &raw.concatenations {
        let patterns = patterns("concatenation.from", &entry.from)?;
        concatenations.push((tree_path("concatenation.path", &entry.path)?, patterns));
    }
    let mut classpaths = Vec::new();
    for entry in &raw.classpaths {
        let patterns = patterns("classpath.from", &entry.from)?;
        classpaths.push((tree_path("classpath.path", &entry.path)?, patterns));
    }
    let tarballs = release::tarballs(&raw)?;
    let members = raw
        .members
        .iter()
        .map(release::member)
        .collect::<Result<_, _>>()?;
    let sources = raw.named_files().map(|name| folder.join(name)).collect();
    Ok(Manifest {
        path: path.to_path_buf(),
        name: image.name,
        version: image.version,
        memory_bytes: image.memory_bytes,
        cpus: raw.image.cpus,
        command_line: raw.kernel.command_line,
        zstd_level: raw.ramdisk.zstd_level,
        inputs: raw.inputs,
        filter: Filter::new("packages", raw.packages.keep.as_deref(), &raw.packages.drop)?,
        init_package: raw.init.program,
        programs,
        accounts,
        nodes,
        concatenations,
        tarballs,
        members,
        classpaths,
        table,
        sources,
        policy,
    })
}

struct Image {
    name: String,
    version: String,
    memory_bytes: u64,
}

fn check_image(raw: &RawManifest) -> Result<Image, Fault> {
    let image = &raw.image;
    let name_ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if image.name.is_empty() || image.name.len() > 64 || !image.name.bytes().all(name_ok) {
        return Err(value("image.name", &image.name, "1 to 64 of a-z, 0-9 and -"));
    }
    if image.version.is_empty() || image.version.len() > 128 || image.version.chars().any(char::is_control) {
        return Err(value(
            "image.version",
            &image.version,
            "1 to 128 characters, none of them control",
        ));
    }
    if image.architecture != "x86_64" {
        return Err(value("image.architecture", &image.architecture, "`x86_64`"));
    }
    let memory_bytes = (64..=16 * 1024 * 1024)
        .contains(&image.memory_mib)
        .then_some(image.memory_mib << 20);
    let memory_bytes = memory_bytes.ok_or_else(|| {
        value(
            "image.memory_mib",
            &image.memory_mib.to_string(),
            "64 to 16777216",
        )
    })?;
    if !(1..=1024).contains(&image.cpus) {
        return Err(value("image.cpus", &image.cpus.to_string(), "1 to 1024"));
    }
    let line = &raw.kernel.command_line;
    // COMMAND_LINE_SIZE of x86 is 2048 with its NUL; QEMU and Nitro append their devices to it.
    if line.is_empty() || line.len() > 1024 || line.bytes().any(|b| !(0x20..0x7f).contains(&b)) {
        return Err(value(
            "kernel.command_line",
            line,
            "1 to 1024 printable ASCII characters",
        ));
    }
    if !ZSTD_LEVELS.contains(&raw.ramdisk.zstd_level) {
        return Err(value(
            "ramdisk.zstd_level",
            &raw.ramdisk.zstd_level.to_string(),
            "1 to 19",
        ));
    }
    Ok(Image {
        name: image.name.clone(),
        version: image.version.clone(),
        memory_bytes,
    })
}

fn check_nodes(
    raw: &RawManifest,
    accounts: &Accounts,
    folder: &Path,
) -> Result<Vec<(TreePath, DeclaredNode)>, Fault> {
    let mut nodes = Vec::new();
    for dir in &raw.directories {
        let (uid, gid) = accounts.owner("directory", dir.user.as_deref(), dir.group.as_deref())?;
        let node = Node::dir(octal("directory.mode", &dir.mode, 0o1777)?).owned_by(uid, gid);
        nodes.push((tree_path("directory.path", &dir.path)?, DeclaredNode::Here(node)));
    }
    for file in &raw.files {
        let owner = accounts.owner("file", file.user.as_deref(), file.group.as_deref())?;
        nodes.push((
            tree_path("file.path", &file.path)?,
            check_file(file, owner, folder)?,
        ));
    }
    for link in &raw.links {
        if link.target.is_empty() || link.target.len() > 4000 || link.target.contains('\0') {
            return Err(value("link.target", &link.target, "1 to 4000 bytes without NUL"));
        }
        nodes.push((
            tree_path("link.path", &link.path)?,
            DeclaredNode::Here(Node::link(&link.target)),
        ));
    }
    Ok(nodes)
}

fn check_file(file: &RawFile, (uid, gid): (u32, u32), folder: &Path) -> Result<DeclaredNode, Fault> {
    let mode = octal("file.mode", &file.mode, 0o777)?;
    match (&file.source, &file.text) {
        (Some(source), None) => {
            let path = folder.join(source_path("file.source", source)?);
            Ok(DeclaredNode::Source {
                path,
                mode_and_owner: (mode, uid, gid),
            })
        }
        (None, Some(text)) => {
            let node = Node::file(text.clone().into_bytes(), mode).owned_by(uid, gid);
            Ok(DeclaredNode::Here(node))
        }
        _ => Err(value(
            "file.path",
            &file.path,
            "exactly one of `source` and `text` beside it",
        )),
    }
}

fn value(key: &str, actual: &str, expected: &'static str) -> Fault {
    Fault::Value {
        key: key.to_owned(),
        actual: actual.chars().take(120).collect(),
        expected,
    }
}

fn tree_path(key: &str, path: &str) -> Result<TreePath, Fault> {
    TreePath::new(path).map_err(|source| Fault::Path {
        key: key.to_owned(),
        source,
    })
}

/// A path of the source tree: relative; `..` is allowed at the start only, so that manifests can share files.
fn source_path(key: &str, path: &str) -> Result<PathBuf, Fault> {
    let inner = path.trim_start_matches("../");
    let normal = !inner.is_empty() && inner.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if !normal || path.contains('\0') {
        return Err(value(
            key,
            path,
            "a relative path without empty or `.` components",
        ));
    }
    Ok(PathBuf::from(path))
}

fn octal(key: &str, text: &str, most: u16) -> Result<u16, Fault> {
    let digits = text.len() >= 3 && text.len() <= 5 && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let mode = if digits {
        u16::from_str_radix(text, 8).ok()
    } else {
        None
    };
    mode.filter(|mode| *mode <= most).ok_or_else(|| {
        value(
            key,
            text,
            "3 to 5 octal digits in quotes, without setuid or setgid",
        )
    })
}

fn patterns(key: &str, texts: &[String]) -> Result<Vec<Pattern>, Fault> {
    let parse = |text: &String| {
        let pattern = Pattern::new(text).ok().filter(|_| text.starts_with('/'));
        pattern.ok_or_else(|| {
            value(
                key,
                text,
                "a pattern that starts with `/` (`*`, `?`, `[…]`, `**`)",
            )
        })
    };
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests;
