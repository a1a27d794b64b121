//! An image of our own parts, AWS's golden images, and images with something wrong inside.

use std::fs;

use eif::{Architecture, BuildInfo};

use super::*;
use crate::assemble::{Assembly, assemble};
use crate::cpio;
use crate::file::OpenError;
use crate::tree::{Node, Tree, TreePath};

const AWS: &[u8] = include_bytes!("../../../crates/eif/tests/data/x86_64.eif");
const SIGNED: &[u8] = include_bytes!("../../../crates/eif/tests/data/signed.eif");

fn archive() -> Vec<u8> {
    let mut tree = Tree::new();
    let path = |text| TreePath::new(text).unwrap();
    let node = Node::file(b"#!init".to_vec(), 0o755).owned_by(0, 7);
    tree.add(path("/init"), node, "test").unwrap();
    tree.add(path("/bin"), Node::link("usr/bin"), "test").unwrap();
    let mut out = Vec::new();
    cpio::write(&tree, &mut out).unwrap();
    out
}

/// A folder with an image of these ramdisks in `image.eif`.
fn image(ramdisks: &[Vec<u8>]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: String, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let ramdisks = ramdisks.iter().enumerate();
    let assembly = Assembly {
        kernel: file("kernel".to_owned(), b"a kernel"),
        cmdline: "console=ttyS0".to_owned(),
        ramdisks: ramdisks
            .map(|(index, bytes)| file(format!("r{index}"), bytes))
            .collect(),
        output: dir.path().join("image.eif"),
        architecture: Architecture::Aarch64,
        default_mem: 256 << 20,
        default_cpus: 4,
        metadata: eif::Metadata {
            image_name: "name".to_owned(),
            image_version: "1".to_owned(),
            build: BuildInfo {
                build_time: "1970-01-01T00:00:00Z".to_owned(),
                build_tool: "test".to_owned(),
                build_tool_version: "0".to_owned(),
                operating_system: "Linux".to_owned(),
                kernel_version: "6.12".to_owned(),
            },
            docker_info: Value::Null,
            custom: Value::Null,
        },
        signature: None,
    };
    assemble(&assembly).unwrap();
    dir
}

fn described(dir: &tempfile::TempDir) -> Description {
    describe(&dir.path().join("image.eif")).unwrap()
}

fn with_bytes(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.eif");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

#[test]
fn our_own_image() {
    let dir = image(&[archive(), zstd::encode_all(&archive()[..], 3).unwrap()]);
    let facts = described(&dir);
    assert_eq!(facts.problems(), [""; 0]);
    assert_eq!(
        (facts.architecture, facts.default_mem, facts.default_cpus),
        ("aarch64", 256 << 20, 4)
    );
    assert_eq!(facts.cmdline, "console=ttyS0");
    let kinds: Vec<_> = facts.sections.iter().map(|section| section.kind).collect();
    assert_eq!(kinds, ["kernel", "cmdline", "metadata", "ramdisk", "ramdisk"]);
    let json: Value = serde_json::from_str(&facts.to_json().unwrap()).unwrap();
    assert_eq!(json["metadata"]["json"]["ImageName"], "name");
    assert_eq!(json["Measurements"]["HashAlgorithm"], "Sha384 { ... }");
    assert_eq!(json["crc"]["ok"], true);
    let init = &json["ramdisks"][0]["segments"][0]["entries"][1];
    assert_eq!(
        init,
        &serde_json::json!({
            "path": "init", "type": "file", "mode": "0755", "uid": 0, "gid": 7, "size": 6, "mtime": 0, "nlink": 1,
            "sha256": Sha256::of(b"#!init").to_string(),
        })
    );
    assert_eq!(json["ramdisks"][1]["segments"][0]["compression"], "zstd");
    let text = facts.to_text();
    for line in [
        "crc           ok (stored ",
        "PCR2          ",
        "signature     none",
        "command line  console=ttyS0",
        "lrwxrwxrwx     0     0          7          0 -> usr/bin ",
        "-rwxr-xr-x     0     7          6          0 ",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn an_image_that_aws_made() {
    let (_dir, path) = with_bytes(AWS);
    let facts = describe(&path).unwrap();
    assert_eq!(facts.measurements["PCR0"].as_str().unwrap()[..8], *"b42665eb");
    assert!(facts.crc.ok && facts.signature.is_none());
    // Its ramdisks are plain text.
    assert_eq!(facts.problems().len(), 2);
    assert!(facts.problems()[0].starts_with("ramdisk 0 cannot be listed to its end: byte 0 of the ramdisk"));
    assert!(facts.to_text().contains("PROBLEM: byte 0"));
    let (_dir, path) = with_bytes(SIGNED);
    let facts = describe(&path).unwrap();
    let signature = facts.signature.as_ref().unwrap();
    assert_eq!((signature.count, signature.verified), (1, false));
    assert_eq!(facts.measurements["PCR8"].as_str().unwrap()[..8], *"b4c77072");
    assert!(facts.to_text().contains("not verified"));
}

#[test]
fn what_is_wrong_inside_is_named() {
    let dir = image(&[archive()]);
    let path = dir.path().join("image.eif");
    let good = fs::read(&path).unwrap();
    let mut bytes = good.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    let problems = describe(&path).unwrap().problems();
    assert!(
        problems[0].starts_with("the CRC-32 in the header is "),
        "{problems:?}"
    );
    let mut bytes = good;
    let at = bytes
        .windows(12)
        .position(|window| window == b"{\"ImageName\"")
        .unwrap();
    bytes[at] = b'[';
    fs::write(&path, &bytes).unwrap();
    let facts = describe(&path).unwrap();
    assert_eq!(facts.problems().len(), 2);
    assert!(facts.problems()[1].starts_with("the metadata is not JSON"));
    assert!(facts.to_text().contains("metadata      INVALID"));
}

#[test]
fn one_budget_for_all_ramdisks() {
    let dir = image(&[archive(), archive(), archive()]);
    let budget = Budget {
        bytes: 1 << 20,
        entries: 5,
    };
    let facts = describe_within(&dir.path().join("image.eif"), budget).unwrap();
    let listed: Vec<_> = facts
        .ramdisks
        .iter()
        .map(|disk| disk.segments[0].entries.len())
        .collect();
    assert_eq!(listed, [2, 2, 1]);
    assert_eq!(facts.problems().len(), 1);
}

#[test]
fn no_image_is_one_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    assert!(matches!(
        describe(&path),
        Err(DescribeError::Open(OpenError::File(_)))
    ));
    assert!(matches!(
        describe(dir.path()),
        Err(DescribeError::Open(OpenError::NotAFile(_)))
    ));
    for length in (0..AWS.len()).step_by(7) {
        fs::write(&path, &AWS[..length]).unwrap();
        let Err(DescribeError::Image { source, .. }) = describe(&path) else {
            panic!("{length}")
        };
        assert!(matches!(source, EifError::Header(_) | EifError::Layout(_)));
    }
}

#[test]
fn absurd_command_lines_and_metadata_are_not_read() {
    for (index, at, size) in [(1, 593_usize, 65_537_usize), (2, 627, 1_048_577)] {
        // The golden image with one section grown by zero bytes, its offsets and sizes put right.
        let old = usize::from(AWS[at - 2]) << 8 | usize::from(AWS[at - 1]);
        let grown = size - old;
        let mut bytes = [&AWS[..at + old], &vec![0; grown], &AWS[at + old..]].concat();
        let size = (size as u64).to_be_bytes();
        bytes[at - 8..at].copy_from_slice(&size);
        bytes[0x11c + 8 * index..][..8].copy_from_slice(&size);
        for later in index + 1..5 {
            let entry = &mut bytes[0x1c + 8 * later..][..8];
            let offset = u64::from_be_bytes(entry.try_into().unwrap()) + grown as u64;
            entry.copy_from_slice(&offset.to_be_bytes());
        }
        let (_dir, path) = with_bytes(&bytes);
        match describe(&path) {
            Err(DescribeError::Image {
                source: EifError::TooLarge { limit, .. },
                ..
            }) => assert_eq!(limit + 1, u64::from_be_bytes(size)),
            other => panic!("{other:?}"),
        }
    }
}
