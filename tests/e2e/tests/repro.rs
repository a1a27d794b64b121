//! The same sources on another machine: other path, user, umask, time zone, locale, job count and store, same bytes.
//!
//! The kernel and the package caches are taken over from this machine's store, hard-linked; the build root is
//! extracted anew, and init, agent, ramdisks and EIF are made anew. `make repro` has more cells, and builds the kernel anew too.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{pcrs, place, said, top};
use serde_json::Value;

/// A user without rights; any but the one who runs the test would do.
const OTHER_USER: &str = "65534";

#[test]
fn other_surroundings_give_the_same_bytes() {
    let dir = tempfile::Builder::new()
        .prefix("another place ")
        .tempdir()
        .unwrap();
    let (tree, store) = (dir.path().join("tree"), dir.path().join("store"));
    copy_tree(&tree);
    seed_store(&store);
    let program = dir.path().join("eif-builder");
    fs::copy(place("NITRO_EIF_BUILDER"), &program).unwrap();
    let root = id_is_root();
    if root {
        run(Command::new("chown").args(["-R", OTHER_USER]).arg(&tree));
        // Not what is hard-linked: only the folders that the build writes into.
        let folders = ["", "blobs", "parts", "locks", "tmp"].map(|name| store.join(name));
        run(Command::new("chown")
            .arg(OTHER_USER)
            .args(folders)
            .arg(dir.path()));
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();

    let (out, manifest) = (tree.join("out"), tree.join("rootfs/native/image.toml"));
    let build = format!(
        "umask 077 && cd / && exec '{}' build '{}' --out '{}' --store '{}' --jobs 1",
        program.display(),
        manifest.display(),
        out.display(),
        store.display(),
    );
    let mut command = Command::new(if root { "setpriv" } else { "env" });
    if root {
        command.args([
            "--reuid",
            OTHER_USER,
            "--regid",
            OTHER_USER,
            "--clear-groups",
            "--",
        ]);
    }
    let output = command
        .args(["sh", "-c", &build])
        .envs([
            ("TZ", "Asia/Kathmandu"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("HOME", "/nonexistent"),
            ("NOISE", "x"),
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));

    let here = place("NITRO_OUT_DIR");
    assert_eq!(
        pcrs(&out.join("native.pcrs.json")),
        pcrs(&here.join("native.pcrs.json"))
    );
    let bytes = |dir: &Path| fs::read(dir.join("native.eif")).unwrap();
    assert!(
        bytes(&out) == bytes(&here),
        "equal PCRs, but other bytes in the EIF"
    );
    for paper in ["cdx.json", "spdx.json", "provenance.json"] {
        let read = |dir: &Path| fs::read(dir.join(format!("native.{paper}"))).unwrap();
        assert!(read(&out) == read(&here), "other bytes in the {paper}");
    }
    assert!(
        said(&output).contains("building init"),
        "init was built anew: {}",
        said(&output)
    );
    assert!(
        said(&output).contains("building agent"),
        "the agent was built anew"
    );
    assert!(
        !said(&output).contains("building kernel"),
        "the kernel was taken over"
    );
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
}

fn id_is_root() -> bool {
    String::from_utf8(Command::new("id").arg("-u").output().unwrap().stdout)
        .unwrap()
        .trim()
        == "0"
}

/// Copies what git knows, as a clone would have it, with other file times.
fn copy_tree(tree: &Path) {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(top())
        .output()
        .unwrap();
    for name in String::from_utf8(listing.stdout)
        .unwrap()
        .split('\0')
        .filter(|name| !name.is_empty())
    {
        let (from, to) = (top().join(name), tree.join(name));
        if from.is_file() {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// A store with the inputs, the kernel and the vendored crates of this machine's, and nothing else that was compiled.
fn seed_store(store: &Path) {
    let kernel = place("NITRO_KERNEL_DIR");
    let mine = kernel.ancestors().find(|dir| dir.join("blobs").is_dir()).unwrap();
    for name in ["parts", "locks", "tmp"] {
        fs::create_dir_all(store.join(name)).unwrap();
    }
    take_over(&mine.join("blobs"), store);
    #[expect(clippy::disallowed_methods, reason = "each part is judged alone")]
    for part in fs::read_dir(mine.join("parts")).unwrap() {
        let part = part.unwrap().path();
        if keep(&part) {
            take_over(&part, &store.join("parts"));
        }
    }
}

/// Hard links where the file system can, else copies.
fn take_over(from: &Path, into: &Path) {
    let copy = |flags: &str| {
        Command::new("cp")
            .arg(flags)
            .arg(from)
            .arg(into)
            .output()
            .unwrap()
    };
    if !copy("-al").status.success() {
        let output = copy("-a");
        assert!(output.status.success(), "{}", said(&output));
    }
}

/// Vendored crates and the kernel are kept; programs, images and extracted roots are not.
fn keep(part: &Path) -> bool {
    let Ok(record) = fs::read(part.join("part.json")) else {
        return is_vendored(part);
    };
    let record: Value = serde_json::from_slice(&record).unwrap();
    record
        .pointer("/recipe/name")
        .is_some_and(|name| name == "kernel")
}

fn is_vendored(part: &Path) -> bool {
    let crates: PathBuf = part.join("crates");
    crates.is_dir() && !part.join("image.eif").exists()
}
