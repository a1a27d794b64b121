//! What a rebuild is held against, without building.

use serde_json::json;

use super::*;
use crate::verdict::Outcome;

fn measurements() -> Value {
    json!({"EifSha256": "e0", "Measurements": {"HashAlgorithm": "Sha384 { ... }", "PCR0": "a0", "PCR1": "a1", "PCR2": "a2"}})
}

fn failed(published: &Value, rebuilt: &Value) -> Vec<String> {
    let mut verdict = Verdict::default();
    judge_measurements(published, rebuilt, &mut verdict);
    assert_eq!(verdict.is_good(), published == rebuilt, "{verdict}");
    let failed = verdict
        .checks
        .iter()
        .filter(|check| check.outcome == Outcome::Failed);
    failed.map(|check| check.name.clone()).collect()
}

#[test]
fn each_measurement_counts() {
    let good = measurements();
    assert!(failed(&good, &good).is_empty());
    for (pointer, name) in [
        ("/EifSha256", "EIF SHA-256"),
        ("/Measurements/PCR0", "PCR0"),
        ("/Measurements/PCR1", "PCR1"),
        ("/Measurements/PCR2", "PCR2"),
    ] {
        let mut other = good.clone();
        *other.pointer_mut(pointer).unwrap() = json!("ff");
        assert_eq!(failed(&good, &other), [name]);
        assert_eq!(failed(&other, &good), [name]);
    }
    let mut signed = good.clone();
    signed["Measurements"]["PCR8"] = json!("a8");
    assert_eq!(failed(&good, &signed), ["PCR8"]);
    assert_eq!(failed(&signed, &good), ["PCR8"], "a signature that was lost");
    let mut weak = good.clone();
    weak["WeakenedTrust"] = json!(["any-client"]);
    assert_eq!(failed(&good, &weak), ["weakened"]);
}

/// What neither side says is no agreement.
#[test]
fn an_empty_publication_is_refused() {
    let names = failed(&json!({}), &measurements());
    assert_eq!(names, ["EIF SHA-256", "PCR0", "PCR1", "PCR2"]);
}

#[test]
fn a_changed_source_is_refused_unless_allowed() {
    let source = |changed: &[&str]| Source::Checkout {
        commit: "c0".to_owned(),
        tags: Vec::new(),
        changed: changed.iter().map(|name| (*name).to_owned()).collect(),
    };
    let judged = |source: &Source, allow| {
        let mut verdict = Verdict::default();
        judge_source(source, allow, &mut verdict);
        (verdict.is_good(), verdict.not_proven.len())
    };
    assert_eq!(judged(&source(&[]), false), (true, 0));
    assert_eq!(judged(&source(&["init/src/main.rs"]), false), (false, 0));
    assert_eq!(
        judged(&source(&["init/src/main.rs"]), true),
        (false, 1),
        "no check was made"
    );
    assert_eq!(judged(&Source::Unknown, false), (false, 1));
}

#[test]
fn git_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(source(dir.path()), Source::Unknown);
    let git = |args: &[&str]| {
        let done = Command::new("git")
            .args(["-c", "user.name=n", "-c", "user.email=e@example.invalid", "-C"])
            .arg(dir.path())
            .args(args)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    fs::write(dir.path().join("a"), "1").unwrap();
    git(&["init", "-q"]);
    git(&["add", "a"]);
    git(&["commit", "-q", "-m", "one"]);
    git(&["tag", "v1"]);
    let Source::Checkout {
        commit,
        tags,
        changed,
    } = source(dir.path())
    else {
        panic!("not seen")
    };
    assert_eq!(
        (commit.len(), tags, changed),
        (40, vec!["v1".to_owned()], Vec::new())
    );
    fs::write(dir.path().join("a"), "2").unwrap();
    fs::write(dir.path().join("b"), "new").unwrap();
    let Source::Checkout { changed, .. } = source(dir.path()) else {
        panic!("not seen")
    };
    assert_eq!(changed, ["a", "b"]);
}

#[test]
fn the_first_difference_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let long: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let mut late = long.clone();
    late[150_000] ^= 1;
    let (a, b) = (file("a", &long), file("b", &late));
    assert_eq!(first_difference(&a, &a).unwrap(), None);
    assert_eq!(first_difference(&a, &b).unwrap(), Some(150_000));
    let cut = file("cut", &long[..70_000]);
    assert_eq!(first_difference(&a, &cut).unwrap(), Some(70_000));
    assert_eq!(first_difference(&cut, &a).unwrap(), Some(70_000));
    assert_eq!(first_difference(&file("e", b""), &file("f", b"")).unwrap(), None);
    let error = first_difference(&a, &dir.path().join("absent")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_fresh_store_has_inputs_and_no_parts() {
    let dir = tempfile::tempdir().unwrap();
    let (old, fresh) = (dir.path().join("old"), dir.path().join("fresh"));
    for folder in ["blobs/ab", "parts/k"] {
        fs::create_dir_all(old.join(folder)).unwrap();
    }
    fs::write(old.join("blobs/ab/abcd"), "input").unwrap();
    fs::write(old.join("parts/k/file"), "built").unwrap();
    seed_store(&old, &fresh).unwrap();
    assert_eq!(fs::read_to_string(fresh.join("blobs/ab/abcd")).unwrap(), "input");
    assert!(!fresh.join("parts").exists());
    seed_store(&dir.path().join("absent"), &dir.path().join("other")).unwrap();
}
