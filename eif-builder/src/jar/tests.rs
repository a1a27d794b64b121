//! Tests of jars: order, names, damage.

use std::io::Write as _;

use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;
use crate::tree::Node;

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap()
}

fn tree(files: &[&str]) -> Tree {
    let mut tree = Tree::new();
    for file in files {
        tree.add(path(file), Node::file(vec![], 0o444), "a test").unwrap();
    }
    tree
}

#[test]
fn patterns_keep_their_order_and_paths_are_sorted() {
    let tree = tree(&[
        "/l/b.jar",
        "/l/a-1.2.jar",
        "/l/main.jar",
        "/l/x/c.jar",
        "/l/readme",
    ]);
    let text = classpath(&tree, &[pattern("/l/main.jar"), pattern("/l/*.jar")]).unwrap();
    assert_eq!(text, "-classpath\n/l/main.jar:/l/a-1.2.jar:/l/b.jar\n");
    let error = classpath(&tree, &[pattern("/l/*.war")]).unwrap_err();
    assert_eq!(error.to_string(), "`/l/*.war` matches no file of the image");
}

#[test]
fn a_name_that_java_would_read_otherwise_is_refused() {
    for bad in [
        "/l/a b.jar",
        "/l/a:b.jar",
        "/l/\"a.jar",
        "/l/a\\.jar",
        "/l/#a.jar",
        "/l/a\n.jar",
    ] {
        let error = classpath(&tree(&[bad]), &[pattern("/l/*")]).unwrap_err();
        assert!(matches!(error, JarError::Name(_)), "{error}");
    }
}

/// A tree with one archive; `damage` changes its bytes.
fn archive(damage: impl FnOnce(&mut Vec<u8>)) -> (tempfile::NamedTempFile, Tree) {
    let mut zip = ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, method) in [
        ("a/stored", CompressionMethod::Stored),
        ("a/packed", CompressionMethod::Deflated),
    ] {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(name, options).unwrap();
        zip.write_all(&name.as_bytes().repeat(100)).unwrap();
    }
    let mut bytes = zip.finish().unwrap().into_inner();
    damage(&mut bytes);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let mut tree = Tree::new();
    let content = Content::File {
        path: file.path().to_path_buf(),
        size: bytes.len() as u64,
    };
    tree.add(path("/l/x-1.jar"), Node::file(content, 0o444), "a test")
        .unwrap();
    (file, tree)
}

#[test]
fn a_member_comes_out_whole() {
    let (_file, tree) = archive(|_| ());
    for name in ["a/stored", "a/packed"] {
        let bytes = member(&tree, &pattern("/l/x-*.jar"), name).unwrap();
        assert_eq!(bytes, name.as_bytes().repeat(100));
    }
    let absent = member(&tree, &pattern("/l/x-*.jar"), "stored").unwrap_err();
    assert_eq!(absent.to_string(), "cannot take `stored` out of /l/x-1.jar");
    let absent = member(&tree, &pattern("/l/y.jar"), "a/stored").unwrap_err();
    assert!(matches!(absent, JarError::NoMatch(_)), "{absent}");
}

#[test]
fn one_archive_is_meant() {
    let (_file, mut tree) = archive(|_| ());
    tree.add(path("/l/x-2.jar"), Node::file(vec![1], 0o444), "a test")
        .unwrap();
    let error = member(&tree, &pattern("/l/x-*.jar"), "a/stored").unwrap_err();
    assert!(matches!(error, JarError::Several { .. }), "{error}");
    let error = member(&tree, &pattern("/l/x-2.jar"), "a/stored").unwrap_err();
    assert!(matches!(error, JarError::Inline(_)), "{error}");
}

/// Nothing else than what was packed ever comes out.
#[test]
fn damage_is_seen() {
    let mut length = 0;
    let (_file, _) = archive(|bytes| length = bytes.len());
    for at in (0..length).step_by(7) {
        let (_file, cut) = archive(|bytes| bytes.truncate(at));
        assert!(
            member(&cut, &pattern("/l/x-*.jar"), "a/packed").is_err(),
            "cut at {at}"
        );
        let (_file, flipped) = archive(|bytes| {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x10;
            }
        });
        if let Ok(bytes) = member(&flipped, &pattern("/l/x-*.jar"), "a/packed") {
            assert_eq!(bytes, b"a/packed".repeat(100), "flipped at {at}");
        }
    }
}
