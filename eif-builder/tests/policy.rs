//! The `policy` command's library: measurements and names in, the text of a key policy out.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use eif_builder::policy::{
    MAX_PCRS_BYTES, PolicyError, PolicyParameters, PolicyText, policy_text, read_pcrs,
};
use kms_policy::pcr::{Pcr, PcrError};
use kms_policy::policy::Policy;
use kms_policy::request::RequestError;
use serde_json::{Value, json};

fn measurements() -> Value {
    json!({
        "HashAlgorithm": "Sha384 { ... }",
        "PCR0": "a0".repeat(48),
        "PCR1": "A1".repeat(48),
        "PCR2": "a2".repeat(48),
        "PCR8": "a8".repeat(48),
    })
}

fn read(json: &Value) -> Result<kms_policy::request::ImagePcrs, PolicyError> {
    read_pcrs("native", json.to_string().as_bytes())
}

fn with(name: &str, value: Value) -> Value {
    let mut all = measurements();
    all.as_object_mut().unwrap().insert(name.to_owned(), value);
    all
}

fn names() -> PolicyParameters {
    let role = |name: &str| format!("arn:aws:iam::111122223333:role/{name}");
    PolicyParameters {
        account: Some("111122223333".to_owned()),
        admins: vec![role("KeyAdmin")],
        instance_role: Some(role("SignerInstance")),
        loader_roles: vec![role("KeyCeremony")],
        ..PolicyParameters::default()
    }
}

#[test]
fn both_forms_of_measurements_are_read() {
    let inner = read(&measurements()).unwrap();
    assert_eq!(inner.pcr1.to_string(), "a1".repeat(48));
    assert_eq!(inner.pcr8, Some(Pcr::new([0xa8; 48])));
    let outer = json!({ "Measurements": measurements(), "EifSha256": "00", "EifVersion": 4 });
    assert_eq!(read(&outer).unwrap(), inner);
    let mut unsigned = measurements();
    unsigned.as_object_mut().unwrap().remove("PCR8");
    assert_eq!(read(&unsigned).unwrap().pcr8, None);
}

#[test]
fn other_files_are_refused() {
    let text = measurements().to_string();
    for len in 0..text.len() {
        let cut = text.get(..len).unwrap();
        assert!(
            matches!(read_pcrs("x", cut.as_bytes()), Err(PolicyError::Json { .. })),
            "cut at {len}"
        );
    }
    for json in [
        json!({}),
        json!([]),
        json!({ "Measurements": 1 }),
        with("PCR3", json!("a3")),
        with("PCR0", json!(0)),
    ] {
        assert!(matches!(read(&json), Err(PolicyError::Json { .. })), "{json}");
    }
    let twice = text.replacen('{', &format!("{{\"PCR0\":\"{}\",", "bb".repeat(48)), 1);
    assert!(matches!(
        read_pcrs("x", twice.as_bytes()),
        Err(PolicyError::Json { .. })
    ));
    let outer_twice = format!("{{\"Measurements\":{text},\"Measurements\":{text}}}");
    assert!(matches!(
        read_pcrs("x", outer_twice.as_bytes()),
        Err(PolicyError::Json { .. })
    ));
    assert!(matches!(
        read(&with("HashAlgorithm", json!("Sha256 { ... }"))),
        Err(PolicyError::Algorithm { .. })
    ));
    let short = read(&with("PCR2", json!("a2"))).unwrap_err();
    assert!(matches!(
        short,
        PolicyError::Pcr {
            name: "PCR2",
            source: PcrError::Length { actual: 2 },
            ..
        }
    ));
    let long = " ".repeat(MAX_PCRS_BYTES + 1);
    assert!(matches!(
        read_pcrs("x", long.as_bytes()),
        Err(PolicyError::TooLarge { .. })
    ));
}

#[test]
fn names_make_a_policy_and_none_make_a_template() {
    let image = read(&measurements()).unwrap();
    let PolicyText::Complete(text) = policy_text(vec![image.clone()], &names()).unwrap() else {
        panic!("names were given");
    };
    assert!(!text.contains("PCR8"), "PCR8 is demanded only when asked for");
    let policy = Policy::parse(text.as_bytes()).unwrap();
    assert_eq!(kms_policy::lint::lint(&policy, None), vec![]);
    let template = policy_text(vec![image], &PolicyParameters::default()).unwrap();
    assert!(matches!(template, PolicyText::Template(_)));
    assert!(
        template
            .as_str()
            .contains("arn:aws:iam::ACCOUNT_ID:role/INSTANCE_ROLE")
    );
    Policy::parse(template.as_str().as_bytes()).unwrap_err();
}

#[test]
fn everything_that_is_asked_for_is_demanded() {
    let parameters = PolicyParameters {
        pcr3_role: Some("arn:aws:iam::123456789012:role/Webserver".to_owned()),
        pcr4_instances: vec!["i-0e4fe5de7ee5abe78".to_owned()],
        pcr8: true,
        pcr16: vec!["cc".repeat(48)],
        ..names()
    };
    let image = read(&measurements()).unwrap();
    for parameters in [
        parameters.clone(),
        PolicyParameters {
            account: None,
            admins: vec![],
            instance_role: None,
            loader_roles: vec![],
            ..parameters
        },
    ] {
        let text = policy_text(vec![image.clone()], &parameters).unwrap();
        for (index, start) in [(3, "78fce75d"), (4, "1cc1521f"), (8, "a8a8"), (16, "cccc")] {
            let line = format!("\"kms:RecipientAttestation:PCR{index}\": \"{start}");
            assert_eq!(
                text.as_str().matches(&line).count(),
                2,
                "one Allow and one Deny on PCR{index}"
            );
        }
    }
}

#[test]
fn half_a_set_of_names_is_refused() {
    let image = || vec![read(&measurements()).unwrap()];
    for (option, parameters) in [
        (
            "--account",
            PolicyParameters {
                account: None,
                ..names()
            },
        ),
        (
            "--admin",
            PolicyParameters {
                admins: vec![],
                ..names()
            },
        ),
        (
            "--instance-role",
            PolicyParameters {
                instance_role: None,
                ..names()
            },
        ),
        (
            "--account",
            PolicyParameters {
                partition: Some("aws".to_owned()),
                ..PolicyParameters::default()
            },
        ),
    ] {
        let error = policy_text(image(), &parameters).unwrap_err();
        assert!(
            matches!(error, PolicyError::Missing { option: found } if found == option),
            "{option}: {error}"
        );
    }
    let bad = |change: fn(&mut PolicyParameters)| {
        let mut parameters = names();
        change(&mut parameters);
        policy_text(image(), &parameters).unwrap_err()
    };
    for (option, change) in [
        (
            "--account",
            (|p| p.account = Some("ACCOUNT_ID".to_owned())) as fn(&mut PolicyParameters),
        ),
        ("--partition", |p| p.partition = Some("gcp".to_owned())),
        ("--admin", |p| p.admins.push("KeyAdmin".to_owned())),
        ("--instance-role", |p| {
            p.instance_role = Some("arn:aws:iam::111122223333:user/a".to_owned());
        }),
        ("--loader-role", |p| p.loader_roles.push("*".to_owned())),
        ("--pcr3-role", |p| p.pcr3_role = Some("Webserver".to_owned())),
        ("--pcr4-instance", |p| {
            p.pcr4_instances.push("0e4fe5de7ee5abe78".to_owned());
        }),
    ] {
        let error = bad(change);
        assert!(
            matches!(error, PolicyError::Name { option: found, .. } if found == option),
            "{option}: {error}"
        );
    }
    assert!(matches!(
        bad(|p| p.pcr16.push("cc".to_owned())),
        PolicyError::Pcr { name: "PCR16", .. }
    ));
}

#[test]
fn debug_images_and_missing_signatures_are_refused() {
    let mut debug = measurements();
    for name in ["PCR0", "PCR1", "PCR2"] {
        debug
            .as_object_mut()
            .unwrap()
            .insert(name.to_owned(), json!("00".repeat(48)));
    }
    let debug = read(&debug).unwrap();
    for parameters in [names(), PolicyParameters::default()] {
        let error = policy_text(vec![debug.clone()], &parameters).unwrap_err();
        assert!(
            matches!(error, PolicyError::Request(RequestError::DebugImage { .. })),
            "{error}"
        );
    }
    let admit = |p: PolicyParameters| PolicyParameters {
        danger_admit_debug: true,
        ..p
    };
    policy_text(vec![debug.clone()], &admit(names())).unwrap();
    let error = policy_text(vec![debug], &admit(PolicyParameters::default())).unwrap_err();
    assert!(matches!(error, PolicyError::DebugTemplate));
    let mut unsigned = read(&measurements()).unwrap();
    unsigned.pcr8 = None;
    let error = policy_text(
        vec![unsigned],
        &PolicyParameters {
            pcr8: true,
            ..names()
        },
    )
    .unwrap_err();
    assert!(matches!(error, PolicyError::NoPcr8 { .. }));
    let error = policy_text(vec![], &names()).unwrap_err();
    assert!(matches!(error, PolicyError::Request(RequestError::NoImage)));
}
