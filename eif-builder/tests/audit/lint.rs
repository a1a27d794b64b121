//! A policy that `policy` prints is clean for its image, and each way to weaken it has a name, a reason and a mend.

use std::fs;
use std::path::Path;

use eif::EifFile;
use serde_json::{Value, json};

use crate::support::{Parts, run, said};

const NAMES: [&str; 6] = [
    "--account",
    "123456789012",
    "--admin",
    "arn:aws:iam::123456789012:role/Admin",
    "--instance-role",
    "arn:aws:iam::123456789012:role/Parent",
];

/// Writes `NAME.pcrs.json` of an image with this command line.
fn pcrs(dir: &Path, name: &str, cmdline: &str) {
    let parts = Parts {
        cmdline: cmdline.to_owned(),
        ..Parts::default()
    };
    let path = parts.write(dir, name);
    let mut image = EifFile::open(fs::File::open(path).unwrap()).unwrap();
    let json = json!({"Measurements": image.measure().unwrap().measurements.to_json()});
    fs::write(dir.join(format!("{name}.pcrs.json")), json.to_string()).unwrap();
}

/// A folder with the measurements of `a` and `b`, and the policy that admits `a`.
fn place() -> (tempfile::TempDir, Value) {
    let dir = tempfile::tempdir().unwrap();
    pcrs(dir.path(), "a", "console=ttyS0");
    pcrs(dir.path(), "b", "console=ttyS0 quiet");
    let args = [&["policy", "--pcrs", "a.pcrs.json"], &NAMES[..]].concat();
    let (code, text) = said(&run(dir.path(), &args));
    assert_eq!(code, 0, "{text}");
    let policy = serde_json::from_str(&text).unwrap();
    fs::write(dir.path().join("policy.json"), text).unwrap();
    (dir, policy)
}

#[test]
fn what_policy_prints_is_clean_for_its_image_and_stale_for_another() {
    let (dir, _) = place();
    let (code, text) = said(&run(
        dir.path(),
        &["policy", "lint", "policy.json", "--pcrs", "a.pcrs.json"],
    ));
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("nothing weak found in "), "{text}");
    let (code, text) = said(&run(
        dir.path(),
        &["policy", "lint", "policy.json", "--pcrs", "b.pcrs.json"],
    ));
    assert_eq!(code, 3, "{text}");
    for word in ["stale-pcr", "image-not-admitted", "why  ", "mend  "] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let (code, text) = said(&run(dir.path(), &["policy", "lint", "policy.json"]));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("without --pcrs"), "{text}");
}

#[test]
fn each_weakness_of_the_issue_is_found() {
    let (dir, good) = place();
    let zeros = "0".repeat(96);
    let allows = |statement: &Value| {
        statement["Effect"] == "Allow" && statement.to_string().contains("RecipientAttestation")
    };
    let statements = good["Statement"].as_array().unwrap();
    let allowed = statements.iter().position(allows).unwrap();
    let mut cases: Vec<(&str, Value)> = Vec::new();
    let mut with = |code, change: &dyn Fn(&mut Vec<Value>)| {
        let mut policy = good.clone();
        change(policy["Statement"].as_array_mut().unwrap());
        cases.push((code, policy));
    };
    with("open-use", &|s| {
        s[allowed].as_object_mut().unwrap().remove("Condition");
        // With a Deny per register it would still be guarded.
        s.retain(|statement| statement["Effect"] == "Allow");
    });
    with("wildcard-principal", &|s| s[allowed]["Principal"] = json!("*"));
    with("zero-pcr", &|s| {
        let text = s[allowed].to_string();
        let pcr0 = text.split('"').find(|part| part.len() == 96).unwrap().to_owned();
        s[allowed] = serde_json::from_str(&text.replace(&pcr0, &zeros)).unwrap();
    });
    with("joint-deny", &|s| {
        let denies: Vec<_> = s
            .iter()
            .filter(|s| s["Effect"] == "Deny" && s.to_string().contains(":PCR"))
            .cloned()
            .collect();
        let mut joint = denies[0].clone();
        let more = denies[1]["Condition"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .clone();
        let condition = joint["Condition"]
            .as_object_mut()
            .unwrap()
            .values_mut()
            .next()
            .unwrap();
        condition
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        s.push(joint);
    });
    with("partial-deny", &|s| {
        let deny = s
            .iter_mut()
            .find(|s| s["Effect"] == "Deny" && s.to_string().contains(":PCR0"))
            .unwrap();
        deny["Action"] = json!("kms:GenerateRandom");
    });
    with("broad-put-key-policy", &|s| {
        s.push(json!({
            "Sid": "Broad", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
            "Action": "kms:PutKeyPolicy", "Resource": "*",
        }));
    });
    for (code, policy) in cases {
        fs::write(dir.path().join("weak.json"), policy.to_string()).unwrap();
        let output = run(
            dir.path(),
            &["policy", "lint", "weak.json", "--pcrs", "a.pcrs.json", "--json"],
        );
        assert_eq!(output.status.code(), Some(3), "{code}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["code"] == code);
        let finding = finding.unwrap_or_else(|| panic!("{code} is not in {report:#}"));
        for key in ["reason", "mend", "severity"] {
            assert!(!finding[key].as_str().unwrap().is_empty(), "{finding}");
        }
    }
}

#[test]
fn what_is_no_policy_is_refused() {
    let (dir, _) = place();
    for (text, word) in [
        ("", "not JSON"),
        ("[]", "is not"),
        (
            r#"{"Version":"2012-10-17","Version":"2012-10-17"}"#,
            "stands twice",
        ),
        (
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Surprise":1}]}"#,
            "Surprise",
        ),
    ] {
        fs::write(dir.path().join("bad.json"), text).unwrap();
        let (code, said) = said(&run(dir.path(), &["policy", "lint", "bad.json"]));
        assert_eq!(code, 3, "{text}: {said}");
        assert!(said.contains(word), "{text}: {said}");
    }
    for args in [
        &["policy", "lint", "none.json"][..],
        &["policy", "lint", "policy.json", "--pcrs", "none.json"],
    ] {
        let (code, text) = said(&run(dir.path(), args));
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("none.json"), "{text}");
    }
    let (code, _) = said(&run(dir.path(), &["policy"]));
    assert_eq!(code, 2, "measurements are still demanded");
    let (code, _) = said(&run(dir.path(), &["policy", "lint"]));
    assert_eq!(code, 2);
}
