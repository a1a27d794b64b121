//! Reloads: what changed is read, what did not is left alone, and whoever looks keys up never waits.

use std::convert::Infallible;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::{Folder, key, keystore, load, name, names, problems, raw, secret, sorted};
use web3signer_rs::keys::{BulkPasswords, Changes, Keys};

fn three_sources() -> (Folder, Keys) {
    let folder = Folder::new();
    folder.write("keys/raw.yaml", raw(1));
    folder.write(
        "keys/ks.yaml",
        "type: file-keystore\nkeystoreFile: k/2.json\nkeystorePasswordFile: k/2.pw\n",
    );
    folder.keystore("keys/k/2.json", 2).write("keys/k/2.pw", "pass");
    folder.keystore("bulk/3.json", 3).write("pw/3.txt", "pass");
    let keys = Keys::new(folder.with_bulk(Some(BulkPasswords::Folder(folder.path("pw")))));
    (folder, keys)
}

#[test]
fn unchanged_files_are_not_read_again() {
    let (_folder, keys) = three_sources();
    let first = load(&keys);
    assert_eq!(
        (first.keys, first.unchanged_files),
        (3, 0),
        "{}",
        problems(&first)
    );
    assert_eq!(first.changes.added.len(), 3);
    let before = keys.snapshot();
    let second = load(&keys);
    assert_eq!((second.keys, second.unchanged_files), (3, 3));
    assert_eq!(second.changes, Changes::default());
    assert_eq!(second.counts, first.counts);
    for number in [1, 2, 3] {
        let old = before.find(&name(number)).unwrap();
        assert!(Arc::ptr_eq(old, &key(&keys, number)), "{number} was made again");
    }
}

#[test]
fn a_change_of_any_file_is_seen() {
    let (folder, keys) = three_sources();
    for changed in [
        "keys/k/2.json",
        "keys/k/2.pw",
        "keys/ks.yaml",
        "bulk/3.json",
        "pw/3.txt",
    ] {
        load(&keys);
        let text = std::fs::read(folder.path(changed)).unwrap();
        folder.write(changed, text);
        assert_eq!(load(&keys).unchanged_files, 2, "{changed}");
        assert_eq!(names(&keys), sorted(&[1, 2, 3]));
    }
}

/// The same length and the same modification time, as `cp -p` or `rsync -t` leave it.
#[test]
fn a_change_that_hides_its_time_is_seen() {
    let folder = Folder::new();
    folder.write("keys/a.yaml", raw(1));
    let keys = folder.keys();
    load(&keys);
    let path = folder.path("keys/a.yaml");
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    // The clock of the file system ticks some hundred times a second.
    thread::sleep(std::time::Duration::from_millis(30));
    folder.write("keys/a.yaml", raw(2));
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    let report = load(&keys);
    assert_eq!(names(&keys), sorted(&[2]));
    assert_eq!(report.changes.removed, [secret(1).public_key()]);
    assert_eq!(report.changes.added, [secret(2).public_key()]);
}

#[test]
fn keys_whose_file_is_gone_or_broken_are_dropped() {
    let (folder, keys) = three_sources();
    load(&keys);
    folder.remove("bulk/3.json").write("keys/k/2.pw", "wrong");
    let report = load(&keys);
    assert_eq!(names(&keys), sorted(&[1]));
    assert_eq!((report.changes.added.len(), report.changes.removed.len()), (0, 2));
    assert_eq!(report.counts.config.error_count, 1);
    folder.write("keys/k/2.pw", "pass");
    assert!(load(&keys).problems.is_empty());
    assert_eq!(names(&keys), sorted(&[1, 2]));
}

#[test]
fn nothing_changes_when_the_hook_fails() {
    let (folder, keys) = three_sources();
    load(&keys);
    folder.write("keys/new.yaml", raw(4)).remove("keys/raw.yaml");
    let mut seen = Changes::default();
    let result = keys.load(&|_| (), |changes| {
        // Nobody can use the new key before this returns.
        assert!(keys.find(&name(4)).is_none());
        seen = changes.clone();
        Err("the data base is away")
    });
    assert_eq!(result.unwrap_err(), "the data base is away");
    assert_eq!(
        seen,
        Changes {
            added: vec![secret(4).public_key()],
            removed: vec![secret(1).public_key()]
        }
    );
    assert_eq!(names(&keys), sorted(&[1, 2, 3]));
    load(&keys);
    assert_eq!(names(&keys), sorted(&[2, 3, 4]));
}

#[test]
fn progress_counts_every_file_and_key() {
    let folder = Folder::new();
    folder
        .write("keys/a.yaml", format!("{}---\n{}---\n{}", raw(1), raw(2), raw(3)))
        .write("keys/b.yaml", raw(4));
    let (calls, last) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let keys = folder.keys();
    keys.load::<Infallible>(
        &|progress| {
            assert!(progress.done <= progress.total);
            calls.fetch_add(1, Ordering::Relaxed);
            last.fetch_max(progress.done, Ordering::Relaxed);
        },
        |_| Ok(()),
    )
    .unwrap();
    // Two files, four keys.
    assert_eq!((calls.into_inner(), last.into_inner()), (6, 6));
}

#[test]
fn identifiers() {
    let folder = Folder::new();
    folder.write("keys/a.yaml", raw(1));
    let keys = folder.keys();
    load(&keys);
    let name = name(1);
    for identifier in [
        name.clone(),
        name[2..].to_owned(),
        name.to_uppercase(),
        name.to_uppercase().replace("0X", "0x"),
    ] {
        assert!(keys.find(&identifier).is_some(), "{identifier}");
    }
    for identifier in [
        "",
        "0x",
        "x",
        &name[..96],
        &format!("{name}00"),
        &format!("0x{name}"),
        &format!(" {name}"),
        &name.replace("0x", "0xg"),
    ] {
        assert!(keys.find(identifier).is_none(), "{identifier}");
    }
    let mut other = name.into_bytes();
    other[97] ^= 1;
    assert!(keys.find(std::str::from_utf8(&other).unwrap()).is_none());
}

/// Readers run against a registry that is reloaded and changed all the time. A key that stays is found by every lookup.
#[test]
fn lookups_never_miss_a_key_that_stays() {
    let folder = Folder::new();
    folder.write("keys/stays.yaml", raw(1));
    let keys = folder.keys();
    load(&keys);
    let stop = AtomicUsize::new(0);
    let lookups = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while stop.load(Ordering::Relaxed) == 0 {
                    assert!(keys.find(&name(1)).is_some());
                    let snapshot = keys.snapshot();
                    assert!(snapshot.iter().is_sorted_by_key(|key| *key.public_key()));
                    lookups.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..30 {
                let web3signer_rs::keys::Opened::Pending(pending) =
                    keys.open_import(keystore(5).as_bytes(), "pass").unwrap()
                else {
                    unreachable!("the key was deleted");
                };
                keys.import(*pending).unwrap();
                // No reload between import and deletion may lose it.
                assert!(keys.find(&name(5)).is_some());
                keys.delete(&secret(5).public_key()).unwrap();
            }
            stop.store(1, Ordering::Relaxed);
        });
        while stop.load(Ordering::Relaxed) == 0 {
            folder.write("keys/moves.yaml", raw(2));
            load(&keys);
            folder.remove("keys/moves.yaml");
            load(&keys);
        }
    });
    assert!(lookups.into_inner() > 0);
    load(&keys);
    assert_eq!(names(&keys), sorted(&[1]));
}
