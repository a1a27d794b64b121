//! What moves a PCR and what does not, and that every wrong input is a clear error that leaves the store whole.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::{eif_builder, pcrs, place, said, scratch_in_tree, top};

/// The signal that ends a process which writes past its limit (`signal(7)`).
const SIGXFSZ: i32 = 25;

/// A copy of the test image's manifest and lock that may be edited.
struct Copy {
    dir: tempfile::TempDir,
}

impl Copy {
    fn new() -> Self {
        let dir = scratch_in_tree();
        let image = dir.path().join("rootfs/image");
        fs::create_dir_all(dir.path().join("rootfs/seccomp")).unwrap();
        fs::create_dir_all(&image).unwrap();
        for file in ["image.toml", "image.lock", "probe.json"] {
            fs::copy(top().join("rootfs/e2e").join(file), image.join(file)).unwrap();
        }
        fs::copy(
            top().join("rootfs/seccomp/agent.json"),
            dir.path().join("rootfs/seccomp/agent.json"),
        )
        .unwrap();
        Self { dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("rootfs/image").join(name)
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.file(name)).unwrap();
        assert!(text.contains(from), "{name} has no {from:?}");
        fs::write(self.file(name), text.replacen(from, to, 1)).unwrap();
    }

    fn build_with(&self, more: &[&str]) -> Output {
        let (manifest, out) = (self.file("image.toml"), self.dir.path().join("out"));
        let mut args = vec![
            "build",
            manifest.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ];
        args.extend(more);
        eif_builder(&args)
    }

    fn pcrs(&self) -> [String; 3] {
        let output = self.build_with(&[]);
        assert!(output.status.success(), "{}", said(&output));
        pcrs(&self.dir.path().join("out/e2e.pcrs.json"))
    }

    /// Fails to build, names `expected`, and leaves nothing in the output folder.
    fn refused(&self, more: &[&str], expected: &[&str]) {
        let output = self.build_with(more);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for word in expected {
            assert!(text.contains(word), "no {word:?} in: {text}");
        }
        assert!(!self.dir.path().join("out/e2e.eif").exists());
    }
}

#[test]
fn one_byte_of_the_app_moves_pcr0_and_pcr2_only() {
    let copy = Copy::new();
    let before = copy.pcrs();
    assert_eq!(copy.pcrs(), before, "the same inputs give the same PCRs");
    copy.edit("image.toml", "for the agent only", "for the agent onlY");
    let after = copy.pcrs();
    assert_ne!(after[0], before[0]);
    assert_eq!(after[1], before[1], "PCR1 covers kernel, command line and init");
    assert_ne!(after[2], before[2]);
    copy.edit("image.toml", "random.trust_cpu=on", "random.trust_cpu=off");
    let boot = copy.pcrs();
    assert_ne!(boot[0], after[0]);
    assert_ne!(boot[1], after[1]);
    assert_eq!(boot[2], after[2], "PCR2 covers the app ramdisk only");
}

#[test]
fn metadata_is_not_measured_but_is_in_the_image() {
    let copy = Copy::new();
    let before = copy.pcrs();
    copy.edit("image.toml", "version = \"0.1.0\"", "version = \"0.1.1\"");
    assert_eq!(copy.pcrs(), before);
    let eif = copy.dir.path().join("out/e2e.eif");
    let described = said(&eif_builder(&["describe", eif.to_str().unwrap()]));
    assert!(described.contains("0.1.1"), "{described}");
    for value in &before {
        assert!(described.contains(value), "{described}");
    }
}

/// An operator's own kernel is measured like ours: the same file by another way gives the same PCRs.
#[test]
fn an_own_kernel_is_measured_too() {
    let copy = Copy::new();
    let ours = copy.pcrs();
    let kernel = place("NITRO_TEST_KERNEL");
    let build = |kernel: &Path, module: Option<&Path>| {
        let mut args = vec!["--kernel", kernel.to_str().unwrap()];
        args.extend(
            module
                .iter()
                .flat_map(|module| ["--nsm-module", module.to_str().unwrap()]),
        );
        let output = copy.build_with(&args);
        assert!(output.status.success(), "{}", said(&output));
        pcrs(&copy.dir.path().join("out/e2e.pcrs.json"))
    };
    assert_eq!(build(&kernel, None), ours);
    let other = copy.dir.path().join("bzImage");
    let mut bytes = fs::read(&kernel).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&other, bytes).unwrap();
    let moved = build(&other, None);
    assert!(
        moved[0] != ours[0] && moved[1] != ours[1] && moved[2] == ours[2],
        "{moved:?}"
    );
    let module = copy.dir.path().join("nsm.ko");
    fs::write(&module, b"a module").unwrap();
    let with_module = build(&kernel, Some(&module));
    assert!(
        with_module[1] != ours[1] && with_module[2] == ours[2],
        "the module is in the boot ramdisk"
    );
}

#[test]
fn wrong_inputs_are_clear_errors() {
    let unknown = Copy::new();
    unknown.edit("image.toml", "memory_mib", "memory_mb");
    unknown.refused(&[], &["image.toml", "unknown field `memory_mb`"]);

    let drifted = Copy::new();
    drifted.edit(
        "image.toml",
        "exact = [\"ca-certificates\"]",
        "exact = [\"ca-certificates\", \"tzdata\"]",
    );
    drifted.refused(&[], &["image.lock", "does not match its manifest", "make lock"]);

    let unlocked = Copy::new();
    fs::remove_file(unlocked.file("image.lock")).unwrap();
    unlocked.refused(&[], &["image.lock does not exist", "make lock"]);

    let other_form = Copy::new();
    other_form.edit("image.lock", "schema = 1", "schema = 2");
    other_form.refused(&[], &["image.lock", "2"]);
}

/// A lock whose hash is wrong asks for a file that no mirror has: what comes is refused by expected and actual.
#[test]
fn a_wrong_hash_in_the_lock_is_named() {
    let copy = Copy::new();
    let lock = fs::read_to_string(copy.file("image.lock")).unwrap();
    let right = lock
        .lines()
        .rev()
        .find_map(|l| l.strip_prefix("sha256 = \"")?.strip_suffix('"'))
        .unwrap();
    let wrong = "0".repeat(64);
    copy.edit("image.lock", right, &wrong);
    copy.refused(&[], &["ca-certificates", &wrong, right]);
    let store_blob = wrong.get(..2).unwrap();
    assert!(!store().join("blobs").join(store_blob).join(&wrong).exists());
}

fn store() -> PathBuf {
    let kernel = place("NITRO_KERNEL_DIR");
    kernel
        .ancestors()
        .find(|dir| dir.join("blobs").is_dir())
        .unwrap()
        .to_path_buf()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "sorted below")]
    let found = fs::read_dir(dir).into_iter().flatten();
    let mut paths: Vec<PathBuf> = found.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A store of this test's own, in which everything is already there but an image that was never built before: other
/// builds on this machine use the usual one at the same time, and what they put there is not ours to judge.
struct OwnStore<'a> {
    copy: &'a Copy,
    root: PathBuf,
    parts_before: Vec<PathBuf>,
    out_before: Vec<(PathBuf, Vec<u8>)>,
}

impl<'a> OwnStore<'a> {
    /// Builds the image once in the usual store, takes its parts over, and then changes one file to `text` and
    /// something that no other run of this test has.
    fn warm(copy: &'a Copy, text: &str) -> Self {
        let _ = copy.pcrs();
        let root = links_to_the_store(copy, "store");
        let nonce = copy.dir.path().file_name().unwrap().to_str().unwrap();
        copy.edit("image.toml", "for the agent only", &format!("{text} {nonce}"));
        Self {
            copy,
            parts_before: entries(&root.join("parts")),
            out_before: contents(&copy.dir.path().join("out")),
            root,
        }
    }

    /// A build in which no file may grow past `bytes`. `at_limit` says what then happens: `ignore` makes writing fail
    /// as on a full disk; `default` kills the process in the middle of a write, as `kill -9` at that moment would.
    fn build_with_limit(&self, at_limit: &str, bytes: u64) -> Output {
        let (manifest, out) = (self.copy.file("image.toml"), self.copy.dir.path().join("out"));
        Command::new("env")
            .args([&format!("--{at_limit}-signal=XFSZ"), "prlimit", "--core=0"])
            .args([&format!("--fsize={bytes}"), "--"])
            .arg(place("NITRO_EIF_BUILDER"))
            .args(["build".as_ref(), manifest.as_os_str()])
            .args(["--out".as_ref(), out.as_os_str()])
            .args(["--store".as_ref(), self.root.as_os_str()])
            .output()
            .unwrap()
    }

    /// Nothing new under any key, and the image that was there before is untouched.
    fn is_whole(&self, why: &str) {
        assert_eq!(entries(&self.root.join("parts")), self.parts_before, "{why}");
        let out = contents(&self.copy.dir.path().join("out"));
        assert!(out == self.out_before, "the output folder has changed: {why}");
    }

    /// The same build again, without a limit, makes the image that a store makes where nothing has happened.
    fn goes_on(&self) {
        let build = |store: &Path| {
            let output = self.copy.build_with(&["--store", store.to_str().unwrap()]);
            assert!(output.status.success(), "{}", said(&output));
            contents(&self.copy.dir.path().join("out"))
        };
        let other = build(&links_to_the_store(self.copy, "other store"));
        assert!(build(&self.root) == other, "the image is another one");
        assert_eq!(
            entries(&self.root.join("parts")).len(),
            self.parts_before.len() + 2,
            "the image and its papers"
        );
        let left = entries(&self.root.join("tmp"));
        assert!(left.is_empty(), "scratch is cleared: {left:?}");
    }
}

/// A store whose blobs and parts are those of the usual one.
fn links_to_the_store(copy: &Copy, name: &str) -> PathBuf {
    let root = copy.dir.path().join(name);
    fs::create_dir_all(root.join("parts")).unwrap();
    symlink(store().join("blobs"), root.join("blobs")).unwrap();
    for part in entries(&store().join("parts")) {
        symlink(&part, root.join("parts").join(part.file_name().unwrap())).unwrap();
    }
    root
}

fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    };
    entries(dir).into_iter().map(read).collect()
}

/// A disk that is full is a clear error, and neither a part nor an output is left half-made.
#[test]
fn a_full_disk_leaves_nothing_half_made() {
    let copy = Copy::new();
    let store = OwnStore::warm(&copy, "made on a full disk");
    let output = store.build_with_limit("ignore", 64 << 10);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("cannot write") && text.contains("File too large"),
        "{text}"
    );
    store.is_whole(&text);
    store.goes_on();
}

/// A build that is killed leaves a store in which the next one finds only whole things. Killed in the middle of the
/// first ramdisk, and shortly before the end of the image.
#[test]
fn a_killed_build_leaves_the_store_whole() {
    let copy = Copy::new();
    let store = OwnStore::warm(&copy, "killed in the middle");
    let image = fs::metadata(copy.dir.path().join("out/e2e.eif")).unwrap().len();
    // The image that is killed has about the size of the one before.
    for limit in [64 << 10, image / 16 * 15] {
        let output = store.build_with_limit("default", limit);
        let text = said(&output);
        assert_eq!(output.status.signal(), Some(SIGXFSZ), "{text}");
        store.is_whole(&text);
        let scratch = entries(&store.root.join("tmp"));
        let half_made = scratch
            .iter()
            .flat_map(|dir| entries(dir))
            .flat_map(|part| entries(&part))
            .any(|file| file.metadata().unwrap().len() == limit);
        assert!(half_made, "it was killed while it wrote: {scratch:?}");
        assert_eq!(scratch.len(), 1, "and what the build before left is gone");
    }
    store.goes_on();
}
