//! Images of chosen parts, and calls of the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use attest::UnixMs;
use eif::{Architecture, BuildInfo, Metadata};
use eif_builder::assemble::{Assembly, assemble};
use eif_builder::cpio;
use eif_builder::cpio_read::Budget;
use eif_builder::tree::{Node, Tree, TreePath};
use eif_builder::verify::{Parameters, Published};

/// The instant of all verifications here.
pub(crate) const AT: &str = "2026-06-01T00:00:00Z";

/// A file that boot loaders take for a 64-bit bzImage.
pub(crate) fn bzimage(content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 0x240];
    bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x236] = 1;
    bytes.extend(content);
    bytes
}

/// An archive of regular files: path, mode, content.
pub(crate) fn archive(files: &[(&str, u16, &[u8])]) -> Vec<u8> {
    let mut tree = Tree::new();
    for (path, mode, content) in files {
        let node = Node::file(content.to_vec(), *mode);
        tree.add(TreePath::new(path).unwrap(), node, "test").unwrap();
    }
    archive_of(&tree)
}

pub(crate) fn archive_of(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::new();
    cpio::write(tree, &mut out).unwrap();
    out
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// What an image is made of.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) kernel: Vec<u8>,
    pub(crate) cmdline: String,
    pub(crate) ramdisks: Vec<Vec<u8>>,
    pub(crate) architecture: Architecture,
    pub(crate) memory: u64,
    pub(crate) name: String,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            kernel: bzimage(b"a kernel"),
            cmdline: "console=ttyS0".to_owned(),
            ramdisks: vec![
                zstd(&archive(&[("/init", 0o500, b"#!init")])),
                zstd(&archive(&[
                    ("/rootfs/bin/signer", 0o755, b"\x7fELF program"),
                    ("/rootfs/etc/conf", 0o644, b"one\ntwo\nthree\n"),
                ])),
            ],
            architecture: Architecture::X86_64,
            memory: 64 << 20,
            name: "image".to_owned(),
        }
    }
}

impl Parts {
    /// Writes the image into `dir/NAME.eif`.
    pub(crate) fn write(&self, dir: &Path, name: &str) -> PathBuf {
        let file = |suffix: String, bytes: &[u8]| {
            let path = dir.join(format!("{name}.{suffix}"));
            fs::write(&path, bytes).unwrap();
            path
        };
        let output = dir.join(format!("{name}.eif"));
        let ramdisks = self.ramdisks.iter().enumerate();
        let assembly = Assembly {
            kernel: file("kernel".to_owned(), &self.kernel),
            cmdline: self.cmdline.clone(),
            ramdisks: ramdisks
                .map(|(index, bytes)| file(format!("ramdisk{index}"), bytes))
                .collect(),
            output: output.clone(),
            architecture: self.architecture,
            default_mem: self.memory,
            default_cpus: 2,
            metadata: Metadata {
                image_name: self.name.clone(),
                image_version: "1".to_owned(),
                build: BuildInfo {
                    build_time: "1970-01-01T00:00:00Z".to_owned(),
                    build_tool: "test".to_owned(),
                    build_tool_version: "0".to_owned(),
                    operating_system: "Linux".to_owned(),
                    kernel_version: "6.12".to_owned(),
                },
                docker_info: serde_json::Value::Null,
                custom: serde_json::Value::Null,
            },
            signature: None,
        };
        assemble(&assembly).unwrap();
        output
    }
}

pub(crate) fn parameters(published: Option<Published>) -> Parameters {
    Parameters {
        published,
        at: instant(AT),
        budget: Budget::default(),
    }
}

pub(crate) fn instant(text: &str) -> UnixMs {
    text.parse().unwrap()
}

/// Runs the program in `dir`.
pub(crate) fn run(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eif-builder"))
        .args(args)
        .current_dir(dir)
        .env_remove("HOME")
        .env_remove("XDG_CACHE_HOME")
        .output()
        .unwrap()
}

/// Exit code and what was said on both streams.
pub(crate) fn said(output: &Output) -> (i32, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let both = text(&output.stdout) + &text(&output.stderr);
    (output.status.code().unwrap_or(-1), both)
}
