//! The `policy` command's library: measurements and names in, the text of a key policy out.

use eif_builder::policy::{PolicyError, PolicyParameters, PolicyText, policy_text};
use kms_policy::measurements::{self, MeasurementsError};
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

fn read(json: &Value) -> Result<kms_policy::request::ImagePcrs, MeasurementsError> {
    measurements::read("native", json.to_string().as_bytes())
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
        PolicyError::Config(_)
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
