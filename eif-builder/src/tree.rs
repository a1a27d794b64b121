//! A root file system in memory: path -> node, sorted, before it becomes a ramdisk.
//!
//! It holds where each file's bytes are, not the bytes, so a tree of a few hundred megabytes is small.
//! Two things at one path are an error unless they are the same folder: nothing overrides silently.

use core::fmt;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Longest path in a tree, in bytes. The kernel's unpacker takes at most `PATH_MAX` (4096) with its prefix.
pub const MAX_PATH_BYTES: usize = 4000;

/// An absolute, normalised path in a tree: starts with `/`, no empty, `.` or `..` component, no NUL.
///
/// The root itself is not a `TreePath`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct TreePath(String);

/// Why a text is not a [`TreePath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("`{path}` is not a path in the image: {reason}")]
pub struct BadPath {
    /// The text, shortened.
    pub path: String,
    /// Which rule it breaks.
    pub reason: &'static str,
}

impl TreePath {
    /// Checks a path.
    ///
    /// # Errors
    /// [`BadPath`] names the rule that is broken.
    pub fn new(path: &str) -> Result<Self, BadPath> {
        let refuse = |reason| {
            Err(BadPath {
                path: path.chars().take(200).collect(),
                reason,
            })
        };
        let Some(relative) = path.strip_prefix('/') else {
            return refuse("it must start with `/`");
        };
        if path.len() > MAX_PATH_BYTES {
            return refuse("it is too long");
        }
        if path.contains('\0') {
            return refuse("it holds a NUL");
        }
        if relative.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return refuse("it has an empty, `.` or `..` component");
        }
        Ok(Self(path.to_owned()))
    }

    /// The path with its leading `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its leading `/`, as archives write it.
    #[must_use]
    pub fn relative(&self) -> &str {
        self.0.strip_prefix('/').unwrap_or(&self.0)
    }

    /// The folder that holds it, or `None` when that is the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        match self.0.rsplit_once('/') {
            None | Some(("", _)) => None,
            Some((parent, _)) => Some(Self(parent.to_owned())),
        }
    }

    /// This path below the folder `prefix`.
    ///
    /// # Errors
    /// [`BadPath`] when the result is too long.
    pub fn under(&self, prefix: &Self) -> Result<Self, BadPath> {
        Self::new(&format!("{}{}", prefix.0, self.0))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TreePath {
    type Error = BadPath;

    fn try_from(path: String) -> Result<Self, BadPath> {
        Self::new(&path)
    }
}

/// Where a file's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Here.
    Bytes(Arc<[u8]>),
    /// In a file of the store or the source tree; it must not change until the ramdisk is written.
    File {
        /// Where.
        path: PathBuf,
        /// Its size in bytes; the ramdisk writer fails if it finds another.
        size: u64,
    },
}

impl Content {
    /// Number of bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Dir,
    /// A regular file.
    File(Content),
    /// A symbolic link with this target, unresolved.
    Link(String),
}

/// A node with its owner and permission bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, `<= 0o7777`. Always `0o777` for a link.
    pub mode: u16,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Node {
    /// A folder of root's.
    #[must_use]
    pub const fn dir(mode: u16) -> Self {
        Self {
            kind: Kind::Dir,
            mode,
            uid: 0,
            gid: 0,
        }
    }

    /// A file of root's.
    #[must_use]
    pub fn file(content: impl Into<Content>, mode: u16) -> Self {
        Self {
            kind: Kind::File(content.into()),
            mode,
            uid: 0,
            gid: 0,
        }
    }

    /// A symbolic link.
    #[must_use]
    pub fn link(target: &str) -> Self {
        Self {
            kind: Kind::Link(target.to_owned()),
            mode: 0o777,
            uid: 0,
            gid: 0,
        }
    }

    /// The same node with another owner.
    #[must_use]
    pub fn owned_by(self, uid: u32, gid: u32) -> Self {
        Self { uid, gid, ..self }
    }
}

/// Why a node cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// Something else is there already.
    #[error("{path}: {second} would replace what {first} put there")]
    Conflict {
        /// Where.
        path: TreePath,
        /// Who came first.
        first: String,
        /// Who came second.
        second: String,
    },
    /// A parent of the path is a file or a link.
    #[error("{path} (from {origin}): its parent {parent} is not a folder")]
    ParentNotDir {
        /// The node that was to be added.
        path: TreePath,
        /// Its parent.
        parent: TreePath,
        /// Who wanted it.
        origin: String,
    },
}

/// A sorted root file system. Every node remembers who put it there, for errors and the bill of materials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<TreePath, (Node, Arc<str>)>,
}

impl Tree {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node. Missing parents become folders of root's with mode 0755.
    ///
    /// The same folder (owner and mode too) may be added twice.
    ///
    /// # Errors
    /// [`TreeError::Conflict`] or [`TreeError::ParentNotDir`].
    pub fn add(&mut self, path: TreePath, node: Node, origin: &str) -> Result<(), TreeError> {
        let mut parent = path.parent();
        while let Some(dir) = parent {
            match self.nodes.get(&dir) {
                Some((Node { kind: Kind::Dir, .. }, _)) => break,
                Some(_) => {
                    return Err(TreeError::ParentNotDir {
                        path,
                        parent: dir,
                        origin: origin.to_owned(),
                    });
                }
                None => {
                    parent = dir.parent();
                    self.nodes.insert(dir, (Node::dir(0o755), IMPLIED.into()));
                }
            }
        }
        match self.nodes.get(&path) {
            Some((there, _)) if there.kind == Kind::Dir && *there == node => Ok(()),
            Some((there, first))
                if **first == *IMPLIED && there.kind == Kind::Dir && node.kind == Kind::Dir =>
            {
                self.nodes.insert(path, (node, origin.into()));
                Ok(())
            }
            Some((_, first)) => Err(TreeError::Conflict {
                path,
                first: first.as_ref().to_owned(),
                second: origin.to_owned(),
            }),
            None => {
                self.nodes.insert(path, (node, origin.into()));
                Ok(())
            }
        }
    }

    /// Takes a node out. Folders are taken without what is in them; the caller sees to that.
    pub fn remove(&mut self, path: &TreePath) -> Option<Node> {
        self.nodes.remove(path).map(|(node, _)| node)
    }

    /// The node at a path.
    #[must_use]
    pub fn node(&self, path: &TreePath) -> Option<&Node> {
        self.nodes.get(path).map(|(node, _)| node)
    }

    /// Every path with its node and origin, sorted by the bytes of the path; so a folder precedes its content.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Node, &str)> {
        self.nodes
            .iter()
            .map(|(path, (node, origin))| (path, node, origin.as_ref()))
    }

    /// Number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// This tree below the folder `prefix`.
    ///
    /// # Errors
    /// [`BadPath`] when a path becomes too long.
    pub fn under(&self, prefix: &TreePath) -> Result<Self, BadPath> {
        let mut nodes = BTreeMap::new();
        nodes.insert(prefix.clone(), (Node::dir(0o755), Arc::from(IMPLIED)));
        for (path, entry) in &self.nodes {
            nodes.insert(path.under(prefix)?, entry.clone());
        }
        Ok(Self { nodes })
    }
}

/// The origin of folders that nobody declared.
const IMPLIED: &str = "a parent folder";

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    #[test]
    fn only_normal_absolute_paths() {
        for bad in [
            "", "/", "a", "a/b", "/a/", "//a", "/a//b", "/./a", "/a/..", "/../a", "/a\0b",
        ] {
            assert!(TreePath::new(bad).is_err(), "{bad:?}");
        }
        let long = format!("/{}", "x".repeat(MAX_PATH_BYTES));
        assert_eq!(TreePath::new(&long).unwrap_err().reason, "it is too long");
        assert_eq!(path("/a/b").parent(), Some(path("/a")));
        assert_eq!(path("/a").parent(), None);
        assert_eq!(path("/a/b").relative(), "a/b");
    }

    #[test]
    fn folders_precede_their_content() {
        let mut tree = Tree::new();
        tree.add(path("/a/b/c"), Node::file(vec![1], 0o644), "x").unwrap();
        tree.add(path("/a-b"), Node::link("a"), "x").unwrap();
        let order: Vec<_> = tree.iter().map(|(p, _, _)| p.as_str()).collect();
        assert_eq!(order, ["/a", "/a-b", "/a/b", "/a/b/c"]);
        let moved = tree.under(&path("/rootfs")).unwrap();
        assert!(moved.iter().all(|(p, _, _)| p.as_str().starts_with("/rootfs")));
        assert_eq!(moved.len(), 5);
    }

    #[test]
    fn nothing_overrides_silently() {
        let mut tree = Tree::new();
        tree.add(path("/etc/hosts"), Node::file(vec![], 0o644), "first")
            .unwrap();
        let error = tree
            .add(path("/etc/hosts"), Node::file(vec![], 0o644), "second")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "/etc/hosts: second would replace what first put there"
        );
        tree.add(path("/etc"), Node::dir(0o700), "declared").unwrap();
        assert_eq!(tree.node(&path("/etc")).unwrap().mode, 0o700);
        tree.add(path("/etc"), Node::dir(0o700), "again").unwrap();
        assert!(tree.add(path("/etc"), Node::dir(0o755), "other mode").is_err());
        assert!(matches!(
            tree.add(path("/etc/hosts/x"), Node::dir(0o755), "x"),
            Err(TreeError::ParentNotDir { .. })
        ));
    }
}
