//! Builds parts for real, in a root that is the host's `/usr` and nothing else.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Mutex;

use eif_builder::digest::Sha256;
use eif_builder::part::{BuiltPart, Part, PartError, Root, Source, Workshop};
use eif_builder::store::Store;

/// A store and a root, each in a temporary folder.
struct Place {
    dir: tempfile::TempDir,
    store: Store,
    root: Root,
    built: Mutex<Vec<String>>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("usr")).unwrap();
        for name in ["bin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), root.join(name)).unwrap();
        }
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self {
            dir,
            store,
            root: Root {
                path: root,
                key: Sha256::of(b"host"),
            },
            built: Mutex::default(),
        }
    }

    fn part<'a>(&'a self, script: &'a str) -> Part<'a> {
        let usr = Source::Dir {
            host: "/usr".into(),
            digest: Sha256::of(b"usr"),
        };
        Part {
            name: "sample",
            root: &self.root,
            inputs: BTreeMap::from([
                ("/usr".to_owned(), usr),
                ("/in/text".to_owned(), Source::Text("hello\n".to_owned())),
            ]),
            caches: BTreeMap::new(),
            script,
            env: BTreeMap::from([("GREETING".to_owned(), "hi".to_owned())]),
            outputs: vec!["file".to_owned()],
        }
    }

    fn build_with(&self, part: &Part<'_>, jobs: usize) -> Result<BuiltPart, PartError> {
        let shop = Workshop {
            store: &self.store,
            exe: Path::new(env!("CARGO_BIN_EXE_eif-builder")),
            jobs: NonZeroUsize::new(jobs).unwrap(),
            announce: &|name, _| self.built.lock().unwrap().push(name.to_owned()),
        };
        shop.build(part)
    }

    fn build(&self, part: &Part<'_>) -> Result<BuiltPart, PartError> {
        self.build_with(part, 2)
    }

    fn times_built(&self) -> usize {
        self.built.lock().unwrap().len()
    }
}

#[test]
fn a_part_is_built_once_and_recorded() {
    let place = Place::new();
    let part =
        place.part("cat /in/text >/out/file; echo $GREETING >>/out/file; pwd >>/out/file; test -n \"$JOBS\"");
    let first = place.build(&part).unwrap();
    let second = place.build_with(&part, 7).unwrap();
    assert_eq!(
        (&first, place.times_built()),
        (&second, 1),
        "the number of jobs is not in the key"
    );
    let file = first.file("file").unwrap();
    assert_eq!(fs::read_to_string(&file.path).unwrap(), "hello\nhi\n/build\n");
    assert_eq!(file.sha256, Sha256::of(b"hello\nhi\n/build\n"));
    assert_eq!(first.key, part.recipe().key());
    let mut other = place.part(part.script);
    other
        .inputs
        .insert("/in/text".to_owned(), Source::Text("bye\n".to_owned()));
    assert_ne!(
        place.build(&other).unwrap().file("file").unwrap().sha256,
        file.sha256
    );
    assert_eq!(place.times_built(), 2);
}

#[test]
fn a_failed_script_shows_its_end_and_leaves_nothing() {
    let place = Place::new();
    let part = place.part("echo half >/out/file; echo what went wrong >&2; exit 7");
    let error = place.build(&part).unwrap_err();
    assert!(
        matches!(&error, PartError::Failed { status: 7, log, .. } if log.is_file()),
        "{error:?}"
    );
    assert!(error.to_string().ends_with("what went wrong"), "{error}");
    assert_eq!(place.store.part(part.recipe().key()), None);
    let scratch = fs::metadata(place.store.scratch_path().parent().unwrap()).unwrap();
    assert_eq!(
        std::os::unix::fs::MetadataExt::nlink(&scratch),
        2,
        "no folder is left in the scratch"
    );
}

#[test]
fn outputs_that_were_not_promised_are_an_error() {
    let place = Place::new();
    for (script, path, wrong) in [
        (":", "file", "missing"),
        ("touch /out/file /out/more", "more", "not declared"),
    ] {
        let error = place.build(&place.part(script)).unwrap_err().to_string();
        assert!(error.contains(path) && error.contains(wrong), "{error}");
    }
}

#[test]
fn a_damaged_output_is_noticed_when_it_is_used() {
    let place = Place::new();
    let built = place.build(&place.part("echo good >/out/file")).unwrap();
    let path = built.dir.join("file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, "evil\n").unwrap();
    assert!(matches!(built.file("file"), Err(PartError::Damaged(p)) if p == path));
    assert!(matches!(built.file("none"), Err(PartError::Damaged(_))));
    fs::write(built.dir.parent().unwrap().join("part.json"), "{").unwrap();
    assert!(matches!(
        place.build(&place.part("echo good >/out/file")),
        Err(PartError::Record { .. })
    ));
}

#[test]
fn a_cache_is_shared_between_parts() {
    let place = Place::new();
    let with_cache = |script| {
        let mut part = place.part(script);
        part.caches.insert("/cache".to_owned(), "sample".to_owned());
        part
    };
    place
        .build(&with_cache("echo kept >/cache/file; echo >/out/file"))
        .unwrap();
    let second = place.build(&with_cache("cp /cache/file /out/file")).unwrap();
    assert_eq!(
        fs::read_to_string(second.file("file").unwrap().path).unwrap(),
        "kept\n"
    );
}

#[test]
fn two_builds_of_one_part_do_it_once() {
    let place = Place::new();
    let part = place.part("sleep 0.2; echo x >/out/file");
    std::thread::scope(|scope| {
        let builds: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| place.build(&part).unwrap().key))
            .collect();
        for build in builds {
            assert_eq!(build.join().unwrap(), part.recipe().key());
        }
    });
    assert_eq!(place.times_built(), 1);
}

#[test]
fn surroundings_of_the_caller_do_not_reach_the_outputs() {
    // The umask of a process is shared by its threads: this test only sets modes that others do not look at.
    let seen = Cell::new(None);
    for umask in [0o022, 0o077] {
        let place = Place::new();
        let old = rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        let part = place.part("umask >/out/file; env | grep -v '^JOBS=' | sort >>/out/file; id >>/out/file; date +%Z >>/out/file");
        let built = place.build_with(&part, umask as usize % 5 + 1);
        rustix::process::umask(old);
        let file = built.unwrap().file("file").unwrap();
        let before = seen.replace(Some((
            file.sha256,
            fs::metadata(&file.path).unwrap().permissions().mode(),
        )));
        assert!(
            before.is_none_or(|b| Some(b) == seen.get()),
            "{}",
            fs::read_to_string(file.path).unwrap()
        );
        drop(place.dir);
    }
}
