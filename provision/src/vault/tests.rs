//! Swaps, and what is left when they end at any point.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn vault() -> (tempfile::TempDir, Vault) {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::new(dir.path().to_owned());
    (dir, vault)
}

fn files(text: &str) -> Files {
    let bytes = |name: &str| Zeroizing::new(format!("{name} {text}").into_bytes());
    [names::STATE, names::KEYS].map(|name| (name, bytes(name))).into()
}

fn there(vault: &Vault) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    list(vault.root()).unwrap().iter().map(name).collect()
}

#[test]
fn one_generation_after_the_other() {
    let (_dir, vault) = vault();
    vault.clean().unwrap();
    assert!(vault.read().unwrap().is_none());
    for number in 1..4 {
        let swap = vault.swap(&files(&number.to_string())).unwrap();
        vault.keep(&swap).unwrap();
        assert_eq!(vault.read().unwrap().unwrap(), files(&number.to_string()));
        assert_eq!(there(&vault), ["current".to_owned(), format!("g{number}")]);
    }
    let mode = |path: &str| {
        fs::metadata(vault.root().join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode("g3"), mode("g3/keys"), mode("g3/keys/keys.yaml")),
        (0o700, 0o700, 0o600)
    );
    vault.wipe_all().unwrap();
    assert_eq!(there(&vault), [""; 0]);
}

#[test]
fn a_swap_is_undone() {
    let (_dir, vault) = vault();
    let first = vault.swap(&files("1")).unwrap();
    vault.undo(&first).unwrap();
    assert_eq!(there(&vault), [""; 0]);
    vault
        .swap(&files("1"))
        .map(|swap| vault.keep(&swap))
        .unwrap()
        .unwrap();
    let second = vault.swap(&files("2")).unwrap();
    assert_eq!(vault.read().unwrap().unwrap(), files("2"));
    vault.undo(&second).unwrap();
    assert_eq!(vault.read().unwrap().unwrap(), files("1"));
    assert_eq!(there(&vault), ["current", "g1"]);
}

/// Something is where a file or a folder should come: nothing has changed, and nothing of ours is left.
#[test]
fn a_swap_that_fails_changes_nothing() {
    let (_dir, vault) = vault();
    vault
        .swap(&files("1"))
        .map(|swap| vault.keep(&swap))
        .unwrap()
        .unwrap();
    fs::create_dir(vault.root().join(NEXT)).unwrap();
    let error = vault.swap(&files("2")).unwrap_err();
    assert!(error.to_string().starts_with("cannot remove "), "{error}");
    assert_eq!(vault.read().unwrap().unwrap(), files("1"));
    assert_eq!(there(&vault), ["current", "g1", "next"]);
    vault.clean().unwrap();
    assert_eq!(there(&vault), ["current", "g1"]);
    vault
        .swap(&files("2"))
        .map(|swap| vault.keep(&swap))
        .unwrap()
        .unwrap();
    assert_eq!(vault.read().unwrap().unwrap(), files("2"));
}

#[test]
fn wiped_is_overwritten() {
    let (_dir, vault) = vault();
    let swap = vault.swap(&files("planted")).unwrap();
    let mut open = File::open(vault.current().join(names::KEYS)).unwrap();
    vault.keep(&swap).unwrap();
    vault.wipe_all().unwrap();
    let mut left = Vec::new();
    open.read_to_end(&mut left).unwrap();
    assert_eq!(left, vec![0; "keys/keys.yaml planted".len()]);
}

#[test]
fn links_are_removed_and_not_followed() {
    let (_dir, vault) = vault();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("kept"), "kept").unwrap();
    symlink(outside.path(), vault.root().join("folder")).unwrap();
    symlink(outside.path().join("kept"), vault.root().join("file")).unwrap();
    symlink(outside.path(), vault.current()).unwrap();
    assert!(vault.read().unwrap().is_none(), "not one of ours");
    vault.clean().unwrap();
    assert_eq!(there(&vault), [""; 0]);
    assert_eq!(fs::read(outside.path().join("kept")).unwrap(), b"kept");
}

#[test]
fn the_journal_stays() {
    let (_dir, vault) = vault();
    vault.make_journal_folder().unwrap();
    vault.make_journal_folder().unwrap();
    fs::write(vault.root().join("slashing/journal"), "signed").unwrap();
    vault.clean().unwrap();
    vault.wipe_all().unwrap();
    assert_eq!(there(&vault), ["slashing"]);
    assert_eq!(
        fs::read(vault.root().join("slashing/journal")).unwrap(),
        b"signed"
    );
}
