//! NAR hashes held against another implementation (`data/nar.py`), and releases that are what both their hashes say.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use eif_builder::commands::Outcome;
use eif_builder::digest::Sha256;
use eif_builder::fetch::Fetcher;
use eif_builder::fetch::download::Retry;
use eif_builder::fetch::http::{Http, HttpOptions};
use eif_builder::fetch::progress::Silent;
use eif_builder::lock::{Lock, Locked, LockedDownload};
use eif_builder::manifest::{Manifest, Tarball};
use eif_builder::mirror::Mirrors;
use eif_builder::nar;
use eif_builder::request::Request;
use eif_builder::store::Store;
use eif_builder::upstream::{self, UpstreamError};

fn python(folder: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nar.py");
    let output = Command::new("python3").arg(script).arg(folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A tree with what a release may have: names that sort otherwise in other orders, files of each length modulo 8, an
/// executable, links.
fn fill(root: &Path) {
    fs::create_dir_all(root.join("lib/empty")).unwrap();
    for name in ["a", "a-b", "a.b", "aB", "B", "ä", "z"] {
        fs::write(root.join("lib").join(name), name.repeat(3)).unwrap();
    }
    for length in 0..17 {
        fs::write(root.join(format!("l{length}")), vec![7; length]).unwrap();
    }
    fs::write(root.join("start"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("start"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("lib/a", root.join("link")).unwrap();
    symlink("/nowhere", root.join("lib/dangling")).unwrap();
}

#[test]
fn another_implementation_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let hash = || nar::hash(dir.path()).unwrap().to_string();
    assert_eq!(hash(), python(dir.path()));
    fill(dir.path());
    assert_eq!(hash(), python(dir.path()));
    let one = dir.path().join("l9");
    assert_eq!(nar::hash(&one).unwrap().to_string(), python(&one));
}

/// A packed release, and what its manifest would say.
struct Release {
    dir: tempfile::TempDir,
    file: PathBuf,
    nar: String,
}

impl Release {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("tree/x-1");
        fs::create_dir_all(&top).unwrap();
        fill(&top);
        let nar = python(&top);
        let file = dir.path().join("x-1.tar.gz");
        let packed = Command::new("tar")
            .args(["--create", "--gzip", "--format=gnu", "--file"])
            .arg(&file)
            .arg("--directory")
            .arg(dir.path().join("tree"))
            .arg("x-1")
            .status()
            .unwrap();
        assert!(packed.success());
        Self { dir, file, nar }
    }

    /// Unpacks what lies at `given` under the name of the release.
    fn provide(&self, given: Option<&Path>, nar: &str) -> Result<PathBuf, UpstreamError> {
        let sha256 = Sha256::of(&fs::read(&self.file).unwrap());
        let inputs = format!(
            "[[inputs.downloads]]\nname = \"x-1.tar.gz\"\nurl = \"http://127.0.0.1:9/x-1.tar.gz\"\nmost_bytes = 100000\nsha256 = \"{sha256}\"\n"
        );
        let request = Request::from_manifest(&inputs).unwrap();
        let download = LockedDownload {
            name: "x-1.tar.gz".to_owned(),
            url: "http://127.0.0.1:9/x-1.tar.gz".to_owned(),
            size: 100_000,
            at_most: true,
            sha256,
        };
        let lock = Lock::new(&request, vec![], vec![], vec![download]);
        let text = lock.to_text().unwrap();
        assert!(text.contains("at_most = true"), "{text}");
        let locked = Locked::parse(&request, &text).unwrap();
        let store = Store::open(&self.dir.path().join("store")).unwrap();
        let http = Http::new(&HttpOptions::default()).unwrap();
        let mirrors =
            Mirrors::discover(&eif_builder::mirror::MirrorOptions::default(), self.dir.path()).unwrap();
        let name = || "x-1.tar.gz".to_owned();
        let fetcher = Fetcher {
            http: &http,
            mirrors: &mirrors,
            local: given
                .map(|path| (name(), path.to_path_buf()))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            parallel: 1,
            retry: Retry {
                attempts: 1,
                total: 1,
                wait: Duration::ZERO,
                longest_wait: Duration::ZERO,
            },
            progress: &Silent,
        };
        let tarball = tarball(self.dir.path(), &inputs, nar);
        upstream::provide(&store, &locked, &tarball, &fetcher).map(|root| root.path)
    }
}

/// A `[[tarball]]` as a manifest has it.
fn tarball(dir: &Path, inputs: &str, nar: &str) -> Tarball {
    let path = dir.join("image.toml");
    let text = format!(
        r#"
schema = 1
tarball = [{{ download = "x-1.tar.gz", path = "/opt/x", strip = 1, nar_sha256 = "{nar}" }}]
init = {{ program = "init", nsm_group = "nsm", unprivileged_ports_from = 80, clock = {{ source = "none" }} }}
group = [{{ name = "nsm", id = 200 }}]
user = [{{ name = "u", id = 101 }}]
kernel = {{ command_line = "x" }}
ramdisk = {{ zstd_level = 1 }}
image = {{ name = "t", version = "1", architecture = "x86_64", memory_mib = 64, cpus = 1 }}
[[service]]
name = "s"
exec = ["/bin/s"]
user = "u"
start = "boot"
kind = "one-shot"
grace_ms = 1
limits = {{}}
output = "null"
seccomp = "filter.json"
{inputs}"#
    );
    fs::write(&path, text).unwrap();
    let filter = r#"{"main": {"mismatch_action": "kill_process", "match_action": "allow", "filter": [{"syscall": "execve"}]}}"#;
    fs::write(dir.join("filter.json"), filter).unwrap();
    Manifest::load(&path).unwrap().tarballs.remove(0)
}

#[test]
fn a_release_is_what_both_hashes_say() {
    let release = Release::new();
    let other = "pQpattmS9VmO3ZIQUFn66az8GSmB4IvYhTTCFn6SUmo=";
    let error = release.provide(Some(&release.file), other).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "x-1.tar.gz: its files have the NAR hash {}, the manifest expects {other}",
            release.nar
        )
    );
    let folder = release.provide(Some(&release.file), &release.nar).unwrap();
    assert_eq!(python(&folder), release.nar);
    // From the store now: neither file nor network is asked.
    assert_eq!(release.provide(None, &release.nar).unwrap(), folder);
}

#[test]
fn what_cannot_be_had_is_named() {
    let release = Release::new();
    let error = release.provide(None, &release.nar).unwrap_err();
    let error = anyhow::Error::from(error);
    assert_eq!(Outcome::of(&error), Outcome::Absent);
    let text = format!("{error:#}");
    let sha256 = Sha256::of(&fs::read(&release.file).unwrap()).to_string();
    for part in [
        "cannot get x-1.tar.gz",
        "--download x-1.tar.gz=FILE",
        "WEB3SIGNER_TARBALL=FILE",
        "at most 100000 bytes",
        &sha256,
        "http://127.0.0.1:9/x-1.tar.gz",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Another file under its name is refused, and is not kept.
    let wrong = release.dir.path().join("wrong");
    let mut bytes = fs::read(&release.file).unwrap();
    bytes[20] ^= 1;
    fs::write(&wrong, &bytes).unwrap();
    let error = format!(
        "{:#}",
        anyhow::Error::from(release.provide(Some(&wrong), &release.nar).unwrap_err())
    );
    assert!(error.contains("has sha256") && error.contains(&sha256), "{error}");
    let large = release.dir.path().join("large");
    fs::File::create(&large)
        .unwrap()
        .write_all(&vec![0; 100_001])
        .unwrap();
    let error = format!(
        "{:#}",
        anyhow::Error::from(release.provide(Some(&large), &release.nar).unwrap_err())
    );
    assert!(error.contains("more than 100000"), "{error}");
}
