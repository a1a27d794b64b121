//! Compiles small programs for real, in the locked build root: what is stale, what is shared, what is the same.
//!
//! The root comes from the user's store; where it is not there yet it is fetched, as `make eif` would.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use eif_builder::crates::vendor::HostCargo;
use eif_builder::crates::workspace::Workspace;
use eif_builder::crates::{CrateError, CrateShop};
use eif_builder::part::{BuiltPart, Root, Workshop};
use eif_builder::store::Store;

const EXE: &str = env!("CARGO_BIN_EXE_eif-builder");

/// One extracted root for all tests.
static ROOT: LazyLock<Root> = LazyLock::new(|| {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(EXE)
        .args(["recipe", "build-root", "--tree"])
        .arg(top)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let path = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let key = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
    Root { path, key }
});

/// A workspace of a program, the library that it uses, and a member that it does not.
const FILES: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        "[workspace]\nresolver = '3'\nmembers = ['tool', 'words', 'other']\n[workspace.dependencies]\n\
         words = { path = 'words' }\n[profile.release]\npanic = 'abort'\nlto = 'fat'\ncodegen-units = 1\nstrip = 'symbols'\n",
    ),
    (
        "Cargo.lock",
        "version = 4\n\n[[package]]\nname = \"other\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"tool\"\nversion = \"0.1.0\"\n\
         dependencies = [\n \"words\",\n]\n\n[[package]]\nname = \"words\"\nversion = \"0.1.0\"\n",
    ),
    (
        "tool/Cargo.toml",
        "[package]\nname = 'tool'\nversion = '0.1.0'\nedition = '2024'\n[dependencies]\nwords.workspace = true\n",
    ),
    (
        "tool/src/main.rs",
        "fn main() { println!(\"{} {}\", words::WORD, file!()); std::env::args().nth(9).expect(\"none\"); }\n",
    ),
    (
        "words/Cargo.toml",
        "[package]\nname = 'words'\nversion = '0.1.0'\nedition = '2024'\n",
    ),
    ("words/src/lib.rs", "pub const WORD: &str = \"first\";\n"),
    (
        "other/Cargo.toml",
        "[package]\nname = 'other'\nversion = '0.1.0'\nedition = '2024'\n",
    ),
    ("other/src/main.rs", "fn main() {}\n"),
];

/// A workspace and a store, somewhere.
struct Place {
    dir: tempfile::TempDir,
    built: Mutex<Vec<String>>,
    jobs: usize,
}

impl Place {
    fn new(prefix: &str, jobs: usize) -> Self {
        let dir = tempfile::Builder::new().prefix(prefix).tempdir().unwrap();
        let place = Self {
            dir,
            built: Mutex::default(),
            jobs,
        };
        for (path, text) in FILES {
            place.put(path, text);
        }
        place
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("tree").join(path)
    }

    /// Writes a file whose time of change is always the same, and long past.
    fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_hours(24)).unwrap();
    }

    fn build(&self, package: &str) -> Result<BuiltPart, CrateError> {
        let store = Store::open(&self.dir.path().join("store")).unwrap();
        let workspace = Workspace::open(&self.path("")).unwrap();
        // Nothing is fetched: the programs need no published crate.
        let home = self.dir.path().join("cargo");
        let cargo = HostCargo {
            program: env!("CARGO").into(),
            home,
        };
        let shop = CrateShop {
            workshop: Workshop {
                store: &store,
                exe: Path::new(EXE),
                jobs: NonZeroUsize::new(self.jobs).unwrap(),
                announce: &|name, _| self.built.lock().unwrap().push(name.to_owned()),
            },
            root: &ROOT,
            cargo: &cargo,
            workspace_dir: &self.path(""),
            workspace: &workspace,
        };
        shop.build(package)
    }

    /// Builds and runs a program.
    fn run(&self, package: &str) -> Output {
        let file = self.build(package).unwrap().file(package).unwrap();
        Command::new(file.path).output().unwrap()
    }

    fn says(&self, package: &str) -> String {
        String::from_utf8(self.run(package).stdout).unwrap()
    }

    fn times_built(&self) -> usize {
        self.built.lock().unwrap().len()
    }
}

#[test]
fn content_decides_and_time_stamps_do_not() {
    let place = Place::new("stale", 2);
    assert_eq!(place.says("tool"), "first tool/src/main.rs\n");
    // Same length, same old time stamp: nothing but the content tells.
    place.put("words/src/lib.rs", "pub const WORD: &str = \"other\";\n");
    assert_eq!(place.says("tool"), "other tool/src/main.rs\n");
    place.put("words/src/lib.rs", "pub const WORD: &str = \"first\";\n");
    assert_eq!(place.says("tool"), "first tool/src/main.rs\n");
    assert_eq!(place.times_built(), 2, "the first one is still in the store");
}

#[test]
fn another_member_is_no_reason_to_build_again() {
    let place = Place::new("closure", 2);
    let first = place.build("tool").unwrap();
    place.put("other/src/main.rs", "fn main() { println!(\"changed\") }\n");
    place.put("tool/README.md", "new\n");
    place.put("tool/tests/t.rs", "new\n");
    assert_eq!(place.build("tool").unwrap(), first);
    assert_eq!(place.times_built(), 1);
    assert_eq!(place.says("other"), "changed\n");
}

#[test]
fn places_users_masks_and_jobs_leave_no_trace() {
    let bytes = |place: &Place| fs::read(place.build("tool").unwrap().file("tool").unwrap().path).unwrap();
    let first = Place::new("a", 1);
    let old = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let second = Place::new("quite another place", 2);
    let second_bytes = bytes(&second);
    rustix::process::umask(old);
    assert!(bytes(&first) == second_bytes);
    let output = first.run("tool");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("tool/src/main.rs:1"),
        "panics still say where: {said}"
    );
}

#[test]
fn a_program_that_does_not_compile_shows_why() {
    let place = Place::new("broken", 2);
    place.put("tool/src/main.rs", "fn main() { nonsense }\n");
    let error = place.build("tool").unwrap_err().to_string();
    assert!(
        error.contains("building tool failed") && error.contains("nonsense"),
        "{error}"
    );
    let no_program = place.build("words").unwrap_err();
    assert!(matches!(no_program, CrateError::NoProgram(name) if name == "words"));
}
