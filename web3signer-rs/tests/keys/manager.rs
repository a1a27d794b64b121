//! The key manager: imports and deletions, on the disk and in memory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use crate::support::{Folder, exists, key, keystore, keystore_with, load, name, names, raw, secret, sorted};
use web3signer_rs::keys::{
    BulkPasswords, DeleteError, DeleteOutcome, ImportOutcome, ImportStorage, Keys, Opened, Origin,
    PendingImport,
};

fn open(keys: &Keys, json: &str, password: &str) -> PendingImport {
    match keys.open_import(json.as_bytes(), password).unwrap() {
        Opened::Pending(pending) => *pending,
        Opened::Duplicate(key) => unreachable!("{key} is loaded"),
    }
}

fn files(folder: &Folder) -> Vec<String> {
    let mut names: Vec<_> = walk(folder)
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn walk(folder: &Folder) -> impl Iterator<Item = fs::DirEntry> {
    #[expect(clippy::disallowed_methods, reason = "the caller sorts")]
    fs::read_dir(folder.path("keys")).unwrap().map(Result::unwrap)
}

#[test]
fn an_import_survives_a_restart() {
    let folder = Folder::new();
    let keys = folder.keys();
    load(&keys);
    let pending = open(&keys, &keystore(1), "pass");
    assert_eq!(pending.public_key().to_string(), name(1));
    assert!(files(&folder).is_empty(), "opening writes nothing");
    assert_eq!(keys.import(pending).unwrap(), ImportOutcome::Imported);
    let imported = key(&keys, 1);
    assert_eq!(
        (imported.origin(), imported.readonly()),
        (Origin::Imported, false)
    );
    assert_eq!(imported.derivation_path(), Some("m/12381/3600/0/0/0"));

    let expected: Vec<String> = ["json", "password", "yaml"]
        .iter()
        .map(|e| format!("{}.{e}", name(1)))
        .collect();
    assert_eq!(files(&folder), expected);
    for entry in walk(&folder) {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(
        fs::read_to_string(folder.path(&format!("keys/{}.json", name(1)))).unwrap(),
        keystore(1)
    );

    // A reload knows the files that it wrote.
    assert_eq!(load(&keys).unchanged_files, 1);
    assert!(Arc::ptr_eq(&imported, &key(&keys, 1)));

    let restarted = folder.keys();
    assert!(load(&restarted).problems.is_empty());
    assert_eq!(key(&restarted, 1).origin(), Origin::KeystoreConfig);
    assert_eq!(key(&restarted, 1).sign(b"x"), secret(1).sign(b"x"));
}

/// A password with a line end would be cut where the file is read again; it is written in its normal form.
#[test]
fn passwords_with_line_ends_survive_a_restart() {
    let folder = Folder::new();
    let keys = folder.keys();
    for (number, password) in [
        (1, "a\nb"),
        (2, "\n  p\u{e9}\u{1f511}\r\n"),
        (3, "\u{85}x\u{2028}y"),
    ] {
        keys.import(open(&keys, &keystore_with(number, password), password))
            .unwrap();
    }
    let restarted = folder.keys();
    load(&restarted);
    assert_eq!(names(&restarted), sorted(&[1, 2, 3]));
}

#[test]
fn duplicates_are_seen_before_they_cost_anything() {
    let folder = Folder::new();
    folder.write("keys/a.yaml", raw(1));
    let keys = folder.keys();
    load(&keys);
    let opened = keys
        .open_import(keystore(1).as_bytes(), "a wrong password")
        .unwrap();
    assert!(matches!(opened, Opened::Duplicate(key) if key == secret(1).public_key()));

    let (first, second) = (
        open(&keys, &keystore(2), "pass"),
        open(&keys, &keystore(2), "pass"),
    );
    assert_eq!(keys.import(first).unwrap(), ImportOutcome::Imported);
    assert_eq!(keys.import(second).unwrap(), ImportOutcome::Duplicate);
    assert_eq!(keys.snapshot().len(), 2);
}

#[test]
fn what_does_not_open_changes_nothing() {
    let folder = Folder::new();
    let keys = folder.keys();
    load(&keys);
    for (json, password) in [
        (keystore(1), "wrong"),
        (keystore(1), ""),
        ("{}".to_owned(), "p"),
        (String::new(), "p"),
    ] {
        let error = keys.open_import(json.as_bytes(), password).unwrap_err();
        assert!(!format!("{error:?}").contains("wrong"), "{error:?}");
    }
    assert!(files(&folder).is_empty());
    assert!(keys.snapshot().is_empty());
}

#[test]
fn what_cannot_be_stored_is_not_imported() {
    let folder = Folder::new();
    let keys = folder.keys();
    let pending = open(&keys, &keystore(1), "pass");
    // Where the configuration file should be, there is a folder: the last of the three cannot be written.
    folder.write(&format!("keys/{}.yaml/x", name(1)), "");
    keys.import(pending).unwrap_err();
    assert!(keys.snapshot().is_empty());
    assert_eq!(files(&folder), [format!("{}.yaml", name(1))]);

    let mut settings = folder.settings();
    settings.config.path = folder.path("none");
    let keys = Keys::new(settings);
    let error = keys.import(open(&keys, &keystore(1), "pass")).unwrap_err();
    assert!(error.to_string().contains("cannot be stored"), "{error}");
    assert!(keys.snapshot().is_empty());
}

#[test]
fn memory_only_imports_leave_no_file_and_survive_reloads() {
    let folder = Folder::new();
    let mut settings = folder.settings();
    settings.import = ImportStorage::MemoryOnly;
    let keys = Keys::new(settings);
    keys.import(open(&keys, &keystore(1), "pass")).unwrap();
    assert!(files(&folder).is_empty());
    let report = load(&keys);
    assert_eq!((report.keys, report.changes.removed.len()), (1, 0));
    assert_eq!(key(&keys, 1).file(), None);
    assert_eq!(
        keys.delete(&secret(1).public_key()).unwrap(),
        DeleteOutcome::Deleted
    );
    load(&keys);
    assert!(keys.snapshot().is_empty());
}

#[test]
fn a_deleted_key_does_not_come_back() {
    let folder = Folder::new();
    let keys = folder.keys();
    for number in [1, 2] {
        keys.import(open(&keys, &keystore(number), "pass")).unwrap();
    }
    assert_eq!(
        keys.delete(&secret(1).public_key()).unwrap(),
        DeleteOutcome::Deleted
    );
    assert_eq!(
        keys.delete(&secret(1).public_key()).unwrap(),
        DeleteOutcome::NotLoaded
    );
    assert!(files(&folder).iter().all(|file| file.starts_with(&name(2))));
    for keys in [keys, folder.keys()] {
        load(&keys);
        assert_eq!(names(&keys), sorted(&[2]));
    }
    // After a restart too: the file is named by the key.
    let restarted = folder.keys();
    load(&restarted);
    restarted.delete(&secret(2).public_key()).unwrap();
    assert!(files(&folder).is_empty());
}

#[test]
fn a_key_of_someone_else_is_not_deleted() {
    let folder = Folder::new();
    folder.write("keys/raw.yaml", raw(1));
    folder.write(
        "keys/mine.yaml",
        "type: file-keystore\nkeystoreFile: 2.json\nkeystorePasswordFile: pw\n",
    );
    folder
        .keystore("keys/2.json", 2)
        .write("keys/pw", "pass")
        .keystore("bulk/3.json", 3);
    // Named like an import, but with another key in it.
    folder.write(
        &format!("keys/{}.yaml", name(4)),
        format!(
            "type: file-keystore\nkeystoreFile: 4.json\nkeystorePasswordFile: pw\n---\n{}",
            raw(5)
        ),
    );
    folder.keystore("keys/4.json", 4);
    let keys = Keys::new(folder.with_bulk(Some(BulkPasswords::File(folder.path("keys/pw")))));
    assert!(load(&keys).problems.is_empty());
    let all = files(&folder);

    let error = keys.delete(&secret(1).public_key()).unwrap_err();
    assert!(
        matches!(&error, DeleteError::ReadOnly { file } if file.ends_with("raw.yaml")),
        "{error}"
    );
    for (number, file) in [
        (2, "mine.yaml".to_owned()),
        (3, "3.json".to_owned()),
        (4, format!("{}.yaml", name(4))),
    ] {
        let error = keys.delete(&secret(number).public_key()).unwrap_err();
        assert!(
            matches!(&error, DeleteError::Elsewhere { file: f } if f.ends_with(&file)),
            "{error}"
        );
    }
    assert_eq!(
        keys.delete(&secret(9).public_key()).unwrap(),
        DeleteOutcome::NotLoaded
    );
    assert_eq!(files(&folder), all);
    assert_eq!(names(&keys), sorted(&[1, 2, 3, 4, 5]));
}

/// An import whose key also stands elsewhere would come back at the next reload, so it is not called deleted.
#[test]
fn an_import_that_is_also_elsewhere_is_not_deleted() {
    let folder = Folder::new();
    fs::create_dir(folder.path("bulk")).unwrap();
    folder.write("pw", "pass");
    let keys = Keys::new(folder.with_bulk(Some(BulkPasswords::File(folder.path("pw")))));
    keys.import(open(&keys, &keystore(1), "pass")).unwrap();
    folder.keystore("bulk/1.json", 1);
    assert_eq!(load(&keys).duplicates.len(), 1);
    assert!(matches!(
        keys.delete(&secret(1).public_key()),
        Err(DeleteError::Elsewhere { .. })
    ));
    folder.remove("bulk/1.json");
    load(&keys);
    assert_eq!(
        keys.delete(&secret(1).public_key()).unwrap(),
        DeleteOutcome::Deleted
    );
    assert!(!exists(&folder.path(&format!("keys/{}.yaml", name(1)))));
}

#[test]
fn debug_output_has_no_secret() {
    let folder = Folder::new();
    let keys = folder.keys();
    let pending = open(&keys, &keystore_with(7, "planted password"), "planted password");
    let text = format!("{pending:?}");
    keys.import(pending).unwrap();
    let text = format!("{text} {keys:?} {:?}", keys.snapshot());
    assert!(!text.contains("planted"), "{text}");
    assert!(
        !text.contains("07, 7") && !text.contains("7, 7, 7") && !text.contains("070707"),
        "{text}"
    );
}
