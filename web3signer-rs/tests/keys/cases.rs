//! Every case of `tests/data/keyconfig/key_config_cases.json`: a folder as upstream would find it, and what must come out.

use crate::support::{Folder, load, names};
use serde_json::Value;
use web3signer_rs::keys::{Bulk, BulkPasswords, Keys, Settings};

/// The flags of a case as settings. They name folders relative to the case's own.
fn settings(folder: &Folder, case: &Value) -> Settings {
    let mut settings = folder.settings();
    for flag in case["flags"].as_array().into_iter().flatten() {
        let (name, value) = flag.as_str().unwrap().split_once('=').unwrap();
        let path = folder.path(value);
        let bulk = settings.bulk.get_or_insert_with(|| Bulk {
            keystores: folder.path("bulk"),
            passwords: None,
        });
        match name {
            "--keystores-path" => bulk.keystores = path,
            "--keystores-passwords-path" => bulk.passwords = Some(BulkPasswords::Folder(path)),
            "--keystores-password-file" => bulk.passwords = Some(BulkPasswords::File(path)),
            other => unimplemented!("{other} is not known to this test"),
        }
    }
    settings
}

#[test]
fn every_case() {
    let file: Value = serde_json::from_str(include_str!("../data/keyconfig/key_config_cases.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() >= 20, "{}", cases.len());
    for case in cases {
        let folder = Folder::new();
        for (name, text) in case["files"].as_object().unwrap() {
            folder.write(name, text.as_str().unwrap());
        }
        let keys = Keys::new(settings(&folder, case));
        let report = load(&keys);
        let expected: Vec<_> = case["expect"]["public_keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key.as_str().unwrap())
            .collect();
        assert_eq!(names(&keys), expected, "{}: {:?}", case["name"], report.problems);
        let errors = report.counts.config.error_count + report.counts.bulk.map_or(0, |bulk| bulk.error_count);
        assert_eq!(
            errors as u64,
            case["expect"]["error_count"].as_u64().unwrap(),
            "{}",
            case["name"]
        );
        assert_eq!(errors, report.problems.len(), "{}", case["name"]);
        assert_eq!(*keys.snapshot().counts(), report.counts);
    }
}
