//! The generator: what it writes, what it refuses, and what the policy then means.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;

use kms_policy::action::{ADMINISTRATION, AROUND_ATTESTATION, ATTESTABLE, ATTESTED_USE, ENCRYPT};
use kms_policy::arn::{InstanceId, RoleArn};
use kms_policy::condition::{Attested, Operator};
use kms_policy::evaluate::{Context, Decision};
use kms_policy::generate::{STAND_INS, template};
use kms_policy::pcr::Pcr;
use kms_policy::policy::{Effect, MAX_POLICY_BYTES, Policy};
use kms_policy::principal::Principal;
use kms_policy::request::{Bindings, ImagePcrs, PolicyRequest, RequestError};
use support::{ADMIN, INSTANCE, LOADER, ask, attested, image, pcr, request, role};

mod support;

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// Two images, everything asked for.
fn full() -> PolicyRequest {
    let mut request = request(vec![image(1), image(2)]);
    for image in &mut request.images {
        image.pcr8 = Some(pcr(0x88));
    }
    let role: RoleArn = INSTANCE.parse().unwrap();
    let instance = |id: &str| Pcr::of_instance(&id.parse::<InstanceId>().unwrap());
    request.bindings.pcr3 = Some(Pcr::of_role(&role));
    request.bindings.pcr4 = vec![instance("i-0e4fe5de7ee5abe78"), instance("i-078824548edcf6519")];
    request.bindings.pcr16 = vec![pcr(0xcc)];
    request
}

#[test]
fn golden_files_are_met() {
    for (name, text) in [
        (
            "one-image.json",
            request(vec![image(1)]).generate().unwrap().to_json(),
        ),
        ("full.json", full().generate().unwrap().to_json()),
        (
            "template.json",
            template(vec![image(1)], Bindings::default()).unwrap(),
        ),
    ] {
        let path = data(name);
        #[expect(clippy::disallowed_methods, reason = "BLESS=1 rewrites the golden files")]
        if std::env::var("BLESS").is_ok() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{name}");
    }
}

#[test]
fn what_is_written_reads_back_the_same() {
    for request in [request(vec![image(1)]), full()] {
        let policy = request.generate().unwrap();
        assert_eq!(Policy::parse(policy.to_json().as_bytes()), Ok(policy));
    }
}

#[test]
fn one_allow_per_image_and_one_deny_per_register() {
    let policy = full().generate().unwrap();
    let registers = |effect| -> Vec<Vec<u8>> {
        let of_effect = policy.statements.iter().filter(|s| s.effect == effect);
        let keys = of_effect.map(|s| {
            let keys = s.conditions.values().flat_map(|keys| keys.keys());
            let mut found: Vec<u8> = keys
                .filter_map(|key| {
                    if let Attested::Pcr(index) = key.attested() {
                        Some(index)
                    } else {
                        None
                    }
                })
                .collect();
            found.sort_unstable();
            found
        });
        keys.filter(|found| !found.is_empty()).collect()
    };
    assert_eq!(registers(Effect::Allow), vec![vec![0, 1, 2, 3, 4, 8, 16]; 2]);
    assert_eq!(
        registers(Effect::Deny),
        [0, 1, 2, 3, 4, 8, 16].map(|n| vec![n]).to_vec()
    );
    for statement in policy.statements.iter().filter(|s| s.effect == Effect::Allow) {
        assert!(
            statement
                .conditions
                .keys()
                .all(|operator| *operator == Operator::EQUALS)
        );
        assert!(!statement.principals.entries().contains(&Principal::Anyone));
    }
}

#[test]
fn nobody_is_given_what_leads_around_attestation() {
    let policy = full().generate().unwrap();
    for who in [ADMIN, INSTANCE, LOADER, "arn:aws:iam::111122223333:role/Other"] {
        for action in AROUND_ATTESTATION {
            assert!(
                matches!(ask(&policy, who, action, &Context::new()), Decision::Deny(_)),
                "{who} {action}"
            );
        }
        for action in [
            "kms:GenerateMac",
            "kms:Sign",
            "kms:GenerateDataKeyWithoutPlaintext",
        ] {
            assert_eq!(
                ask(&policy, who, action, &Context::new()),
                Decision::ImplicitDeny,
                "{who} {action}"
            );
        }
    }
}

#[test]
fn administrators_keep_every_administrative_action_and_use_nothing() {
    let policy = full().generate().unwrap();
    for action in ADMINISTRATION {
        assert!(
            ask(&policy, ADMIN, action, &Context::new()).is_allow(),
            "{action}"
        );
        for who in [INSTANCE, LOADER] {
            assert_eq!(ask(&policy, who, action, &Context::new()), Decision::ImplicitDeny);
        }
    }
    let registers = [(0, 16), (1, 17), (2, 18), (8, 0x88), (16, 0xcc)].map(|(n, byte)| (n, pcr(byte)));
    for action in ATTESTABLE.iter().chain([&ENCRYPT]) {
        assert!(!ask(&policy, ADMIN, action, &Context::new()).is_allow());
        assert!(!ask(&policy, ADMIN, action, &attested(&registers)).is_allow());
    }
}

#[test]
fn only_the_loader_encrypts() {
    let policy = full().generate().unwrap();
    assert!(ask(&policy, LOADER, ENCRYPT, &Context::new()).is_allow());
    for who in [ADMIN, INSTANCE, "arn:aws:iam::111122223333:role/x/KeyCeremony"] {
        assert!(
            matches!(ask(&policy, who, ENCRYPT, &Context::new()), Decision::Deny(_)),
            "{who}"
        );
    }
    let mut request = full();
    request.roles.loaders.clear();
    let policy = request.generate().unwrap();
    assert!(matches!(
        ask(&policy, LOADER, ENCRYPT, &Context::new()),
        Decision::Deny(_)
    ));
}

#[test]
fn key_agreement_is_denied_even_when_attested() {
    let policy = request(vec![image(1)]).generate().unwrap();
    let context = attested(&[(0, pcr(16)), (1, pcr(17)), (2, pcr(18))]);
    for action in ATTESTED_USE {
        assert!(ask(&policy, INSTANCE, action, &context).is_allow());
    }
    assert_eq!(
        ask(&policy, INSTANCE, "kms:DeriveSharedSecret", &context),
        Decision::ImplicitDeny
    );
    let unattested = ask(&policy, INSTANCE, "kms:DeriveSharedSecret", &Context::new());
    assert!(matches!(unattested, Decision::Deny(_)));
}

#[test]
fn measurements_of_names_match_real_ones() {
    let vectors: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(data("pcr-vectors.json")).unwrap()).unwrap();
    let rows = |name: &str| vectors[name].as_array().unwrap().clone();
    for row in rows("pcr3_documented") {
        let role: RoleArn = row["role_arn"].as_str().unwrap().parse().unwrap();
        assert_eq!(Pcr::of_role(&role).to_string(), row["pcr3"].as_str().unwrap());
    }
    for row in rows("pcr4_from_genuine_documents") {
        let id: InstanceId = row["instance_id"].as_str().unwrap().parse().unwrap();
        assert_eq!(Pcr::of_instance(&id).to_string(), row["pcr4"].as_str().unwrap());
    }
    assert_eq!(rows("pcr4_from_genuine_documents").len(), 12);
}

fn refused(change: impl FnOnce(&mut PolicyRequest)) -> RequestError {
    let mut request = full();
    change(&mut request);
    request.generate().unwrap_err()
}

#[test]
fn debug_and_zero_registers_are_refused() {
    let zero = |image: &mut ImagePcrs| {
        image.pcr0 = Pcr::ZERO;
        image.pcr1 = Pcr::ZERO;
        image.pcr2 = Pcr::ZERO;
    };
    let label = "native-0.2".to_owned();
    assert_eq!(
        refused(|r| zero(&mut r.images[1])),
        RequestError::DebugImage { label }
    );
    for index in [0, 1, 2, 8] {
        let error = refused(|r| match index {
            0 => r.images[0].pcr0 = Pcr::ZERO,
            1 => r.images[0].pcr1 = Pcr::ZERO,
            2 => r.images[0].pcr2 = Pcr::ZERO,
            _ => r.images[0].pcr8 = Some(Pcr::ZERO),
        });
        assert!(
            matches!(error, RequestError::ZeroPcr { index: found, .. } if found == index),
            "{error}"
        );
    }
    for index in [3, 4, 16] {
        let error = refused(|r| match index {
            3 => r.bindings.pcr3 = Some(Pcr::ZERO),
            4 => r.bindings.pcr4.push(Pcr::ZERO),
            _ => r.bindings.pcr16.push(Pcr::ZERO),
        });
        assert!(
            matches!(error, RequestError::ZeroPcr { index: found, .. } if found == index),
            "{error}"
        );
    }
    let mut debug = request(vec![image(1)]);
    zero(&mut debug.images[0]);
    debug.danger_admit_debug = true;
    let policy = debug.generate().unwrap();
    let zeros = attested(&[0, 1, 2].map(|n| (n, Pcr::ZERO)));
    assert!(ask(&policy, INSTANCE, "kms:Decrypt", &zeros).is_allow());
    debug.images[0].pcr1 = pcr(1);
    assert!(matches!(
        debug.generate(),
        Err(RequestError::ZeroPcr { index: 0, .. })
    ));
}

#[test]
fn registers_without_an_image_are_refused() {
    let alone = |change: fn(&mut PolicyRequest)| {
        let mut request = request(vec![]);
        change(&mut request);
        request.generate().unwrap_err()
    };
    assert_eq!(alone(|_| ()), RequestError::NoImage);
    assert_eq!(
        alone(|r| r.bindings.pcr4 = vec![pcr(1)]),
        RequestError::NoImageFor { index: 4 }
    );
    assert_eq!(
        alone(|r| r.bindings.pcr3 = Some(pcr(1))),
        RequestError::NoImageFor { index: 3 }
    );
    assert_eq!(
        alone(|r| r.bindings.pcr16 = vec![pcr(1)]),
        RequestError::NoImageFor { index: 16 }
    );
}

#[test]
fn duplicates_and_half_signed_sets_are_refused() {
    let what = "the measurements of image";
    let twice = refused(|r| {
        r.images.push(ImagePcrs {
            label: "again".to_owned(),
            ..image(1)
        });
    });
    let (with, without) = ("native-0.1".to_owned(), "again".to_owned());
    assert_eq!(
        twice,
        RequestError::SomePcr8 {
            with: with.clone(),
            without
        }
    );
    let twice = refused(|r| {
        r.images[1] = ImagePcrs {
            label: "again".to_owned(),
            ..r.images[0].clone()
        }
    });
    assert_eq!(
        twice,
        RequestError::Duplicate {
            what,
            label: "again".to_owned()
        }
    );
    let half = refused(|r| r.images[1].pcr8 = None);
    assert_eq!(
        half,
        RequestError::SomePcr8 {
            with,
            without: "native-0.2".to_owned()
        }
    );
    let label = pcr(0xcc).to_string();
    let twice = refused(|r| r.bindings.pcr16.push(pcr(0xcc)));
    assert_eq!(twice, RequestError::Duplicate { what: "PCR16", label });
    let what = "loader role";
    let twice = refused(|r| r.roles.loaders.push(role(LOADER)));
    assert_eq!(
        twice,
        RequestError::Duplicate {
            what,
            label: LOADER.to_owned()
        }
    );
}

#[test]
fn parts_that_must_be_apart_are_kept_apart() {
    assert_eq!(refused(|r| r.roles.admins.clear()), RequestError::NoAdmin);
    let arn = INSTANCE.to_owned();
    let loader = refused(|r| r.roles.loaders.push(role(INSTANCE)));
    assert_eq!(
        loader,
        RequestError::InstanceRole {
            arn: arn.clone(),
            also: "a loader role"
        }
    );
    let admin = refused(|r| r.roles.admins.push(INSTANCE.parse().unwrap()));
    assert_eq!(
        admin,
        RequestError::InstanceRole {
            arn,
            also: "an administrator"
        }
    );
    let session = role(ADMIN).session("alice").unwrap();
    let error = refused(|r| r.roles.admins.push(session.clone()));
    assert_eq!(
        error,
        RequestError::AdminSession {
            arn: session.to_string()
        }
    );
    for text in [
        "arn:aws:iam::444455556666:role/KeyAdmin",
        "arn:aws-cn:iam::111122223333:role/KeyAdmin",
    ] {
        let error = refused(|r| r.roles.loaders.push(role(text)));
        assert!(matches!(error, RequestError::Foreign { arn, .. } if arn == text));
    }
}

#[test]
fn a_policy_that_kms_cannot_store_is_refused() {
    let images = |count: u8| {
        (0..count)
            .map(|n| ImagePcrs {
                pcr0: pcr(n + 1),
                ..image(1)
            })
            .collect()
    };
    let fits = (1..200)
        .take_while(|n| request(images(*n)).generate().is_ok())
        .count();
    assert!(fits >= 10, "only {fits} images fit");
    let count = u8::try_from(fits + 1).unwrap();
    let error = request(images(count)).generate().unwrap_err();
    assert!(
        matches!(error, RequestError::TooLarge { actual, limit: MAX_POLICY_BYTES } if actual > MAX_POLICY_BYTES),
        "{error}"
    );
}

#[test]
fn a_template_is_no_policy_until_it_is_filled_in() {
    let text = template(vec![image(1)], Bindings::default()).unwrap();
    for name in STAND_INS {
        assert!(text.contains(name), "{name}");
    }
    Policy::parse(text.as_bytes()).unwrap_err();
    let only_account = text.replace("ACCOUNT_ID", "111122223333");
    let filled = only_account
        .replace("role/ADMIN_ROLE", "role/KeyAdmin")
        .replace("role/INSTANCE_ROLE", "role/eth/SignerInstance")
        .replace("role/LOADER_ROLE", "role/KeyCeremony");
    assert_eq!(filled, request(vec![image(1)]).generate().unwrap().to_json());
    let debug = ImagePcrs {
        pcr0: Pcr::ZERO,
        pcr1: Pcr::ZERO,
        pcr2: Pcr::ZERO,
        ..image(1)
    };
    assert!(matches!(
        template(vec![debug], Bindings::default()),
        Err(RequestError::DebugImage { .. })
    ));
}
