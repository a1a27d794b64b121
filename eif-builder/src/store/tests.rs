//! Tests of the store: whole or absent, whatever happens in between.

use std::sync::atomic::AtomicUsize;

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn put(store: &Store, bytes: &[u8]) -> Result<VerifiedBlob, StoreError> {
    let mut writer = store.blob_writer("input", Sha256::of(b"hello"), 5)?;
    writer
        .write_all(bytes)
        .map_err(failed("write", Path::new("input")))?;
    writer.commit()
}

fn files_in(dir: &Path) -> usize {
    #[expect(clippy::disallowed_methods, reason = "only counted")]
    let entries = fs::read_dir(dir).unwrap();
    entries
        .map(|e| e.unwrap().path())
        .map(|p| if p.is_dir() { files_in(&p) } else { 1 })
        .sum()
}

#[test]
fn a_blob_is_found_again() {
    let (_dir, store) = store();
    assert!(store.blob(Sha256::of(b"hello"), 5).unwrap().is_none());
    let blob = put(&store, b"hello").unwrap();
    assert_eq!(fs::read(blob.path()).unwrap(), b"hello");
    assert_eq!(store.blob(Sha256::of(b"hello"), 5).unwrap(), Some(blob));
}

#[test]
fn wrong_bytes_never_enter() {
    let (dir, store) = store();
    let error = put(&store, b"hallo").unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&Sha256::of(b"hello").to_string()), "{text}");
    assert!(text.contains(&Sha256::of(b"hallo").to_string()), "{text}");
    assert!(matches!(
        put(&store, b"hell"),
        Err(StoreError::Mismatch { actual_bytes: 4, .. })
    ));
    assert!(matches!(put(&store, b"hello!"), Err(StoreError::File(_))));
    assert_eq!(files_in(&dir.path().join("blobs")), 0);
    assert_eq!(files_in(&store.scratch.path), 1, "only `alive` is left");
}

#[test]
fn a_rotten_blob_counts_as_absent() {
    let (_dir, store) = store();
    let blob = put(&store, b"hello").unwrap();
    fs::remove_file(blob.path()).unwrap();
    fs::write(blob.path(), b"jello").unwrap();
    assert_eq!(store.blob(Sha256::of(b"hello"), 5).unwrap(), None);
    assert!(!blob.path().exists());
}

#[test]
fn a_failed_part_leaves_nothing() {
    let (_dir, store) = store();
    let key = Sha256::of(b"key");
    let result = store.part_or_build(key, |dir| {
        fs::write(dir.join("half"), b"half").unwrap();
        Err(failed("test", dir)(io::ErrorKind::StorageFull.into()).into())
    });
    assert!(matches!(
        result,
        Err(StoreError::File(FileError { action: "test", .. }))
    ));
    assert_eq!(store.part(key), None);
    assert_eq!(files_in(&store.scratch.path), 1, "only `alive` is left");
}

#[test]
fn a_part_is_built_once_by_many() {
    let (_dir, store) = store();
    let built = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let part = store.part_or_build(Sha256::of(b"key"), |dir| {
                    built.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, StoreError>(crate::file::write(&dir.join("whole"), b"whole")?)
                });
                assert_eq!(fs::read(part.unwrap().join("whole")).unwrap(), b"whole");
            });
        }
    });
    assert_eq!(built.load(Ordering::SeqCst), 1);
}

#[test]
fn the_next_build_clears_what_a_killed_one_left_and_spares_the_living() {
    let (dir, living) = store();
    let dead = dir.path().join("tmp/1-0");
    fs::create_dir_all(dead.join("sealed/inner")).unwrap();
    fs::write(dead.join("alive"), b"").unwrap();
    fs::set_permissions(dead.join("sealed"), fs::Permissions::from_mode(0o500)).unwrap();
    let second = Store::open(dir.path()).unwrap();
    assert!(!dead.exists());
    assert!(living.scratch.path.exists());
    let path = second.scratch.path.clone();
    drop(second);
    assert!(!path.exists());
}
