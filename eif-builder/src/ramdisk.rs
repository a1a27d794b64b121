//! The two ramdisks: which tree goes where, and how it is compressed.
//!
//! Ramdisk 0 holds `/init` and nothing else that could matter; ramdisk 1 unpacks under `/rootfs` only, so
//! that whatever is in it can never replace `/init`.

use std::io::Write;

use crate::cpio::{self, CpioError};
use crate::tree::{BadPath, Node, Tree, TreeError, TreePath};

/// The folder that the app ramdisk unpacks under. PID 1 makes it the root.
pub const APP_ROOT: &str = "/rootfs";

/// Range of zstd levels that a manifest may ask for. 20 and more need windows that the kernel may refuse.
pub const ZSTD_LEVELS: core::ops::RangeInclusive<i32> = 1..=19;

/// Why a ramdisk could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RamdiskError {
    /// A path is not allowed in this ramdisk.
    #[error("the app ramdisk may hold nothing outside {APP_ROOT}, but holds {0}")]
    Outside(TreePath),
    /// A path is malformed or became too long.
    #[error(transparent)]
    Path(#[from] BadPath),
    /// Two nodes at one path.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The archive could not be written.
    #[error(transparent)]
    Cpio(#[from] CpioError),
    /// The compressor failed.
    #[error("cannot compress the ramdisk")]
    Zstd(#[source] std::io::Error),
}

/// The boot ramdisk's tree: PID 1, and the kernel module of an operator's own kernel if there is one.
///
/// # Errors
/// [`RamdiskError::Tree`] cannot happen with these fixed paths but is passed on rather than hidden.
pub fn boot_tree(init: Node, nsm_module: Option<Node>) -> Result<Tree, RamdiskError> {
    let mut tree = Tree::new();
    tree.add(TreePath::new("/init")?, init, "init")?;
    if let Some(module) = nsm_module {
        tree.add(TreePath::new("/nsm.ko")?, module, "the operator's kernel module")?;
    }
    Ok(tree)
}

/// The app ramdisk's tree: `root` moved under [`APP_ROOT`].
///
/// # Errors
/// [`RamdiskError::Path`] when a path becomes too long.
pub fn app_tree(root: &Tree) -> Result<Tree, RamdiskError> {
    Ok(root.under(&TreePath::new(APP_ROOT)?)?)
}

/// Fails when `tree` would unpack anything outside [`APP_ROOT`].
///
/// # Errors
/// [`RamdiskError::Outside`] names the first such path.
pub fn check_app_tree(tree: &Tree) -> Result<(), RamdiskError> {
    let inside = |path: &TreePath| {
        path.as_str()
            .strip_prefix(APP_ROOT)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match tree.iter().find(|(path, _, _)| !inside(path)) {
        Some((path, _, _)) => Err(RamdiskError::Outside(path.clone())),
        None => Ok(()),
    }
}

/// Writes `tree` as a zstd-compressed canonical cpio archive and gives the archive's size before compression.
///
/// One thread and a fixed level, so the bytes depend on nothing but the tree and the level.
///
/// # Errors
/// [`RamdiskError::Cpio`] or [`RamdiskError::Zstd`].
pub fn write(tree: &Tree, zstd_level: i32, out: &mut dyn Write) -> Result<u64, RamdiskError> {
    let mut encoder = zstd::Encoder::new(out, zstd_level).map_err(RamdiskError::Zstd)?;
    encoder.include_checksum(true).map_err(RamdiskError::Zstd)?;
    let size = cpio::write(tree, &mut encoder)?;
    encoder.finish().map_err(RamdiskError::Zstd)?;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Tree {
        let mut tree = Tree::new();
        tree.add(
            TreePath::new("/etc/x").unwrap(),
            Node::file(vec![7; 100_000], 0o644),
            "test",
        )
        .unwrap();
        tree
    }

    #[test]
    fn the_app_ramdisk_stays_under_its_root() {
        check_app_tree(&app_tree(&root()).unwrap()).unwrap();
        for stray in ["/init", "/rootfs2", "/rootfs.d/x"] {
            let mut tree = app_tree(&root()).unwrap();
            tree.add(TreePath::new(stray).unwrap(), Node::file(vec![], 0o755), "test")
                .unwrap();
            let error = check_app_tree(&tree).unwrap_err();
            assert!(matches!(error, RamdiskError::Outside(_)), "{stray}: {error}");
        }
    }

    #[test]
    fn compressed_bytes_unpack_to_the_archive() {
        let tree = app_tree(&root()).unwrap();
        let (mut raw, mut packed) = (Vec::new(), Vec::new());
        cpio::write(&tree, &mut raw).unwrap();
        assert_eq!(write(&tree, 19, &mut packed).unwrap(), raw.len() as u64);
        assert_eq!(zstd::decode_all(&packed[..]).unwrap(), raw);
        assert!(packed.len() < raw.len() / 10);
        let mut again = Vec::new();
        write(&tree, 19, &mut again).unwrap();
        assert_eq!(packed, again);
    }
}
