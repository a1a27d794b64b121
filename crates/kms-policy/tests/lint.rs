//! The lint: each rule fires on what it is for, and on nothing that the generator writes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use kms_policy::lint::{Finding, LintCode, Severity, lint};
use kms_policy::policy::Policy;
use kms_policy::request::ImagePcrs;
use serde_json::{Value, json};
use support::{ADMIN, INSTANCE, image, pcr, request};

#[expect(dead_code, reason = "this file asks nothing of the evaluator")]
mod support;

const CONSOLE: &str = include_str!("data/console-default.json");

fn codes(findings: &[Finding]) -> Vec<(Option<usize>, &'static str)> {
    findings.iter().map(|f| (f.statement, f.code.name())).collect()
}

/// The generated policy for image 1 as JSON, to be broken in one place.
fn good() -> Value {
    serde_json::from_str(&request(vec![image(1)]).generate().unwrap().to_json()).unwrap()
}

/// Findings of the generated policy after a change.
fn broken(change: impl FnOnce(&mut Vec<Value>)) -> Vec<(Option<usize>, &'static str)> {
    let mut policy = good();
    change(policy["Statement"].as_array_mut().unwrap());
    codes(&lint(
        &Policy::parse(policy.to_string().as_bytes()).unwrap(),
        Some(&[image(1)]),
    ))
}

// Statements of `good`, by index.
const USE: usize = 2;
const DENY0: usize = 3;
const DENY2: usize = 5;
const AROUND: usize = 7;

#[test]
fn what_is_generated_is_clean() {
    let mut full = request(vec![image(1), image(2)]);
    full.bindings.pcr3 = Some(pcr(1));
    full.bindings.pcr4 = vec![pcr(2), pcr(3)];
    full.bindings.pcr16 = vec![pcr(4), pcr(5)];
    for request in [request(vec![image(1)]), full] {
        let policy = request.generate().unwrap();
        assert_eq!(lint(&policy, Some(&request.images)), vec![]);
        assert_eq!(lint(&policy, None), vec![]);
    }
    assert_eq!(broken(|_| ()), vec![]);
}

#[test]
fn the_policy_that_the_console_proposes_is_full_of_holes() {
    let findings = lint(&Policy::parse(CONSOLE.as_bytes()).unwrap(), None);
    assert_eq!(
        codes(&findings),
        vec![
            (None, "missing-deny"),
            (Some(0), "open-use"),
            (Some(0), "broad-put-key-policy"),
            (Some(0), "around-attestation"),
            (Some(0), "encrypt-and-use"),
            (Some(1), "around-attestation"),
            (Some(2), "open-use"),
            (Some(2), "around-attestation"),
            (Some(2), "encrypt-and-use"),
            (Some(3), "around-attestation"),
        ]
    );
    assert_eq!(
        findings[1].to_string(),
        "statement 0: open-use: kms:Decrypt, kms:DeriveSharedSecret, kms:GenerateDataKey, kms:GenerateDataKeyPair \
         allowed without attestation; mend: allow the attestable actions only under PCR0, PCR1 and PCR2, \
         one statement per image"
    );
}

#[test]
fn denies_close_what_an_allow_leaves_open() {
    let unconditional = |s: &mut Vec<Value>| {
        s[USE].as_object_mut().unwrap().remove("Condition");
    };
    assert_eq!(broken(unconditional), vec![(None, "image-not-admitted")]);
    let without_deny2 = broken(|s| {
        unconditional(s);
        s.remove(DENY2);
    });
    assert_eq!(
        without_deny2,
        vec![
            (None, "missing-deny"),
            (None, "image-not-admitted"),
            (Some(USE), "partial-pcrs")
        ]
    );
}

#[test]
fn conditions_that_let_too_much_through() {
    let only_allow = |condition: Value| {
        broken(|s| {
            s.retain(|s| s["Effect"] == "Allow" || s["Action"] == "kms:Encrypt");
            s[USE]["Condition"] = condition;
        })
        .into_iter()
        .filter(|(index, code)| *index == Some(USE) && *code != "stale-pcr")
        .map(|(_, code)| code)
        .collect::<Vec<_>>()
    };
    let key = |n: u8| format!("kms:RecipientAttestation:PCR{n}");
    let value = |n: u8| pcr(16 + n).to_string();
    let all = || json!({ key(0): value(0), key(1): value(1), key(2): value(2) });
    assert_eq!(only_allow(json!({ "StringEquals": all() })), Vec::<&str>::new());
    for operator in [
        "StringEqualsIfExists",
        "ForAllValues:StringEquals",
        "StringNotEquals",
    ] {
        let expected = vec![
            "open-use",
            "absent-key-trap",
            "absent-key-trap",
            "absent-key-trap",
        ];
        assert_eq!(only_allow(json!({ operator: all() })), expected, "{operator}");
    }
    assert_eq!(
        only_allow(json!({ "StringEquals": { key(0): value(0) } })),
        vec!["partial-pcrs"]
    );
    assert_eq!(
        only_allow(json!({ "StringEquals": { key(4): value(4) } })),
        vec!["partial-pcrs"]
    );
    assert_eq!(
        only_allow(json!({ "StringEquals": { "kms:ViaService": "x" } })),
        vec!["open-use"]
    );
    let image_key =
        json!({ "kms:RecipientAttestation:ImageSha384": value(0), key(1): value(1), key(2): value(2) });
    assert_eq!(
        only_allow(json!({ "StringEqualsIgnoreCase": image_key })),
        Vec::<&str>::new()
    );
    let lists = json!({ key(0): [value(0), value(3)], key(1): [value(1), value(4)], key(2): value(2) });
    assert_eq!(
        only_allow(json!({ "StringEquals": lists })),
        vec!["cross-combination"]
    );
}

#[test]
fn values_and_keys_that_prove_nothing() {
    let zeros = "0".repeat(96);
    assert_eq!(
        broken(
            |s| s[USE]["Condition"]["StringEqualsIgnoreCase"]["kms:RecipientAttestation:PCR8"] = json!(zeros)
        ),
        vec![(Some(USE), "zero-pcr")]
    );
    assert_eq!(
        broken(
            |s| s[USE]["Condition"]["StringEqualsIgnoreCase"]["kms:RecipientAttestation:PCR3"] = json!("*")
        ),
        vec![(Some(USE), "malformed-pcr")]
    );
    assert_eq!(
        broken(
            |s| s[USE]["Condition"]["StringEqualsIgnoreCase"]["kms:RecipientAttestation:NitroTPMPCR4"] =
                json!("x")
        ),
        vec![(Some(USE), "unknown-attestation-key")]
    );
}

#[test]
fn denies_that_do_not_hold() {
    let joint = broken(|s| {
        let second = s.remove(DENY0 + 1)["Condition"]["StringNotEqualsIgnoreCase"].clone();
        for (key, value) in second.as_object().unwrap() {
            s[DENY0]["Condition"]["StringNotEqualsIgnoreCase"][key] = value.clone();
        }
    });
    assert_eq!(joint, vec![(None, "missing-deny"), (Some(DENY0), "joint-deny")]);
    let partial = broken(|s| s[DENY0]["Action"] = json!("kms:Decrypt"));
    assert_eq!(
        partial,
        vec![(None, "missing-deny"), (Some(DENY0), "partial-deny")]
    );
    let some = broken(|s| s[DENY0]["Principal"] = json!({ "AWS": INSTANCE }));
    assert_eq!(some, vec![(None, "missing-deny")]);
}

#[test]
fn rights_that_must_be_apart() {
    let add = |action: &str, who: Value| {
        let statement = json!({ "Effect": "Allow", "Principal": who, "Action": action, "Resource": "*" });
        broken(|s| s.push(statement))
            .into_iter()
            .map(|(_, code)| code)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        add("kms:PutKeyPolicy", json!({ "AWS": ADMIN })),
        Vec::<&str>::new()
    );
    assert_eq!(
        add("kms:PutKeyPolicy", json!({ "AWS": INSTANCE })),
        vec!["broad-put-key-policy"]
    );
    assert_eq!(
        add("kms:PutKeyPolicy", json!({ "AWS": "111122223333" })),
        vec!["broad-put-key-policy"]
    );
    assert_eq!(add("kms:DescribeKey", json!("*")), vec!["wildcard-principal"]);
    assert_eq!(
        add("kms:Encrypt", json!({ "AWS": INSTANCE })),
        vec!["encrypt-and-use"]
    );
    // Denied to everyone, so the Allow is without effect.
    assert_eq!(
        add("kms:CreateGrant", json!({ "AWS": ADMIN })),
        Vec::<&str>::new()
    );
    let around = broken(|s| {
        s.remove(AROUND);
        s[0]["Action"] = json!(["kms:ReEncrypt*", "kms:PutKeyPolicy"]);
    });
    assert_eq!(around, vec![(Some(0), "around-attestation")]);
    let nobody = broken(|s| {
        s.remove(0);
    });
    assert_eq!(nobody, vec![(None, "no-administrator")]);
}

#[test]
fn images_that_came_and_went() {
    let policy = request(vec![image(1), image(2)]).generate().unwrap();
    let findings = lint(&policy, Some(&[image(2)]));
    assert!(
        findings
            .iter()
            .all(|f| f.code == LintCode::StalePcr && f.code.severity() == Severity::Warning)
    );
    let statements: Vec<_> = findings.iter().map(|f| f.statement.unwrap()).collect();
    assert_eq!(statements, vec![2, 2, 2, 4, 5, 6]);
    let half = ImagePcrs {
        pcr1: image(2).pcr1,
        ..image(1)
    };
    assert_eq!(
        codes(&lint(&policy, Some(&[image(1), image(2), half]))),
        vec![(None, "image-not-admitted")]
    );
}

#[test]
fn codes_have_distinct_names_and_advice() {
    let mut names: Vec<_> = LintCode::ALL.iter().map(|code| code.name()).collect();
    let mut mends: Vec<_> = LintCode::ALL.iter().map(|code| code.mend()).collect();
    for list in [&mut names, &mut mends] {
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), LintCode::ALL.len());
    }
}
