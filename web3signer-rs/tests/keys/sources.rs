//! What the two folders may hold, and what comes of files that are broken.

use std::os::unix::fs::symlink;

use proptest::prelude::*;

use crate::support::{Folder, key, load, name, names, problems, raw, sorted};
use web3signer_rs::keys::{BulkPasswords, ConfigFileError, Keys, Origin, SourceCount, check_config_file};

#[test]
fn several_documents_in_one_file() {
    let folder = Folder::new();
    folder.write(
        "keys/a.yaml",
        format!("---\n{}---\n{}---\n{}", raw(1), raw(2), raw(3)),
    );
    folder.write("keys/B.YML", format!("# a comment\n{}---\n", raw(4)));
    let keys = folder.keys();
    let report = load(&keys);
    assert_eq!(names(&keys), sorted(&[1, 2, 3, 4]));
    assert_eq!(
        report.counts.config,
        SourceCount {
            keys_loaded: 4,
            error_count: 0
        }
    );
    assert_eq!(key(&keys, 3).file(), Some(folder.path("keys/a.yaml").as_path()));
    assert_eq!(key(&keys, 3).origin(), Origin::RawConfig);
    assert!(key(&keys, 3).readonly());
}

#[test]
fn one_bad_document_spoils_its_file_and_no_other() {
    let folder = Folder::new();
    folder.write(
        "keys/a.yaml",
        format!("{}---\ntype: file-raw\n---\n{}", raw(1), raw(2)),
    );
    folder.write(
        "keys/b.yaml",
        format!("{}---\n{}", raw(3), "type: file-raw\nprivateKey: \"0x00\"\n"),
    );
    folder.write("keys/c.yaml", raw(4));
    let keys = folder.keys();
    let report = load(&keys);
    assert_eq!(names(&keys), sorted(&[4]));
    assert_eq!(
        report.counts.config,
        SourceCount {
            keys_loaded: 1,
            error_count: 2
        }
    );
    let text = problems(&report);
    assert!(
        text.contains("a.yaml: document 2: privateKey is missing\n"),
        "{text}"
    );
    assert!(
        text.contains("b.yaml: document 2: privateKey is no BLS key: the secret key is zero"),
        "{text}"
    );
}

#[test]
fn remote_sources_are_refused_by_name() {
    for remote in ["hashicorp", "azure-secret", "azure-key", "aws-secret", "aws-kms"] {
        let folder = Folder::new();
        folder.write("keys/a.yaml", format!("type: {remote}\nkeyName: x\n"));
        let keys = folder.keys();
        let report = load(&keys);
        assert_eq!(report.counts.config.error_count, 1);
        let text = problems(&report);
        assert!(
            text.contains(&format!("type {remote:?} is a remote source")),
            "{text}"
        );
    }
}

#[test]
fn names_of_members_and_types_are_exact_and_values_of_enums_are_not() {
    for (text, error) in [
        (
            "type: FILE-RAW\nprivateKey: \"01\"\n",
            "type \"FILE-RAW\" is unknown",
        ),
        ("type: file-raw\nprivatekey: \"01\"\n", "privateKey is missing"),
        (
            "type: file-raw\nkeyType: RSA\nprivateKey: \"01\"\n",
            "keyType \"RSA\" is unknown",
        ),
        ("privateKey: \"01\"\n", "type is missing"),
        (
            "type: file-keystore\nkeystoreFile: a\n",
            "keystorePasswordFile is missing",
        ),
        (
            "type: file-keystore\nkeystorePasswordFile: a\n",
            "keystoreFile is missing",
        ),
        (
            "type: file-raw\nprivateKey: \"0x012\"\n",
            "an odd number of hexadecimal digits (3)",
        ),
        (
            "type: file-raw\nprivateKey: \"0x0g\"\n",
            "not a hexadecimal digit, at position 1",
        ),
        ("- a\n- b\n", "not a YAML mapping"),
        ("text\n", "not a YAML mapping"),
        (
            "type: file-raw\nprivateKey: [\"01\"]\n",
            "not a YAML mapping of text members (line 2",
        ),
        (
            "type: file-raw\ntype: file-raw\nprivateKey: \"01\"\n",
            "not a YAML mapping",
        ),
        ("---\n---\n", "holds no document"),
        ("# nothing\n", "holds no document"),
    ] {
        let folder = Folder::new();
        folder.write("keys/a.yaml", text);
        let keys = folder.keys();
        let report = load(&keys);
        assert!(problems(&report).contains(error), "{text}: {}", problems(&report));
        assert!(keys.snapshot().is_empty());
    }
    let folder = Folder::new();
    folder.write("keys/a.yaml", "type: file-raw\nkeyType: Bls\nprivateKey: 5\n");
    folder.write(
        "keys/b.yaml",
        "type: file-raw\nkeyType: secp256K1\nprivateKey: 6\n",
    );
    let report = load(&folder.keys());
    // One digit is an odd number of them; a SECP256K1 entry is not looked at any further.
    assert_eq!(report.problems.len(), 1, "{}", problems(&report));
}

#[test]
fn short_keys_are_padded_on_the_left() {
    let folder = Folder::new();
    folder.write("keys/a.yaml", "type: file-raw\nprivateKey: 0x05\n");
    let keys = folder.keys();
    load(&keys);
    assert_eq!(
        names(&keys),
        [
            "0xb0e7791fb972fe014159aa33a98622da3cdc98ff707965e536d8636b5fcc5ac7a91a8c46e59a00dca575af0f18fb13dc"
        ]
    );
    folder.write(
        "keys/a.yaml",
        format!("type: file-raw\nprivateKey: 0x00{}\n", "01".repeat(32)),
    );
    let report = load(&keys);
    assert!(
        problems(&report).contains("66 characters"),
        "{}",
        problems(&report)
    );
}

#[test]
fn no_error_shows_a_secret() {
    let secret = "5be0".repeat(16);
    for text in [
        format!("type: file-raw\nprivateKey: 0x{secret}zz\n"),
        format!("type: file-raw\nprivateKey: [0x{secret}]\n"),
        format!("type: file-raw\nprivateKey: {{a: 0x{secret}}}\n"),
        format!("type: file-raw\nprivateKey: 0x{secret}\nprivateKey: 0x{secret}\n"),
        format!("type: file-raw\nprivateKey: \"0x{secret}\n"),
        format!("type: file-raw\nprivateKey: *a{secret}\n"),
        format!("type: file-raw\nprivateKey: !!int {secret}\n  x: y"),
        format!("0x{secret}"),
        format!("0x{secret}: [\n"),
        format!(
            "type: file-keystore\nkeystoreFile: a\nkeystorePasswordFile: b\nprivateKey: &x [0x{secret}]\n"
        ),
    ] {
        let folder = Folder::new();
        folder.write("keys/a.yaml", &text);
        let report = load(&folder.keys());
        assert_eq!(report.problems.len(), 1, "{text}");
        let shown = format!("{} {report:?}", problems(&report));
        assert!(!shown.contains("5be05be0"), "{shown}");
    }
}

#[test]
fn what_a_yaml_file_may_not_do() {
    let alias = "type: &t file-raw\nprivateKey: *t\n";
    let merge = "a: &a {privateKey: \"01\"}\ntype: file-raw\n<<: *a\n";
    let deep = format!(
        "type: file-raw\nprivateKey: \"01\"\nx: {}{}\n",
        "[".repeat(40),
        "]".repeat(40)
    );
    let deeper = format!("type: file-raw\nx: {}", "[".repeat(100_000));
    for text in [
        alias,
        merge,
        deep.as_str(),
        deeper.as_str(),
        "\u{0}",
        "type: \u{7}",
    ] {
        let folder = Folder::new();
        folder.write("keys/a.yaml", text);
        assert_eq!(
            load(&folder.keys()).problems.len(),
            1,
            "{}",
            text.get(..40).unwrap_or(text)
        );
    }
    let folder = Folder::new();
    folder.write("keys/a.yaml", b"type: file-raw\nprivateKey: \"01\" # \xff\n");
    assert!(problems(&load(&folder.keys())).contains("not a YAML mapping"));
}

#[test]
fn a_file_that_is_too_large() {
    let folder = Folder::new();
    folder
        .write("keys/a.yaml", raw(1))
        .write("keys/b.yaml", raw(2) + &"#".repeat(200));
    let mut settings = folder.settings();
    settings.config.max_file_bytes = 200;
    let keys = Keys::new(settings);
    let report = load(&keys);
    assert_eq!(names(&keys), sorted(&[1]));
    assert!(
        problems(&report).contains("b.yaml has more than 200 bytes"),
        "{}",
        problems(&report)
    );
}

#[test]
fn folders_links_and_pipes() {
    let folder = Folder::new();
    folder
        .write("elsewhere/real.yaml", raw(1))
        .write("keys/sub.yaml/x", "junk");
    symlink(folder.path("elsewhere/real.yaml"), folder.path("keys/link.yaml")).unwrap();
    symlink(folder.path("nowhere"), folder.path("keys/dangling.yaml")).unwrap();
    symlink("/dev/zero", folder.path("keys/device.yaml")).unwrap();
    let keys = folder.keys();
    let report = load(&keys);
    assert_eq!(names(&keys), sorted(&[1]));
    let text = problems(&report);
    assert!(text.contains("dangling.yaml: cannot look at"), "{text}");
    assert!(text.contains("device.yaml is not a regular file"), "{text}");
    assert_eq!(report.problems.len(), 2, "{text}");
}

#[test]
fn a_missing_folder_is_one_error() {
    let folder = Folder::new();
    let mut settings = folder.with_bulk(Some(BulkPasswords::Folder(folder.path("pw"))));
    settings.config.path = folder.path("none");
    let keys = Keys::new(settings);
    let report = load(&keys);
    assert_eq!(
        report.counts.config,
        SourceCount {
            keys_loaded: 0,
            error_count: 1
        }
    );
    assert_eq!(
        report.counts.bulk,
        Some(SourceCount {
            keys_loaded: 0,
            error_count: 1
        })
    );
}

#[test]
fn one_key_in_two_places_is_kept_once() {
    let folder = Folder::new();
    folder
        .write("keys/a.yaml", raw(1))
        .write("keys/b.yaml", format!("{}---\n{}", raw(1), raw(2)));
    folder.keystore("bulk/c.json", 2).write("pw", "pass");
    let keys = Keys::new(folder.with_bulk(Some(BulkPasswords::File(folder.path("pw")))));
    let report = load(&keys);
    assert_eq!(names(&keys), sorted(&[1, 2]));
    assert_eq!(
        (report.keys, report.problems.len(), report.duplicates.len()),
        (2, 0, 2)
    );
    assert_eq!(report.counts.config.keys_loaded, 2);
    assert_eq!(
        report.counts.bulk,
        Some(SourceCount {
            keys_loaded: 1,
            error_count: 0
        })
    );
    let text = report.duplicates[0].to_string();
    assert!(
        text.starts_with(&format!("key {} is defined twice: taken from ", name(1))),
        "{text}"
    );
    assert!(text.ends_with("b.yaml"), "{text}");
    assert_eq!(key(&keys, 2).origin(), Origin::RawConfig);
}

#[test]
fn passwords_of_keystore_entries_are_first_lines() {
    let yaml = "type: file-keystore\nkeystoreFile: k.json\nkeystorePasswordFile: pw\n";
    for (password, error) in [
        ("pass", None),
        ("pass\nsecond line\n", None),
        ("pass\r\n", None),
        ("pass\rx", None),
        ("", Some("the password is empty")),
        ("\npass\n", Some("the password is empty")),
        ("pass ", Some("the password is wrong")),
    ] {
        let folder = Folder::new();
        folder
            .write("keys/a.yaml", yaml)
            .keystore("keys/k.json", 1)
            .write("keys/pw", password);
        let keys = folder.keys();
        let report = load(&keys);
        match error {
            None => assert_eq!(
                key(&keys, 1).derivation_path(),
                Some("m/12381/3600/0/0/0"),
                "{password:?}"
            ),
            Some(error) => assert!(
                problems(&report).contains(error),
                "{password:?}: {}",
                problems(&report)
            ),
        }
    }
}

#[test]
fn passwords_of_folders_are_whole_files() {
    let folder = Folder::new();
    folder
        .keystore("bulk/a.json", 1)
        .keystore("bulk/b.c.JSON", 2)
        .keystore("bulk/d.json", 3);
    folder
        .write("pw/a.txt", "pa\nss\n")
        .write("pw/b.c.txt", "pass")
        .write("bulk/e.txt", "junk");
    let keys = Keys::new(folder.with_bulk(Some(BulkPasswords::Folder(folder.path("pw")))));
    let report = load(&keys);
    assert_eq!(names(&keys), sorted(&[1, 2]));
    assert!(
        problems(&report).contains("d.json: cannot look at"),
        "{}",
        problems(&report)
    );
    assert!(!key(&keys, 1).readonly());

    let one = Keys::new(folder.with_bulk(Some(BulkPasswords::File(folder.path("pw/b.c.txt")))));
    assert!(load(&one).problems.is_empty());
    assert_eq!(names(&one), sorted(&[1, 2, 3]));

    let missing = Keys::new(folder.with_bulk(Some(BulkPasswords::File(folder.path("none")))));
    assert_eq!(load(&missing).problems.len(), 1);
    let none = Keys::new(folder.with_bulk(None));
    assert!(problems(&load(&none)).contains("neither is given"));
}

/// A file that was cut short gives the whole file's keys, fewer of them (a cut between documents), or an error; never
/// another key.
#[test]
fn truncated_at_every_length() {
    let text = format!("{}---\n{}", raw(0x11), raw(0x12));
    let whole = sorted(&[0x11, 0x12]);
    let folder = Folder::new();
    let keys = folder.keys();
    for length in 0..=text.len() {
        folder.write("keys/a.yaml", &text[..length]);
        let report = load(&keys);
        let names = names(&keys);
        assert_eq!(names.is_empty(), report.problems.len() == 1, "{length}");
        assert!(names.iter().all(|name| whole.contains(name)), "{length}");
        if length == text.len() {
            assert_eq!(names, whole);
        }
    }
}

/// A flipped bit may give another key (the digits are all there is), but never a panic and never half a file.
#[test]
fn flipped_bits_are_answered() {
    let text = raw(0x11).into_bytes();
    let folder = Folder::new();
    let keys = folder.keys();
    let mut refused = 0;
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        folder.write("keys/a.yaml", &bytes);
        let report = load(&keys);
        assert_eq!(keys.snapshot().len() + report.problems.len(), 1, "bit {bit}");
        refused += report.problems.len();
    }
    assert!(refused > 300, "{refused}");
}

#[test]
fn a_check_counts_without_looking_at_files() {
    let text = format!(
        "{}---\n{}---\ntype: file-keystore\nkeystoreFile: a\nkeystorePasswordFile: b\n",
        raw(1),
        raw(2)
    );
    assert_eq!(check_config_file(text.as_bytes()), Ok(3));
    assert_eq!(check_config_file(b""), Err(ConfigFileError::Empty));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(check_config_file(&bytes).is_err());
    }

    /// Text made of what YAML gives a meaning to.
    #[test]
    fn any_yaml_is_answered(text in "([ \n:{}\\[\\],&*!|>'\"%@?#-]|type: file-raw\n|privateKey: 0x01\n|---\n|<<: ){0,60}") {
        if let Ok(keys) = check_config_file(text.as_bytes()) {
            prop_assert!(keys <= text.matches("privateKey").count(), "{text:?}");
        }
    }
}
