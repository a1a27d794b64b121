//! The app ramdisk's root: declared nodes, programs, filtered packages and releases, accounts and PID 1's table in one [`Tree`].

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::jar::{self, JarError};
use crate::manifest::{DeclaredNode, Filter, Manifest, Program, ProgramName, matches};
use crate::tree::{BadPath, Content, Kind, Node, Tree, TreeError, TreePath};

/// Folders that PID 1 mounts on. They are in every image, so no manifest has to know them.
const MOUNT_POINTS: [(&str, u16); 5] = [
    ("/dev", 0o755),
    ("/proc", 0o555),
    ("/run", 0o755),
    ("/sys", 0o555),
    ("/tmp", 0o1777),
];

/// Why a root could not be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootfsError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// Two nodes at one path, or a file where a folder must be.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A malformed path.
    #[error(transparent)]
    Path(#[from] BadPath),
    /// A file's name is not UTF-8.
    #[error("{}: its name is not UTF-8", path.display())]
    NotUtf8 {
        /// Which.
        path: PathBuf,
    },
    /// What was extracted is no file, folder or link.
    #[error("{path} (extracted) is no file, folder or link")]
    Special {
        /// Which.
        path: TreePath,
    },
    /// A pattern of a concatenation matches nothing.
    #[error("{path}: `{pattern}` matches no file of the packages")]
    NoMatch {
        /// The concatenation.
        path: TreePath,
        /// The pattern.
        pattern: String,
    },
    /// A file cannot be taken out of an archive, or a class path cannot be written.
    #[error("{path}: {reason}")]
    Jar {
        /// What was to be made.
        path: TreePath,
        /// Why it cannot be.
        #[source]
        reason: JarError,
    },
    /// A release of the manifest was not unpacked.
    #[error("the release {0} was not unpacked")]
    NotUnpacked(String),
    /// The service table breaks a rule.
    #[error("cannot encode PID 1's service table")]
    Table(#[from] services::EncodeError),
    /// The image policy has no text; never.
    #[error("cannot write the image policy")]
    Policy(#[from] control::canonical::CanonicalError),
    /// A program of the manifest was not built.
    #[error("program {} of {} was not built", .0.bin, .0.package)]
    NotBuilt(ProgramName),
    /// A service's program is not in the image, or cannot be executed.
    #[error("service {service} starts {program}, {reason}")]
    Program {
        /// The service.
        service: String,
        /// Its argument 0.
        program: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Puts the root together. `programs` has the built binary of each program that the manifest names; `packages` is the folder that the locked packages were extracted to, if there are any; `tarballs`
/// has the folder of each release by the name of its download.
///
/// # Errors
/// [`RootfsError`]; nothing has been written.
pub fn build(
    manifest: &Manifest,
    programs: &BTreeMap<ProgramName, PathBuf>,
    packages: Option<&Path>,
    tarballs: &BTreeMap<String, PathBuf>,
) -> Result<Tree, RootfsError> {
    let mut tree = Tree::new();
    for (path, mode) in MOUNT_POINTS {
        tree.add(TreePath::new(path)?, Node::dir(mode), "PID 1's mounts")?;
    }
    for (path, node) in &manifest.nodes {
        tree.add(path.clone(), declared(node)?, "the manifest")?;
    }
    for mount in manifest.table.mounts.keys() {
        let path = TreePath::new(&String::from_utf8_lossy(mount))?;
        if !under_mount_point(&path) {
            tree.add(path, Node::dir(0o755), "a [[tmpfs]]")?;
        }
    }
    add_generated(&mut tree, manifest)?;
    for Program { name, path } in &manifest.programs {
        let binary = programs
            .get(name)
            .ok_or_else(|| RootfsError::NotBuilt(name.clone()))?;
        let origin = format!("program {} of {}", name.bin, name.package);
        tree.add(path.clone(), file_node(binary, 0o755)?, &origin)?;
    }
    let found = packages.map(walk).transpose()?.unwrap_or_default();
    add_found(&mut tree, &found, &manifest.filter, None, "the packages")?;
    add_concatenations(&mut tree, manifest, &found)?;
    for release in &manifest.tarballs {
        let folder = tarballs.get(&release.download);
        let folder = folder.ok_or_else(|| RootfsError::NotUnpacked(release.download.clone()))?;
        let origin = format!("the release {}", release.download);
        add_found(
            &mut tree,
            &walk(folder)?,
            &release.filter,
            Some(&release.path),
            &origin,
        )?;
    }
    add_from_archives(&mut tree, manifest)?;
    check_programs(manifest, &tree)?;
    Ok(tree)
}

/// What lies below a place that PID 1 mounts over would never be seen: PID 1 makes those folders itself.
fn under_mount_point(path: &TreePath) -> bool {
    MOUNT_POINTS.iter().any(|(point, _)| {
        path.as_str()
            .strip_prefix(point)
            .is_some_and(|r| r.starts_with('/'))
    })
}

fn declared(node: &DeclaredNode) -> Result<Node, RootfsError> {
    match node {
        DeclaredNode::Here(node) => Ok(node.clone()),
        DeclaredNode::Source {
            path,
            mode_and_owner: (mode, uid, gid),
        } => Ok(file_node(path, *mode)?.owned_by(*uid, *gid)),
    }
}

/// A file node for `path`, following links: what counts is the content.
fn file_node(path: &Path, mode: u16) -> Result<Node, RootfsError> {
    let fail = |source| RootfsError::Read {
        path: path.to_path_buf(),
        source,
    };
    let meta = fs::metadata(path).map_err(fail)?;
    if !meta.is_file() {
        return Err(fail(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        )));
    }
    Ok(Node::file(
        Content::File {
            path: path.to_path_buf(),
            size: meta.len(),
        },
        mode,
    ))
}

fn add_generated(tree: &mut Tree, manifest: &Manifest) -> Result<(), RootfsError> {
    let files = [
        (services::PATH, manifest.table.encode()?),
        ("/etc/passwd", manifest.accounts.passwd().into_bytes()),
        ("/etc/group", manifest.accounts.group_file().into_bytes()),
    ];
    if let Some(policy) = &manifest.policy {
        let text = policy.canonical()?.into_bytes();
        let path = TreePath::new(control::policy::PATH)?;
        tree.add(path, Node::file(text, 0o444), "eif-builder")?;
    }
    for (path, bytes) in files {
        tree.add(TreePath::new(path)?, Node::file(bytes, 0o444), "eif-builder")?;
    }
    Ok(())
}

/// Every packaged file, link and folder, sorted, with where it is on this machine.
fn walk(root: &Path) -> Result<BTreeMap<TreePath, PathBuf>, RootfsError> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let fail = |source| RootfsError::Read {
            path: folder.clone(),
            source,
        };
        #[expect(clippy::disallowed_methods, reason = "sorted by the map")]
        let entries = fs::read_dir(&folder).map_err(fail)?;
        for entry in entries {
            let path = entry.map_err(fail)?.path();
            let not_utf8 = || RootfsError::NotUtf8 { path: path.clone() };
            let inner = path
                .strip_prefix(root)
                .ok()
                .and_then(Path::to_str)
                .ok_or_else(not_utf8)?;
            if fs::symlink_metadata(&path).map_err(fail)?.is_dir() {
                folders.push(path.clone());
            }
            found.insert(TreePath::new(&format!("/{inner}"))?, path);
        }
    }
    Ok(found)
}

/// Adds the files and links that the filter admits, below `folder` of the image, with the folders that hold them.
///
/// Everything is root's: other owners are dropped with their setuid bits at extraction.
fn add_found(
    tree: &mut Tree,
    found: &BTreeMap<TreePath, PathBuf>,
    filter: &Filter,
    folder: Option<&TreePath>,
    origin: &str,
) -> Result<(), RootfsError> {
    for (path, place) in found {
        let fail = |source| RootfsError::Read {
            path: place.clone(),
            source,
        };
        let meta = fs::symlink_metadata(place).map_err(fail)?;
        if meta.is_dir() || !filter.admits(path.as_str()) {
            continue;
        }
        let node = if meta.is_symlink() {
            let target = fs::read_link(place).map_err(fail)?;
            let target = target
                .to_str()
                .ok_or_else(|| RootfsError::NotUtf8 { path: place.clone() })?;
            Node::link(target)
        } else if meta.is_file() {
            let mode = if meta.permissions().mode() & 0o111 == 0 {
                0o444
            } else {
                0o555
            };
            file_node(place, mode)?
        } else {
            return Err(RootfsError::Special { path: path.clone() });
        };
        let place = folder.map_or_else(|| Ok(path.clone()), |folder| path.under(folder))?;
        tree.add(place, node, origin)?;
    }
    Ok(())
}

/// Class paths and files out of archives, made of what the tree has by now.
fn add_from_archives(tree: &mut Tree, manifest: &Manifest) -> Result<(), RootfsError> {
    for member in &manifest.members {
        let bytes = jar::member(tree, &member.archive, &member.member);
        let bytes = bytes.map_err(|reason| RootfsError::Jar {
            path: member.path.clone(),
            reason,
        })?;
        tree.add(member.path.clone(), Node::file(bytes, 0o444), "a [[member]]")?;
    }
    for (path, patterns) in &manifest.classpaths {
        let text = jar::classpath(tree, patterns).map_err(|reason| RootfsError::Jar {
            path: path.clone(),
            reason,
        })?;
        tree.add(
            path.clone(),
            Node::file(text.into_bytes(), 0o444),
            "a [[classpath]]",
        )?;
    }
    Ok(())
}

fn add_concatenations(
    tree: &mut Tree,
    manifest: &Manifest,
    found: &BTreeMap<TreePath, PathBuf>,
) -> Result<(), RootfsError> {
    for (target, patterns) in &manifest.concatenations {
        let mut parts = BTreeMap::new();
        for pattern in patterns {
            let before = parts.len();
            parts.extend(found.iter().filter(|(path, _)| matches(pattern, path.as_str())));
            if parts.len() == before {
                let pattern = pattern.as_str().to_owned();
                return Err(RootfsError::NoMatch {
                    path: target.clone(),
                    pattern,
                });
            }
        }
        let mut bytes = Vec::new();
        for place in parts.values() {
            let part = fs::read(place);
            bytes.extend(part.map_err(|source| RootfsError::Read {
                path: (*place).clone(),
                source,
            })?);
        }
        tree.add(target.clone(), Node::file(bytes, 0o444), "a [[concatenation]]")?;
    }
    Ok(())
}

fn check_programs(manifest: &Manifest, tree: &Tree) -> Result<(), RootfsError> {
    for service in &manifest.table.services {
        let program = service
            .argv
            .first()
            .map(|p| String::from_utf8_lossy(p).into_owned())
            .unwrap_or_default();
        let reason = match tree.node(&TreePath::new(&program)?) {
            Some(Node {
                kind: Kind::File(_),
                mode,
                ..
            }) if mode & 0o111 != 0 => continue,
            Some(Node {
                kind: Kind::File(_), ..
            }) => "which is not executable",
            Some(Node {
                kind: Kind::Link(_), ..
            }) => "which is a link: name the file itself",
            Some(Node { kind: Kind::Dir, .. }) => "which is a folder",
            None => "which is not in the image",
        };
        return Err(RootfsError::Program {
            service: service.name.clone(),
            program,
            reason,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
